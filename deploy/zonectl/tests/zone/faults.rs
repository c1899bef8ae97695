//! The API says no, or not now.

use std::time::{Duration, Instant};

use deploy::cloudflare::Fault;
use serde_json::json;

use crate::world::World;

#[test]
fn it_stops_at_the_first_refusal_and_goes_on_when_it_is_run_again() {
    let world = World::new();
    let fault = Fault { method: "POST", path: "dns_records", after: 7, status: 500, code: 1015 };
    world.cloudflare.zone().faults.push(fault);
    let said = world.has(1, &["apply", "--yes"]);
    assert!(
        said.contains(
            "POST /zones/023e105f4ecef8ad9ca31a8372d0c353/dns_records: Cloudflare says 500: as the test asked (1015)"
        ),
        "{said}"
    );
    assert!(said.contains(" changes are made; ") && said.contains("the same command again goes on here"), "{said}");
    assert_eq!(world.cloudflare.zone().records.len(), 7);
    // What is left is that which needs the authority.
    let said = world.has(2, &["apply", "--yes"]);
    assert!(said.ends_with("\n1 difference\n"), "{said}");
    assert_eq!(world.cloudflare.zone().records.len(), 40);
    let refused: Vec<_> = world.cloudflare.writes().into_iter().filter(|it| it.status >= 400).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
}

#[test]
fn a_worker_that_is_not_deployed_gets_no_route() {
    let world = World::new();
    world.cloudflare.zone().scripts.clear();
    let said = world.has(1, &["apply", "--yes"]);
    assert!(said.contains("This Worker does not exist on your account. (10007)"), "{said}");
    let zone = world.cloudflare.zone();
    assert!(
        zone.routes.iter().all(|it| it["script"].is_null()) && zone.records.is_empty(),
        "exceptions are there, addresses are not"
    );
}

#[test]
fn it_waits_as_long_as_it_is_told_to() {
    let world = World::new();
    for _ in 0..2 {
        world.cloudflare.zone().faults.push(Fault {
            method: "PATCH",
            path: "settings/",
            after: 1,
            status: 429,
            code: 10429,
        });
    }
    let began = Instant::now();
    let said = world.has(2, &["apply", "--yes"]);
    assert!(said.contains("Cloudflare takes no more for now (429): waiting 1 s"), "{said}");
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(world.cloudflare.zone().records.len(), 40);
}

#[test]
fn what_a_token_lacks_is_named() {
    let world = World::applied();
    let reads = [
        "Zone: Read",
        "DNS: Read",
        "Zone Settings: Read",
        "Sanitize: Read",
        "Bot Management: Read",
        "Zone WAF: Read",
        "Cache Rules: Read",
        "Workers Routes: Read",
        "SSL and Certificates: Read",
    ];
    world.cloudflare.zone().tokens.insert("reader-0123456789".to_owned(), reads.to_vec());
    assert_eq!(world.run_as(Some("reader-0123456789"), &["plan"]).code, 0, "reading does for a plan");
    world.cloudflare.zone().settings.insert("ssl", "full".into());
    let said = world.run_as(Some("reader-0123456789"), &["apply", "--yes"]);
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.text.contains("403: Unauthorized to access requested resource (9109). The token needs the permission \"Zone Settings: Edit\" for this zone"), "{}", said.text);

    for lacks in reads {
        let without: Vec<_> = reads.iter().copied().filter(|it| *it != lacks).collect();
        world.cloudflare.zone().tokens.insert("lacks-something".to_owned(), without);
        let said = world.run_as(Some("lacks-something"), &["plan"]);
        let needed = lacks.trim_end_matches("Read").trim_end_matches(": ");
        assert!(
            said.code == 1 && said.text.contains(&format!("The token needs the permission \"{needed}: ")),
            "{lacks}: {}",
            said.text
        );
    }
    let said = world.run_as(Some("nobody-knows-it"), &["plan"]);
    assert!(said.code == 1 && said.text.contains("Invalid access token (9109)"), "{}", said.text);
}

#[test]
fn a_token_comes_from_the_environment_or_a_file() {
    let world = World::new();
    let said = world.run_as(None, &["plan"]);
    assert!(
        said.code == 1
            && said.text.contains("there is no token: put it into CLOUDFLARE_API_TOKEN, or say --token-file FILE"),
        "{}",
        said.text
    );
    std::fs::write(world.path("token"), format!("{}\n", deploy::cloudflare::TOKEN)).unwrap();
    assert_eq!(world.run_as(None, &["--token-file", "token", "plan"]).code, 2);
    std::fs::write(world.path("token"), "two words").unwrap();
    let said = world.run_as(None, &["--token-file", "token", "plan"]);
    assert!(
        said.code == 1 && said.text.contains("token is not one token") && !said.text.contains("two words"),
        "{}",
        said.text
    );
}

