//! The registrations, asked of a double of the registry and of a real DNS server.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use deploy::registry::Registry;
use deploy::{Needed, have};
use serde_json::{Value, json};
use tempfile::TempDir;

struct World {
    registry: Registry,
    folder: TempDir,
}

impl World {
    fn new(signed: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../domains.toml");
        fs::copy(ours, folder.path().join("domains.toml")).unwrap();
        Self { registry: Registry::start("makenot.work", signed), folder }
    }

    fn check(&self) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zonectl"));
        command.args(["domains", "--inventory", "domains.toml", "--bootstrap", &self.registry.bootstrap()]);
        command.args(["--dns", &self.registry.dns.address]).current_dir(&self.folder);
        // No token, and no zone.toml.
        let output = command.env_clear().env("PATH", "/usr/bin:/bin").output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code().unwrap(), text)
    }
}

/// As Cloudflare's registry of `.work` would say it.
fn good(days: u64) -> Value {
    let end = SystemTime::now() + Duration::from_secs(days * 86_400 + 3_600);
    json!({
        "objectClassName": "domain", "ldhName": "MAKENOT.WORK",
        "status": ["client transfer prohibited"],
        "events": [
            { "eventAction": "registration", "eventDate": "2024-03-01T00:00:00Z" },
            { "eventAction": "expiration", "eventDate": humantime::format_rfc3339_seconds(end).to_string() },
        ],
        "entities": [
            { "roles": ["registrar"], "vcardArray": ["vcard", [["version", {}, "text", "4.0"], ["fn", {}, "text", "Cloudflare, Inc."]]] },
            { "roles": ["abuse"] },
        ],
        "secureDNS": { "delegationSigned": true, "dsData": [{ "keyTag": 2371, "algorithm": 13, "digestType": 2 }] },
        "nameservers": [{ "ldhName": "BOB.ns.example" }, { "ldhName": "amy.ns.example" }],
    })
}

#[test]
fn a_registration_is_compared_with_the_inventory() {
    let world = World::new(true);
    world.registry.says(good(300));
    let (code, said) = world.check();
    assert_eq!(code, 0, "{said}");
    assert!(
        said.starts_with("makenot.work: Cloudflare, Inc., until 20") && said.contains("(300 days), locked, signed\n"),
        "{said}"
    );

    let wrong: [(&str, Value, &str); 5] = [
        (
            "/events/1/eventDate",
            humantime::format_rfc3339_seconds(SystemTime::now() + Duration::from_secs(20 * 86_400)).to_string().into(),
            "ends in 19 days: renew it",
        ),
        ("/status/0", "active".into(), "is not locked: it may be transferred away"),
        ("/entities/0/vcardArray/1/1/3", "Somebody Else".into(), "is at Somebody Else, not at Cloudflare"),
        ("/secureDNS/delegationSigned", false.into(), "the registry has no DS record: give the registrar"),
        (
            "/nameservers/0/ldhName",
            "x.example".into(),
            "its name servers are amy.ns.example x.example, not amy.ns.example bob.ns.example",
        ),
    ];
    let inventory = world.folder.path().join("domains.toml");
    let text = fs::read_to_string(&inventory).unwrap();
    fs::write(
        &inventory,
        text.replace("name_servers = []", "name_servers = [\"amy.ns.example.\", \"Bob.ns.example\"]"),
    )
    .unwrap();
    assert_eq!(world.check().0, 0);
    for (place, value, complaint) in wrong {
        let mut answer = good(300);
        *answer.pointer_mut(place).unwrap() = value;
        world.registry.says(answer);
        let (code, said) = world.check();
        assert!(code == 2 && said.contains(&format!("! makenot.work   {complaint}")), "{complaint}\n{said}");
        assert_eq!(said.matches("\n!").count(), 1, "{said}");
    }

    world.registry.says(Value::Null);
    let (code, said) = world.check();
    assert!(code == 1 && said.contains("/rdap/domain/makenot.work: 404 Not Found: it is not registered"), "{said}");
    fs::write(&inventory, text.replace("makenot.work", "makenot.test")).unwrap();
    let (code, said) = world.check();
    assert!(code == 1 && said.contains("makenot.test: http://") && said.contains("names no server for it"), "{said}");
    fs::write(&inventory, text.replace("locked", "lock")).unwrap();
    let (code, said) = world.check();
    assert!(code == 1 && said.contains("unknown field `lock`"), "{said}");
}

/// By deploy/backups/reported, whose reports the gateway's probes of kind `report` read.
#[test]
fn it_can_be_reported_to_the_health_page() {
    have(&[Needed { program: "jq", package: "jq" }]);
    let world = World::new(true);
    let report = |answer: Value| -> Value {
        world.registry.says(answer);
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../backups/reported"));
        let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../backups/units/site-domains.service");
        let line = "=/usr/local/lib/backups/reported domains 172800 /usr/local/bin/zonectl domains --inventory ";
        assert!(fs::read_to_string(unit).unwrap().contains(line), "as the unit has it");
        command.args(["domains", "172800", env!("CARGO_BIN_EXE_zonectl"), "domains", "--inventory", "domains.toml"]);
        command.args(["--bootstrap", &world.registry.bootstrap(), "--dns", &world.registry.dns.address]);
        let output = command.current_dir(&world.folder).env("REPORTS", world.folder.path()).output().unwrap();
        let file = world.folder.path().join("domains.json");
        let text =
            fs::read_to_string(&file).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
        serde_json::from_str(&text).unwrap()
    };
    let good_one = report(good(300));
    assert_eq!(
        (&good_one["check"], &good_one["ok"], &good_one["good_for_seconds"]),
        (&"domains".into(), &true.into(), &172_800.into())
    );
    let mut open = good(300);
    open["status"] = json!(["active"]);
    let bad = report(open);
    assert_eq!(bad["ok"], false);
    assert_eq!(bad["detail"], "makenot.work is not locked: it may be transferred away. Lock it at the registrar");
}

#[test]
fn a_ds_record_that_resolvers_do_not_see_is_a_difference() {
    let world = World::new(false);
    world.registry.says(good(300));
    let (code, said) = world.check();
    assert!(code == 2 && said.contains("the registry has a DS record, and resolvers do not see it"), "{said}");
}
