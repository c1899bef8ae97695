//! The Unix listener.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

use crate::app::{Mood, Server};
use crate::gateway::{assert_good, get, rest};
use crate::goaway;
use crate::process::{Place, send};

#[tokio::test]
async fn it_speaks_both_versions_and_is_handed_on() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    let path = place.path("origin.sock");
    place.configure(&format!("listen.unix = {path:?}\nlisten.cores = 2"), app.address);
    let mut gateway = place.start();
    let first = gateway.serving(0).await;
    assert_eq!(first.addresses(), format!("unix:{}", path.display()));
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o660);
    let ask = async || {
        let mut stream = UnixStream::connect(&path).await.expect("it listens");
        stream.write_all(get("/one").as_bytes()).await.expect("written");
        assert_good(&rest(&mut stream).await);
        let stream = UnixStream::connect(&path).await.expect("it listens");
        let mut sender = goaway::speak(stream, &Arc::<AtomicUsize>::default()).await.expect("HTTP/2");
        let request = Request::get("http://a/two").body(Full::<Bytes>::default()).expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "ok");
    };
    ask().await;
    let line = gateway.line("request", 0).await;
    assert_eq!((&line["client.address"], &line["trust"]), (&"127.0.0.1".into(), &"direct".into()), "as on loopback");

    send(first.pid(), Signal::HUP);
    gateway.serving(1).await;
    assert_eq!(gateway.ended().await, Some(0));
    ask().await;
}

#[tokio::test]
async fn a_stale_file_is_replaced_and_a_live_one_is_not() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    let path = place.path("origin.sock");
    place.configure(&format!("listen.unix = {path:?}"), app.address);
    let mut killed = place.start();
    send(killed.serving(0).await.pid(), Signal::KILL);
    assert_eq!(killed.ended().await, None);
    assert!(path.exists(), "it is left behind");
    let living = place.start();
    living.serving(0).await;

    let mut other = place.start();
    assert_eq!(other.ended().await, Some(1));
    let complaint = other.complaint().await;
    assert!(complaint.contains("another program listens there"), "{complaint}");
    let mut stream = UnixStream::connect(&path).await.expect("it listens");
    stream.write_all(get("/").as_bytes()).await.expect("written");
    assert_good(&rest(&mut stream).await);

    // Nor is a file that is no socket.
    let file = place.path("file");
    fs::write(&file, "precious").expect("written");
    place.configure(&format!("listen.unix = {file:?}"), app.address);
    let mut other = place.start();
    assert_eq!(other.ended().await, Some(1));
    assert!(other.complaint().await.contains("the file is no socket"));
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "precious");
}
