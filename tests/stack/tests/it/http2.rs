//! HTTP/2 as the public suites check servers: each row is what a client sends and what must become of it.
//! RFC 9113 and 7541; on the gateway alone, in clear text by prior knowledge.
//!
//! Two ways in which the library behind it differs from those suites are harmless and taken as they are: it says PROTOCOL_ERROR where the
//! standard has a narrower code, and it drops pseudo-fields from trailers instead of refusing the request.

use std::time::Duration;

use stack::frames::{
    ACK, Client, END_HEADERS, END_STREAM, Frame, PADDED, PRIORITY, frame, get, kind, request, section, setting,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::site::Site;

cases![
    what_is_sound on Native,
    frames_that_are_not on Native,
    streams_in_the_wrong_state on Native,
    settings_out_of_range on Native,
    flow_control on Native,
    requests_that_are_none on Native,
    header_compression on Native,
    a_preface_that_is_none on Native,
    windows_are_respected on Native,
];

/// What must become of a connection.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// Stream 1 is answered to its end, and the connection lives.
    Answered,
    /// Nothing happens, and the connection lives.
    Lives,
    /// The stream is reset, or the connection ends, with one of these codes.
    Reset(&'static [u32]),
    /// The connection ends, with one of these codes in its GOAWAY.
    Ends(&'static [u32]),
    /// Stream 1 is reset, the connection ends, or the answer is 400.
    Malformed,
}
use Fate::{Answered, Ends, Lives, Malformed, Reset};

const PROTOCOL: u32 = 1;
const FLOW: u32 = 3;
const CLOSED: u32 = 5;
const SIZE: u32 = 6;
const REFUSED: u32 = 7;
const COMPRESSION: u32 = 9;

const WITHIN: Duration = Duration::from_secs(10);
/// How long an error may take to show on a connection that lives.
const QUIET: Duration = Duration::from_millis(1500);
const PING: &[u8; 8] = b"at last.";

type Row = (&'static str, Vec<u8>, Fate);

/// What came until stream 1 and the PING were answered, something was reset, or nothing more was to come.
async fn watch(site: &Site, bytes: &[u8], fate: Fate) -> Vec<Frame> {
    let mut client = Client::connect(site.address(), &[]).await.expect("a connection");
    let _ = client.send(&[bytes, &frame(kind::PING, 0, 0, PING)].concat()).await;
    let mut came: Vec<Frame> = Vec::new();
    let patience = if matches!(fate, Lives) { QUIET } else { WITHIN };
    let _ = tokio::time::timeout(patience, async {
        while let Some(frame) = client.next().await {
            came.push(frame);
            let has = |kind: u8, flag: u8| came.iter().any(|f| f.kind == kind && f.flags & flag == flag);
            let ponged = came.iter().any(|f| f.kind == kind::PING && f.payload == PING);
            let ended = has(kind::DATA, END_STREAM) || has(kind::HEADERS, END_STREAM);
            let done = match fate {
                Answered => ponged && ended,
                Lives => false,
                Malformed => ended,
                Reset(_) => has(kind::RST_STREAM, 0),
                Ends(_) => false,
            };
            if done || has(kind::GOAWAY, 0) || (ponged && matches!(fate, Malformed) && has(kind::RST_STREAM, 0)) {
                break;
            }
        }
    })
    .await;
    came
}

async fn check(site: &Site, rows: Vec<Row>) {
    let all = futures_util::future::join_all(rows.iter().map(|(_, bytes, fate)| watch(site, bytes, *fate))).await;
    let mut wrong = Vec::new();
    for ((what, _, fate), came) in rows.iter().zip(all) {
        let code = |kind: u8| came.iter().find(|f| f.kind == kind).and_then(Frame::code);
        let (reset, goaway) = (code(kind::RST_STREAM), code(kind::GOAWAY));
        let ponged = came.iter().any(|f| f.kind == kind::PING && f.flags == ACK);
        let answer = came.iter().find(|f| f.kind == kind::HEADERS);
        // An update of the table's size may come before the status.
        let answer = answer.and_then(|f| f.payload.iter().copied().find(|byte| byte >> 5 != 1));
        let fits = |code: u32, codes: &[u32]| code == PROTOCOL || codes.contains(&code);
        let right = match fate {
            Answered => ponged && goaway.is_none() && reset.is_none() && answer == Some(0x88),
            Lives => ponged && goaway.is_none() && reset.is_none(),
            Reset(codes) => reset.or(goaway).is_some_and(|code| fits(code, codes)),
            Ends(codes) => goaway.is_some_and(|code| fits(code, codes)),
            Malformed => reset.is_some() || goaway.is_some() || answer == Some(0x8c),
        };
        if !right {
            let kinds: Vec<_> = came.iter().map(|f| (f.kind, f.flags, f.stream, f.code())).collect();
            wrong.push(format!("{what}: wanted {fate:?}, came {kinds:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// HEADERS of a request that goes on.
fn open(stream: u32, method: &str) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS, stream, &request(method, "/echo"))
}

fn data(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, stream, payload)
}

fn headers(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, flags, stream, block)
}

const WHOLE: u8 = END_HEADERS | END_STREAM;

fn and(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

async fn what_is_sound(site: &Site) {
    let block = request("GET", "/echo");
    let (first, second) = block.split_at(7);
    let padded = and(&[&[5], &block, &[0; 5]]);
    let prioritised = and(&[&[0x80, 0, 0, 11, 15], &block]);
    let mut reserved = get(1, "/echo");
    reserved[5] |= 0x80;
    check(
        site,
        vec![
            ("a GET", get(1, "/echo"), Answered),
            ("a HEAD", headers(WHOLE, 1, &request("HEAD", "/echo")), Answered),
            ("a POST", and(&[&open(1, "POST"), &data(1, END_STREAM, b"abc")]), Answered),
            ("DATA in pieces", and(&[&open(1, "POST"), &data(1, 0, b"a"), &data(1, END_STREAM, b"bc")]), Answered),
            ("DATA without bytes", and(&[&open(1, "POST"), &data(1, 0, b""), &data(1, END_STREAM, b"")]), Answered),
            ("DATA with padding", and(&[&open(1, "POST"), &data(1, END_STREAM | PADDED, b"\x03abc\0\0\0")]), Answered),
            ("DATA of 2^14", and(&[&open(1, "POST"), &data(1, END_STREAM, &[0; 1 << 14])]), Answered),
            (
                "trailers",
                and(&[&open(1, "POST"), &data(1, 0, b"a"), &headers(WHOLE, 1, &section(&[("x-sum", "1")]))]),
                Answered,
            ),
            ("HEADERS with padding", headers(WHOLE | PADDED, 1, &padded), Answered),
            ("HEADERS with a priority", headers(WHOLE | PRIORITY, 1, &prioritised), Answered),
            (
                "CONTINUATION",
                and(&[&headers(END_STREAM, 1, first), &frame(kind::CONTINUATION, END_HEADERS, 1, second)]),
                Answered,
            ),
            (
                "CONTINUATION twice",
                and(&[
                    &headers(END_STREAM, 1, first),
                    &frame(kind::CONTINUATION, 0, 1, &second[..9]),
                    &frame(kind::CONTINUATION, END_HEADERS, 1, &second[9..]),
                ]),
                Answered,
            ),
            ("flags that mean nothing", headers(WHOLE | 0x42, 1, &block), Answered),
            ("the reserved bit", reserved, Answered),
            ("an unknown frame", and(&[&frame(0xfa, 0xff, 0, b"what"), &get(1, "/echo")]), Answered),
            (
                "an unknown frame on a stream",
                and(&[&open(1, "POST"), &frame(0xfa, 0, 1, b"what"), &data(1, END_STREAM, b"")]),
                Answered,
            ),
            (
                "an unknown setting",
                and(&[&frame(kind::SETTINGS, 0, 0, &setting(0xfafa, 7)), &get(1, "/echo")]),
                Answered,
            ),
            (
                "the acknowledgement of SETTINGS",
                and(&[&frame(kind::SETTINGS, ACK, 0, b""), &get(1, "/echo")]),
                Answered,
            ),
            (
                "the acknowledgement of a PING",
                and(&[&frame(kind::PING, ACK, 0, b"not mine"), &get(1, "/echo")]),
                Answered,
            ),
            (
                "PRIORITY of an idle stream",
                and(&[&frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 9]), &get(1, "/echo")]),
                Answered,
            ),
            (
                "PRIORITY of one half closed",
                and(&[&get(1, "/echo"), &frame(kind::PRIORITY, 0, 1, &[0x80, 0, 0, 3, 255])]),
                Answered,
            ),
            (
                "WINDOW_UPDATE of the connection",
                and(&[&frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), &get(1, "/echo")]),
                Answered,
            ),
            (
                "WINDOW_UPDATE of one half closed",
                and(&[&get(1, "/echo"), &frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])]),
                Answered,
            ),
            (
                "RST_STREAM with a code of nobody's",
                and(&[&get(1, "/misbehave/slow?ms=200"), &frame(kind::RST_STREAM, 0, 1, &[9; 4])]),
                Lives,
            ),
            ("odd streams left out", and(&[&get(7, "/echo")]), Answered),
            (
                "cookies in pieces",
                headers(WHOLE, 1, &and(&[&block, &section(&[("cookie", "a=b"), ("cookie", "c=d")])])),
                Answered,
            ),
            ("TE: trailers", headers(WHOLE, 1, &and(&[&block, &section(&[("te", "trailers")])])), Answered),
            ("an equal Host", headers(WHOLE, 1, &and(&[&block, &section(&[("host", "a")])])), Answered),
            (
                "its length",
                and(&[
                    &headers(END_HEADERS, 1, &and(&[&request("POST", "/echo"), &section(&[("content-length", "3")])])),
                    &data(1, END_STREAM, b"abc"),
                ]),
                Answered,
            ),
        ],
    )
    .await;
}

