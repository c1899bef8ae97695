//! SIGHUP: a new process takes over, and nobody notices.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::app::{Mood, OK, Script, Server};
use crate::gateway::{assert_good, get, rest};
use crate::load;
use crate::process::{Place, Process, command_line, eventually, send};

const LISTEN: &str = "listen.http = [\"127.0.0.1:0\"]\nadmin.listen = \"127.0.0.1:0\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_nothing_is_lost() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    place.configure(&format!("{LISTEN}listen.cores = 2"), app.address);
    let mut gateway = place.start();
    let first = gateway.serving(0).await;
    let load = tokio::spawn(load::mixed(first.at("http"), Duration::from_secs(9)));

    let mut pid = first.pid();
    for (n, cores) in [(1, 1), (2, 3)] {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        // With fewer and with more cores than there are sockets.
        place.configure(&format!("{LISTEN}listen.cores = {cores}"), app.address);
        send(pid, Signal::HUP);
        let next = gateway.serving(n).await;
        assert_eq!((next.at("http"), next.admin()), (first.at("http"), first.admin()), "the same ports");
        pid = next.pid();
    }
    assert_eq!(gateway.ended().await, Some(0));
    let outcome = load.await.expect("no panic");
    println!(
        "row 1, reload twice under 200 requests/s over HTTP/1.1: {} of {} lost, the longest took {:?}",
        outcome.lost.len(),
        outcome.asked.len(),
        outcome.longest
    );
    assert!(outcome.asked.len() >= 1_600);
    outcome.assert_whole(&app.seen());
    assert_eq!(gateway.lines("reloaded: a new process serves")[0]["changed"], "listen.cores: 2 → 1");
    assert_eq!(gateway.lines("stopped").len(), 2, "nothing is cut off");
}

#[tokio::test]
async fn a_broken_configuration_changes_nothing() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    place.configure(LISTEN, app.address);
    let mut gateway = place.start();
    let first = gateway.serving(0).await;
    let ask = async || {
        let mut stream = TcpStream::connect(first.at("http")).await.expect("it listens");
        stream.write_all(get("/").as_bytes()).await.expect("written");
        assert_good(&rest(&mut stream).await);
    };

    place.configure(&format!("{LISTEN}listen.kores = 2"), app.address);
    send(first.pid(), Signal::HUP);
    let failed = gateway.line("the reload has failed; this process goes on as it was", 0).await;
    let reason = failed["reason"].as_str().expect("text");
    assert!(reason.contains("origin.toml: listen.kores: line 3: there is no key `kores` here"), "{reason}");
    assert_eq!(failed["changed"], "listen.kores: – → 2");
    ask().await;

    // A port that somebody else has.
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = other.local_addr().expect("bound");
    place.configure(&format!("listen.http = [\"127.0.0.1:0\", \"{taken}\"]"), app.address);
    send(first.pid(), Signal::HUP);
    let failed = gateway.line("the reload has failed; this process goes on as it was", 1).await;
    let reason = failed["reason"].as_str().expect("text");
    assert_eq!(
        reason,
        format!("origin: cannot listen on {taken}: another program listens there; stop it or choose another port")
    );
    ask().await;
    assert!(gateway.runs());

    // And when it is right again it counts.
    drop(other);
    send(first.pid(), Signal::HUP);
    let second = gateway.serving(1).await;
    assert_ne!(second.pid(), first.pid());
    assert_eq!(gateway.ended().await, Some(0));
    ask().await;
}

/// The new process is whatever is at the path by which the old one was started: an upgrade, or something that does not work.
#[tokio::test]
async fn the_program_at_the_path_is_started() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    place.configure(LISTEN, app.address);
    let program = place.path("program");
    symlink(env!("CARGO_BIN_EXE_origin"), &program).expect("a link");
    let mut gateway = Process::start(place.command(&program));
    let first = gateway.serving(0).await;
    let put = |text: Option<(&str, u32)>| {
        std::fs::remove_file(&program).expect("it is there");
        match text {
            None => symlink(env!("CARGO_BIN_EXE_origin"), &program).expect("a link"),
            Some((text, mode)) => {
                use std::os::unix::fs::PermissionsExt as _;
                std::fs::write(&program, text).expect("written");
                std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).expect("set");
            }
        }
    };
    let failures = [
        ("#!/bin/sh\nexit 3\n", 0o755, "it ended without a word: exit status: 3"),
        ("no program\n", 0o644, "it cannot be started: Permission denied"),
        ("#!/bin/sh\nexec sleep 300\n", 0o755, "it has said nothing for 30 s"),
    ];
    for (n, (text, mode, reason)) in failures.into_iter().enumerate() {
        put(Some((text, mode)));
        send(first.pid(), Signal::HUP);
        let failed = gateway.line("the reload has failed; this process goes on as it was", n).await;
        let said = failed["reason"].as_str().expect("text");
        assert!(said.starts_with(reason), "{said}");
        let mut stream = TcpStream::connect(first.at("http")).await.expect("it listens");
        stream.write_all(get("/").as_bytes()).await.expect("written");
        assert_good(&rest(&mut stream).await);
    }
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", first.pid())).unwrap_or_default();
    assert_eq!(children, "", "what had nothing to say is not left behind");
    put(None);
    send(first.pid(), Signal::HUP);
    let second = gateway.serving(1).await;
    assert!(command_line(second.pid()).starts_with(program.to_str().expect("text")));
    assert_eq!(gateway.ended().await, Some(0));
}

