//! Cross-site scripting: a value that, put into a page, would run.
//!
//! Markup by itself is what people write. What counts is markup that runs something (a script element with content, an event handler, a
//! URI that is a script), or a string ended so that a call follows.

use super::Managed;
use super::scan::{after, before, find, has, has_any, is_early, is_word, strip_any, take, trim};

/// The score from which on a value counts as an attack.
pub(super) const THRESHOLD: u8 = 5;

/// So many tags of a value are looked at, and so much of each: who needs more hides nothing in them.
const MOST_TAGS: usize = 64;
const LONGEST_TAG: usize = 1 << 10;

/// What a value would run.
pub(super) fn judge(text: &[u8]) -> Option<(Managed, u8)> {
    let (mut from, mut left) = (0, MOST_TAGS);
    let mut markup = false;
    while left > 0
        && let Some(at) = after(text, from).iter().position(|byte| *byte == b'<').map(|at| from + at)
    {
        markup = true;
        if let Some(found) = element(text, at) {
            return Some(found);
        }
        (from, left) = (at + 1, left - 1);
    }
    if let Some(found) = attribute(text) {
        return Some(found);
    }
    if uri(text) || (has(text, b"@import") && has(text, b"javascript:")) {
        return Some((Managed::XssUri, 6));
    }
    call(text).or_else(|| (markup && has(text, b"<!--") && has(text, b"--!><")).then_some((Managed::XssMarkup, 5)))
}

/// What begins with `<` at a place.
fn element(text: &[u8], at: usize) -> Option<(Managed, u8)> {
    // Browsers skip nothing between `<` and the name, filters that remove things do.
    let inner = before(after(text, at + 1), LONGEST_TAG);
    let closing = inner.first() == Some(&b'/');
    let (name, rest) = take(inner.strip_prefix(b"/").unwrap_or(inner), |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b':' | b'?' | b'!')
    });
    if !name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'?') {
        return None;
    }
    // The first tag of a value, after what would end the tag that it is put into.
    let head = before(text, at).trim_ascii_end();
    let broken_out =
        matches!(head.last(), Some(b'"' | b'\'' | b'>' | b'`' | b'}')) && !head.contains(&b'<') && !closing;
    let end = end(rest);
    let (attributes, content) = (before(rest, end), after(rest, end + 1));
    if !closing && name == b"script" {
        return script(attributes, content, broken_out);
    }
    if closing && name == b"script" {
        // What ends the page's own script begins another element.
        let next = trim(content);
        return (at < 64 && next.first() == Some(&b'<') && is_early(text, at)).then_some((Managed::XssScript, 5));
    }
    if handler(attributes, true) {
        return Some((Managed::XssHandler, 8));
    }
    if attributes.contains(&b'=') && runs(attributes) {
        return Some((Managed::XssUri, 8));
    }
    let score = match name {
        b"iframe" | b"frame" if has_any(attributes, &[b"srcdoc", b"data:text/html"]) => 7,
        b"object" | b"embed" | b"applet" if has_any(attributes, &[b"data:", b"code=", b".swf"]) => 6,
        b"meta" if has(attributes, b"http-equiv") && has_any(attributes, &[b"refresh", b"set-cookie"]) => 6,
        b"base" if has(attributes, b"href") => 5,
        b"link" if has(attributes, b"import") => 6,
        b"link" | b"iframe" | b"object" | b"embed" if broken_out => 5,
        b"style" if has_any(content, &[b"expression(", b"javascript:", b"-moz-binding", b"@import"]) => 6,
        b"animate" | b"set" | b"use" if has(attributes, b"data:") => 6,
        b"xml" | b"isindex" | b"vmlframe" if has_any(attributes, &[b"src", b"action"]) => 5,
        _ if has_any(attributes, &[b"expression(", b"-moz-binding"]) => 6,
        _ => return None,
    };
    Some((Managed::XssMarkup, score))
}

