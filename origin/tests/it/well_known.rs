//! Files of `/.well-known/` that the gateway serves by itself: a policy for mail, or whom to tell of a hole.

use std::fs;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::app::{Mood, Server};
use crate::gateway::{get, rest};
use crate::process::Place;

#[tokio::test]
async fn files_of_the_folder_and_no_others() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    fs::create_dir_all(place.path("well-known/folder")).expect("made");
    let policy = "version: STSv1\nmode: testing\n";
    fs::write(place.path("well-known/mta-sts.txt"), policy).expect("written");
    fs::write(place.path("well-known/.secret"), "of nobody's").expect("written");
    // What `configure` writes ends with the site, so that this is a key of it.
    place.configure("listen.http = [\"127.0.0.1:0\"]", app.address);
    let text = fs::read_to_string(place.path("origin.toml")).expect("there");
    let folder = place.path("well-known").display().to_string();
    fs::write(place.path("origin.toml"), format!("{text}well_known = \"{folder}\"\n")).expect("written");
    let gateway = place.start();
    let address = gateway.serving(0).await.at("http");
    let ask = async |path: &str| {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(get(path).as_bytes()).await.expect("written");
        rest(&mut stream).await
    };
    let answer = ask("/.well-known/mta-sts.txt").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(policy), "{answer}");
    // RFC 8461, 3.3: text/plain.
    for field in ["content-type: text/plain; charset=utf-8", "cache-control: public, max-age=3600"] {
        assert!(answer.to_lowercase().contains(field), "{field} is missing: {answer}");
    }
    // The app is asked for everything else, and for what is not there.
    for path in
        ["/.well-known/security.txt", "/.well-known/", "/.well-known/folder", "/mta-sts.txt", "/.well-known/.secret"]
    {
        let answer = ask(path).await;
        assert!(!answer.contains("STSv1") && !answer.contains("of nobody's"), "{path}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
}
