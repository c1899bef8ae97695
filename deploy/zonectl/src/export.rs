//! `zonectl export`: the zone as it is, in the two forms in which it is reviewed: a zone file, which any DNS host imports, and a `zone.toml`.

use std::fs;
use std::path::Path;

use serde_json::Value;
use toml::{Table, Value as Toml};

use crate::api::Api;
use crate::file::{PHASES, Wanted};
use crate::parts::{pulls, routes, rules};
use crate::zone::Zone;

/// Writes both into a folder. `wanted` says which settings there are to look at.
pub(crate) fn export(api: &Api, zone: &Zone, wanted: &Wanted, folder: &Path) -> Result<(), String> {
    let said = |e: crate::api::ApiError| e.to_string();
    let records = api.text(&zone.path("dns_records/export")).map_err(said)?;
    // Cloudflare writes the zone's own name without the dot before its SOA, which others read as a name below it.
    let bare = format!("{}\t", zone.name);
    let whole = format!("{}.\t", zone.name);
    let records: String = records
        .lines()
        .map(|line| line.strip_prefix(&bare).map_or_else(|| format!("{line}\n"), |rest| format!("{whole}{rest}\n")))
        .collect();
    let name = format!("{}.zone", zone.name);

    let mut file = Table::new();
    file.insert("zone".to_owned(), zone.name.clone().into());
    file.insert("dns".to_owned(), table([("file", name.clone().into())]));
    let mut settings = Table::new();
    for key in wanted.settings.keys() {
        let live = api.get(&zone.path(&format!("settings/{key}"))).map_err(said)?;
        settings.insert(key.clone(), of(&live["value"])?);
    }
    file.insert("settings".to_owned(), settings.into());
    for (section, below, keys) in [
        ("url_normalization", "url_normalization", &wanted.url_normalization),
        ("bots", "bot_management", &wanted.bots),
    ] {
        let Some(keys) = keys else { continue };
        let live = api.get(&zone.path(below)).map_err(said)?;
        let all: Result<Table, String> = keys.keys().map(|key| Ok((key.clone(), of(&live[key.as_str()])?))).collect();
        file.insert(section.to_owned(), all?.into());
    }
    let dnssec = api.get(&zone.path("dnssec")).map_err(said)?;
    let signed = matches!(dnssec["status"].as_str(), Some("active" | "pending"));
    file.insert("dnssec".to_owned(), table([("enabled", signed.into())]));
    file.insert("origin_pulls".to_owned(), table([("enabled", pulls::enabled(api, zone)?.into())]));

    let mut phases = Table::new();
    for (phase, _) in PHASES {
        let live = rules::live(api, &zone.path(&format!("rulesets/phases/{phase}/entrypoint")))?;
        let all: Result<Vec<Toml>, String> = live.iter().map(|rule| of(&Value::Object(rules::own(rule)))).collect();
        if !live.is_empty() {
            phases.insert(phase.to_owned(), all?.into());
        }
    }
    file.insert("rules".to_owned(), phases.into());
    file.insert("routes".to_owned(), of_routes(&routes::live(api, zone)?));
    if let Some(certificate) = &wanted.origin_certificate {
        let hostnames: Vec<Toml> = certificate.hostnames.iter().cloned().map(Toml::from).collect();
        file.insert(
            "origin_certificate".to_owned(),
            table([("hostnames", hostnames.into()), ("days", i64::from(certificate.days).into())]),
        );
    }

    let text = toml::to_string_pretty(&file).map_err(|e| e.to_string())?;
    fs::create_dir_all(folder).map_err(|e| format!("{} cannot be made: {e}", folder.display()))?;
    for (name, text) in [(name.as_str(), records.as_str()), ("zone.toml", &text)] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|e| format!("{} cannot be written: {e}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

fn of_routes(all: &[routes::Live]) -> Toml {
    let (mut without, mut closed) = (Vec::new(), Vec::new());
    let mut with = Table::new();
    for live in all {
        let pattern = Toml::from(live.route.pattern.clone());
        let Some(script) = &live.route.script else {
            without.push(pattern);
            continue;
        };
        if !live.route.fail_open {
            closed.push(pattern.clone());
        }
        if let Toml::Array(patterns) = with.entry(script.clone()).or_insert_with(|| Toml::Array(Vec::new())) {
            patterns.push(pattern);
        }
    }
    table([("fail_closed", closed.into()), ("without_worker", without.into()), ("with_worker", with.into())])
}

fn table<const N: usize>(entries: [(&str, Toml); N]) -> Toml {
    Toml::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// JSON as TOML, which has no null.
fn of(value: &Value) -> Result<Toml, String> {
    Toml::try_from(value).map_err(|e| format!("{value} has no form in TOML: {e}"))
}