async fn frames_that_are_not(site: &Site) {
    let block = request("GET", "/echo");
    let large = vec![0; (1 << 14) + 1];
    let (first, second) = block.split_at(7);
    let begun = headers(END_STREAM, 1, first);
    let end = frame(kind::CONTINUATION, END_HEADERS, 1, second);
    check(
        site,
        vec![
            ("DATA over 2^14", and(&[&open(1, "POST"), &data(1, END_STREAM, &large)]), Reset(&[SIZE])),
            ("HEADERS over 2^14", headers(WHOLE, 1, &large), Ends(&[SIZE])),
            ("DATA on stream 0", data(0, 0, b"a"), Ends(&[PROTOCOL])),
            (
                "DATA with more padding than bytes",
                and(&[&open(1, "POST"), &data(1, END_STREAM | PADDED, b"\x09abc")]),
                Ends(&[PROTOCOL]),
            ),
            ("HEADERS on stream 0", headers(WHOLE, 0, &block), Ends(&[PROTOCOL])),
            (
                "HEADERS with more padding than bytes",
                headers(WHOLE | PADDED, 1, &and(&[&[250], &block])),
                Ends(&[PROTOCOL]),
            ),
            (
                "HEADERS that depend on themselves",
                headers(WHOLE | PRIORITY, 1, &and(&[&[0, 0, 0, 1, 0], &block])),
                Reset(&[PROTOCOL]),
            ),
            ("HEADERS too short for a priority", headers(WHOLE | PRIORITY, 1, b"\0\0"), Ends(&[SIZE, PROTOCOL])),
            ("PRIORITY on stream 0", frame(kind::PRIORITY, 0, 0, &[0; 5]), Ends(&[PROTOCOL])),
            ("PRIORITY of 4 bytes", frame(kind::PRIORITY, 0, 1, &[0; 4]), Reset(&[SIZE])),
            ("PRIORITY that depends on itself", frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 1, 0]), Reset(&[PROTOCOL])),
            ("RST_STREAM on stream 0", frame(kind::RST_STREAM, 0, 0, &[0; 4]), Ends(&[PROTOCOL])),
            ("RST_STREAM of 3 bytes", and(&[&open(1, "POST"), &frame(kind::RST_STREAM, 0, 1, &[0; 3])]), Ends(&[SIZE])),
            ("SETTINGS on a stream", frame(kind::SETTINGS, 0, 1, b""), Ends(&[PROTOCOL])),
            ("SETTINGS of 3 bytes", frame(kind::SETTINGS, 0, 0, &[0; 3]), Ends(&[SIZE])),
            ("an acknowledgement with settings", frame(kind::SETTINGS, ACK, 0, &setting(3, 1)), Ends(&[SIZE])),
            (
                "PUSH_PROMISE",
                and(&[&open(1, "POST"), &frame(kind::PUSH_PROMISE, END_HEADERS, 1, &and(&[&[0, 0, 0, 2], &block]))]),
                Ends(&[PROTOCOL]),
            ),
            ("PING on a stream", frame(kind::PING, 0, 1, &[0; 8]), Ends(&[PROTOCOL])),
            ("PING of 6 bytes", frame(kind::PING, 0, 0, &[0; 6]), Ends(&[SIZE])),
            ("GOAWAY on a stream", frame(kind::GOAWAY, 0, 1, &[0; 8]), Ends(&[PROTOCOL])),
            ("GOAWAY of 7 bytes", frame(kind::GOAWAY, 0, 0, &[0; 7]), Ends(&[SIZE])),
            ("WINDOW_UPDATE of 3 bytes", frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 1]), Ends(&[SIZE])),
            ("CONTINUATION of nothing", frame(kind::CONTINUATION, END_HEADERS, 1, &block), Ends(&[PROTOCOL])),
            (
                "CONTINUATION after the end",
                and(&[&headers(END_HEADERS, 1, &request("POST", "/echo")), &end]),
                Ends(&[PROTOCOL]),
            ),
            (
                "CONTINUATION on stream 0",
                and(&[&begun, &frame(kind::CONTINUATION, END_HEADERS, 0, second)]),
                Ends(&[PROTOCOL]),
            ),
            (
                "CONTINUATION of another stream",
                and(&[&begun, &frame(kind::CONTINUATION, END_HEADERS, 3, second)]),
                Ends(&[PROTOCOL]),
            ),
            ("DATA among the fields", and(&[&begun, &data(1, 0, b"a"), &end]), Ends(&[PROTOCOL])),
            (
                "PRIORITY among the fields",
                and(&[&begun, &frame(kind::PRIORITY, 0, 1, &[0; 5]), &end]),
                Ends(&[PROTOCOL]),
            ),
            ("HEADERS of another stream among the fields", and(&[&begun, &get(3, "/echo")]), Ends(&[PROTOCOL])),
            ("an unknown frame among the fields", and(&[&begun, &frame(0xfa, 0, 1, b""), &end]), Ends(&[PROTOCOL])),
        ],
    )
    .await;
}

