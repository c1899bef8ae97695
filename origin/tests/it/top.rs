//! `origin top`: what it says of a gateway with traffic, and that the terminal is as it was when it has ended.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;

use crate::app::{Mood, Server};
use crate::gateway::{get, rest};
use crate::process::{Place, Process};

/// A gateway with a private listener and a rule that blocks; what it is asked goes through its filter.
async fn running(place: &Place, app: &Server) -> (Process, SocketAddr) {
    let socket = place.path("admin.sock");
    place.configure(
        &format!(
            "listen.http = [\"127.0.0.1:0\"]\nlisten.cores = 1\n[admin]\nlisten = \"unix:{}\"\n[filter]",
            socket.display()
        ),
        app.address,
    );
    let running = place.start();
    let at = running.serving(0).await.at("http");
    (running, at)
}

async fn ask(at: SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(at).await.expect("it listens");
    stream.write_all(get(path).as_bytes()).await.expect("open");
    rest(&mut stream).await
}

fn top(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_origin"));
    command.arg("top").args(arguments).arg("--config").arg(place.path("origin.toml"));
    command
}

fn said(output: &Output) -> (Option<i32>, String) {
    let said = String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned();
    (output.status.code(), said)
}

/// The first number after a word.
fn number(text: &str, after: &str) -> Option<f64> {
    let rest = text.split_once(after)?.1.trim_start();
    rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_what_goes_on() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    let (_running, at) = running(&place, &app).await;
    let begin = Instant::now();
    let traffic = tokio::spawn(async move {
        for n in 0.. {
            ask(at, if n % 4 == 0 { "/.env" } else { "/page" }).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut command = top(&place, &["--once", "--interval", "2s"]);
    let done = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("no panic");
    let took = begin.elapsed();
    traffic.abort();
    let (code, table) = said(&done);
    println!("{table}");
    assert_eq!(code, Some(0), "{table}");
    assert!(took >= Duration::from_secs(2) && !table.contains('\u{1b}'), "{table}");
    let requests = number(&table, "requests ").expect("requests");
    assert!((5.0..60.0).contains(&requests), "{requests}: {table}");
    let line = |begins: &str| {
        table.lines().find(|line| line.starts_with(begins)).unwrap_or_else(|| panic!("{begins}: {table}"))
    };
    assert!(line("answers").contains("2xx") && line("answers").contains("4xx"), "{table}");
    assert!(line("until the end").contains("p50 ") && line("until the end").contains("p99 "), "{table}");
    assert!(line("problems").contains("blocked"), "{table}");
    let upstream = line(&app.address.to_string());
    assert!(upstream.contains(" of * ") && upstream.contains(" up "), "{table}");
    let blocked = number(line("probe-dotfile: block"), "block").expect("a rate");
    let of_site = number(line("* "), "*").expect("a rate");
    assert!(blocked > 0.0 && blocked < of_site && (of_site - requests).abs() < 1.5, "{table}");
}

#[tokio::test]
async fn what_it_can_not_do_it_says() {
    let place = Place::new();
    place.configure(
        &format!("listen.http = [\"127.0.0.1:0\"]\n[admin]\nlisten = \"unix:{}\"", place.path("none.sock").display()),
        ([127, 0, 0, 1], 1).into(),
    );
    let run = |arguments: &[&str]| said(&top(&place, arguments).output().expect("it runs"));
    let (code, text) = run(&["--once"]);
    assert!(code == Some(1) && text.starts_with("origin top: the gateway can't be asked: "), "{text}");
    let (code, text) = run(&["--interval", "1ms"]);
    assert!(code == Some(2) && text.contains("--interval is 1ms: 100ms or more"), "{text}");
    place.configure("listen.http = [\"127.0.0.1:0\"]", ([127, 0, 0, 1], 1).into());
    let (code, text) = run(&["--once"]);
    assert!(code == Some(78) && text.contains("has no [admin]"), "{text}");
}

/// A shell in a terminal of its own, by script(1), in which `line` runs between two looks at the terminal's settings: all that came, and the
/// settings before and after. `end` is typed when it shows something.
async fn in_a_terminal(place: &Place, line: &str, end: &[u8]) -> (String, String, String) {
    let file = place.path("origin.toml");
    let shell = format!(
        "stty cols 50 rows 12; echo before $(stty -g); {line}; code=$?; echo; echo code $code after $(stty -g)",
        line = line.replace("TOP", &format!("{} top --config {}", env!("CARGO_BIN_EXE_origin"), file.display())),
    );
    let mut child = Command::new("script")
        .args(["--quiet", "--flush", "--command", &shell, "/dev/null"])
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script(1) is there");
    let mut keyboard = child.stdin.take().expect("piped");
    let (mut stdout, all) = (child.stdout.take().expect("piped"), Arc::<Mutex<Vec<u8>>>::default());
    let read = {
        let all = Arc::clone(&all);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = stdout.read(&mut bytes) {
                all.lock().expect("no panic").extend(&bytes[..n]);
            }
        })
    };
    let text = || String::from_utf8_lossy(&all.lock().expect("no panic")).into_owned();
    let until = Instant::now() + Duration::from_secs(30);
    // Not the first picture: figures.
    while !text().contains("the last ") {
        assert!(Instant::now() < until, "{}", text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    keyboard.write_all(end).expect("it reads");
    while !text().contains(" after ") {
        assert!(Instant::now() < until, "{}", text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(keyboard);
    child.wait().expect("it ends");
    read.join().expect("no panic");
    let text = text();
    let settings =
        |word: &str| text.split_once(word).expect("said").1.split_whitespace().next().unwrap_or_default().to_owned();
    let (before, after) = (settings("before "), settings(" after "));
    (text, before, after)
}

#[tokio::test]
async fn the_terminal_is_as_it_was() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    let (_running, at) = running(&place, &app).await;
    ask(at, "/page").await;
    for (line, end) in [
        ("TOP --interval 200ms", &b"xq"[..]),
        ("TOP --interval 200ms", b"\x03"),
        ("(sleep 3; kill -TERM $(cat PID)) & sh -c 'echo $$ >PID; exec TOP --interval 200ms'", b""),
    ] {
        let line = line.replace("PID", &place.path("pid").display().to_string());
        let (text, before, after) = in_a_terminal(&place, &line, end).await;
        assert!(!before.is_empty() && before == after, "{line}: {before} {after}");
        assert!(text.contains("code 0 after "), "{line}: {text}");
        let (on, off) = (text.find("\u{1b}[?1049h"), text.rfind("\u{1b}[?1049l"));
        assert!(on.is_some() && on < off && text.rfind("\u{1b}[?25h") > text.rfind("\u{1b}[?25l"), "{line}: {text}");
        assert!(text.contains("\u{1b}[0;1m"), "some of it is strong: {text}");
        // The narrow terminal's columns.
        let shown = text.split("\u{1b}[?2026h").filter(|frame| frame.contains("the last ")).last().expect("a picture");
        for line in shown.split("\u{1b}[?2026l").next().unwrap_or_default().split("\r\n") {
            // The terminal adds a carriage return of its own.
            let plain = without_escapes(line).trim_end_matches('\r').to_owned();
            assert!(plain.chars().count() <= 50, "{plain:?}");
        }
        assert!(shown.matches("\r\n").count() < 12, "{shown}");
    }
    let (text, ..) = in_a_terminal(&place, "NO_COLOR=1 TOP --interval 200ms", b"q").await;
    assert!(text.contains("\u{1b}[?1049h") && !text.contains("\u{1b}[0;1"), "{text}");
}

fn without_escapes(line: &str) -> String {
    let mut pieces = line.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    let rest = pieces.map(|piece| piece.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, rest)| rest));
    first + &rest.collect::<String>()
}
