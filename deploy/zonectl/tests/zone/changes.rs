//! From an empty zone to one that is as the file wants it, and back to it after drift.

use serde_json::json;

use crate::world::World;

#[test]
fn an_empty_zone_becomes_as_the_file_wants_it_and_a_second_plan_is_empty() {
    let world = World::new();
    let plan = world.has(2, &["plan"]);
    let calls = world.cloudflare.zone().asked.len();
    assert!(calls <= 40, "a plan is {calls} calls");
    assert!(world.cloudflare.writes().is_empty(), "a plan changes nothing");
    for line in [
        "makenot.work: zone 023e105f4ecef8ad9ca31a8372d0c353, plan free, active",
        "~ settings       ssl: \"flexible\" → \"strict\"",
        "~ settings       browser_cache_ttl: 14400 → 0",
        "~ url            scope: \"incoming\" → \"none\"",
        "+ rules          http_ratelimit: + \"one address, too many requests\"",
        "+ routes         makenot.work/api/sync/*: no Worker",
        "+ routes         makenot.work/*: makenotwork-edge, fails open",
        "+ routes         staging.makenot.work/*: makenotwork-edge-staging, fails open",
        "+ dns            makenot.work A 203.0.113.10, proxied",
        "+ dns            domains.makenot.work A 203.0.113.10, ttl 300",
        "+ dns            _imap._tcp.makenot.work SRV 0 0 0 ., ttl 3600",
        "~ dnssec         disabled → active",
        "! origin pulls   off → on: the zone has no certificate yet; `zonectl ca install` uploads it and turns it on",
    ] {
        assert!(plan.contains(line), "{line}\n{plan}");
    }

    // Nobody is there to be asked.
    let said = world.has(1, &["apply"]);
    assert!(said.contains("nothing was done: nobody can be asked here, so say --yes"), "{said}");
    assert!(world.cloudflare.writes().is_empty());

    // All but what needs the authority.
    let said = world.has(2, &["apply", "--yes"]);
    assert!(said.ends_with("uploads it and turns it on\n1 difference\n"), "{said}");
    world.has(0, &["ca", "new", "ca"]);
    world.has(0, &["ca", "install", "ca", "--trusted", "ca/zone-ca.pem"]);
    let asked = world.cloudflare.writes();
    let said = world.has(0, &["plan"]);
    assert!(said.ends_with("the zone is as the file wants it\n"), "{said}");
    world.has(0, &["apply", "--yes"]);
    assert!(world.cloudflare.writes().is_empty(), "a second apply changes nothing");

    // What was in danger on the way was not: exceptions before what they are excepted from, addresses last.
    let at = |path: &str, says: &str| {
        let found = asked.iter().position(|it| it.path.contains(path) && it.body.to_string().contains(says));
        found.unwrap_or_else(|| panic!("{path} {says}"))
    };
    assert!(at("settings/ssl", "strict") < at("workers/routes", "makenotwork-edge"));
    assert!(at("http_request_cache_settings", "false") < at("workers/routes", "makenotwork-edge"));
    assert!(at("workers/routes", "makenot.work/webhooks/*") < at("workers/routes", "makenotwork-edge"));
    assert!(at("workers/routes", "staging.makenot.work/*") < at("dns_records", "203.0.113.10"));

    let zone = world.cloudflare.zone();
    assert_eq!(zone.records.len(), 40);
    assert!(zone.pulls_enabled && zone.dnssec == "pending" && zone.url_normalization["scope"] == "none");
    assert_eq!(zone.settings["ssl"], "strict");
    assert_eq!(zone.bots["fight_mode"], false);
    assert_eq!(zone.rules["http_request_firewall_custom"].len(), 4);
    let caching: Vec<_> =
        zone.rules["http_request_cache_settings"].iter().map(|it| &it["action_parameters"]["cache"]).collect();
    assert_eq!(caching, [false, true], "the last that matches counts");
    let scripts: Vec<_> =
        zone.routes.iter().map(|it| (it["pattern"].as_str().unwrap(), it["script"].as_str())).collect();
    assert_eq!(scripts.iter().filter(|(_, script)| script.is_none()).count(), 4, "{scripts:?}");
    assert!(scripts.contains(&("makenot.work/api/sync/ota/*", Some("makenotwork-edge"))), "{scripts:?}");
    assert!(zone.routes.iter().all(|it| it["script"].is_null() || it["request_limit_fail_open"] == true));
}

