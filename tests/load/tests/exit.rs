//! What the command says by its exit code, which is all that CI asks it: 0, 1, 2 and 3 of docs/load.md, against servers that are known.

#[expect(dead_code, reason = "what they saw is asked for in known.rs")]
mod server;

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use load::outcome::{Outcome, Round};
use server::{Does, Server};
use tempfile::TempDir;
use tokio::process::Command;

/// A folder with a scenario of 30 requests in 300 ms, and what is written beside it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = "title = \"a test\"\nasks = \"does it end as it should?\"\nplan = 1\n\
                    objectives = { p99 = \"9s\", errors = \"1%\" }\nbounds = { requests = 1000 }\n\
                    phase = [{ name = \"p\", rate = 100, lasts = \"300ms\" }]\n\
                    visitor = [{ name = \"v\", share = 1, step = [{ route = \"r\", path = \"/\" }] }]\n";
        std::fs::write(folder.path().join("s.toml"), text).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Another scenario there.
    fn change(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("s.toml")).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    async fn load(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
        command.args(arguments).current_dir(self.0.path()).kill_on_drop(true);
        tokio::time::timeout(Duration::from_secs(60), command.output()).await.unwrap().unwrap()
    }

    /// Whether it ends so, and says that.
    async fn ends(&self, arguments: &[&str], code: i32, says: &str) {
        let output = self.load(arguments).await;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(
            output.status.code() == Some(code) && said.contains(says),
            "{arguments:?}: {:?}\n{said}",
            output.status
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_is_0_and_what_was_broken_1() {
    let folder = Folder::new();
    let server = Server::start(Does::Waits(Duration::ZERO)).await;
    let url = server.url();
    folder.ends(&["run", "s.toml", "--against", &url, "--out", "kept"], 0, "kept").await;
    let page = std::fs::read_to_string(folder.path("kept.html")).unwrap();
    assert!(page.contains("All objectives kept") && Outcome::read(&folder.path("kept.json")).unwrap().kept());
    folder.ends(&["scenarios"], 0, "launch-day").await;

    let failing = Server::start(Does::Fails).await;
    let arguments = ["run", "s.toml", "--against", &failing.url(), "--out", "broken"];
    folder.ends(&arguments, 1, "BROKEN").await;
    let page = std::fs::read_to_string(folder.path("broken.html")).unwrap();
    assert!(page.contains("Not all objectives kept"));

    // One that stops at its bounds has not shown that the rest would have been kept.
    let handing = Server::start(Does::HandsOff).await;
    let (from, to) = ("path = \"/\"", "path = \"/download\", follow = true");
    folder.change("cut.toml", from, to);
    let text = std::fs::read_to_string(folder.path("cut.toml")).unwrap().replace("requests = 1000", "requests = 40");
    std::fs::write(folder.path("cut.toml"), text).unwrap();
    let arguments = ["run", "cut.toml", "--against", &handing.url(), "--out", "cut"];
    folder.ends(&arguments, 1, "ended early: bounds.requests were sent").await;

    // The knee is below a plan that nobody could keep: `to` is as far as it looks.
    folder.change("planned.toml", "plan = 1\n", "plan = 1000\n");
    let arguments =
        ["knee", "planned.toml", "--against", &url, "--from", "20", "--to", "20", "--each", "4s", "--out", "knee"];
    folder.ends(&arguments, 1, "the plan is 1000").await;
    // And where there is no plan, nothing that was kept is no knee.
    let text = std::fs::read_to_string(folder.path("s.toml")).unwrap().replace("plan = 1\n", "");
    let text = text.replace("path = \"/\"", "path = \"/\", expect = [404]");
    std::fs::write(folder.path("unplanned.toml"), text).unwrap();
    let arguments =
        ["knee", "unplanned.toml", "--against", &url, "--from", "1", "--to", "1", "--each", "4s", "--out", "v1.2"];
    folder.ends(&arguments, 1, "figures: v1.2.json").await;
    // What is watched has gone: it has not kept its memory.
    let mut leaves = Command::new("sleep").arg("8").spawn().unwrap();
    let pid = format!("it={}", leaves.id().unwrap());
    let soak = ["soak", "s.toml", "--against", &url, "--rate", "5", "--lasts", "20s", "--pid", &pid, "--out", "soak"];
    let ((), left) = tokio::join!(folder.ends(&soak, 1, "it (gone)"), leaves.wait());
    left.unwrap();
    assert!(Outcome::read(&folder.path("soak.json")).unwrap().soak.iter().any(|growth| growth.grows));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_2_before_anything_is_sent() {
    let folder = Folder::new();
    folder.change("unjudged.toml", "lasts = ", "judged = false, lasts = ");
    folder.change("typo.toml", "share = 1", "share = 1, fields = { x = \"{typo}\" }");
    folder.change("blank.toml", "path = \"/\"", "path = \"/a b\"");
    folder.change("large.toml", "path = \"/\"", "path = \"/\", body_bytes = 1000000000000");
    folder.change(
        "ages.toml",
        "\"300ms\" }",
        "\"400000000000y\" }, { name = \"q\", rate = 1, lasts = \"400000000000y\" }",
    );
    let sign_in =
        "sign_in = { path = \"/\", token = \"t\", fields = { p = \"{secret.key}\" }, sessions = 1, every = \"1s\" }\n";
    folder.change("secret.toml", "phase = ", &format!("{sign_in}phase = "));
    let server = Server::start(Does::Fails).await;
    let url = server.url();
    for (arguments, says) in [
        (&["run", "no-such", "--against", &url][..], "launch-day"),
        (&["run", "s.toml", "--against", "https://staging.example"], "I may load staging.example"),
        (&["run", "s.toml", "--against", "https://staging.example", "--yes-load", "staging.example"], "consent"),
        (&["run", "s.toml", "--against", "no-such-target.toml"], "no-such-target.toml"),
        (&["run", "s.toml", "--against", "localhost:8080"], "neither a URL (http://… or https://…) nor a file"),
        (&["run", "s.toml", "--against", &url, "--pid", "gateway=4000000000"], "there is no process 4000000000"),
        (&["run", "unjudged.toml", "--against", &url], "none is judged"),
        (&["run", "typo.toml", "--against", &url], "visitor `v`: {typo} is not in [choose]"),
        (&["run", "blank.toml", "--against", &url], "path `/a b`"),
        (&["run", "large.toml", "--against", &url], "body_bytes is at most"),
        (&["run", "ages.toml", "--against", &url], "bounds.lasts"),
        (&["run", "secret.toml", "--against", &url], "{secret.key}"),
        (&["run", "s.toml"], "--against"),
        (&["run", "s.toml", "--against", &url, "--rounds", "0"], "--rounds"),
        (&["run", "s.toml", "--against", &url, "--scale", "0"], "--scale"),
        // 3,000 requests of 1,000.
        (&["run", "s.toml", "--against", &url, "--scale", "100"], "bounds.requests (1000)"),
        (&["run", "s.toml", "--against", &url, "--through", "nginx"], "cannot be used with"),
        (&["run", "s.toml", "--against", &url, "--as-edge"], "cannot be used with"),
        (&["run", "s.toml", "--against", &url, "--quick"], "cannot be used with"),
        (&["run", "s.toml", "--through", "nginx"], "--stack"),
        (&["run", "s.toml", "--as-edge"], "--stack"),
        (&["run", "s.toml", "--stack", "--through", "nginx", "--as-edge"], "--as-edge"),
        (&["run", "s.toml", "--stack", "--against", &url], "--against"),
        (&["run", "s.toml", "--against", &url, "--pid", "gateway"], "NAME=PID"),
        (&["run", "origin-outage", "--against", &url], "fault.outage"),
        (&["knee", "origin-outage", "--against", &url], "fault.outage"),
        (&["run", "cold-after-purge", "--stack", "--through", "nginx"], "which nginx has no request for"),
        (&["run", "launch-day", "--against", &url], "secrets"),
        (&["knee", "s.toml", "--against", &url, "--each", "1s"], "--each"),
        // To 20,000 a second for 25 s.
        (&["knee", "s.toml", "--against", &url], "bounds.requests (1000)"),
        (&["soak", "s.toml", "--against", &url, "--rate", "51", "--lasts", "20s"], "bounds.requests (1000)"),
        (&["soak", "s.toml", "--against", &url, "--rate", "1", "--lasts", "5s"], "--lasts"),
        // No process whose growth could be seen.
        (&["soak", "s.toml", "--against", &url, "--rate", "1", "--lasts", "20s"], "[processes]"),
        (&["compare", "no-such.json", "no-such.json"], "no-such.json"),
        (&["limits", "launch-day", "launch-night"], "launch-night: neither a file nor a scenario"),
        (&["sing"], "sing"),
    ] {
        folder.ends(arguments, 2, says).await;
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_is_3() {
    let folder = Folder::new();
    // Nobody listens there any more, and nobody else gets it.
    let dead = load::ports::free().unwrap();
    let url = format!("http://{dead}");
    folder.ends(&["run", "s.toml", "--against", &url], 3, "no connection to").await;
    let knee = ["knee", "s.toml", "--against", &url, "--from", "1", "--to", "2", "--each", "4s"];
    folder.ends(&knee, 3, "no connection to").await;
    // There is somebody, but the form that visitors sign in by is none.
    let server = Server::start(Does::Waits(Duration::ZERO)).await;
    let sign_in = "sign_in = { path = \"/\", token = \"t\", fields = {}, sessions = 1, every = \"1ms\" }\nphase = ";
    folder.change("fans.toml", "phase = ", sign_in);
    let text =
        std::fs::read_to_string(folder.path("fans.toml")).unwrap().replace("share = 1", "share = 1, signed_in = true");
    std::fs::write(folder.path("fans.toml"), text).unwrap();
    folder.ends(&["run", "fans.toml", "--against", &server.url()], 3, "no hidden field `t`").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_is_1_where_b_is_worse_and_2_where_nothing_could_be_told() {
    let folder = Folder::new();
    let server = Server::start(Does::Waits(Duration::from_millis(5))).await;
    folder.ends(&["run", "s.toml", "--against", &server.url(), "--rounds", "5", "--out", "a"], 0, "kept").await;
    let a = Outcome::read(&folder.path("a.json")).unwrap();
    let written = |name: &str, change: &dyn Fn(&mut Outcome)| {
        let mut outcome = a.clone();
        change(&mut outcome);
        outcome.write(&folder.path(name)).unwrap();
    };
    let times = |round: &mut Round, by: f64| {
        round.routes.iter_mut().for_each(|route| {
            route.from_due.p50_ms *= by;
            route.from_due.p99_ms *= by;
        });
    };
    // Further from each other than any two rounds were.
    written("slow.json", &|outcome| outcome.rounds.iter_mut().for_each(|round| times(round, 1e6)));
    written("few.json", &|outcome| outcome.rounds.truncate(2));
    written("early.json", &|outcome| outcome.ended_early = true);
    written("other.json", &|outcome| outcome.title = "another".to_owned());
    written("soak.json", &|outcome| outcome.command = "soak".to_owned());
    written("old.json", &|outcome| outcome.format = 0);
    for (first, second, code, says) in [
        ("a.json", "a.json", 0, "no difference"),
        ("a.json", "slow.json", 1, "B is worse"),
        ("slow.json", "a.json", 0, "B is better"),
        ("a.json", "few.json", 2, "too few rounds to tell: of 3 figures, run each with --rounds 5 or more"),
        ("early.json", "a.json", 2, "ended early"),
        ("a.json", "other.json", 2, "only runs of one scenario"),
        ("a.json", "soak.json", 2, "asked alike"),
        ("a.json", "old.json", 2, "format 0"),
    ] {
        folder.ends(&["compare", first, second], code, says).await;
    }
}

/// Only one figure of many, and only that one, is what B is worse at.
#[tokio::test(flavor = "multi_thread")]
async fn one_figure_alone_makes_b_worse() {
    let folder = Folder::new();
    let server = Server::start(Does::Waits(Duration::from_millis(5))).await;
    let pid = format!("server={}", std::process::id());
    let run = ["run", "s.toml", "--against", &server.url(), "--rounds", "6", "--pid", &pid, "--out", "a"];
    folder.ends(&run, 0, "kept").await;
    let a = Outcome::read(&folder.path("a.json")).unwrap();
    let found = |change: &dyn Fn(&mut Round)| {
        let mut b = a.clone();
        b.rounds.iter_mut().for_each(change);
        let found = load::compare::compare(&a, &b);
        let worse = found.iter().filter(|one| one.verdict != load::compare::Verdict::Same);
        worse.map(|one| (one.figure.clone(), one.verdict)).collect::<Vec<_>>()
    };
    assert!(found(&|_| {}).is_empty());
    let failing = found(&|round| {
        round.routes[0].errors.insert("closed".to_owned(), 3);
    });
    assert_eq!(failing, [("errors, share".to_owned(), load::compare::Verdict::Worse)]);
    let costly = found(&|round| {
        for usage in round.seconds.iter_mut().filter_map(|second| second.processes.get_mut("server")) {
            usage.cpu_cores = usage.cpu_cores.mul_add(10.0, 1.0);
        }
    });
    assert_eq!(costly, [("server, µs CPU/request".to_owned(), load::compare::Verdict::Worse)]);
    // And what the generator itself used is nobody's figure.
    let generator = found(&|round| {
        round
            .seconds
            .iter_mut()
            .flat_map(|second| second.processes.values_mut())
            .for_each(|usage| usage.memory_bytes *= 9);
    });
    assert!(generator.is_empty(), "{generator:?}");
}

/// It lies there for whoever reads it: the file, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn the_report_says_the_verdict_and_asks_nobody() {
    let folder = Folder::new();
    let server = Server::start(Does::Fails).await;
    let pid = format!("server={}", std::process::id());
    let run = ["run", "s.toml", "--against", &server.url(), "--rounds", "2", "--pid", &pid, "--out", "it"];
    folder.ends(&run, 1, "figures:").await;
    let page = std::fs::read_to_string(folder.path("it.html")).unwrap();
    for title in [
        "Latency, from when requests were due",
        "Percentiles by route",
        "Throughput",
        "Errors",
        "CPU",
        "Memory, resident",
        "At once",
    ] {
        let drawn = page.matches(&format!("<figcaption>{title} <small>")).count();
        let without_unit = page.matches(&format!("<figcaption>{title}</figcaption>")).count();
        assert_eq!(drawn + without_unit, 2, "{title}: once for each round");
    }
    assert!(page.contains("<polyline") && page.contains("server, at most"), "the process that was named has a line");
    assert!(page.contains("Not all objectives kept") && page.contains("Round 2") && page.contains("status: "));
    for outside in ["src=", "href=", "url(", "@import", "<script", "<link", "<iframe"] {
        assert!(!page.contains(outside), "{outside}");
    }
}
