//! `zonectl certificate`: a certificate for the server by Cloudflare's Origin CA, for a request (CSR) that the server made. The key stays there.

use reqwest::Method;
use serde_json::json;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;

use crate::api::Api;
use crate::file::OriginCertificate;

/// Days that it issues for.
const DAYS: [u32; 7] = [7, 30, 90, 365, 730, 1_095, 5_475];

/// Returns the certificate in PEM.
pub(crate) fn issue(api: &Api, wanted: &OriginCertificate, csr: &str) -> Result<String, String> {
    if !DAYS.contains(&wanted.days) {
        return Err(format!("origin_certificate.days: {}; it is one of {DAYS:?}", wanted.days));
    }
    let wrong = |what: String| format!("the request is not one in PEM (-----BEGIN CERTIFICATE REQUEST-----): {what}");
    let (_, pem) = parse_x509_pem(csr.as_bytes()).map_err(|e| wrong(e.to_string()))?;
    let (_, request) = X509CertificationRequest::from_der(&pem.contents).map_err(|e| wrong(e.to_string()))?;
    let rsa = request.certification_request_info.subject_pki.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION;
    let body = json!({
        "csr": csr,
        "hostnames": wanted.hostnames,
        "request_type": if rsa { "origin-rsa" } else { "origin-ecc" },
        "requested_validity": wanted.days,
    });
    let made = api.call(&Method::POST, "/certificates", Some(&body)).map_err(|e| e.to_string())?;
    made["certificate"].as_str().map(str::to_owned).ok_or_else(|| "there is no certificate in the answer".to_owned())
}