/// Where a tag ends: at the first `>` outside of quotes, or at the next `<`, or never.
fn end(text: &[u8]) -> usize {
    let mut quote = 0;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'"' | b'\'' if quote == 0 && matches!(before(text, at).trim_ascii_end().last(), Some(b'=')) => {
                quote = *byte
            }
            byte if *byte == quote => quote = 0,
            b'>' if quote == 0 => return at,
            _ => {}
        }
    }
    text.iter().position(|byte| *byte == b'>').unwrap_or(text.len())
}

fn script(attributes: &[u8], content: &[u8], broken_out: bool) -> Option<(Managed, u8)> {
    // JavaScript has many spellings; text between tags that people show has none of these.
    let runs = content.iter().any(|byte| matches!(byte, b'(' | b'`' | b'=' | b'['));
    if let Some(at) = find(attributes, b"src") {
        let source = trim(after(attributes, at + 3));
        let source = trim(source.strip_prefix(b"=").unwrap_or(source));
        let (open, address) = match source.split_first() {
            Some((b'"' | b'\'', address)) => (false, address),
            _ => (true, source),
        };
        let odd = open || address.starts_with(b"//") || address.starts_with(b"data:") || address.starts_with(b"\\");
        return (broken_out || odd).then_some((Managed::XssScript, 7));
    }
    if has(attributes, b"href") && has_any(attributes, &[b"data:", b"//"]) {
        return Some((Managed::XssScript, 7));
    }
    if runs || broken_out {
        return Some((Managed::XssScript, 7));
    }
    // An element left open takes in the rest of the page.
    (content.is_empty() && attributes.is_empty() && broken_out).then_some((Managed::XssScript, 5))
}

/// Whether there is an event handler among the attributes: `onload=`, with anything that a browser lets stand before it.
fn handler(attributes: &[u8], in_tag: bool) -> bool {
    let mut from = 0;
    while let Some(at) = find(after(attributes, from), b"on").map(|at| from + at) {
        from = at + 2;
        let before = before(attributes, at).last();
        let separate = match before {
            None => false,
            Some(byte) => {
                matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c | 0x0b | b'/' | b'"' | b'\'' | b'`') || *byte >= 0x80
            }
        };
        let (name, rest) = take(after(attributes, from), |byte| byte.is_ascii_lowercase());
        let rest = trim(rest);
        if separate && is_event(name) && rest.first() == Some(&b'=') {
            let value = trim(after(rest, 1));
            let code = value.iter().any(|byte| matches!(byte, b'(' | b'`' | b'=' | b'[' | b':' | b'{'));
            if in_tag || code {
                return true;
            }
        }
    }
    false
}

/// What names of events begin with, without their `on`.
const EVENTS: [&[u8]; 74] = [
    b"abort",
    b"activate",
    b"after",
    b"animation",
    b"auxclick",
    b"before",
    b"begin",
    b"blur",
    b"bounce",
    b"cancel",
    b"canplay",
    b"cell",
    b"change",
    b"click",
    b"close",
    b"command",
    b"content",
    b"contextmenu",
    b"copy",
    b"cue",
    b"cut",
    b"data",
    b"dblclick",
    b"deactivate",
    b"drag",
    b"drop",
    b"duration",
    b"emptied",
    b"end",
    b"error",
    b"filterchange",
    b"finish",
    b"focus",
    b"formdata",
    b"fullscreen",
    b"gesture",
    b"got",
    b"hash",
    b"help",
    b"input",
    b"invalid",
    b"key",
    b"layout",
    b"load",
    b"lost",
    b"message",
    b"mouse",
    b"moz",
    b"offline",
    b"online",
    b"page",
    b"paste",
    b"pause",
    b"play",
    b"pointer",
    b"popstate",
    b"progress",
    b"property",
    b"ratechange",
    b"readystate",
    b"repeat",
    b"reset",
    b"resize",
    b"row",
    b"scroll",
    b"search",
    b"seek",
    b"select",
    b"show",
    b"start",
    b"storage",
    b"submit",
    b"toggle",
    b"wheel",
];

/// The rest of them, which are long.
const MORE_EVENTS: [&[u8]; 12] = [
    b"slotchange",
    b"stalled",
    b"suspend",
    b"timeupdate",
    b"touch",
    b"transition",
    b"unhandled",
    b"unload",
    b"visibility",
    b"volumechange",
    b"waiting",
    b"webkit",
];

