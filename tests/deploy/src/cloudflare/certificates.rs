//! Origin CA, and what is shown to origins.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair, PublicKeyData as _,
};
use serde_json::{Value, json};
use x509_parser::pem::parse_x509_pem;

use super::Zone;
use super::answer::{Answer, Said, refuse};
use super::schema;

/// Signs what a server asks for.
pub(crate) fn issue(zone: &mut Zone, body: &Value) -> Answer {
    schema::check("certificate", body)
        .map_err(|e| refuse(400, 1010, &format!("Failed to validate the request: {e}")))?;
    let hostnames: Vec<String> =
        body["hostnames"].as_array().into_iter().flatten().filter_map(|it| it.as_str().map(str::to_owned)).collect();
    let within = |host: &String| *host == zone.name || host.ends_with(&format!(".{}", zone.name));
    if !hostnames.iter().all(within) {
        return Err(refuse(
            400,
            1010,
            "This zone is either not part of your account, or you do not have access to it.",
        ));
    }
    let request = CertificateSigningRequestParams::from_pem(body["csr"].as_str().unwrap_or_default());
    let mut request =
        request.map_err(|e| refuse(400, 1012, &format!("Failed to parse the certificate request: {e}")))?;
    let rsa = format!("{:?}", request.public_key.algorithm()).contains("RSA");
    if rsa != (body["request_type"] == "origin-rsa") {
        return Err(refuse(400, 1010, "The key of the request is not of the requested type"));
    }
    let names = CertificateParams::new(hostnames.clone()).unwrap();
    request.params.subject_alt_names = names.subject_alt_names;
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = request.signed_by(&Issuer::new(authority, key)).unwrap().pem();
    Ok(Said::Result(json!({ "id": zone.id(), "certificate": certificate, "hostnames": hostnames, "csr": body["csr"] })))
}

/// `origin_tls_client_auth`.
pub(crate) fn pulls(zone: &mut Zone, method: &str, rest: &[&str], body: &Value) -> Answer {
    match (method, rest) {
        ("GET", []) => {
            // Deploying takes a while: each look is one.
            let shown = json!(zone.pulls);
            zone.pulls.retain(|it| it["status"] != "pending_deletion");
            for certificate in &mut zone.pulls {
                let next = match certificate["status"].as_str() {
                    Some("initializing") => "pending_deployment",
                    _ => "active",
                };
                certificate["status"] = next.into();
            }
            Ok(Said::Result(shown))
        }
        ("POST", []) => {
            schema::check("origin_tls_client_auth", body).map_err(|e| refuse(400, 1400, &e))?;
            let (certificate, key) =
                (body["certificate"].as_str().unwrap_or_default(), body["private_key"].as_str().unwrap_or_default());
            let wrong = || refuse(400, 1407, "The certificate and the private key do not match.");
            let (_, pem) = parse_x509_pem(certificate.as_bytes())
                .map_err(|_| refuse(400, 1405, "Could not parse the certificate."))?;
            let parsed = pem.parse_x509().map_err(|_| refuse(400, 1405, "Could not parse the certificate."))?;
            let pair = KeyPair::from_pem(key).map_err(|_| refuse(400, 1406, "Could not parse the private key."))?;
            if pair.subject_public_key_info() != parsed.public_key().raw {
                return Err(wrong());
            }
            if zone.pulls.iter().any(|it| it["certificate"] == certificate) {
                return Err(refuse(400, 1408, "This certificate has already been submitted."));
            }
            let new = json!({
                "id": zone.id(), "certificate": certificate, "issuer": parsed.issuer().to_string(), "status": "initializing", "uploaded_on": zone.time(),
            });
            zone.pulls.push(new.clone());
            Ok(Said::Result(new))
        }
        ("GET", ["settings"]) => Ok(Said::Result(json!({ "enabled": zone.pulls_enabled }))),
        ("PUT", ["settings"]) => {
            schema::check("origin_tls_client_auth_settings", body).map_err(|e| refuse(400, 1400, &e))?;
            zone.pulls_enabled = body["enabled"] == true;
            Ok(Said::Result(json!({ "enabled": zone.pulls_enabled })))
        }
        ("DELETE", [id]) => {
            let found = zone
                .pulls
                .iter_mut()
                .find(|it| it["id"] == *id)
                .ok_or_else(|| refuse(404, 1401, "Certificate not found."))?;
            found["status"] = "pending_deletion".into();
            Ok(Said::Result(found.clone()))
        }
        _ => Err(refuse(405, 10405, "Method not allowed")),
    }
}
