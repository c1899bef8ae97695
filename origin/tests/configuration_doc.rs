//! docs/configuration.md and the code say the same: every key that the gateway knows is documented with default, range and
//! meaning, no other is, and the documented defaults are the real ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A row: key, default, range, meaning.
type Row = [String; 4];

/// The sections of the page, by the name in their heading, with the rows of their tables.
fn documented() -> BTreeMap<String, Vec<Row>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut sections: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## `") {
            let name = heading.trim_matches(['`', '[', ']']);
            current = name.split('.').next().expect("a name").to_owned();
            sections.insert(current.clone(), Vec::new());
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells: Vec<String> = row.trim_end_matches(" |").split(" | ").map(ToOwned::to_owned).collect();
            let [key, default, range, meaning]: Row = cells.try_into().expect("four columns");
            let key = key.trim_end_matches('`').to_owned();
            sections.get_mut(&current).expect("a heading above").push([key, default, range, meaning]);
        }
    }
    sections
}

/// The keys that the gateway would take beside `intruder`, as it says itself.
fn known(text: &str) -> BTreeSet<String> {
    let faults = origin::config::parse(text).expect_err("there is an intruder");
    let (_, choice) = faults[0].what.split_once("write one of ").unwrap_or_else(|| panic!("{faults:?}"));
    choice.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

/// A section with a key that does not exist.
fn intruder(section: &str) -> String {
    match section {
        "site" => "[[site]]\nintruder = 1\n".to_owned(),
        "bucket" | "probe" | "rate" | "upload" | "webhook" => format!("[{section}.a]\nintruder = 1\n"),
        name => format!("[{name}]\nintruder = 1\n"),
    }
}

#[test]
fn every_key_is_documented_and_no_other() {
    let documented = documented();
    let sections: BTreeSet<String> = documented.keys().cloned().collect();
    assert_eq!(sections, known("intruder = 1\n"), "sections");
    for (section, rows) in &documented {
        let keys: BTreeSet<String> = rows.iter().map(|row| row[0].clone()).collect();
        assert_eq!(keys.len(), rows.len(), "{section}: a key twice");
        assert_eq!(keys, known(&intruder(section)), "[{section}]");
        for row in rows {
            assert!(row.iter().all(|cell| !cell.trim().is_empty()), "{section}: {row:?}");
            assert!(row[3].ends_with('.'), "{section}.{}: the meaning is a sentence", row[0]);
        }
    }
}

#[test]
fn the_defaults_are_the_real_ones() {
    const LEAST: &str = "listen.http = [\"127.0.0.1:0\"]\n[[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:1\"\n";
    let parsed = |text: &str| format!("{:?}", origin::config::parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}")));
    let documented = documented();
    for section in ["cache", "limits", "storage", "timeouts"] {
        for [key, default, ..] in &documented[section] {
            let value = default.trim_matches('`');
            assert_eq!(parsed(&format!("{LEAST}[{section}]\n{key} = {value}\n")), parsed(LEAST), "{section}.{key}");
        }
    }
    for (name, with) in [
        ("compress", ""),
        ("log", ""),
        ("traces", "]\nurl = \"http://127.0.0.1:4318/v1/traces\"\n#"),
        ("headers", ""),
        ("health", ""),
        ("state", ""),
        ("rate", ".a]\nburst = 1\nevery = \"1s\"\n#"),
    ] {
        for [key, default, ..] in documented[name].iter().filter(|[_, default, ..]| default.starts_with('`')) {
            let value = default.trim_matches('`');
            let section = format!("{LEAST}[{name}{with}]\n");
            assert_eq!(parsed(&format!("{section}{key} = {value}\n")), parsed(&section), "{name}.{key}");
        }
    }
    let default = |section: &str, key: &str| {
        let row = documented[section].iter().find(|row| row[0] == key).unwrap_or_else(|| panic!("{section}.{key}"));
        row[1].trim_matches('`').to_owned()
    };
    assert_eq!(parsed(&format!("{LEAST}trust = {}\n", default("site", "trust"))), parsed(LEAST));

    // Those of [acme] show where a site uses it.
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let pem = file("any.pem", "");
    let acme = format!("tls = {{ cert = {pem:?}, key = {pem:?} }}\n{LEAST}acme_ask = \"http://127.0.0.1:1/\"\n");
    for key in ["directory", "storage", "wait", "asks", "orders"] {
        let with = format!("{acme}[acme]\n{key} = {}\n", default("acme", key));
        assert_eq!(parsed(&with), parsed(&acme), "acme.{key}");
    }

    // These two sections name files that must be there.
    let keys = file("edge.keys", "a:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n");
    let edge = format!("{LEAST}[edge]\nkeys_file = \"{keys}\"\n");
    for key in ["window", "skew"] {
        assert_eq!(parsed(&format!("{edge}{key} = {}\n", default("edge", key))), parsed(&edge), "edge.{key}");
    }
    let key = file("bucket", "ACCESSKEY:0123456789abcdef\n");
    let bucket = format!("{LEAST}[bucket.a]\nurl = \"https://a.example\"\ncredentials_file = \"{key}\"\n");
    for key in ["expiry", "upload_max", "parts_from", "part_size"] {
        assert_eq!(parsed(&format!("{bucket}{key} = {}\n", default("bucket", key))), parsed(&bucket), "bucket.{key}");
    }
    let admin = format!("{LEAST}[admin]\nlisten = \"127.0.0.1:0\"\n");
    for key in ["batch", "body"] {
        assert_eq!(parsed(&format!("{admin}{key} = {}\n", default("admin", key))), parsed(&admin), "admin.{key}");
    }
}