async fn streams_in_the_wrong_state(site: &Site) {
    let slow = get(1, "/misbehave/slow?ms=3000");
    let reset = frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    let continued = frame(kind::CONTINUATION, END_HEADERS, 1, &request("GET", "/echo"));
    let many: Vec<u8> = (0..300).flat_map(|n| get(n * 2 + 1, "/misbehave/slow?ms=3000")).collect();
    check(
        site,
        vec![
            ("idle: DATA", data(1, END_STREAM, b"a"), Ends(&[PROTOCOL])),
            ("idle: RST_STREAM", reset.clone(), Ends(&[PROTOCOL])),
            ("idle: WINDOW_UPDATE", frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]), Ends(&[PROTOCOL])),
            ("half closed: DATA", and(&[&slow, &data(1, END_STREAM, b"a")]), Reset(&[CLOSED])),
            ("half closed: HEADERS", and(&[&slow, &get(1, "/echo")]), Reset(&[CLOSED, PROTOCOL])),
            ("half closed: CONTINUATION", and(&[&slow, &continued]), Reset(&[CLOSED, PROTOCOL])),
            ("reset: DATA", and(&[&slow, &reset, &data(1, END_STREAM, b"a")]), Reset(&[CLOSED])),
            ("reset: HEADERS", and(&[&slow, &reset, &get(1, "/echo")]), Reset(&[CLOSED, PROTOCOL])),
            ("reset: CONTINUATION", and(&[&slow, &reset, &continued]), Reset(&[CLOSED, PROTOCOL])),
            ("reset: PRIORITY", and(&[&slow, &reset, &frame(kind::PRIORITY, 0, 1, &[0; 5])]), Lives),
            ("an even number", get(2, "/echo"), Ends(&[PROTOCOL])),
            (
                "a number below the last",
                and(&[&get(5, "/misbehave/slow?ms=3000"), &get(3, "/echo")]),
                Reset(&[PROTOCOL, CLOSED]),
            ),
            ("more than may be open", many, Reset(&[PROTOCOL, REFUSED])),
            (
                "HEADERS that are no trailers",
                and(&[&open(1, "POST"), &open(1, "POST"), &data(1, END_STREAM, b"")]),
                Reset(&[PROTOCOL]),
            ),
        ],
    )
    .await;
}

