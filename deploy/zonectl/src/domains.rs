//! `zonectl domains`: the registrations, compared with an inventory. Asked are the registry, by RDAP (RFC 9082, 9083), which is found by IANA's list (RFC 9224); and
//! DNS, by dig, for the DS record as resolvers see it. Neither needs a token.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use reqwest::blocking::Client;
use reqwest::redirect;
use serde::Deserialize;
use serde_json::Value;

use crate::api::AGENT;
use crate::file::content;
use crate::record::plain;

/// IANA's list of registries' servers.
pub(crate) const BOOTSTRAP: &str = "https://data.iana.org/rdap/dns.json";
/// For one question with its answer.
const WITHIN: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inventory {
    warn_days: u32,
    #[serde(rename = "domain")]
    domains: Vec<Domain>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Domain {
    name: String,
    registrar: Option<String>,
    locked: Option<bool>,
    dnssec: Option<bool>,
    #[serde(default)]
    name_servers: Vec<String>,
}

/// What is asked where.
pub(crate) struct Sources<'a> {
    /// IANA's list, or another.
    pub bootstrap: &'a str,
    /// `SERVER` or `SERVER#PORT`; without, the machine's own resolver.
    pub dns: Option<&'a str>,
}

/// What a registry says of a domain.
#[derive(Debug, Default, PartialEq)]
struct Registration {
    registrar: String,
    ends: Option<SystemTime>,
    locked: bool,
    signed: bool,
    name_servers: Vec<String>,
}

/// Says each domain on a line, and each difference below it. Whether there are none.
pub(crate) fn check(inventory: &Path, sources: &Sources<'_>) -> Result<bool, String> {
    let text = content(inventory)?;
    let wanted: Inventory = toml::from_str(&text).map_err(|e| format!("{}: {e}", inventory.display()))?;
    let client = Client::builder().user_agent(AGENT).timeout(WITHIN).redirect(redirect::Policy::limited(3)).build();
    let client = client.map_err(|e| format!("no client for HTTPS: {e}"))?;
    let list = get(&client, sources.bootstrap)?;
    let mut all = Vec::new();
    for domain in &wanted.domains {
        let server = server(&list, &domain.name)
            .ok_or_else(|| format!("{}: {} names no server for it", domain.name, sources.bootstrap))?;
        let found =
            Registration::read(&get(&client, &format!("{}/domain/{}", server.trim_end_matches('/'), domain.name))?)?;
        let delegated = domain.dnssec.map(|_| signed_in_dns(&domain.name, sources.dns)).transpose()?;
        println!("{}", found.line(&domain.name));
        for difference in found.differences(domain, delegated, wanted.warn_days) {
            println!("! {:<14} {difference}", domain.name);
            all.push(format!("{} {difference}", domain.name));
        }
    }
    // The last line is what a report shows.
    if all.is_empty() {
        println!("every registration is as the inventory wants it");
    } else {
        println!("{}", all.join("; "));
    }
    Ok(all.is_empty())
}

impl Registration {
    fn read(answer: &Value) -> Result<Self, String> {
        let all = |key: &str| answer[key].as_array().map_or(&[][..], Vec::as_slice);
        if answer["objectClassName"] != "domain" {
            return Err(format!("the registry does not answer with a domain, but: {answer}"));
        }
        let registrar = all("entities")
            .iter()
            .find(|it| it["roles"].as_array().is_some_and(|roles| roles.iter().any(|role| role == "registrar")));
        let card = registrar.and_then(|it| it["vcardArray"][1].as_array());
        let name = card.into_iter().flatten().find(|it| it[0] == "fn").and_then(|it| it[3].as_str());
        let end =
            all("events").iter().find(|it| it["eventAction"] == "expiration").and_then(|it| it["eventDate"].as_str());
        let ends = end.map(|text| humantime::parse_rfc3339_weak(text).map_err(|e| format!("expiration `{text}`: {e}")));
        let mut name_servers: Vec<String> =
            all("nameservers").iter().filter_map(|it| it["ldhName"].as_str().map(plain)).collect();
        name_servers.sort();
        Ok(Self {
            registrar: name.unwrap_or("a registrar that it does not name").to_owned(),
            ends: ends.transpose()?,
            // By the registrar, or by the registry (RFC 8056).
            locked: all("status")
                .iter()
                .any(|it| it == "client transfer prohibited" || it == "server transfer prohibited"),
            signed: answer["secureDNS"]["delegationSigned"] == true,
            name_servers,
        })
    }

