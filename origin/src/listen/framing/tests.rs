//! Every form of request that is right or wrong, cut at every place.

use super::{Framing, Offence};
use proptest::prelude::*;

fn follow(bytes: &[u8]) -> Result<(), (usize, Offence)> {
    Framing::new(8192).follow(bytes)
}

/// The same bytes, cut at one place.
fn follow_cut(bytes: &[u8], at: usize) -> Result<(), Offence> {
    let mut framing = Framing::new(8192);
    let (first, second) = bytes.split_at(at);
    framing.follow(first).and_then(|()| framing.follow(second)).map_err(|(_, offence)| offence)
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n";

fn good() -> Vec<Vec<u8>> {
    let head = |rest: &str| format!("{GET}{rest}").into_bytes();
    vec![
        head("\r\n"),
        head("X-Empty:\r\nX-Latin: \u{e9}\r\n\r\n"),
        head("Content-Length: 0\r\n\r\n"),
        head("Content-Length: 5 \r\n\r\na\nb\rcGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        head("Transfer-Encoding: Chunked\r\n\r\n5\r\na\r\nbc\r\n0A;a=\"b\"\r\n0123456789\r\n0\r\n\r\n"),
        head("Transfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        b"\r\nOPTIONS * HTTP/1.1\r\nhost:a\r\n\r\n".to_vec(),
        b"GET / HTTP/1.0\r\n\r\n".to_vec(),
    ]
}

fn bad() -> Vec<(Vec<u8>, Offence)> {
    let head = |rest: &str, offence| (format!("{GET}{rest}").into_bytes(), offence);
    let line = |line: &str, offence| (format!("{line}\r\nHost: a\r\n\r\n").into_bytes(), offence);
    let chunked =
        |rest: &str, offence| (format!("{GET}Transfer-Encoding: chunked\r\n\r\n{rest}").into_bytes(), offence);
    vec![
        head("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", Offence::BothLengths),
        head("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", Offence::BothLengths),
        head("Content-Length: 1\r\nContent-Length: 1\r\n\r\na", Offence::ContentLength),
        head("Content-Length: 1, 1\r\n\r\na", Offence::ContentLength),
        head("Content-Length: +1\r\n\r\na", Offence::ContentLength),
        head("Content-Length: 0x1\r\n\r\na", Offence::ContentLength),
        head("Content-Length:\r\n\r\n", Offence::ContentLength),
        head("Content-Length: 99999999999999999999\r\n\r\n", Offence::ContentLength),
        head("Content-Length: 9223372036854775808\r\n\r\n", Offence::ContentLength),
        head("Transfer-Encoding: gzip, chunked\r\n\r\n", Offence::TransferEncoding),
        head("Transfer-Encoding: identity\r\n\r\n", Offence::TransferEncoding),
        head("Transfer-Encoding: xchunked\r\n\r\n", Offence::TransferEncoding),
        head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", Offence::TransferEncoding),
        head("Transfer-Encoding : chunked\r\n\r\n", Offence::FieldName),
        head(" folded: 1\r\n\r\n", Offence::Fold),
        head("X: 1\r\n\tfolded\r\n\r\n", Offence::Fold),
        head("X: a\0b\r\n\r\n", Offence::ControlByte),
        head("X: a\rb\r\n\r\n", Offence::ControlByte),
        head("X: a\n\r\n", Offence::ControlByte),
        head("X: a\r\n\n", Offence::ControlByte),
        head("X: a\u{7f}\r\n\r\n", Offence::ControlByte),
        head("no colon\r\n\r\n", Offence::FieldName),
        head(": empty\r\n\r\n", Offence::FieldName),
        head("Host: b\r\n\r\n", Offence::Host),
        (b"GET / HTTP/1.1\r\nX: 1\r\n\r\n".to_vec(), Offence::Host),
        (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), Offence::TransferEncoding),
        line("GET  / HTTP/1.1", Offence::RequestLine),
        line("GET /", Offence::RequestLine),
        line("GET /a b HTTP/1.1", Offence::RequestLine),
        line("GET / HTTP/1.2", Offence::RequestLine),
        line("GET / HTTP/2.0", Offence::RequestLine),
        line("GET / http/1.1", Offence::RequestLine),
        line("GET * HTTP/1.1", Offence::RequestLine),
        line("GET /\u{e9} HTTP/1.1", Offence::RequestLine),
        line("G@T / HTTP/1.1", Offence::RequestLine),
        line(&format!("{} / HTTP/1.1", "A".repeat(33)), Offence::RequestLine),
        line("\r\n\r\n\r\nGET / HTTP/1.1", Offence::RequestLine),
        line("GET\t/\tHTTP/1.1", Offence::RequestLine),
        chunked("5 \r\nabcde\r\n", Offence::Chunk),
        chunked(" 5\r\nabcde\r\n", Offence::Chunk),
        chunked("0x5\r\nabcde\r\n", Offence::Chunk),
        chunked("+5\r\nabcde\r\n", Offence::Chunk),
        chunked("\r\n", Offence::Chunk),
        chunked("5\nabcde\r\n", Offence::ControlByte),
        chunked("5\r\nabcdef\r\n", Offence::Chunk),
        chunked("5\r\nabcde\n0\r\n\r\n", Offence::Chunk),
        chunked("5\r\nabcdeX\n", Offence::Chunk),
        chunked("5;a\rb\r\nabcde\r\n", Offence::Chunk),
        chunked("5;a\0b\r\nabcde\r\n", Offence::Chunk),
        chunked("1000000000000000\r\n", Offence::Chunk),
        chunked(&format!("5;{}\r\n", "a".repeat(300)), Offence::Chunk),
        chunked("0\r\nContent-Length: 5\r\n\r\n", Offence::Trailer),
        chunked("0\r\nbad trailer\r\n\r\n", Offence::FieldName),
        (format!("{GET}X: {}\r\n\r\n", "a".repeat(9000)).into_bytes(), Offence::TooLarge),
        (format!("GET /{}", "a".repeat(9000)).into_bytes(), Offence::TooLarge),
    ]
}

#[test]
fn what_is_right_passes_however_it_is_cut() {
    for bytes in good() {
        assert_eq!(follow(&bytes), Ok(()), "{}", bytes.escape_ascii());
        for at in 0..bytes.len() {
            assert_eq!(follow_cut(&bytes, at), Ok(()), "{} at {at}", bytes.escape_ascii());
        }
    }
}

#[test]
fn what_is_wrong_is_found_however_it_is_cut() {
    for (bytes, offence) in bad() {
        assert_eq!(follow(&bytes).map_err(|(_, o)| o), Err(offence), "{}", bytes.escape_ascii());
        for at in 0..bytes.len() {
            assert_eq!(follow_cut(&bytes, at), Err(offence), "{} at {at}", bytes.escape_ascii());
        }
    }
}

#[test]
fn what_came_before_the_offence_is_fine() {
    let first = format!("{GET}Content-Length: 3\r\n\r\nabc");
    for (offending, offence) in bad() {
        let both = [first.as_bytes(), &offending].concat();
        let Err((fine, found)) = follow(&both) else { panic!("{}", offending.escape_ascii()) };
        assert_eq!(found, offence);
        assert!(fine >= first.len() && fine < both.len(), "{}: {fine}", offending.escape_ascii());
    }
}

proptest! {
    #[test]
    fn no_bytes_and_no_cut_make_it_fail_otherwise(bytes: Vec<u8>, at: prop::sample::Index) {
        let whole = follow(&bytes).map_err(|(_, o)| o);
        // A cut may only defer what an unfinished line will turn out to be.
        if let Err(offence) = whole {
            let at = at.index(bytes.len());
            prop_assert_eq!(follow_cut(&bytes, at), Err(offence));
        }
    }
}
