//! SIGTERM: what is in flight ends, what has no end is ended, and nobody waits longer than he must.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::app::{Line, Mood, OK, Script, Server};
use crate::gateway::{assert_good, get, rest};
use crate::process::{Place, Process, Serving, send};

/// A gateway before a script, and a client with a request that the script has got.
async fn with_a_request(more: &str) -> (Script, Place, Process, Serving, TcpStream, Line) {
    let script = Script::new().await;
    let place = Place::new();
    place.configure(
        &format!("listen.http = [\"127.0.0.1:0\"]\nadmin.listen = \"127.0.0.1:0\"\n{more}"),
        script.address(),
    );
    let gateway = place.start();
    let serving = gateway.serving(0).await;
    let mut client = TcpStream::connect(serving.at("http")).await.expect("it listens");
    client.write_all(get("/").as_bytes()).await.expect("written");
    let mut line = script.accept().await;
    line.head().await;
    (script, place, gateway, serving, client, line)
}

#[tokio::test]
async fn a_long_download_ends_by_itself() {
    let (_script, _place, mut gateway, serving, mut client, mut line) = with_a_request("").await;
    let began = Instant::now();
    let app = async {
        line.say("HTTP/1.1 200 OK\r\ncontent-length: 80000\r\n\r\n").await;
        for _ in 0..80 {
            line.say([b'x'; 1_000]).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let drain = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        send(serving.pid(), Signal::TERM);
        gateway.line("draining", 0).await;
        // Not ready from the first moment, and the private listener says so to the end.
        let mut admin = TcpStream::connect(serving.admin()).await.expect("it listens");
        admin.write_all(get("/readyz").replace("host: a", "host: localhost").as_bytes()).await.expect("written");
        let ready = rest(&mut admin).await;
        assert!(ready.starts_with("HTTP/1.1 503 ") && ready.ends_with("draining\n"), "{ready}");
        // Nothing new comes in.
        let refused = crate::process::eventually(|| std::net::TcpStream::connect(serving.at("http")).err()).await;
        assert!(refused.is_some(), "it still listens");
    };
    let mut all = Vec::new();
    let download = async { client.read_to_end(&mut all).await };
    let ((), (), read) = tokio::join!(app, drain, download);
    read.expect("no reset");
    let text = String::from_utf8_lossy(&all);
    let (_, body) = text.split_once("\r\n\r\n").expect("a head");
    println!("row 3, a download of 8 s that a drain finds: {} of 80000 bytes, {:?}", body.len(), began.elapsed());
    assert_eq!(body.len(), 80_000);
    assert_eq!(gateway.ended().await, Some(0));
    assert_eq!(gateway.lines("stopped").len(), 1, "nothing is cut off");
}

#[tokio::test]
async fn what_lasts_longer_is_cut_off_visibly_and_counted() {
    let (_script, _place, mut gateway, serving, mut client, mut line) = with_a_request("timeouts.drain = \"1s\"").await;
    line.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n").await;
    let began = Instant::now();
    send(serving.pid(), Signal::TERM);
    let answer = rest(&mut client).await;
    assert!(answer.contains("part") && !answer.contains("\r\n0\r\n"), "as if it were whole: {answer}");
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!(gateway.ended().await, Some(0));
    let stopped = gateway.line("stopped; what had not ended is cut off", 0).await;
    assert_eq!((&stopped["cut.connections"], &stopped["cut.upgraded"]), (&1.into(), &0.into()));
    let request = gateway.line("request", 0).await;
    assert_eq!(request["http.response.body.bytes"], 4, "what is cut off has its line too: {request}");
}

#[tokio::test]
async fn a_second_sigterm_ends_at_once() {
    let (_script, _place, mut gateway, serving, mut client, mut line) = with_a_request("").await;
    line.say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\npart").await;
    send(serving.pid(), Signal::TERM);
    gateway.line("draining", 0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(gateway.runs(), "it waits for the download");
    let began = Instant::now();
    send(serving.pid(), Signal::TERM);
    assert_eq!(gateway.ended().await, Some(0));
    println!("after a second SIGTERM it ends in {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(rest(&mut client).await.ends_with("part"));
    let stopped = gateway.line("stopped; what had not ended is cut off", 0).await;
    assert_eq!(stopped["cut.connections"], 1);
}

#[tokio::test]
async fn an_event_stream_ends_politely_and_soon() {
    let (_script, _place, mut gateway, serving, mut client, mut line) = with_a_request("").await;
    line.say("HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    line.say("9\r\ndata: a\n\n\r\n").await;
    let began = Instant::now();
    send(serving.pid(), Signal::TERM);
    let answer = rest(&mut client).await;
    println!("an event stream ends {:?} after SIGTERM", began.elapsed());
    assert!(answer.contains("data: a\n\n") && answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
    // Within a second of the drain, and not after its 30.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(line.head().await, "", "the app is told");
    assert_eq!(gateway.ended().await, Some(0));
    assert_eq!(gateway.lines("stopped").len(), 1, "it counts as whole");
    assert_eq!(gateway.line("request", 0).await["http.response.cut"], false);
}

/// One that may be stored, which makes little sense, is not stored as far as it came.
#[tokio::test]
async fn an_event_stream_that_we_ended_is_not_stored() {
    let (script, _place, mut gateway, serving, mut client, mut line) = with_a_request("listen.cores = 1").await;
    let mut later = TcpStream::connect(serving.at("http")).await.expect("it listens");
    line.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: public, max-age=60\r\n").await;
    line.say("transfer-encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n").await;
    let mut first = [0; 8];
    client.read_exact(&mut first).await.expect("an answer");
    send(serving.pid(), Signal::TERM);
    assert!(rest(&mut client).await.ends_with("\r\n0\r\n\r\n"));
    later.write_all(get("/").as_bytes()).await.expect("open");
    let app = async {
        let mut line = script.accept().await;
        line.head().await;
        line.say(OK).await;
    };
    let (answer, ()) = tokio::join!(rest(&mut later), app);
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    assert_eq!(gateway.ended().await, Some(0));
}

#[tokio::test]
async fn a_web_socket_lives_as_long_as_may_be() {
    let script = Script::new().await;
    let place = Place::new();
    place.configure("listen.http = [\"127.0.0.1:0\"]\ntimeouts.drain = \"4s\"", script.address());
    let mut gateway = place.start();
    let serving = gateway.serving(0).await;
    let mut client = TcpStream::connect(serving.at("http")).await.expect("it listens");
    let request = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    client.write_all(request.as_bytes()).await.expect("written");
    let mut line = script.accept().await;
    line.head().await;
    line.say("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.expect("an answer"));
    }
    send(serving.pid(), Signal::TERM);
    gateway.line("draining", 0).await;
    let began = Instant::now();
    let mut spoken = 0;
    // Nothing else is left: the core waits for this one alone.
    while began.elapsed() < Duration::from_millis(2_500) {
        client.write_all(b"ping!").await.expect("open");
        assert_eq!(line.until("!").await, "ping!");
        line.say("pong!").await;
        let mut pong = [0; 5];
        client.read_exact(&mut pong).await.expect("open");
        spoken += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(rest(&mut client).await, "");
    println!("a WebSocket in a drain of 4 s: {spoken} messages, closed after {:?}", began.elapsed());
    assert_eq!(gateway.ended().await, Some(0));
    let stopped = gateway.line("stopped; what had not ended is cut off", 0).await;
    assert_eq!((&stopped["cut.connections"], &stopped["cut.upgraded"]), (&0.into(), &1.into()));
}

#[tokio::test]
async fn a_request_on_an_open_connection_is_answered_for_a_while() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    place.configure("listen.http = [\"127.0.0.1:0\"]", app.address);
    let mut gateway = place.start();
    let serving = gateway.serving(0).await;
    let mut client = TcpStream::connect(serving.at("http")).await.expect("it listens");
    client.write_all(b"GET /1 HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("written");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok") {
        answer.push(client.read_u8().await.expect("an answer"));
    }
    send(serving.pid(), Signal::TERM);
    gateway.line("draining", 0).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    client.write_all(b"GET /2 HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("open");
    let answer = rest(&mut client).await;
    assert_good(&answer);
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(gateway.ended().await, Some(0));
}

/// The queue of the socket: connections that the system has accepted and the gateway has not.
#[tokio::test]
async fn what_waits_to_be_accepted_is_served() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    place.configure("listen.http = [\"127.0.0.1:0\"]\nlisten.cores = 2", app.address);
    let mut gateway = place.start();
    let serving = gateway.serving(0).await;
    // While it is stopped, all of this happens to it at once.
    send(serving.pid(), Signal::STOP);
    let mut waiting = Vec::new();
    for n in 0..40 {
        let mut client = TcpStream::connect(serving.at("http")).await.expect("there is room in the queue");
        client.write_all(get(&format!("/{n}")).as_bytes()).await.expect("written");
        waiting.push(client);
    }
    send(serving.pid(), Signal::TERM);
    send(serving.pid(), Signal::CONT);
    for mut client in waiting {
        assert_good(&rest(&mut client).await);
    }
    assert_eq!(gateway.ended().await, Some(0));
}