/// While the old process drains for a long time, the new one answers as if nothing was.
#[tokio::test]
async fn nobody_waits_for_a_drain() {
    let script = Script::new().await;
    let place = Place::new();
    place.configure(LISTEN, script.address());
    let mut gateway = place.start();
    let first = gateway.serving(0).await;
    let mut download = TcpStream::connect(first.at("http")).await.expect("it listens");
    download.write_all(get("/long").as_bytes()).await.expect("written");
    let mut long = script.accept().await;
    long.head().await;
    long.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await;

    let asked = Instant::now();
    send(first.pid(), Signal::HUP);
    gateway.serving(1).await;
    gateway.line("draining", 0).await;
    let taken_over = asked.elapsed();
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let since = Instant::now();
        let client = async {
            let mut stream = TcpStream::connect(first.at("http")).await.expect("it listens");
            stream.write_all(get("/short").as_bytes()).await.expect("written");
            assert_good(&rest(&mut stream).await);
        };
        let app = async {
            let mut line = script.accept().await;
            line.head().await;
            line.say(OK).await;
        };
        tokio::join!(client, app);
        longest = longest.max(since.elapsed());
        let mut admin = TcpStream::connect(first.admin()).await.expect("it listens");
        admin.write_all(get("/readyz").replace("host: a", "host: localhost").as_bytes()).await.expect("written");
        // The first may still have been waiting for the old process when that left.
        let ready = rest(&mut admin).await;
        assert!(ready.ends_with("ready\n"), "{ready}");
    }
    println!(
        "row 1, a new request while the old process drains: {longest:?} at most, {taken_over:?} from SIGHUP to the drain"
    );
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert!(gateway.runs(), "it waits for the download");

    long.say("cd").await;
    assert!(rest(&mut download).await.ends_with("\r\n\r\nabcd"));
    assert_eq!(gateway.ended().await, Some(0));
}

/// A new version that dies: as long as the old process drains, nobody else would know.
#[tokio::test]
async fn a_successor_that_dies_is_noticed_at_once() {
    let script = Script::new().await;
    let place = Place::new();
    place.configure(LISTEN, script.address());
    let mut gateway = place.start();
    let first = gateway.serving(0).await;
    let mut download = TcpStream::connect(first.at("http")).await.expect("it listens");
    download.write_all(get("/long").as_bytes()).await.expect("written");
    let mut long = script.accept().await;
    long.head().await;
    send(first.pid(), Signal::HUP);
    let second = gateway.serving(1).await;
    gateway.line("draining", 0).await;
    assert!(gateway.runs(), "it waits for the download");
    let began = Instant::now();
    send(second.pid(), Signal::KILL);
    assert_eq!(gateway.ended().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let line = gateway.line("the new process has ended; so does this one", 0).await;
    assert_eq!(line["how"], "signal: 9 (SIGKILL)");
}

/// A SIGTERM while the new process is on its way ends both.
#[tokio::test]
async fn a_stop_overtakes_a_reload() {
    let place = Place::new();
    place.configure(LISTEN, "127.0.0.1:1".parse().expect("an address"));
    let program = place.path("program");
    symlink(env!("CARGO_BIN_EXE_origin"), &program).expect("a link");
    let mut gateway = Process::start(place.command(&program));
    let first = gateway.serving(0).await;
    std::fs::remove_file(&program).expect("it is there");
    std::fs::write(&program, "#!/bin/sh\nexec sleep 300\n").expect("written");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    send(first.pid(), Signal::HUP);
    let children = format!("/proc/{0}/task/{0}/children", first.pid());
    let child = eventually(|| std::fs::read_to_string(&children).ok()?.trim().parse::<u32>().ok()).await;
    let child = child.expect("it is started");
    send(first.pid(), Signal::TERM);
    assert_eq!(gateway.ended().await, Some(0));
    assert_eq!(command_line(child), "");
}

/// What says nothing by itself: a connection that was opened before and asks after.
#[tokio::test]
async fn a_connection_from_before_is_answered_after() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    place.configure(LISTEN, app.address);
    let mut gateway = place.start();
    let first = gateway.serving(0).await;
    let mut silent = TcpStream::connect(first.at("http")).await.expect("it listens");
    let mut asked = TcpStream::connect(first.at("http")).await.expect("it listens");
    asked.write_all(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("written");
    let mut answer = vec![0; 4096];
    let n = asked.read(&mut answer).await.expect("an answer");
    assert!(!String::from_utf8_lossy(&answer[..n]).contains("connection: close"));

    send(first.pid(), Signal::HUP);
    gateway.line("draining", 0).await;
    for stream in [&mut silent, &mut asked] {
        stream.write_all(b"GET /b HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("written");
        let answer = rest(stream).await;
        assert_good(&answer);
        assert!(answer.contains("connection: close"), "{answer}");
    }
    assert_eq!(gateway.ended().await, Some(0));
}