async fn settings_out_of_range(site: &Site) {
    let set = |id: u16, value: u32| frame(kind::SETTINGS, 0, 0, &setting(id, value));
    check(
        site,
        vec![
            ("ENABLE_PUSH of 2", set(2, 2), Ends(&[PROTOCOL])),
            ("INITIAL_WINDOW_SIZE of 2^31", set(4, 1 << 31), Ends(&[FLOW])),
            ("MAX_FRAME_SIZE of 2^14 - 1", set(5, (1 << 14) - 1), Ends(&[PROTOCOL])),
            ("MAX_FRAME_SIZE of 2^24", set(5, 1 << 24), Ends(&[PROTOCOL])),
            (
                "the bounds",
                and(&[&set(4, u32::MAX >> 1), &set(5, 1 << 14), &set(5, (1 << 24) - 1), &get(1, "/echo")]),
                Answered,
            ),
            ("HEADER_TABLE_SIZE of 0", and(&[&set(1, 0), &get(1, "/echo")]), Answered),
            ("HEADER_TABLE_SIZE of 2^32 - 1", and(&[&set(1, u32::MAX), &get(1, "/echo")]), Answered),
            ("MAX_CONCURRENT_STREAMS of 0", and(&[&set(3, 0), &get(1, "/echo")]), Answered),
        ],
    )
    .await;
}

