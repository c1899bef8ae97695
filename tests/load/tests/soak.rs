//! Two minutes of the soak that docs/load.md has operators run for thirty: the real stack, by the command itself. What the known server's leaks
//! look like to it is in `known.rs`.

use std::process::Command;

use load::outcome::Outcome;
use load::soak::Growth;

/// Requests a second: far below what two slow cores do beside a compiler, so that nothing piles up that would look like growth.
const RATE: &str = "20";

#[test]
fn nothing_grows_in_two_minutes_of_a_steady_week() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("soak");
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.args(["soak", "steady-week", "--stack", "--quick", "--rate", RATE, "--lasts", "2m", "--out"]).arg(&out);
    let done = command.output().unwrap();
    let (said, complaints) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    // 1 is also that an objective was broken, as it may be here: how fast it is depends on what else this machine does.
    assert!(matches!(done.status.code(), Some(0 | 1)), "{:?}\n{said}{complaints}", done.status);
    let outcome = Outcome::read(&out.with_extension("json")).unwrap();
    // The embedded storage keeps its last 1,000 requests for whoever asks, which two minutes do not fill.
    let storage = |growth: &Growth| growth.process == "storage" && growth.what == "memory";
    let grown: Vec<_> = outcome.soak.iter().filter(|growth| growth.grows && !storage(growth)).collect();
    assert!(grown.is_empty(), "{grown:#?}\n{said}");
    // That it was looked at, and that there was something to see.
    let looked = |process: &str, what: &str| outcome.soak.iter().any(|g| g.process == process && g.what == what);
    for what in ["memory", "descriptors", "threads"] {
        assert!(looked("gateway", what) && looked("app", what), "{what}: {:?}", outcome.soak);
    }
    assert!(looked("gateway", "tasks"), "{:?}", outcome.soak);
    let routes = &outcome.rounds[0].routes;
    let (all, failed) = routes.iter().fold((0, 0), |(all, failed), r| (all + r.count, failed + r.failed()));
    assert!(all > 2_000 && failed * 20 < all, "{failed} of {all} failed\n{said}");
}
