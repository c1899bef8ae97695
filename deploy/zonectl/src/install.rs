//! `zonectl ca install`: the certificate of a folder becomes what the zone shows. In the order that never shows the gateway what it does not trust.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::authority::{Folder, certificates, check, is_of};
use crate::file::content;
use crate::parts::pulls;
use crate::zone::Zone;

/// How long Cloudflare may take to deploy a certificate: some minutes, it says.
const WITHIN: Duration = Duration::from_secs(600);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// `trusted` is what the gateway has.
pub(crate) fn install(api: &Api, zone: &Zone, folder: &Folder, trusted: &str) -> Result<(), String> {
    let (certificate, key) = (content(&folder.file("client.pem"))?, content(&folder.file("client.key"))?);
    if !is_of(&certificate, trusted).map_err(folder.of("client.pem"))? {
        return Err(format!(
            "the gateway does not trust the authority of {} yet: put {} there as tls.client_ca, and ask again",
            folder.file("client.pem").display(),
            folder.file("zone-ca.pem").display()
        ));
    }
    let path = zone.path("origin_tls_client_auth");
    let mine = certificates(&certificate).map_err(folder.of("client.pem"))?;
    let is_mine =
        |it: &Value| it["certificate"].as_str().is_some_and(|text| certificates(text).is_ok_and(|it| it == mine));
    if pulls::certificates(api, zone)?.iter().any(is_mine) {
        println!("= {:<14} the zone has this certificate", "origin pulls");
    } else {
        let body = json!({ "certificate": certificate, "private_key": key });
        api.call(&Method::POST, &path, Some(&body)).map_err(|e| e.to_string())?;
        println!("+ {:<14} the certificate is uploaded", "origin pulls");
    }

    let until = Instant::now() + WITHIN;
    loop {
        let all = pulls::certificates(api, zone)?;
        let found = all.iter().find(|it| is_mine(it)).ok_or("the zone does not show what was uploaded")?;
        match found["status"].as_str().unwrap_or_default() {
            "active" => break,
            "initializing" | "pending_deployment" if Instant::now() < until => sleep(LOOK),
            status => {
                return Err(format!("the certificate is `{status}`, and not active; `ca install` again goes on here"));
            }
        }
    }
    println!("= {:<14} it is active", "origin pulls");

    if !pulls::enabled(api, zone)? {
        let change = pulls::turn(zone, true);
        api.call(&change.method, &change.path, change.body.as_ref()).map_err(|e| e.to_string())?;
        println!("{change}");
    }
    // The vendor asks to keep one only.
    for old in pulls::certificates(api, zone)?.iter().filter(|it| !is_mine(it) && it["status"] != "pending_deletion") {
        let id = old["id"].as_str().unwrap_or_default();
        api.call(&Method::DELETE, &format!("{path}/{id}"), None).map_err(|e| e.to_string())?;
        println!("- {:<14} the certificate before, {id}", "origin pulls");
    }
    if folder.forget()? {
        println!(
            "the rotation is over: {} has the new authority only. Put it on the gateway once more",
            folder.file("zone-ca.pem").display()
        );
    }
    Ok(())
}

/// `zonectl ca off`: what was uploaded stays, and is not shown.
pub(crate) fn withdraw(api: &Api, zone: &Zone, agree: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    if !pulls::enabled(api, zone)? {
        println!("= {:<14} off", "origin pulls");
        return Ok(());
    }
    agree("A gateway whose sites demand the certificate then refuses everyone. Turn origin pulls off?")?;
    let change = pulls::turn(zone, false);
    api.call(&change.method, &change.path, change.body.as_ref()).map_err(|e| e.to_string())?;
    println!("{change}");
    Ok(())
}

/// What the gateway has, from a file, or from standard input for `-`.
pub(crate) fn trusted(path: &Path) -> Result<String, String> {
    let (from, text) = if path.as_os_str() == "-" {
        let text = std::io::read_to_string(std::io::stdin());
        ("standard input".to_owned(), text.map_err(|e| format!("standard input cannot be read: {e}"))?)
    } else {
        (path.display().to_string(), content(path)?)
    };
    check(&text).map_err(|what| format!("{from} {what}"))?;
    Ok(text)
}
