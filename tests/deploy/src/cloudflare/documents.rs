//! Settings, and documents of one zone.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Zone;
use super::answer::{Answer, Said, refuse};
use super::schema;

/// Settings of a new zone on the free plan, with what they may be; `null` stands for any number. What can't be bought there can't be changed.
const SETTINGS: [(&str, &str, &str); 24] = [
    ("0rtt", r#""off""#, r#"["on","off"]"#),
    ("always_online", r#""off""#, r#"["on","off"]"#),
    ("always_use_https", r#""off""#, r#"["on","off"]"#),
    ("automatic_https_rewrites", r#""on""#, r#"["on","off"]"#),
    ("browser_cache_ttl", "14400", "null"),
    ("browser_check", r#""on""#, r#"["on","off"]"#),
    ("development_mode", r#""off""#, r#"["on","off"]"#),
    ("early_hints", r#""off""#, r#"["on","off"]"#),
    ("email_obfuscation", r#""on""#, r#"["on","off"]"#),
    ("fonts", r#""off""#, r#"["on","off"]"#),
    ("hotlink_protection", r#""off""#, r#"["on","off"]"#),
    ("http3", r#""on""#, r#"["on","off"]"#),
    ("ip_geolocation", r#""on""#, r#"["on","off"]"#),
    ("min_tls_version", r#""1.0""#, r#"["1.0","1.1","1.2","1.3"]"#),
    ("opportunistic_encryption", r#""on""#, r#"["on","off"]"#),
    ("pseudo_ipv4", r#""off""#, r#"["off","add_header","overwrite_header"]"#),
    ("replace_insecure_js", r#""on""#, r#"["on","off"]"#),
    ("rocket_loader", r#""off""#, r#"["on","off"]"#),
    ("security_level", r#""medium""#, r#"["off","essentially_off","low","medium","high","under_attack"]"#),
    ("speed_brain", r#""on""#, r#"["on","off"]"#),
    ("ssl", r#""flexible""#, r#"["off","flexible","full","strict"]"#),
    ("tls_1_3", r#""on""#, r#"["on","off","zrt"]"#),
    ("websockets", r#""on""#, r#"["on","off"]"#),
    ("mirage", r#""off""#, "[]"),
];

pub(crate) fn settings() -> BTreeMap<&'static str, Value> {
    SETTINGS.iter().map(|(name, value, _)| (*name, serde_json::from_str(value).unwrap())).collect()
}

pub(crate) fn setting(zone: &mut Zone, method: &str, name: &str, body: &Value) -> Answer {
    let Some((name, _, may)) = SETTINGS.iter().find(|(known, ..)| *known == name) else {
        return Err(refuse(400, 1006, &format!("Undefined zone setting: {name}")));
    };
    let may: Option<Vec<Value>> = serde_json::from_str(may).unwrap();
    let editable = may.as_ref().is_none_or(|may| !may.is_empty());
    if method == "PATCH" {
        let value = &body["value"];
        if !editable {
            return Err(refuse(403, 1015, &format!("Not allowed to edit setting for {name}")));
        }
        let good = may.map_or(value.is_u64(), |may| may.contains(value));
        if !good || body.as_object().is_none_or(|body| body.len() != 1) {
            return Err(refuse(400, 1007, &format!("Invalid value for zone setting {name}")));
        }
        zone.settings.insert(name, value.clone());
    }
    Ok(Said::Result(json!({ "id": name, "value": zone.settings[name], "editable": editable, "modified_on": null })))
}

pub(crate) fn bots() -> Map<String, Value> {
    let new = json!({
        "fight_mode": false, "enable_js": true, "using_latest_model": true, "ai_bots_protection": "block", "crawler_protection": "disabled",
        "is_robots_txt_managed": true, "cf_robots_variant": "policy_only",
    });
    new.as_object().unwrap().clone()
}

pub(crate) fn bot_management(zone: &mut Zone, method: &str, body: &Value) -> Answer {
    if method == "PUT" {
        schema::check("bot_management", body).map_err(|e| refuse(400, 10400, &e))?;
        zone.bots.extend(body.as_object().unwrap().clone());
    }
    Ok(Said::Result(json!(zone.bots)))
}

pub(crate) fn url_normalization(zone: &mut Zone, method: &str, body: &Value) -> Answer {
    if method == "PUT" {
        schema::check("url_normalization", body).map_err(|e| refuse(400, 10400, &e))?;
        zone.url_normalization = body.clone();
    }
    Ok(Said::Result(zone.url_normalization.clone()))
}

pub(crate) fn dnssec(zone: &mut Zone, method: &str, body: &Value) -> Answer {
    if method == "PATCH" {
        match body["status"].as_str() {
            // Until the registrar has the DS record.
            Some("active") => "pending".clone_into(&mut zone.dnssec),
            Some("disabled") => "disabled".clone_into(&mut zone.dnssec),
            _ => return Err(refuse(400, 1004, "Invalid status")),
        }
    }
    Ok(Said::Result(json!({ "status": zone.dnssec, "algorithm": "13", "key_tag": 2371, "flags": 257 })))
}
