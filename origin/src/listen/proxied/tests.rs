use super::{LONGEST_REST, LONGEST_TEXT, SIGNATURE, Wrong, begins};
use proptest::prelude::*;
use std::io;
use std::net::IpAddr;
use tokio::io::AsyncReadExt as _;

/// What a client says after it.
const AFTER: &[u8] = b"\x16\x03\x01after";

/// Version 2: command, family, and what follows.
fn block(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short");
    [SIGNATURE, &[command, family], &length.to_be_bytes(), rest].concat()
}

/// The addresses of version 2: from, to and their ports.
fn addresses(from: &str, to: &str) -> Vec<u8> {
    let bytes = |text: &str| match text.parse::<IpAddr>().expect("an address") {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    [bytes(from), bytes(to), vec![0xdc, 0x04, 0x01, 0xbb]].concat()
}

/// Reads a header without having looked ahead; all the same, and no byte more, where it has, however far.
async fn read(bytes: &mut &[u8]) -> io::Result<Option<IpAddr>> {
    let whole = *bytes;
    let said = super::read(bytes, b"").await;
    for ahead in [1, 12, 20, LONGEST_TEXT] {
        let mut left = whole;
        let again = super::read(&mut left, &whole[..ahead.min(whole.len())]).await;
        // What is none is refused as soon as it shows, which is sooner where more is read at once.
        assert_eq!(again.as_ref().ok(), said.as_ref().ok(), "{}", whole.escape_ascii());
        assert!(said.is_err() || left.len() == bytes.len());
    }
    said
}

/// Reads the header of what comes; where it is good, what follows it has to be there, all of it.
fn said(header: &[u8]) -> io::Result<Option<IpAddr>> {
    let whole = [header, AFTER].concat();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut left = &whole[..];
        let said = read(&mut left).await?;
        let mut rest = Vec::new();
        left.read_to_end(&mut rest).await?;
        assert_eq!(rest, AFTER, "{header:?}");
        Ok(said)
    })
}

fn wrong(header: &[u8]) -> String {
    said(header).expect_err("is refused").to_string()
}

#[test]
fn whose_connection_it_is() {
    let client = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
    for (header, expected) in [
        (&b"PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\r\n"[..], client("203.0.113.7")),
        (b"PROXY TCP4 203.0.113.7 198.51.100.1 0 65535\r\n", client("203.0.113.7")),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", client("2001:db8::7")),
        (b"PROXY TCP6 ::ffff:203.0.113.7 ::1 1 2\r\n", client("203.0.113.7")),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff::1 whatever 7\r\n", None),
    ] {
        assert_eq!(said(header).expect("good"), expected, "{}", header.escape_ascii());
    }
    let v4 = addresses("203.0.113.7", "198.51.100.1");
    let v6 = addresses("2001:db8::7", "2001:db8::1");
    let more = [&v4[..], b"\x05\x00\x03abc\x03\x00\x04crcc"].concat();
    for (header, expected) in [
        (block(0x21, 0x11, &v4), client("203.0.113.7")),
        (block(0x21, 0x11, &more), client("203.0.113.7")),
        (block(0x21, 0x21, &v6), client("2001:db8::7")),
        (block(0x21, 0x21, &addresses("::ffff:203.0.113.7", "::1")), client("203.0.113.7")),
        // A health check, whatever it says beyond.
        (block(0x20, 0x00, &[]), None),
        (block(0x20, 0x11, &v4), None),
        (block(0x20, 0x31, &[0; 216]), None),
        (block(0x21, 0x00, &[1; 9]), None),
        (block(0x21, 0x11, &[&v4[..], &vec![7; LONGEST_REST - v4.len()]].concat()), client("203.0.113.7")),
    ] {
        assert_eq!(said(&header).expect("good"), expected, "{}", header.escape_ascii());
    }
}

