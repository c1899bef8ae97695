//! How often one client may do something, and what it is told.

use std::process::Command;
use std::time::Duration;

use crate::app::Script;
use crate::gateway::{Gateway, assert_problem};

const SIGN_IN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\n\
    [rate.sign-in]\npaths = [\"/login\"]\nmethods = [\"POST\"]\nburst = 5\nevery = \"10s\"\n\
    [rate.pages]\nburst = 100\nevery = \"1s\"";

/// The app answers the next request.
async fn answered(script: &Script, answer: &str) -> String {
    let mut line = script.accept().await;
    let asked = line.head().await;
    line.say(answer).await;
    asked
}

const PLAIN: &str = "HTTP/1.1 200 OK\r\nx-ratelimit-limit: 60\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn a_burst_passes_and_what_is_over_it_does_not_reach_the_app() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), SIGN_IN);
    for left in (0..5).rev() {
        let (answer, _) = tokio::join!(gateway.post("/login"), answered(&script, PLAIN));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains(&format!("\"sign-in\";r={left};t=")), "{answer}");
        assert!(answer.contains("ratelimit-policy: \"pages\";q=100;w=100, \"sign-in\";q=5;w=50\r\n"), "{answer}");
        // What the app has said is the app's to say.
        assert!(
            answer.contains("x-ratelimit-limit: 60\r\n")
                && answer.contains(&format!("x-ratelimit-remaining: {left}\r\n"))
        );
    }
    let refused = gateway.post("/login").await;
    assert_problem(&refused, 429, "rate-limited");
    assert!(refused.contains("\"sign-in\";r=0;t=50"), "{refused}");
    let wait = refused.split("retry-after: ").nth(1).and_then(|rest| rest.lines().next()?.parse::<u32>().ok());
    assert!(wait.is_some_and(|seconds| (1..=10).contains(&seconds)), "{refused}");
    assert!(script.is_left_alone(Duration::from_millis(50)).await);
    let metrics = gateway.ask_admin("GET", "/metrics").await;
    assert!(metrics.contains("origin_rate_limited_total{limit=\"sign-in\"} 1\n"), "{metrics}");
    assert!(metrics.contains("origin_rate_limited_total{limit=\"pages\"} 0\n"));
}

#[tokio::test]
async fn a_stored_answer_tells_nobody_of_anothers_requests() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), SIGN_IN);
    let stored = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    let (first, _) = tokio::join!(gateway.get("/page"), answered(&script, stored));
    let second = gateway.get("/page").await;
    assert!(second.contains("; hit; ttl="), "{second}");
    assert!(!first.contains("ratelimit") && !second.contains("ratelimit"), "{first}{second}");
}

#[test]
fn a_key_and_where_it_goes() {
    let keygen = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_origin")).arg("keygen").args(arguments).output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, first, told) = keygen(&[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("/etc/origin/edge.keys") && told.contains("wrangler secret put EDGE_KEY"), "{told}");
    let second = keygen(&["--id", "next"]).1;
    assert!(second.starts_with("next:") && second.lines().count() == 1 && !told.contains(first.trim()));
    let both = contract::Keys::parse(&format!("{first}{second}")).expect("two good keys");
    assert!(format!("{both:?}").contains("next"), "{both:?}");
    assert_eq!(keygen(&["--id", "a b"]).0, Some(2));
}
