//! The switch: `worker off` and `worker on` touch the Worker's Routes, and nothing else.

use deploy::cloudflare::Fault;
use serde_json::json;

use crate::world::World;

/// Patterns of the zone's Routes that run something, in order.
fn runs(world: &World) -> Vec<String> {
    let zone = world.cloudflare.zone();
    let with = zone.routes.iter().filter(|it| it["script"].is_string());
    let mut patterns: Vec<_> = with.map(|it| it["pattern"].as_str().unwrap().to_owned()).collect();
    patterns.sort();
    patterns
}

/// What was written, each as method and the path below the zone.
fn written(world: &World) -> Vec<(String, String)> {
    let all = world.cloudflare.writes().into_iter();
    all.map(|it| (it.method, it.path.splitn(4, '/').nth(3).unwrap().to_owned())).collect()
}

#[test]
fn the_switch_takes_the_workers_routes_out_and_brings_them_back() {
    let world = World::applied();
    let all = runs(&world);
    assert_eq!(
        all,
        ["makenot.work/*", "makenot.work/api/sync/ota/*", "staging.makenot.work/*", "www.makenot.work/*"],
        "as wrangler.toml has them"
    );
    // The zone differs elsewhere, too, which is no matter now.
    world.cloudflare.zone().settings.insert("rocket_loader", "on".into());
    let said = world.has(1, &["worker", "off"]);
    assert!(said.contains("- routes         makenot.work/*: makenotwork-edge, fails open\n"), "{said}");
    assert!(said.contains("nothing was done: nobody can be asked here, so say --yes"), "{said}");
    assert_eq!((runs(&world), written(&world).len()), (all.clone(), 0));

    let said = world.has(0, &["worker", "off", "--yes"]);
    assert!(said.contains("\nno Route runs the Worker: the gateway serves alone."), "{said}");
    assert_eq!(runs(&world), [""; 0]);
    assert_eq!(world.cloudflare.zone().routes.len(), 4, "exceptions stay");
    let calls = written(&world);
    assert!(calls.len() == 4 && calls.iter().all(|(how, at)| how == "DELETE" && at.starts_with("workers/routes/")));
    world.has(0, &["worker", "off", "--yes"]);
    world.has(0, &["worker", "off"]);
    assert!(written(&world).is_empty(), "a second time changes nothing, and asks nothing");
    let said = world.has(2, &["plan"]);
    assert!(said.contains("+ routes         makenot.work/*: makenotwork-edge, fails open"), "a plan says so: {said}");

    let said = world.has(0, &["worker", "on", "--yes"]);
    assert!(said.ends_with("\nRoutes are as the file wants them\n"), "{said}");
    assert_eq!(runs(&world), all);
    let zone = world.cloudflare.zone();
    assert!(zone.routes.iter().all(|it| it["script"].is_null() || it["request_limit_fail_open"] == true));
    drop(zone);
    let calls = written(&world);
    assert!(calls.len() == 4 && calls.iter().all(|(how, at)| how == "POST" && at == "workers/routes"), "{calls:?}");
    world.has(0, &["worker", "on"]);
    assert!(written(&world).is_empty());
    assert_eq!(world.cloudflare.zone().settings["rocket_loader"], "on");
}

/// A Route that the file does not know starts the Worker as well as any; one of another Worker's is nobody's business here.
#[test]
fn every_route_of_our_worker_goes_and_no_others() {
    let world = World::applied();
    world.cloudflare.zone().scripts.push("other".to_owned());
    for (id, pattern, script) in
        [("c", "old.makenot.work/*", "makenotwork-edge"), ("d", "makenot.work/other/*", "other")]
    {
        let route =
            json!({ "id": id.repeat(32), "pattern": pattern, "script": script, "request_limit_fail_open": false });
        world.cloudflare.zone().routes.push(route);
    }
    let fault = Fault { method: "DELETE", path: "workers/routes", after: 2, status: 500, code: 1015 };
    world.cloudflare.zone().faults.push(fault);
    let said = world.has(1, &["worker", "off", "--yes"]);
    for line in [
        "- routes         old.makenot.work/*: makenotwork-edge, fails closed: is not in the file, so `worker on` does not bring it back\n",
        "= routes         makenot.work/other/*: other, fails closed: is another Worker's\n",
        "2 of 5 changes are made; the same command again goes on here",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    world.has(0, &["worker", "off", "--yes"]);
    assert_eq!(runs(&world), ["makenot.work/other/*"]);
    world.has(0, &["worker", "on", "--yes"]);
    assert_eq!(runs(&world).len(), 5);

    // A file that has no Routes says nothing of where the Worker runs.
    std::fs::write(world.path("zone.toml"), "zone = \"makenot.work\"\n").unwrap();
    let said = world.has(1, &["--file", "zone.toml", "worker", "off", "--yes"]);
    assert!(said.contains("the file has no [routes]"), "{said}");
    assert_eq!(runs(&world).len(), 5);
}
