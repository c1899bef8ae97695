//! Cloudflare's addresses: asked for, checked, and kept where nothing better comes.

use std::fs;
use std::process::Command;

use crate::api::api;
use crate::app::{Mood, Server};
use crate::process::Place;

fn said(ranges: &str) -> String {
    let body = format!("{{\"success\": true, \"result\": {{{ranges}}}}}");
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshed_or_left_as_it_was() {
    let place = Place::new();
    let (url, call) = api(&place, "\r\n\r\n").await;
    let (file, ca) = (place.path("ranges.txt"), place.path("api.pem"));
    let refresh = async |file: std::path::PathBuf| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_origin"));
        command.args(["ranges", "refresh"]).arg(file).args(["--api", &url, "--ca"]).arg(&ca);
        let output = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("no panic");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let v4: Vec<String> = (0..9).map(|n| format!("\"10.{n}.0.0/16\"")).collect();
    let good = said(&format!("\"ipv4_cidrs\": [{}], \"ipv6_cidrs\": [\"2606:4700::/32\"]", v4.join(",")));
    let ((code, told), asked) = tokio::join!(refresh(file.clone()), call(&good));
    assert!(
        code == Some(0)
            && told.contains("10 ranges")
            && told.contains("+10.0.0.0/16")
            && told.contains("-104.16.0.0/13"),
        "{told}"
    );
    assert!(asked.starts_with("GET /client/v4/ips HTTP/1.1\r\n"), "{asked}");
    let kept = fs::read_to_string(&file).expect("written");
    assert!(kept.contains("# as of 20") && kept.ends_with("2606:4700::/32\n"), "{kept}");
    for (answer, why) in [
        (said("\"ipv4_cidrs\": [\"0.0.0.0/0\"], \"ipv6_cidrs\": [\"::/0\"]"), "no range of Cloudflare's"),
        (
            said("\"ipv4_cidrs\": [\"10.0.0.0/16\"], \"ipv6_cidrs\": [\"2606:4700::/32\"]"),
            "2 ranges are not Cloudflare's",
        ),
        (said("\"ipv4_cidrs\": []"), "no result.ipv4_cidrs"),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<html>".to_owned(), "no JSON"),
        ("HTTP/1.1 503 Busy\r\nconnection: close\r\n\r\n".to_owned(), "503"),
    ] {
        let ((code, told), _) = tokio::join!(refresh(file.clone()), call(&answer));
        assert!(code == Some(1) && told.contains(why), "{told}");
        assert_eq!(fs::read_to_string(&file).expect("there"), kept, "what was there stays");
    }
}

#[tokio::test]
async fn a_list_of_no_use_is_told_and_the_shipped_one_serves() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    fs::write(place.path("cloudflare-ranges.txt"), "<html>").expect("written");
    let folder = place.path("");
    let more = format!("listen.http = [\"127.0.0.1:0\"]\nadmin.listen = \"127.0.0.1:0\"\nstate.folder = {folder:?}\n");
    place.configure(&more, app.address);
    let gateway = place.start();
    gateway.serving(0).await;
    let line =
        gateway.line("the list of Cloudflare's addresses is of no use; the one that was shipped is used", 0).await;
    assert!(line["error"].as_str().is_some_and(|error| error.contains("`<html>` is no address range")), "{line}");
}
