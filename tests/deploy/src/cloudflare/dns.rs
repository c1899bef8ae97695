//! Records. Codes and words are those that people report of the real one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::Zone;
use super::answer::{Answer, Refusal, Said, page, refuse, refuse_dns};
use super::schema;

/// What a zone on the free plan may have, since September 2024.
const MOST: usize = 200;

pub(crate) fn answer(
    zone: &mut Zone,
    method: &str,
    rest: &[&str],
    body: &Value,
    query: &BTreeMap<&str, &str>,
) -> Answer {
    let missing = || refuse(404, 81044, "Record does not exist.");
    let at = |zone: &Zone, id: &str| zone.records.iter().position(|it| it["id"] == id).ok_or_else(missing);
    match (method, rest) {
        ("GET", []) => page(&zone.records, query),
        ("GET", ["export"]) => Ok(Said::Text(export(zone))),
        ("POST", []) => {
            if zone.records.len() >= MOST {
                return Err(refuse(400, 81045, "Record quota exceeded."));
            }
            let mut record = checked(zone, body, None)?;
            record["id"] = zone.id().into();
            zone.records.push(record.clone());
            Ok(Said::Result(record))
        }
        ("PATCH", [id]) => {
            let at = at(zone, id)?;
            let mut merged = zone.records[at].clone();
            for key in ["id", "proxiable", "zone_name"] {
                merged.as_object_mut().unwrap().remove(key);
            }
            // What it is made of is written anew with its parts.
            if body.get("data").is_some() {
                merged.as_object_mut().unwrap().remove("content");
            }
            for (key, value) in body.as_object().into_iter().flatten() {
                merged[key] = value.clone();
            }
            let mut record = checked(zone, &merged, Some(id))?;
            record["id"] = (*id).into();
            zone.records[at] = record.clone();
            Ok(Said::Result(record))
        }
        ("DELETE", [id]) => {
            let at = at(zone, id)?;
            zone.records.remove(at);
            Ok(Said::Result(json!({ "id": id })))
        }
        _ => Err(refuse(405, 10405, "Method not allowed for this authentication scheme")),
    }
}

/// A record as it is kept, where nothing is wrong with it.
fn checked(zone: &Zone, body: &Value, own: Option<&str>) -> Result<Value, Refusal> {
    let kind = body["type"].as_str().unwrap_or_default();
    let ttl = body["ttl"].as_u64().unwrap_or(1);
    if ttl != 1 && !(60..=86_400).contains(&ttl) {
        return Err(refuse_dns(9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic."));
    }
    if body["proxied"] == true && !matches!(kind, "A" | "AAAA" | "CNAME") {
        return Err(refuse_dns(9004, "This record type cannot be proxied."));
    }
    let content = body["content"].as_str().unwrap_or_default();
    if kind == "A" && content.parse::<Ipv4Addr>().is_err() {
        return Err(refuse_dns(9005, "Content for A record must be a valid IPv4 address."));
    }
    if kind == "AAAA" && content.parse::<Ipv6Addr>().is_err() {
        return Err(refuse_dns(9006, "Content for AAAA record must be a valid IPv6 address."));
    }
    if kind == "CNAME" && content == body["name"] {
        return Err(refuse_dns(9039, "CNAME content cannot reference itself."));
    }
    schema::check("dns_record", body).map_err(|e| refuse(400, 9207, &format!("Request body is invalid: {e}")))?;
    let name = body["name"].as_str().unwrap_or_default().to_lowercase();
    if name != zone.name && !name.ends_with(&format!(".{}", zone.name)) {
        return Err(refuse_dns(9000, "DNS name is invalid."));
    }
    let mut record = body.clone();
    record["name"] = name.as_str().into();
    let data = &body["data"];
    let text = |key: &str| data[key].as_str().unwrap_or_default();
    match kind {
        "SRV" => record["content"] = format!("{} {} {}", data["weight"], data["port"], text("target")).into(),
        "CAA" => record["content"] = format!("{} {} \"{}\"", data["flags"], text("tag"), text("value")).into(),
        _ => {}
    }
    if kind == "SRV" {
        record["priority"] = data["priority"].clone();
    }
    record["ttl"] = if record["proxied"] == true { 1.into() } else { ttl.into() };
    record["proxied"] = (record["proxied"] == true).into();
    record["proxiable"] = matches!(kind, "A" | "AAAA" | "CNAME").into();
    let others =
        zone.records.iter().filter(|other| own.is_none_or(|id| other["id"] != id) && other["name"] == name.as_str());
    for other in others {
        let its = other["type"].as_str().unwrap_or_default();
        let same = |key: &str| other[key] == record[key];
        if its == kind && same("content") && same("priority") {
            let all = ["ttl", "proxied", "comment"].iter().all(|key| same(key));
            return Err(if all {
                refuse(400, 81058, "An identical record already exists.")
            } else {
                refuse(400, 81057, "The record already exists.")
            });
        }
        let stands_alone = |kind: &str| kind == "CNAME";
        if stands_alone(kind) || stands_alone(its) {
            return Err(refuse(400, 81053, "An A, AAAA, or CNAME record with that host already exists."));
        }
    }
    Ok(record)
}

/// As Cloudflare's dashboard and API export it.
fn export(zone: &Zone) -> String {
    let mut text = format!(
        ";;\n;; Domain:     {0}.\n;; Exported:   2026-11-28 00:00:00\n;;\n\n;; SOA Record\n{0}\t3600\tIN\tSOA\tamy.ns.example. dns.example. 2051234567 10000 2400 604800 3600\n\n;; NS Records\n{0}.\t86400\tIN\tNS\tamy.ns.example.\n{0}.\t86400\tIN\tNS\tbob.ns.example.\n",
        zone.name
    );
    for kind in ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"] {
        let _ = write!(text, "\n;; {kind} Records\n");
        for record in zone.records.iter().filter(|it| it["type"] == kind) {
            let content = record["content"].as_str().unwrap_or_default();
            let dotted = |name: &str| if name == "." { name.to_owned() } else { format!("{name}.") };
            let data = match kind {
                "CNAME" | "NS" => dotted(content),
                "MX" => format!("{} {}", record["priority"], dotted(content)),
                "SRV" => {
                    let data = &record["data"];
                    let target = data["target"].as_str().unwrap_or_default();
                    format!("{} {} {} {}", data["priority"], data["weight"], data["port"], dotted(target))
                }
                _ => content.to_owned(),
            };
            let tag = if record["proxiable"] == true {
                format!(" ; cf_tags=cf-proxied:{}", record["proxied"])
            } else {
                String::new()
            };
            let _ = writeln!(
                text,
                "{}.\t{}\tIN\t{kind}\t{data}{tag}",
                record["name"].as_str().unwrap_or_default(),
                record["ttl"]
            );
        }
    }
    text
}
