//! `origin explain`: by the log of a gateway that runs, and by what it says of a URL.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::app::{Mood, Server};
use crate::gateway::{get, rest};
use crate::process::Place;

/// The exit code, and all that is said.
fn origin(arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_origin"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("piped");
    // It may know already that it does not want it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test]
async fn a_request_by_its_id_and_a_url_by_its_way() {
    let app = Server::start(Mood::Mute).await;
    let place = Place::new();
    let text = format!(
        "listen = {{ http = [\"127.0.0.1:0\"], cores = 1 }}\nadmin.listen = \"unix:{}\"\n\
         [filter]\nblock = [\"sqli\"]\n[rate.all]\nburst = 100\nevery = \"1s\"\n[webhook.stripe]\npath = \"/hook\"\nscheme = \"stripe\"\nsecrets_file = \"{}\"\n\
         [[site]]\nhosts = [\"a\"]\napp = \"{}\"\n",
        place.path("admin.sock").display(),
        place.path("stripe").display(),
        app.address
    );
    std::fs::write(place.path("stripe"), "whsec_0123456789abcdef0123").expect("written");
    std::fs::write(place.path("origin.toml"), text).expect("written");
    let running = place.start();
    let at = running.serving(0).await.at("http");
    let say = async |path: &str| {
        let mut stream = tokio::net::TcpStream::connect(at).await.expect("it listens");
        tokio::io::AsyncWriteExt::write_all(&mut stream, get(path).as_bytes()).await.expect("open");
        rest(&mut stream).await
    };
    assert!(say("/broken").await.starts_with("HTTP/1.1 502 "));
    assert!(say("/?id=1%27%20or%20%271%27=%271").await.starts_with("HTTP/1.1 403 "));
    let lines = [running.line("request", 0).await, running.line("request", 1).await];
    let log: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let id = |n: usize| lines[n]["request.id"].as_str().expect("an id");

    let (code, said) = origin(&["explain", id(0), "--log", "-"], &log);
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "GET a/broken, asked by 127.0.0.1 over HTTP/1.1, directly (direct)",
        "answered 502",
        "Why: app-unreachable.",
        "docs/operations.md#502-app-unreachable",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let file = place.path("log");
    std::fs::write(&file, &log).expect("written");
    let (code, said) = origin(&["explain", id(1), "--log", &file.display().to_string()], "");
    assert!(
        code == Some(0) && said.contains("The filter's rule `sqli") && said.contains("matched in the query"),
        "{said}"
    );
    assert!(said.contains("docs/operations.md#403-blocked"), "{said}");
    let nobody = "0af7651916cd43dd8448eb211c80319c";
    let (code, said) = origin(&["explain", nobody, "--log", "-"], &log);
    assert!(
        code == Some(1) && said.contains("npx wrangler tail --format json >tail.json") && said.contains("--log FILE"),
        "{said}"
    );
    assert_eq!(origin(&["explain", nobody, "--log", "/nowhere"], "").0, Some(1));
    let (code, said) = origin(&["explain", "/page"], "");
    assert!(code == Some(2) && said.contains("is neither"), "{said}");

    let config = place.path("origin.toml").display().to_string();
    let way = |url: &str, more: &[&str]| {
        let (code, said) = origin(&[&["explain", url, "--config", &config], more].concat(), "");
        assert_eq!(code, Some(0), "{said}");
        // One space between words, so that columns may change.
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(way("http://b/", &[]).contains("site none has the host b: 421 unknown-host"));
    assert!(way("http://a/x%2fy", &[]).contains("path refused: 400 path-refused"));
    assert!(way("http://a/hook", &[]).contains("webhook is stripe's"));
    let stopped = way("http://a/?id=1%27%20or%20%271%27=%271", &[]);
    assert!(stopped.contains("stops it: 403 blocked, by the rule `sqli") && !stopped.contains("cache"), "{stopped}");
    let passes = way("http://a/page", &[]);
    for part in [
        "site a, which is [[site]] number 1",
        "trust direct",
        "filter passes: no rule matches",
        "rate counted by [rate.all]",
        "cache has nothing",
        &format!("app goes to {}", app.address),
    ] {
        assert!(passes.contains(part), "{part}: {passes}");
    }

    app.set(Mood::Stored);
    assert!(say("/page").await.starts_with("HTTP/1.1 200 "));
    let stored = way("http://a/page", &[]);
    for part in [
        "with status 200, 0 s old; fresh for",
        "cache-control: public, max-age=60",
        "tags t",
        "it would be sent, as `hit`.",
    ] {
        assert!(stored.contains(part), "{part}: {stored}");
    }
    assert!(!stored.contains("app goes to"), "{stored}");
    for (order, says) in [
        (&["purge", "--soft", "--tag", "t"][..], "A soft purge hit it."),
        (&["purge", "--tag", "t"], "A purge hit it."),
    ] {
        assert_eq!(origin(&[order, &["--config", &config]].concat(), "").0, Some(0));
        let purged = way("http://a/page", &[]);
        assert!(purged.contains(says), "{purged}");
    }
    assert!(way("http://a/page", &[]).contains("it would not be used, and the app be asked"));
    assert_eq!(origin(&["maintenance", "on", "--allow", "203.0.113.7", "--config", &config], "").0, Some(0));
    assert!(way("http://a/page", &[]).contains("maintenance closed for 192.0.2.1: 503"));
    assert!(!way("http://a/page", &["--client", "203.0.113.7"]).contains("maintenance"));

    // Nothing of it has been counted, or has reached the app.
    assert_eq!(app.seen().len(), 2, "{:?}", app.seen());
    let (code, said) = origin(&["explain", "http://me@a/", "--config", &config], "");
    assert!(code == Some(1) && said.contains("400"), "{said}");
}
