//! POST policies: what a browser's form may upload, under a signature.
//!
//! Source: AWS, "Authenticating Requests in Browser-Based Uploads Using POST (AWS Signature Version 4)". Every field of the form is a condition
//! of the policy, so a field that someone adds or changes is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::sigv4::{Signer, ascii, time_of_day};
use super::{instant, media};

/// A form, to be sent as `multipart/form-data` with these fields and then `file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Where it is posted.
    pub url: String,
    /// Its fields, in this order.
    pub fields: Vec<(&'static str, String)>,
    /// When it stops working, in seconds since the Unix epoch.
    pub expires: u64,
}

pub(super) fn sign(signer: &Signer, key: &str, content_type: &str, length: u64, now: u64, lasts: u64) -> Form {
    let (place, day) = (signer.place(), signer.day_of(now));
    let date = format!("{}T{}", day.date, ascii(&time_of_day(now)));
    let mut fields = vec![
        ("key", key.to_owned()),
        ("Content-Type", content_type.to_owned()),
        ("success_action_status", "201".to_owned()),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("x-amz-credential", day.credential.clone()),
        ("x-amz-date", date),
    ];
    if media::is_active(content_type) {
        fields.push(("Content-Disposition", "attachment".to_owned()));
    }
    let mut conditions = vec![json!({"bucket": place.bucket()}), json!(["content-length-range", length, length])];
    conditions.extend(
        fields
            .iter()
            .map(|(name, value)| Value::Array(vec!["eq".into(), format!("${name}").into(), value.as_str().into()])),
    );
    let policy = json!({"expiration": instant(now + lasts), "conditions": conditions});
    let policy = STANDARD.encode(policy.to_string());
    fields.push(("x-amz-signature", Signer::sign(&day, &policy)));
    fields.push(("policy", policy));
    Form {
        url: format!("{}://{}{}", place.scheme, place.host, if place.prefix.is_empty() { "/" } else { &place.prefix }),
        fields,
        expires: now + lasts,
    }
}
