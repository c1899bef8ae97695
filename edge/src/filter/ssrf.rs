//! URLs in parameters that would have the server ask itself, its cloud's metadata, or its private network.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Managed;
use super::scan::{after, before, find, has, strip_any, take, trim};

/// The score from which on a value counts as an attack.
pub(super) const THRESHOLD: u8 = 5;

/// Where a value points; `name` is the parameter's.
pub(super) fn judge(name: &[u8], text: &[u8]) -> Option<(Managed, u8)> {
    let text = trim(text);
    let text = strip_any(text, &[b"url:", b"jar:", b"\"", b"'", b"<"]).unwrap_or(text);
    if odd_scheme(text) {
        return Some((Managed::SsrfScheme, 6));
    }
    if has(text, b"169.254.169.254") && text.len() < 256 && !text.contains(&b' ')
        || has(text, b"metadata.google.internal/")
    {
        return Some((Managed::SsrfMetadata, 7));
    }
    let rest = strip_any(text, &[b"http:", b"https:", b"ftp:", b"ws:", b"wss:"]);
    let rest = match rest {
        Some(rest) => rest,
        None if text.starts_with(b"//") || text.starts_with(b"\\\\") => text,
        // A parameter that asks for a host may be given one alone.
        None if is_address(name) => text,
        None => return None,
    };
    let (_, rest) = take(rest, |byte| matches!(byte, b'/' | b'\\'));
    // A space is none of a URL's: somebody writes about one.
    if rest.iter().any(u8::is_ascii_whitespace) {
        return None;
    }
    let (authority, _) = take(rest, |byte| !matches!(byte, b'/' | b'\\' | b'?' | b'#'));
    let host = authority.iter().rposition(|byte| *byte == b'@').map_or(authority, |at| after(authority, at + 1));
    let place = of(host);
    // What a native app listens on while somebody signs in (RFC 8252 section 7.3).
    let native = (has(name, b"redirect") || has(name, b"callback") || has(name, b"return") || has(name, b"origin"))
        && host.len() == authority.len();
    match place? {
        Place::Metadata => Some((Managed::SsrfMetadata, 7)),
        Place::Loopback if native => None,
        Place::Loopback => Some((Managed::SsrfLoopback, 6)),
        Place::Private => Some((Managed::SsrfPrivate, 5)),
    }
}

fn odd_scheme(text: &[u8]) -> bool {
    const ODD: [&[u8]; 12] = [
        b"file:/",
        b"gopher:",
        b"dict:/",
        b"ldap:/",
        b"ldaps:/",
        b"tftp:/",
        b"sftp:/",
        b"netdoc:",
        b"smb:/",
        b"rmi:/",
        b"local_file:",
        b"jar:http",
    ];
    ODD.iter().any(|scheme| text.starts_with(scheme)) && !text.contains(&b' ')
}

fn is_address(name: &[u8]) -> bool {
    matches!(
        name,
        b"url"
            | b"uri"
            | b"host"
            | b"hostname"
            | b"ip"
            | b"address"
            | b"addr"
            | b"target"
            | b"dest"
            | b"proxy"
            | b"webhook"
            | b"feed"
            | b"fetch"
            | b"server"
            | b"endpoint"
    )
}

enum Place {
    Loopback,
    Metadata,
    Private,
}

fn of(host: &[u8]) -> Option<Place> {
    let port = |host: &[u8]| host.iter().rposition(|byte| *byte == b':');
    let name = match host.strip_prefix(b"[") {
        Some(inner) => before(inner, find(inner, b"]")?),
        None => before(host, port(host).unwrap_or(host.len())),
    };
    let name = name.strip_suffix(b".").unwrap_or(name);
    if matches!(
        name,
        b"localhost"
            | b"localhost.localdomain"
            | b"ip6-localhost"
            | b"localtest.me"
            | b"lvh.me"
            | b"spoofed.burpcollaborator.net"
            | b"loopback"
    ) || [b".localhost".as_slice(), b".localtest.me", b".lvh.me"].iter().any(|end| name.ends_with(end))
    {
        return Some(Place::Loopback);
    }
    if matches!(name, b"metadata.google.internal" | b"metadata" | b"instance-data" | b"metadata.azure.com") {
        return Some(Place::Metadata);
    }
    // Names that resolve to the address they begin with.
    let name = [b".nip.io".as_slice(), b".sslip.io", b".xip.io"]
        .iter()
        .find_map(|end| name.strip_suffix(*end))
        .unwrap_or(name);
    address(name)
}

