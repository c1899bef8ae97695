//! Waiting is not retrying: requests of which nothing was sent wait for an app that accepts no connections.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use crate::app::{Mood, OK, Script, Server};
use crate::gateway::{Gateway, assert_good, assert_problem, get};

/// An address on which nobody listens.
async fn nobody() -> std::net::SocketAddr {
    Script::new().await.address()
}

#[tokio::test]
async fn a_restart_of_the_app_costs_no_request() {
    let first = Server::start(Mood::Good).await;
    let gateway = std::sync::Arc::new(Gateway::before(&format!("\"{}\"", first.address), ""));
    let mut requests = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut second = None;
    for n in 0..200 {
        ticks.tick().await;
        match n {
            40 => first.stop(),
            120 => second = Some(Server::on(first.address, Mood::Good).await),
            _ => {}
        }
        let gateway = std::sync::Arc::clone(&gateway);
        requests.spawn(async move {
            let path = format!("/{n}");
            if n % 2 == 0 { gateway.get(&path).await } else { gateway.post(&path).await }
        });
    }
    for answer in requests.join_all().await {
        assert_good(&answer);
    }
    let mut seen: HashMap<String, u32> = HashMap::new();
    let second = second.expect("it was started").seen();
    for line in first.seen().into_iter().chain(second) {
        *seen.entry(line).or_default() += 1;
    }
    assert_eq!(seen.len(), 200);
    assert!(seen.iter().all(|(line, times)| *times == 1 || line.starts_with("GET ")), "a POST was seen twice");
}

#[tokio::test]
async fn patience_ends_and_a_full_queue_says_so_at_once() {
    let more = "timeouts.hold = \"3s\"\nlimits.held = 1";
    let gateway = Gateway::before(&format!("\"{}\"", nobody().await), more);
    let began = Instant::now();
    let held = gateway.post("/held");
    let refused = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let answer = gateway.get("/too-many").await;
        assert!(began.elapsed() < Duration::from_millis(2_500), "at once");
        assert_problem(&answer, 503, "overloaded");
        assert!(answer.contains("retry-after:"), "{answer}");
    };
    let (held, ()) = tokio::join!(held, refused);
    assert_problem(&held, 502, "app-unreachable");
    assert!((Duration::from_secs(3)..Duration::from_secs(10)).contains(&began.elapsed()));
}

#[tokio::test]
async fn a_client_that_leaves_makes_room() {
    let more = "timeouts.hold = \"5s\"\nlimits.held = 1";
    let address = nobody().await;
    let gateway = Gateway::before(&format!("\"{address}\""), more);
    let mut client = gateway.connect().await;
    client.write_all(get("/leaves").as_bytes()).await.expect("written");
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let restart = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Server::on(address, Mood::Good).await
    };
    let (answer, app) = tokio::join!(gateway.get("/stays"), restart);
    assert_good(&answer);
    assert_eq!(app.seen(), ["GET /stays HTTP/1.1"]);
}

#[tokio::test]
async fn a_missing_unix_socket_holds_too() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("app.sock");
    let gateway = Gateway::before(&format!("\"unix:{}\"", path.display()), "");
    let serve = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let listener = tokio::net::UnixListener::bind(&path).expect("bound");
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let mut head = [0; 4096];
                if let Ok(1..) = stream.read(&mut head).await {
                    stream.write_all(OK.as_bytes()).await.expect("written");
                }
            });
        }
    };
    tokio::select! {
        answer = gateway.post("/") => assert_good(&answer),
        () = serve => {}
    }
}

#[tokio::test]
async fn a_black_hole_is_not_held() {
    // A socket with room for one connection, which is taken: the system drops every further SYN.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bound");
    socket.listen(0).expect("listening");
    let address = socket.local_addr().expect("bound").as_socket().expect("an address");
    let mut taken = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(address)).await
    {
        taken.push(stream);
    }
    let gateway = Gateway::before(&format!("\"{address}\""), "timeouts.connect = \"300ms\"");
    let began = Instant::now();
    assert_problem(&gateway.post("/").await, 502, "app-unreachable");
    assert!((Duration::from_millis(300)..Duration::from_secs(3)).contains(&began.elapsed()), "{:?}", began.elapsed());
}
