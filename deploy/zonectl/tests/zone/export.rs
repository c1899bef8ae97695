//! The way out: the zone as files, which make the same zone again.

use std::fs;

use deploy::{Needed, have};

use crate::world::World;

#[test]
fn an_export_is_the_same_zone_and_makes_another_one_like_it() {
    let world = World::applied();
    // Whatever is not ours goes along.
    let other = serde_json::json!({ "id": "a".repeat(32), "type": "TXT", "name": "makenot.work", "content": "\"verification=\\\"x\\\"\"", "ttl": 300, "proxied": false });
    world.cloudflare.zone().records.push(other);
    world
        .cloudflare
        .zone()
        .routes
        .iter_mut()
        .filter(|it| it["pattern"] == "staging.makenot.work/*")
        .for_each(|it| it["request_limit_fail_open"] = false.into());
    let _ = world.cloudflare.writes();
    world.has(0, &["export", "live"]);
    assert!(world.cloudflare.writes().is_empty());
    world.has(0, &["--file", "live/zone.toml", "plan"]);
    let toml = fs::read_to_string(world.path("live/zone.toml")).unwrap();
    assert!(toml.contains("fail_closed = [\"staging.makenot.work/*\"]"), "{toml}");

    // BIND takes it.
    have(&[Needed { program: "named-compilezone", package: "bind9-utils" }]);
    let checked = std::process::Command::new("named-compilezone")
        .args(["-i", "local", "-F", "text", "-o", "-", "makenot.work"])
        .arg(world.path("live/makenot.work.zone"))
        .env("PATH", "/usr/bin:/usr/sbin")
        .output();
    let checked = checked.expect("named-compilezone can be run");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    // Another account, an empty zone.
    let next = World::new();
    fs::create_dir(next.path("live")).unwrap();
    for file in ["zone.toml", "makenot.work.zone"] {
        fs::copy(world.path("live").join(file), next.path("live").join(file)).unwrap();
    }
    next.has(0, &["ca", "new", "ca"]);
    next.has(0, &["ca", "install", "ca", "--trusted", "ca/zone-ca.pem"]);
    next.has(0, &["--file", "live/zone.toml", "apply", "--yes"]);
    next.has(0, &["export", "again"]);
    for file in ["zone.toml", "makenot.work.zone"] {
        let lines = |path: std::path::PathBuf| {
            let text = fs::read_to_string(path).unwrap();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(lines(world.path("live").join(file)), lines(next.path("again").join(file)), "{file}");
    }
}
