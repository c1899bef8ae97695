//! What is wrong with the files is said before anybody is asked.

use deploy::{Needed, have};

use crate::world::World;

const TOML: &str = "deploy/cloudflare/zone.toml";
const ZONE: &str = "deploy/zone/makenot.work.zone";

#[test]
fn an_error_names_the_file_and_what_would_be_right() {
    for (file, from, to, complaint) in [
        (TOML, "zone = ", "zones = ", "deploy/cloudflare/zone.toml: TOML parse error at line 5"),
        (TOML, "makenot.work.zone", "missing.zone", "missing.zone cannot be read: No such file"),
        (TOML, "fail_closed = []", "fail_closed = [\"other/*\"]", "routes.fail_closed: no Worker runs on other/*"),
        (TOML, "\"makenot.work/health*\"", "\"makenot.work/*\"", "there are two routes makenot.work/*"),
        (
            TOML,
            "[[rules.http_ratelimit]]",
            "[[rules.http_ratelimits]]",
            "rules.http_ratelimits: there is no such phase; there are http_config_settings",
        ),
        (
            TOML,
            "[[rules.http_ratelimit]]",
            "[[rules.http_ratelimit]]\ndescription = \"a\"\naction = \"block\"\nexpression = \"true\"\n[[rules.http_ratelimit]]",
            "rules.http_ratelimit: there are 2 rules; the free plan has 1",
        ),
        (
            TOML,
            "description = \"one address, too many requests\"",
            "",
            "rules.http_ratelimit: a rule has no `description`",
        ),
        (
            TOML,
            "static files are kept as they say",
            "nothing is kept but what is static",
            "two rules have the description \"nothing is kept but what is static\"",
        ),
        (
            TOML,
            "expression = 'true'",
            "",
            "\"nothing is kept but what is static\": its `expression` has 0 characters; it may have 4096",
        ),
        ("deploy/cloudflare/custom-rules.json", "\"rules\"", "\"rule\"", "custom-rules.json: missing field `rules`"),
        (
            "wrangler.toml",
            "pattern = \"makenot.work/*\"",
            "custom_domain = true\npattern = \"makenot.work\"",
            "wrangler.toml: makenot.work is a Custom Domain, which leaves no server to fail open to",
        ),
        (TOML, "zone = \"makenot.work\"", "zone = \"example.org\"", "makenot.work is not in example.org"),
        (ZONE, "203.0.113.10", "203.0.113", "makenot.work.zone: line 15: A 203.0.113: is not an IPv4 address"),
    ] {
        let world = World::new();
        world.edit(file, from, to);
        let said = world.has(1, &["plan"]);
        assert!(said.contains(complaint), "{from} → {to}: {said}");
        assert!(world.cloudflare.zone().asked.is_empty(), "nobody was asked");
    }
}

#[test]
fn a_worker_of_another_zone_is_said() {
    let world = World::new();
    std::fs::write(world.path("zone.toml"), "zone = \"example.org\"\n[routes]\nwrangler = \"wrangler.toml\"\n")
        .unwrap();
    let said = world.has(1, &["--file", "zone.toml", "plan"]);
    assert!(said.contains("wrangler.toml has no route whose zone_name is example.org"), "{said}");
}

/// Ours, and BIND's.
#[test]
fn the_zone_file_is_read_as_bind_reads_it() {
    have(&[Needed { program: "named-compilezone", package: "bind9-utils" }]);
    let world = World::applied();
    let output = std::process::Command::new("named-compilezone")
        .args(["-i", "local", "-s", "full", "-F", "text", "-o", "-", "makenot.work"])
        .arg(world.path(ZONE))
        .env("PATH", "/usr/bin:/usr/sbin")
        .output()
        .expect("named-compilezone can be run");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut theirs: Vec<(String, String)> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() > 4 && !(words[3] == "SOA" || words[3] == "NS"))
        .map(|words| (words[0].trim_end_matches('.').to_owned(), words[3].to_owned()))
        .collect();
    let mut ours: Vec<(String, String)> = world
        .cloudflare
        .zone()
        .records
        .iter()
        .map(|it| (it["name"].as_str().unwrap().to_owned(), it["type"].as_str().unwrap().to_owned()))
        .collect();
    theirs.sort();
    ours.sort();
    assert_eq!(ours, theirs);
}

/// In a checkout the operator types `cargo zone`, on the VPS the program's own name.
#[test]
fn the_help_says_what_is_typed() {
    let said = |cargo: bool| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_zonectl"));
        command.arg("--help").env_remove("CARGO");
        if cargo {
            command.env("CARGO", "cargo");
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    for (cargo, called, other) in [(true, "cargo zone", "zonectl"), (false, "zonectl", "cargo zone")] {
        let said = said(cargo);
        for line in [format!("Usage: {called} ["), format!("  {called} plan "), format!("| {called} ca install ~")] {
            assert!(said.contains(&line), "{line}\n{said}");
        }
        assert!(!said.contains(other), "{said}");
    }
}