#[test]
fn what_is_none_is_refused_and_why() {
    for (header, why) in [
        (&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], Wrong::Missing),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00", Wrong::Missing),
        (b"PROXYTCP4 203.0.113.7 198.51.100.1 1 2\r\n", Wrong::Missing),
        (b"proxy TCP4 203.0.113.7 198.51.100.1 1 2\r\n", Wrong::Missing),
        (b"\r\n\r\n\0\r\nQUIT\r\x21\x11\0\x0c", Wrong::Missing),
        (b"PROXY TCP4 203.0.113.7 198.51.100.1 1 2\n\r\n", Wrong::Malformed),
        (b"PROXY TCP4 203.0.113.7 198.51.100.1 1 2\r\r\n", Wrong::Malformed),
        (b"PROXY TCP4  203.0.113.7 198.51.100.1 1 2\r\n", Wrong::Malformed),
        (b"PROXY TCP4 203.0.113.7 198.51.100.1 1 2 \r\n", Wrong::Malformed),
        (b"PROXY TCP4 203.0.113.7 198.51.100.1 1\r\n", Wrong::Malformed),
        (b"PROXY TCP4 203.0.113.07 198.51.100.1 1 2\r\n", Wrong::Malformed),
        (b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", Wrong::Malformed),
        (b"PROXY TCP6 203.0.113.7 2001:db8::1 1 2\r\n", Wrong::Malformed),
        (b"PROXY TCP4 203.0.113.7 2001:db8::1 1 2\r\n", Wrong::Malformed),
        (b"PROXY TCP4 203.0.113.7 198.51.100.1 01 2\r\n", Wrong::Malformed),
        (b"PROXY TCP4 203.0.113.7 198.51.100.1 +1 2\r\n", Wrong::Malformed),
        (b"PROXY TCP4 203.0.113.7 198.51.100.1 1 65536\r\n", Wrong::Malformed),
        (b"PROXY TCP4 203.0.113.\xff 198.51.100.1 1 2\r\n", Wrong::Malformed),
        (b"PROXY UDP4 203.0.113.7 198.51.100.1 1 2\r\n", Wrong::Family),
    ] {
        assert_eq!(wrong(header), why.as_str(), "{}", header.escape_ascii());
    }
    let endless = [b"PROXY UNKNOWN ".to_vec(), vec![b'a'; LONGEST_TEXT]].concat();
    assert_eq!(wrong(&endless), Wrong::Malformed.as_str());
    let v4 = addresses("203.0.113.7", "198.51.100.1");
    for (header, why) in [
        (block(0x21, 0x11, &v4[..11]), Wrong::Malformed),
        (block(0x21, 0x21, &v4), Wrong::Malformed),
        (block(0x22, 0x11, &v4), Wrong::Malformed),
        (block(0x11, 0x11, &v4), Wrong::Malformed),
        (block(0x21, 0x13, &v4), Wrong::Malformed),
        (block(0x21, 0x41, &v4), Wrong::Malformed),
        (block(0x21, 0x12, &v4), Wrong::Family),
        (block(0x21, 0x31, &[0; 216]), Wrong::Family),
        (block(0x20, 0x00, &vec![0; LONGEST_REST + 1]), Wrong::TooLong),
    ] {
        assert_eq!(wrong(&header), why.as_str(), "{}", header.escape_ascii());
    }
}

/// A client that says the beginning of one and leaves.
#[test]
fn one_that_is_cut_off_is_none() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for header in [
        b"PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\r\n".to_vec(),
        block(0x21, 0x11, &addresses("203.0.113.7", "198.51.100.1")),
    ] {
        for cut in 0..header.len() {
            let error = runtime.block_on(read(&mut &header[..cut])).expect_err("is not whole");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut}");
        }
    }
}

#[test]
fn whether_there_is_one() {
    assert_eq!((begins(b""), begins(b"P"), begins(b"PROXY"), begins(b"\r\n\r\n")), (None, None, None, None));
    assert_eq!((begins(b"PROXY "), begins(SIGNATURE), begins(b"PROXY TCP4")), (Some(true), Some(true), Some(true)));
    assert_eq!((begins(b"G"), begins(b"POST"), begins(b"\r\n\r\n\0\r\nQUIX")), (Some(false), Some(false), Some(false)));
}

proptest! {
    #[test]
    fn any_client_in_either_version(source: IpAddr, destination: IpAddr, from: u16, to: u16, more in prop::collection::vec(any::<u8>(), 0..99)) {
        let (v4, destination) = match (source, destination) {
            (IpAddr::V4(_), IpAddr::V4(_)) => (true, destination),
            (IpAddr::V6(_), IpAddr::V6(_)) => (false, destination),
            (IpAddr::V4(_), _) => (true, IpAddr::from([192, 0, 2, 1])),
            (IpAddr::V6(_), _) => (false, IpAddr::from([1; 8])),
        };
        let line = format!("PROXY TCP{} {source} {destination} {from} {to}\r\n", if v4 { 4 } else { 6 });
        prop_assert_eq!(said(line.as_bytes()).expect("good"), Some(source.to_canonical()));
        let rest = [addresses(&source.to_string(), &destination.to_string()), more].concat();
        let header = block(0x21, if v4 { 0x11 } else { 0x21 }, &rest);
        prop_assert_eq!(said(&header).expect("good"), Some(source.to_canonical()));
    }

    /// Whatever comes, it is understood or refused; what is understood is understood to its last byte.
    #[test]
    fn reads_anything(header in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        "PROXY (TCP4|TCP6|UNKNOWN)?[0-9a-f:. ]{0,110}\r?\n?".prop_map(String::into_bytes),
        (any::<[u8; 4]>(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(four, rest)| [SIGNATURE, &four, &rest].concat()),
    ]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut left = &header[..];
        if runtime.block_on(read(&mut left)).is_ok() {
            let read_of_it = header.len() - left.len();
            let again = runtime.block_on(read(&mut &header[..read_of_it]));
            prop_assert!(again.is_ok() && read_of_it <= super::FIXED + LONGEST_REST);
        }
    }
}
