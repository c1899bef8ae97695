//! Leaving the folder that files are served from: steps up, system files by name, and the stream wrappers of scripting languages.
//!
//! This class blocks by default, so one `../` in a sentence or in code is not enough.

use super::Managed;
use super::scan::{after, find, has, has_any, strip_any, trim};

/// The score from which on a value counts as an attack.
pub(super) const THRESHOLD: u8 = 5;

/// Files of a system, as they end.
const FILES: [&[u8]; 40] = [
    b"etc/passwd",
    b"etc/shadow",
    b"etc/hosts",
    b"etc/group",
    b"etc/issue",
    b"etc/motd",
    b"etc/fstab",
    b"etc/resolv.conf",
    b"etc/crontab",
    b"etc/ssh/",
    b"etc/mysql/",
    b"etc/apache2/",
    b"etc/httpd/",
    b"etc/nginx/",
    b"etc/php",
    b"etc/security/",
    b"proc/self/",
    b"proc/version",
    b"proc/cpuinfo",
    b"proc/net/",
    b"proc/1/",
    b"var/log/",
    b"var/www/",
    b"var/run/secrets",
    b"win.ini",
    b"boot.ini",
    b"system.ini",
    b"windows/system32",
    b"windows\\system32",
    b"winnt/",
    b"web-inf/",
    b"web.config",
    b"wp-config",
    b".htaccess",
    b".htpasswd",
    b".ssh/",
    b".aws/",
    b".env",
    b".bash_history",
    b"id_rsa",
];

/// Those that nobody names by chance, by their full name.
const ABSOLUTE: [&[u8]; 16] = [
    b"/etc/passwd",
    b"/etc/shadow",
    b"/etc/group",
    b"/etc/master.passwd",
    b"/etc/security/",
    b"/proc/self/",
    b"/proc/version",
    b"/proc/1/",
    b"/var/log/apache",
    b"/var/log/nginx",
    b"/var/run/secrets",
    b"/root/.",
    b"/windows/win.ini",
    b"/windows/system32/",
    b"/winnt/win.ini",
    b"/boot.ini",
];

/// What a parameter's value reaches.
pub(super) fn value(text: &[u8]) -> Option<(Managed, u8)> {
    let text = trim(text);
    let spaced = text.iter().any(|byte| byte.is_ascii_whitespace());
    let steps = steps(text);
    if steps.count > 0 {
        let known = has_any(after(text, steps.first), &FILES);
        let disguised = steps.disguised && !spaced;
        // A path of its own, that goes further up than any of a project's does.
        let far = steps.count >= 3 && !spaced && steps.first < 48 && !has(text, b"(") && !has(text, b"\"");
        if (known && (!spaced || steps.first < 24)) || far || (disguised && steps.count >= 2) {
            return Some((Managed::TraversalSteps, 7));
        }
    }
    let wrapper = strip_any(
        text,
        &[
            b"php://filter",
            b"php://input",
            b"php://fd",
            b"php://memory",
            b"expect://",
            b"phar://",
            b"zip://",
            b"zlib://",
            b"glob://",
            b"ogg://",
            b"rar://",
            b"data://text/",
            b"data:;base64,pd",
            b"data:text/plain,<?",
        ],
    );
    if wrapper.is_some() && !spaced {
        return Some((Managed::TraversalWrapper, 7));
    }
    if spaced || text.len() > 256 {
        return None;
    }
    let file = strip_any(text, &[b"file://", b"file:"]).unwrap_or(text);
    let file = file.get(1..).filter(|_| file.starts_with(b"//")).unwrap_or(file);
    let drive = strip_any(file, &[b"c:", b"/c:"]).unwrap_or(file);
    let hit = ABSOLUTE.iter().any(|known| file.starts_with(known))
        || (drive.len() < file.len()
            && has_any(
                drive,
                &[
                    b"win.ini",
                    b"boot.ini",
                    b"drivers/etc",
                    b"drivers\\etc",
                    b"config/sam",
                    b"config\\sam",
                    b"system.ini",
                ],
            ))
        || has_any(text, &[b"web-inf/web.xml", b"meta-inf/"]) && !has(text, b"://");
    hit.then_some((Managed::TraversalFile, 6))
}

/// What a path reaches; dot segments have been resolved, so what is left hides.
pub(super) fn path(text: &[u8]) -> Option<(Managed, u8)> {
    let steps = steps(text);
    if steps.count > 0 && (steps.disguised || steps.count > 1) {
        return Some((Managed::TraversalSteps, 7));
    }
    // A forge's page of somebody's file.
    let shown = has_any(text, &[b"/raw/", b"/blob/", b"/tree/"]);
    let hit = ABSOLUTE.iter().any(|known| find(text, known).is_some_and(|at| at < 32 && !shown))
        || has_any(text, &[b"/web-inf/", b"/meta-inf/manifest"]);
    hit.then_some((Managed::TraversalFile, 6))
}

struct Steps {
    count: usize,
    first: usize,
    disguised: bool,
}

/// Counts `../` and what some program reads as that: `..\`, `..;/`, `....//`, `.../`.
fn steps(text: &[u8]) -> Steps {
    let mut steps = Steps { count: 0, first: 0, disguised: false };
    let mut at = 0;
    while let Some(found) = find(after(text, at), b"..").map(|found| at + found) {
        let rest = after(text, found);
        let dots = rest.iter().take_while(|byte| **byte == b'.').count();
        let tail = after(rest, dots);
        let (step, odd) = match tail {
            [b'/', b'/', ..] => (dots == 2 || dots == 4, dots == 4),
            [b'/', b'\\', ..] | [b'\\', b'/', ..] => (true, true),
            [b'/', ..] => (dots == 2, false),
            [b'\\', ..] => (dots == 2, false),
            [b';', b'/', ..] => (true, true),
            [] => (dots == 2 && steps.count > 0, false),
            _ => (false, false),
        };
        if step {
            if steps.count == 0 {
                steps.first = found;
            }
            steps.count += 1;
            steps.disguised |= odd;
        }
        at = found + dots;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::{THRESHOLD, path, value};

    #[test]
    fn reaches_outside() {
        for text in [
            "../../etc/passwd",
            "../../../../x",
            "..\\..\\..\\windows\\win.ini",
            "....//....//etc/passwd",
            "..;/..;/admin",
            "/etc/passwd",
            "file:///etc/passwd",
            "c:\\windows\\win.ini",
            "php://filter/convert.base64-encode/resource=index",
            "images/../../../etc/hosts",
            "../../.env",
        ] {
            assert!(value(text.as_bytes()).is_some_and(|(_, score)| score >= THRESHOLD), "{text}");
        }
        assert!(path(b"/etc/passwd").is_some() && path(b"/static/web-inf/web.xml").is_some());
    }

    #[test]
    fn stays_inside() {
        for text in [
            "../images/a.png",
            "import x from '../../lib/y'",
            "what is /etc/passwd for",
            "wait... what",
            "a..b",
            "v1.0...v2.0",
            "../..",
            "https://example.org/etc/",
            "cd ../../.. goes up",
        ] {
            assert!(value(text.as_bytes()).is_none(), "{text}");
        }
        assert!(path(b"/docs/etc/hosts-file").is_none() && path(b"/compare/v1.0...v2.0").is_none());
    }
}