#[test]
fn more_records_than_a_page_has_are_all_seen() {
    let world = World::applied();
    for n in 0..151 {
        let record = json!({ "id": format!("{n:032x}"), "type": "A", "name": format!("h{n}.makenot.work"), "content": "192.0.2.1", "ttl": 300, "proxied": false });
        world.cloudflare.zone().records.insert(0, record);
    }
    let said = world.has(0, &["plan"]);
    assert_eq!(said.lines().filter(|line| line.starts_with("= dns")).count(), 151, "{said}");
    // The 200th is the last that the plan has.
    world.edit("deploy/zone/makenot.work.zone", "www\t\t300", "one 300 A 192.0.2.2\nand 300 A 192.0.2.3\nmore 300 A 192.0.2.4\nthan 300 A 192.0.2.5\nthe 300 A 192.0.2.6\nplan 300 A 192.0.2.7\nhas 300 A 192.0.2.8\nroom 300 A 192.0.2.9\nfor 300 A 192.0.2.10\nit 300 A 192.0.2.11\nwww\t\t300");
    let said = world.has(1, &["apply", "--yes"]);
    assert!(said.contains("Record quota exceeded. (81045)") && said.contains("9 of 10 changes are made"), "{said}");
}

#[test]
fn rules_that_the_plan_has_no_room_for_are_refused_as_the_api_says() {
    let world = World::new();
    let by_hand = |n: u32| json!({ "id": format!("{n:032x}"), "ref": n.to_string(), "description": format!("by hand {n}"), "action": "block", "expression": "true", "enabled": true });
    world.cloudflare.zone().rules.insert("http_request_firewall_custom".to_owned(), vec![by_hand(1), by_hand(2)]);
    let said = world.has(1, &["apply", "--yes"]);
    assert!(said.contains("exceeded the maximum number of rules in the phase http_request_firewall_custom: 6 out of 5 (20217) at /rules"), "{said}");
    assert!(world.cloudflare.zone().routes.is_empty(), "it stopped there");
    world.has(2, &["apply", "--prune", "--yes"]);
    assert_eq!(world.cloudflare.zone().rules["http_request_firewall_custom"].len(), 4);
}

#[test]
fn a_setting_that_is_none_or_not_to_be_had_is_said() {
    let world = World::new();
    let with = |line: &str| {
        std::fs::write(world.path("zone.toml"), format!("zone = \"makenot.work\"\n[settings]\n{line}\n")).unwrap()
    };
    with("no_such = 1");
    let said = world.has(1, &["--file", "zone.toml", "plan"]);
    assert!(
        said.contains("settings.no_such: GET ") && said.contains("Undefined zone setting: no_such (1006)"),
        "{said}"
    );
    with("mirage = \"on\"");
    let said = world.has(2, &["--file", "zone.toml", "plan"]);
    assert!(said.contains("! settings       mirage: \"off\"; \"on\" is not to be had on the plan free"), "{said}");
    with("ssl = \"very\"");
    let said = world.has(1, &["--file", "zone.toml", "apply", "--yes"]);
    assert!(said.contains("Invalid value for zone setting ssl (1007)"), "{said}");
    std::fs::write(world.path("zone.toml"), "zone = \"example.org\"\n").unwrap();
    let said = world.has(1, &["--file", "zone.toml", "plan"]);
    assert!(said.contains("there is no zone example.org that this token can see: add it in the dashboard"), "{said}");
}

#[test]
fn a_zone_that_waits_for_its_registrar_says_whom_it_is_to_name() {
    let world = World::new();
    world.cloudflare.zone().status = "pending";
    let said = world.has(2, &["plan"]);
    assert!(
        said.contains("plan free, pending: the registrar is to name amy.ns.example and bob.ns.example\n"),
        "{said}"
    );
}

#[test]
fn an_api_that_does_not_answer_or_is_another_is_said() {
    let world = World::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let said = world.at(&format!("http://{address}"), &["plan"]);
    assert!(
        said.code == 1
            && said.text.contains("GET /zones?name=makenot.work: no answer: ")
            && said.text.contains("Connection refused"),
        "{}",
        said.text
    );
    // A server of something else.
    let other = deploy::registry::Registry::start("makenot.work", false);
    let said = world.at(other.bootstrap().trim_end_matches("/dns.json"), &["plan"]);
    assert!(said.code == 1 && said.text.contains("Cloudflare says 404: it does not say why"), "{}", said.text);
    let said = world.at("http://api.example/v4", &["plan"]);
    assert!(
        said.code == 1 && said.text.contains("the token is sent there, so it must be an https URL"),
        "{}",
        said.text
    );
}