fn is_event(name: &[u8]) -> bool {
    EVENTS.iter().chain(&MORE_EVENTS).any(|event| name.starts_with(event))
}

/// A quote that ends an attribute's value, then an attribute that runs.
fn attribute(text: &[u8]) -> Option<(Managed, u8)> {
    let at = text.iter().position(|byte| matches!(byte, b'"' | b'\'' | b'`'))?;
    let rest = after(text, at);
    let hit = is_early(text, at) && (handler(rest, false) || (has(rest, b"style=") && has(rest, b"expression(")));
    hit.then_some((Managed::XssHandler, 6))
}

/// Whether an attribute's value is a script.
fn runs(attributes: &[u8]) -> bool {
    let mut from = 0;
    while let Some(at) = after(attributes, from).iter().position(|byte| *byte == b':').map(|at| from + at) {
        if scheme(attributes, at).is_some_and(|start| {
            matches!(before(attributes, start).trim_ascii_end().last(), Some(b'=' | b'"' | b'\'' | b'`' | b';' | b','))
        }) {
            return true;
        }
        from = at + 1;
    }
    has_any(attributes, &[b"data:text/html", b"data:application/xhtml", b"data:image/svg+xml;base64,phn2zy"])
}

/// A value that is, or holds, the URI of a script.
fn uri(text: &[u8]) -> bool {
    let (mut from, mut left) = (0, MOST_TAGS);
    while left > 0
        && let Some(at) = after(text, from).iter().position(|byte| *byte == b':').map(|at| from + at)
    {
        if let Some(start) = scheme(text, at)
            && (start == 0 || !is_word(before(text, start).last().copied().unwrap_or(b' ')))
        {
            let rest = after(text, at + 1);
            let spaced = rest.first().is_some_and(|byte| *byte == b' ');
            // What a link does that does nothing.
            let nothing = strip_any(rest, &[b"void(0)", b"void 0", b";", b"history.back()"]).is_some();
            if !spaced && !nothing && is_early(text, start) && (has_code(rest) || rest.starts_with(b"//")) {
                return true;
            }
        }
        (from, left) = (at + 1, left - 1);
    }
    let start = trim(text);
    start.starts_with(b"data:text/html") && start.iter().any(|byte| matches!(byte, b'<' | b';'))
}

/// Where a script's scheme begins that ends before the colon at `at`. Browsers skip white space inside it.
fn scheme(text: &[u8], at: usize) -> Option<usize> {
    [b"javascript".as_slice(), b"vbscript", b"livescript"].into_iter().find_map(|name| {
        let mut start = at;
        for wanted in name.iter().rev() {
            loop {
                start = start.checked_sub(1)?;
                let byte = text.get(start)?;
                if matches!(byte, b'\t' | b'\n' | b'\r' | 1..=8) {
                    continue;
                }
                if byte != wanted {
                    return None;
                }
                break;
            }
        }
        Some(start)
    })
}

/// Whether it holds a call, as in `f(x)`, or what else runs.
fn has_code(text: &[u8]) -> bool {
    let mut before = b' ';
    for byte in text {
        match byte {
            b'(' if is_word(before) || before == b']' || before == b')' => return true,
            b'`' | b'=' => return true,
            _ => before = *byte,
        }
    }
    false
}

/// What a script calls to show that it runs, or to take something away.
const SINKS: [&[u8]; 17] = [
    b"alert",
    b"prompt",
    b"confirm",
    b"eval",
    b"fetch",
    b"settimeout",
    b"setinterval",
    b"import",
    b"atob",
    b"print",
    b"function",
    b"fromcharcode",
    b"execscript",
    b"open",
    b"write",
    b"constructor",
    b"sendbeacon",
];