#[test]
fn drift_is_said_and_mended_and_what_is_not_ours_stays() {
    let world = World::applied();
    {
        let mut zone = world.cloudflare.zone();
        for record in &mut zone.records {
            if record["name"] == "makenot.work" && record["type"] == "A" {
                record["content"] = "192.0.2.99".into();
            }
            if record["name"] == "forums.makenot.work" {
                record["proxied"] = false.into();
                record["ttl"] = 300.into();
            }
        }
        let other = json!({ "id": "a".repeat(32), "type": "TXT", "name": "makenot.work", "content": "\"google-site-verification=x\"", "ttl": 1, "proxied": false });
        zone.records.push(other);
        zone.settings.insert("rocket_loader", "on".into());
        zone.rules.get_mut("http_ratelimit").unwrap()[0]["ratelimit"]["requests_per_period"] = 5.into();
        let rule = json!({ "id": "b".repeat(32), "ref": "mine", "version": "1", "description": "by hand", "action": "block", "expression": "ip.src eq 192.0.2.1", "enabled": true });
        zone.rules.get_mut("http_request_firewall_custom").unwrap().push(rule);
        zone.routes
            .iter_mut()
            .filter(|it| it["pattern"] == "makenot.work/*")
            .for_each(|it| it["request_limit_fail_open"] = false.into());
        zone.routes.push(json!({ "id": "c".repeat(32), "pattern": "old.makenot.work/*", "script": "makenotwork-edge", "request_limit_fail_open": false }));
    }
    let said = world.has(2, &["plan"]);
    for line in [
        "~ dns            makenot.work A 192.0.2.99, proxied → 203.0.113.10",
        "~ dns            forums.makenot.work CNAME makenot.work, ttl 300 → proxied",
        "~ settings       rocket_loader: \"on\" → \"off\"",
        "~ \"one address, too many requests\" ratelimit: ",
        "~ routes         makenot.work/*: makenotwork-edge, fails closed → makenotwork-edge, fails open",
        "= dns            makenot.work TXT \"google-site-verification=x\", ttl 1: is not in the file; --prune takes it out",
        "= rules          http_request_firewall_custom: \"by hand\" is not in the file; --prune takes it out",
        "= routes         old.makenot.work/*: makenotwork-edge, fails closed: is not in the file",
        "\n5 differences\n",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    world.has(0, &["apply", "--yes"]);
    world.has(0, &["plan"]);
    assert_eq!(world.record("makenot.work", "A")["content"], "203.0.113.10");
    assert_eq!(world.cloudflare.zone().records.len(), 41, "what is not ours stays");
    assert_eq!(world.cloudflare.zone().rules["http_request_firewall_custom"].len(), 5);

    let said = world.has(2, &["plan", "--prune"]);
    for line in [
        "- dns            makenot.work TXT \"google",
        "http_request_firewall_custom: - \"by hand\"",
        "- routes         old.makenot.work/*",
        "\n3 differences\n",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    world.has(0, &["apply", "--prune", "--yes"]);
    assert_eq!(world.cloudflare.zone().records.len(), 40);
    world.has(0, &["plan", "--prune"]);
}

/// The dashboard lets two rules have one description. One of them is the file's; the other is somebody's, and stays.
#[test]
fn a_second_rule_of_one_description_is_not_lost() {
    let world = World::applied();
    let phase = "http_request_firewall_custom";
    let mut second = world.cloudflare.zone().rules[phase][1].clone();
    let name = second["description"].as_str().unwrap().to_owned();
    for (key, value) in [("id", "b".repeat(32)), ("ref", "b".repeat(32)), ("expression", "(http.host eq \"b\")".into())]
    {
        second[key] = value.into();
    }
    world.cloudflare.zone().rules.get_mut(phase).unwrap().push(second.clone());
    let said = world.has(0, &["plan"]);
    assert!(said.contains(&format!("= rules          {phase}: \"{name}\" is not in the file")), "{said}");
    // Another change in the phase puts all of its rules.
    world.cloudflare.zone().rules.get_mut(phase).unwrap()[0]["enabled"] = false.into();
    world.has(0, &["apply", "--yes"]);
    let expressions = |world: &World| -> Vec<_> {
        world.cloudflare.zone().rules[phase].iter().map(|rule| rule["expression"].clone()).collect()
    };
    assert_eq!((expressions(&world).len(), expressions(&world).last()), (5, Some(&second["expression"])));
    world.has(0, &["apply", "--prune", "--yes"]);
    assert!(expressions(&world).len() == 4 && !expressions(&world).contains(&second["expression"]));
}

#[test]
fn what_was_made_here_goes_with_its_line_and_nothing_else_does() {
    let world = World::applied();
    let by_hand = json!({ "id": "a".repeat(32), "type": "A", "name": "old.makenot.work", "content": "192.0.2.1", "ttl": 300, "proxied": false });
    world.cloudflare.zone().records.push(by_hand);
    world.edit("deploy/zone/makenot.work.zone", "domains\t\t300\tAAAA", ";domains\t\t300\tAAAA");
    // An address becomes a name, and the other way round.
    world.edit(
        "deploy/zone/makenot.work.zone",
        "domains\t\t300\tA\t203.0.113.10",
        "domains\t\t300\tCNAME\tmakenot.work.",
    );
    let said = world.has(2, &["plan"]);
    assert!(
        said.contains("- dns            domains.makenot.work A 203.0.113.10")
            && said.contains("= dns            old.makenot.work A"),
        "{said}"
    );
    world.has(0, &["apply", "--yes"]);
    assert_eq!(world.record("domains.makenot.work", "CNAME")["content"], "makenot.work");
    assert_eq!(world.record("old.makenot.work", "A")["content"], "192.0.2.1");

    // A CNAME can't stand beside what is not ours: said before anything is done.
    world.edit("deploy/zone/makenot.work.zone", "domains\t\t300\tCNAME", "old\t\t300\tCNAME");
    let _ = world.cloudflare.writes();
    let said = world.has(1, &["apply", "--yes"]);
    assert!(
        said.contains(
            "can't be made beside old.makenot.work A 192.0.2.1, ttl 300, which was not made here; --prune takes it out"
        ),
        "{said}"
    );
    assert!(world.cloudflare.writes().is_empty());
    world.has(0, &["apply", "--prune", "--yes"]);
    assert_eq!(world.record("old.makenot.work", "CNAME")["content"], "makenot.work");
}

#[test]
fn what_has_no_section_is_not_looked_at() {
    let world = World::new();
    std::fs::write(world.path("zone.toml"), "zone = \"makenot.work\"\n[settings]\nssl = \"strict\"\n").unwrap();
    world.has(0, &["--file", "zone.toml", "apply", "--yes"]);
    let paths: Vec<_> = std::mem::take(&mut world.cloudflare.zone().asked).into_iter().map(|it| it.path).collect();
    assert!(paths.iter().all(|path| path.starts_with("/zones?") || path.ends_with("/settings/ssl")), "{paths:?}");
}

#[test]
fn mail_servers_that_change_places_stay_two() {
    let world = World::applied();
    world.edit("deploy/zone/makenot.work.zone", "MX\t10 in1", "MX\t30 in1");
    world.edit("deploy/zone/makenot.work.zone", "MX\t20 in2", "MX\t10 in2");
    world.has(0, &["apply", "--yes"]);
    let asked = world.cloudflare.writes();
    assert!(asked.len() == 2 && asked.iter().all(|it| it.method == "PATCH"), "{asked:?}");
    let zone = world.cloudflare.zone();
    let mut servers: Vec<_> = zone
        .records
        .iter()
        .filter(|it| it["type"] == "MX")
        .map(|it| (it["priority"].as_u64().unwrap(), it["content"].as_str().unwrap()))
        .collect();
    servers.sort_unstable();
    assert_eq!(servers, [(10, "in2-smtp.messagingengine.com"), (30, "in1-smtp.messagingengine.com")]);
}