fn address(name: &[u8]) -> Option<Place> {
    let text = core::str::from_utf8(name).ok()?;
    let v4 = match text.parse::<Ipv6Addr>() {
        Ok(v6) => {
            if v6.is_loopback() || v6.is_unspecified() {
                return Some(Place::Loopback);
            }
            if v6.segments().first().is_some_and(|first| first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80) {
                return Some(if text.starts_with("fd00:ec2") { Place::Metadata } else { Place::Private });
            }
            v6.to_ipv4().or(match v6.segments() {
                // NAT64 of RFC 6052.
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))),
                _ => None,
            })?
        }
        Err(_) => loose(text)?,
    };
    if v4.is_loopback() || v4.is_unspecified() || v4.octets().first() == Some(&0) {
        Some(Place::Loopback)
    } else if v4.is_link_local() || v4 == Ipv4Addr::new(100, 100, 100, 200) || v4 == Ipv4Addr::new(168, 63, 129, 16) {
        Some(Place::Metadata)
    } else if v4.is_private() {
        Some(Place::Private)
    } else {
        None
    }
}

/// An IPv4 address as the URL Standard reads it: one to four numbers, decimal, octal or hexadecimal, the last one filling the rest.
fn loose(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) || *last >= 1 << (8 * (4 - first.len())) {
        return None;
    }
    let high = first.iter().zip([24, 16, 8]).map(|(part, shift)| part << shift).sum::<u64>();
    // A port number or an id alone is no address; who means one writes a large number.
    if first.is_empty() && *last < 1 << 24 && *last != 0 {
        return None;
    }
    Some(Ipv4Addr::from(u32::try_from(high + last).ok()?))
}

fn number(part: &str) -> Option<u64> {
    match part.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None if part.len() > 1 && part.starts_with('0') => u64::from_str_radix(part, 8).ok(),
        None => part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?,
    }
}

/// Whether an address is one that no visitor has.
#[cfg(test)]
fn is_own(address: std::net::IpAddr) -> bool {
    self::address(address.to_string().as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::{THRESHOLD, is_own, judge};

    fn hit(name: &str, text: &str) -> bool {
        judge(name.as_bytes(), text.as_bytes()).is_some_and(|(_, score)| score >= THRESHOLD)
    }

    #[test]
    fn points_inwards() {
        for text in [
            "http://127.0.0.1/",
            "http://localhost:6379",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]:80/",
            "http://169.254.169.254/latest/meta-data/",
            "http://0xa9fea9fe/",
            "http://metadata.google.internal/computemetadata/v1/",
            "http://10.0.0.5/",
            "https://192.168.1.1/admin",
            "http://example.org@127.0.0.1/",
            "//127.0.0.1/x",
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_info",
            "dict://localhost:11211/stat",
            "http://127.0.0.1.nip.io/",
        ] {
            assert!(hit("q", text), "{text}");
        }
        assert!(hit("url", "127.0.0.1:8080") && !hit("q", "127.0.0.1:8080"));
        for address in ["127.0.0.1", "10.1.2.3", "fd00::1", "fe80::1", "::1"] {
            assert!(is_own(address.parse().unwrap()), "{address}");
        }
        for address in ["203.0.113.7", "2001:db8::1", "172.32.0.1"] {
            assert!(!is_own(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn points_outwards() {
        for text in [
            "https://makenot.work/@you",
            "http://example.org/?next=http://127.0.0.1/",
            "https://172.15.0.1/",
            "http://1.1.1.1/",
            "https://localhost.example.org/",
            "http://127.0.0.1 is my own machine",
            "12345",
        ] {
            assert!(!hit("q", text), "{text}");
        }
        assert!(!hit("redirect_uri", "http://127.0.0.1:51234/callback"));
        assert!(!hit("redirect_uri", "http://localhost:1420/"));
        assert!(hit("redirect_uri", "http://169.254.169.254/"));
    }
}