/// A string ended, and a call after it: `';alert(1)//`, `"-alert(1)-"`.
fn call(text: &[u8]) -> Option<(Managed, u8)> {
    let calls = text.iter().enumerate().filter(|(_, byte)| matches!(byte, b'(' | b'`'));
    for (at, _) in calls.take(MOST_TAGS) {
        let head = before(text, at).trim_ascii_end();
        let name = head.iter().rev().take_while(|byte| is_word(**byte)).count();
        let start = head.len().saturating_sub(name);
        if !SINKS.contains(&after(head, start)) {
            // `top["al"+"ert"](1)`, `[].constructor`.
            if head.last() == Some(&b']')
                && has_any(head, &[b"top[", b"window[", b"self[", b"this[", b"parent[", b"frames["])
                && is_early(text, at)
            {
                return Some((Managed::XssCall, 5));
            }
            continue;
        }
        let mut lead = before(head, start);
        // What may stand between: an object, operators, brackets.
        let object = lead.iter().rev().take_while(|byte| is_word(**byte) || matches!(byte, b'.' | b'[' | b']')).count();
        lead = before(lead, lead.len().saturating_sub(object));
        let joint = lead.iter().rev().take_while(|byte| b" ;,+-*/|&^!~(){}=?:<>\n\r\t%".contains(byte)).count();
        let opening = before(lead, lead.len().saturating_sub(joint));
        let between = after(lead, lead.len().saturating_sub(joint));
        let joined = between.iter().any(|byte| !matches!(byte, b' ' | b'(' | b'\n' | b'\r' | b'\t'));
        let quoted = matches!(opening.last(), Some(b'\'' | b'"' | b'`' | b'\\'));
        // Pairs of quotes are strings that nobody ended.
        let unpaired = |quote: u8| opening.iter().filter(|byte| **byte == quote).count() % 2 == 1;
        if quoted && joined && is_early(text, at) && (unpaired(b'\'') || unpaired(b'"') || unpaired(b'`')) {
            return Some((Managed::XssCall, 6));
        }
        let rest = before(after(text, at), LONGEST_TAG);
        let telling = has_any(
            rest,
            &[
                b"document.cookie",
                b"document.domain",
                b"localstorage",
                b"window.name",
                b"atob(",
                b"string.fromcharcode",
                b"location.hash",
            ],
        );
        if telling && is_early(text, start) && !has(text, b"\n") {
            return Some((Managed::XssCall, 5));
        }
    }
    let steals = has_any(text, &[b"document.cookie"])
        && has_any(text, &[b"location=", b"location.href=", b"new image", b".src="]);
    (steals && is_early(text, text.len())).then_some((Managed::XssCall, 5))
}

#[cfg(test)]
mod tests {
    use super::{THRESHOLD, judge};

    fn hit(text: &str) -> bool {
        judge(text.to_ascii_lowercase().as_bytes()).is_some_and(|(_, score)| score >= THRESHOLD)
    }

    #[test]
    fn runs_in_a_page() {
        for text in [
            "<script>alert(1)</script>",
            "\"><script src=//evil.example></script>",
            "<img src=x onerror=alert(1)>",
            "<svg/onload=alert`1`>",
            "<details open ontoggle=confirm(1)>",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href=\"java\tscript:alert(1)\">x</a>",
            "<iframe srcdoc='x'>",
            "javascript:alert(1)",
            "';alert(1)//",
            "\"-alert(1)-\"",
            "\" onfocus=alert(1) autofocus x=\"",
            "</script><svg><x>",
            "<math><mi xlink:href=\"data:text/html,x\">",
        ] {
            assert!(hit(text), "{text}");
        }
    }

    #[test]
    fn is_markup_or_talk() {
        for text in [
            "<b>bold</b> and <a href=\"https://makenot.work/\">a link</a>",
            "<img src=\"https://cdn.example/a.png\" alt=\"on = off\">",
            "<iframe src=\"https://player.example/embed/1\"></iframe>",
            "<script src=\"https://unpkg.com/htmx.org@2\"></script>",
            "what does the <script> tag do",
            "javascript: the good parts (book)",
            "a < b and c > d",
            "i <3 this",
            "console.log('hello'); alert('hi')",
            "const f = \"x\"; fetch(url)",
            "onclick = handler",
            "List<String> items = new ArrayList<>()",
        ] {
            assert!(!hit(text), "{text} {:?}", judge(text.to_ascii_lowercase().as_bytes()));
        }
    }
}