    fn line(&self, name: &str) -> String {
        let mut line = format!("{name}: {}", self.registrar);
        match self.days() {
            Some((days, end)) => {
                let end = humantime::format_rfc3339_seconds(end).to_string();
                let _ = write!(line, ", until {} ({days} days)", end.get(..10).unwrap_or(&end));
            }
            None => line.push_str(", until a day that the registry does not say"),
        }
        line.push_str(if self.locked { ", locked" } else { ", not locked" });
        line.push_str(if self.signed { ", signed" } else { ", not signed" });
        line
    }

    /// Whole days that are left.
    fn days(&self) -> Option<(u64, SystemTime)> {
        let end = self.ends?;
        Some((end.duration_since(SystemTime::now()).unwrap_or_default().as_secs() / DAY.as_secs(), end))
    }

    fn differences(&self, wanted: &Domain, delegated: Option<bool>, warn_days: u32) -> Vec<String> {
        let mut all = Vec::new();
        if let Some((days, _)) = self.days()
            && days < u64::from(warn_days)
        {
            all.push(format!("ends in {days} days: renew it, and see why the registrar has not"));
        }
        if let Some(registrar) = &wanted.registrar
            && !self.registrar.to_lowercase().contains(&registrar.to_lowercase())
        {
            all.push(format!("is at {}, not at {registrar}", self.registrar));
        }
        match (wanted.locked, self.locked) {
            (Some(true), false) => {
                all.push("is not locked: it may be transferred away. Lock it at the registrar".to_owned())
            }
            (Some(false), true) => all.push("is locked".to_owned()),
            _ => {}
        }
        match (wanted.dnssec, self.signed, delegated) {
            (Some(true), false, _) => {
                all.push("the registry has no DS record: give the registrar the one that the DNS host shows".to_owned())
            }
            (Some(true), true, Some(false)) => {
                all.push("the registry has a DS record, and resolvers do not see it".to_owned())
            }
            (Some(false), true, _) => all.push("the registry has a DS record".to_owned()),
            _ => {}
        }
        let mut servers: Vec<String> = wanted.name_servers.iter().map(|name| plain(name)).collect();
        servers.sort();
        if !servers.is_empty() && servers != self.name_servers {
            all.push(format!("its name servers are {}, not {}", self.name_servers.join(" "), servers.join(" ")));
        }
        all
    }
}

fn get(client: &Client, url: &str) -> Result<Value, String> {
    let said = |what: String| format!("GET {url}: {what}");
    let answer = client.get(url).header("accept", "application/rdap+json, application/json").send();
    let answer = answer.map_err(|e| said(format!("no answer: {e}")))?;
    let status = answer.status();
    let text = answer.text().map_err(|e| said(e.to_string()))?;
    if !status.is_success() {
        return Err(said(format!("{status}{}", if status.as_u16() == 404 { ": it is not registered" } else { "" })));
    }
    serde_json::from_str(&text).map_err(|e| said(format!("the answer is not JSON: {e}")))
}

/// The server for the longest part of the name that the list has.
fn server<'a>(list: &'a Value, name: &str) -> Option<&'a str> {
    let mut rest = name;
    loop {
        let services = list["services"].as_array()?;
        let found = services.iter().find(|it| it[0].as_array().is_some_and(|names| names.iter().any(|it| it == rest)));
        if let Some(found) = found {
            let urls = found[1].as_array()?.iter().filter_map(Value::as_str);
            return urls.clone().find(|url| url.starts_with("https://")).or_else(|| urls.clone().next());
        }
        rest = rest.split_once('.')?.1;
    }
}

/// Whether resolvers see a DS record.
fn signed_in_dns(name: &str, server: Option<&str>) -> Result<bool, String> {
    let mut dig = Command::new("dig");
    dig.args(["+short", "+time=3", "+tries=2"]);
    if let Some(server) = server {
        let (host, port) = server.split_once('#').unwrap_or((server, "53"));
        dig.arg(format!("@{host}")).args(["-p", port]);
    }
    let output =
        dig.args([name, "DS"]).output().map_err(|e| format!("dig can't be run: {e}; install bind9-dnsutils"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || text.contains("no servers could be reached") {
        return Err(format!("dig {name} DS: DNS does not answer"));
    }
    Ok(text.lines().any(|line| line.split(' ').count() >= 4 && line.starts_with(|c: char| c.is_ascii_digit())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::server;

    #[test]
    fn the_longest_part_of_a_name_has_the_server() {
        let list = json!({ "services": [[["work"], ["https://a.example/"]], [["co.uk", "uk"], ["http://b.example/", "https://c.example/"]]] });
        assert_eq!(server(&list, "makenot.work"), Some("https://a.example/"));
        assert_eq!(server(&list, "x.co.uk"), Some("https://c.example/"));
        assert_eq!(server(&list, "x.org"), None);
    }
}