async fn flow_control(site: &Site) {
    let update = |stream: u32, by: u32| frame(kind::WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    let whole: Vec<u8> = (0..80).flat_map(|_| data(1, 0, &[0; 1 << 14])).collect();
    let slow = headers(END_HEADERS, 1, &request("POST", "/misbehave/slow?ms=5000"));
    check(
        site,
        vec![
            ("nothing, of the connection", update(0, 0), Ends(&[PROTOCOL])),
            ("nothing, of a stream", and(&[&open(1, "POST"), &update(1, 0)]), Reset(&[PROTOCOL])),
            (
                "over 2^31, of the connection",
                and(&[&update(0, u32::MAX >> 1), &update(0, u32::MAX >> 1)]),
                Ends(&[FLOW]),
            ),
            (
                "over 2^31, of a stream",
                and(&[&open(1, "POST"), &update(1, u32::MAX >> 1), &update(1, u32::MAX >> 1)]),
                Reset(&[FLOW]),
            ),
            // The app takes nothing for five seconds, so the window is not given back.
            ("more than our window", and(&[&slow, &whole]), Reset(&[FLOW])),
        ],
    )
    .await;
}

async fn requests_that_are_none(site: &Site) {
    let with = |fields: &[(&str, &str)]| headers(WHOLE, 1, &and(&[&request("GET", "/echo"), &section(fields)]));
    let only = |fields: &[(&str, &str)]| headers(WHOLE, 1, &section(fields));
    let (method, scheme, path, authority) =
        ((":method", "GET"), (":scheme", "http"), (":path", "/echo"), (":authority", "a"));
    let post = |length: &str, body: &[u8]| {
        let block = and(&[&request("POST", "/echo"), &section(&[("content-length", length)])]);
        and(&[&headers(END_HEADERS, 1, &block), &data(1, END_STREAM, body)])
    };
    check(
        site,
        vec![
            ("a name in capitals", with(&[("X-A", "b")]), Malformed),
            ("a name with a space", with(&[("x a", "b")]), Malformed),
            ("a name with a colon", with(&[("x:a", "b")]), Malformed),
            ("no name", with(&[("", "b")]), Malformed),
            ("NUL in a value", with(&[("x", "a\0b")]), Malformed),
            ("a line end in a value", with(&[("x", "a\r\nb: c")]), Malformed),
            ("an unknown pseudo-field", with(&[(":purple", "a")]), Malformed),
            ("an answer's pseudo-field", with(&[(":status", "200")]), Malformed),
            ("pseudo-fields after others", only(&[method, scheme, ("x", "a"), path, authority]), Malformed),
            (
                "pseudo-fields in trailers, which are dropped",
                and(&[&open(1, "POST"), &headers(WHOLE, 1, &section(&[method]))]),
                Answered,
            ),
            ("no :method", only(&[scheme, path, authority]), Malformed),
            ("no :scheme", only(&[method, path, authority]), Malformed),
            ("no :path", only(&[method, scheme, authority]), Malformed),
            ("no :authority and no Host", only(&[method, scheme, path]), Malformed),
            ("an empty :path", only(&[method, scheme, (":path", ""), authority]), Malformed),
            ("a :path of no form", only(&[method, scheme, (":path", "echo"), authority]), Malformed),
            ("a :path with a space", only(&[method, scheme, (":path", "/a b"), authority]), Malformed),
            ("a :method that is no token", only(&[(":method", "G T"), scheme, path, authority]), Malformed),
            (":method twice", only(&[method, method, scheme, path, authority]), Malformed),
            (":scheme twice", only(&[method, scheme, scheme, path, authority]), Malformed),
            (":path twice", only(&[method, scheme, path, path, authority]), Malformed),
            (":authority twice", only(&[method, scheme, path, authority, authority]), Malformed),
            (":authority with a user", only(&[method, scheme, path, (":authority", "u@a")]), Malformed),
            ("another Host", with(&[("host", "b")]), Malformed),
            ("Host twice", with(&[("host", "a"), ("host", "a")]), Malformed),
            ("Connection", with(&[("connection", "close")]), Malformed),
            ("Keep-Alive", with(&[("keep-alive", "5")]), Malformed),
            ("Proxy-Connection", with(&[("proxy-connection", "x")]), Malformed),
            ("Upgrade", with(&[("upgrade", "x")]), Malformed),
            ("Transfer-Encoding", with(&[("transfer-encoding", "chunked")]), Malformed),
            ("TE of something else", with(&[("te", "gzip")]), Malformed),
            ("more than its length", post("2", b"abc"), Malformed),
            ("less than its length", post("4", b"abc"), Malformed),
            ("a length of a body that is none", with(&[("content-length", "3")]), Malformed),
            ("a length that is no number", post("+3", b"abc"), Malformed),
            ("two lengths", with(&[("content-length", "0"), ("content-length", "1")]), Malformed),
        ],
    )
    .await;
}

async fn header_compression(site: &Site) {
    let with = |bytes: &[u8]| headers(WHOLE, 1, &and(&[&request("GET", "/echo"), bytes]));
    let before = |bytes: &[u8]| headers(WHOLE, 1, &and(&[bytes, &request("GET", "/echo")]));
    check(
        site,
        vec![
            // :method GET, :scheme http, :path /, :authority as a literal that is indexed, and then from the table.
            ("the tables", headers(WHOLE, 1, b"\x82\x86\x04\x05/echo\x41\x01a"), Answered),
            ("a smaller table", before(&[0x3f, 0x01]), Answered),
            ("index 0", with(&[0x80]), Ends(&[COMPRESSION])),
            ("an index of nothing", with(&[0xff, 0x80, 0x01]), Ends(&[COMPRESSION])),
            ("an index without an end", with(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Ends(&[COMPRESSION])),
            ("a string without an end", with(&[0x10, 0x05, b'a']), Ends(&[COMPRESSION])),
            (
                "Huffman with a byte of padding",
                with(b"\x10\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\x5c\x92\x5a\x7f\xff"),
                Ends(&[COMPRESSION]),
            ),
            ("Huffman padded with zeros", with(b"\x10\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"), Ends(&[COMPRESSION])),
            (
                "Huffman with EOS",
                with(b"\x10\x85\xf2\xb2\x4a\x84\xff\x88\xf2\xb2\x4a\x84\xff\xff\xff\xff"),
                Ends(&[COMPRESSION]),
            ),
            ("a larger table than we allow", before(&[0x3f, 0xe2, 0x7f]), Ends(&[COMPRESSION])),
            ("a size update at the end", with(&[0x20]), Ends(&[COMPRESSION])),
        ],
    )
    .await;
}

async fn a_preface_that_is_none(site: &Site) {
    for preface in ["PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRIX * HTTP/1.1\r\n\r\n"] {
        let mut stream = tokio::net::TcpStream::connect(site.address()).await.expect("a connection");
        stream.write_all(preface.as_bytes()).await.expect("written");
        let mut all = Vec::new();
        let closed = tokio::time::timeout(WITHIN, stream.read_to_end(&mut all)).await;
        assert!(closed.is_ok() && !all.windows(4).any(|w| w == b" 200"), "{preface:?}: {all:?}");
    }
}

/// A client that takes one byte at a time gets the answer in such pieces; one that takes windows back gets nothing.
async fn windows_are_respected(site: &Site) {
    let mut client = Client::connect(site.address(), &[(4, 1)]).await.expect("a connection");
    client.send(&get(1, "/bytes/3")).await.expect("sent");
    let mut seen = Vec::new();
    let reading = async {
        while let Some(frame) = client.next().await {
            if frame.kind == kind::DATA {
                assert!(frame.payload.len() <= 1, "{frame:?}");
                seen.extend_from_slice(&frame.payload);
                if frame.flags & END_STREAM != 0 {
                    break;
                }
                client.send(&self::frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).await.expect("sent");
            }
        }
    };
    tokio::time::timeout(WITHIN, reading).await.expect("an answer");
    assert_eq!(seen, [0, 1, 2]);
    // A window that shrinks below nothing, and grows again.
    let mut client = Client::connect(site.address(), &[(4, 3)]).await.expect("a connection");
    client.send(&get(1, "/bytes/4")).await.expect("sent");
    let mut seen = 0;
    let reading = async {
        while let Some(frame) = client.next().await {
            if frame.kind != kind::DATA {
                continue;
            }
            seen += frame.payload.len();
            if frame.flags & END_STREAM != 0 {
                break;
            }
            if seen == 3 {
                let smaller = self::frame(kind::SETTINGS, 0, 0, &setting(4, 1));
                let more = self::frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 3]);
                client.send(&and(&[&smaller, &more])).await.expect("sent");
            }
        }
    };
    tokio::time::timeout(WITHIN, reading).await.expect("an answer");
    assert_eq!(seen, 4);
}
