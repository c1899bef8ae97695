//! Rules for lifecycle and CORS as they are to be, and comparing them with those that are there.

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, CorsRule, ExpirationStatus, LifecycleRule, LifecycleRuleFilter,
    NoncurrentVersionExpiration,
};

use crate::config::Upkeep;

/// The name of our rules.
pub(super) const ID: &str = "origin";

/// What a browser sends to upload: forms are posted, parts put; players read.
const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "PUT"];
/// What scripts may see of an answer: an upload's hash and version, and where in a file a part of it is.
const EXPOSED: [&str; 4] = ["Accept-Ranges", "Content-Range", "ETag", "x-amz-version-id"];
/// For how long a browser keeps the answer to its preflight, in seconds.
const PREFLIGHT: i32 = 3_600;

/// Our rules, and those of others.
pub(super) fn apart<T: Clone>(rules: &[T], is_ours: impl Fn(&T) -> bool) -> (Vec<T>, Vec<T>) {
    rules.iter().cloned().partition(is_ours)
}

pub(super) fn lifecycle(upkeep: &Upkeep) -> LifecycleRule {
    let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(upkeep.keep_parts).build();
    // Days alone: Hetzner takes nothing else here.
    let versions = NoncurrentVersionExpiration::builder().noncurrent_days(upkeep.keep_versions).build();
    let rule = LifecycleRule::builder()
        .id(ID)
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix("").build())
        .abort_incomplete_multipart_upload(abort)
        .noncurrent_version_expiration(versions);
    rule.build().unwrap_or_else(|_| unreachable!("its status is set"))
}

pub(super) fn say_lifecycle(upkeep: &Upkeep) -> String {
    let Upkeep { keep_versions, keep_parts, .. } = upkeep;
    format!("let older versions go after {keep_versions} day(s), unfinished uploads after {keep_parts} day(s)")
}

/// Whether two rules do the same. Servers write one prefix in several ways.
pub(super) fn same_rule(one: &LifecycleRule, other: &LifecycleRule) -> bool {
    let versions = |rule: &LifecycleRule| rule.noncurrent_version_expiration().and_then(|e| e.noncurrent_days());
    let parts = |rule: &LifecycleRule| rule.abort_incomplete_multipart_upload().and_then(|a| a.days_after_initiation());
    one.status() == other.status()
        && prefix(one) == prefix(other)
        && versions(one) == versions(other)
        && parts(one) == parts(other)
        && one.expiration().is_none()
        && one.transitions().is_empty()
}

fn prefix(rule: &LifecycleRule) -> &str {
    let filter = rule.filter();
    let inner = filter.and_then(|filter| filter.prefix().or_else(|| filter.and().and_then(|and| and.prefix())));
    #[expect(deprecated, reason = "what older servers and rules still write")]
    let outer = rule.prefix();
    inner.or(outer).unwrap_or_default()
}

/// Somebody else's rule.
pub(super) fn say_rule(rule: &LifecycleRule) -> String {
    let mut does = Vec::new();
    if let Some(days) = rule.expiration().and_then(|expiration| expiration.days()) {
        does.push(format!("OBJECTS GO after {days} day(s)"));
    } else if rule.expiration().is_some() {
        does.push("objects or delete markers go".to_owned());
    }
    if let Some(days) = rule.noncurrent_version_expiration().and_then(|versions| versions.noncurrent_days()) {
        does.push(format!("older versions go after {days} day(s)"));
    }
    if let Some(days) = rule.abort_incomplete_multipart_upload().and_then(|abort| abort.days_after_initiation()) {
        does.push(format!("unfinished uploads go after {days} day(s)"));
    }
    let place = Some(prefix(rule)).filter(|prefix| !prefix.is_empty());
    let place = place.map_or_else(|| "everywhere".to_owned(), |prefix| format!("under {prefix}"));
    let off = if *rule.status() == ExpirationStatus::Enabled { "" } else { ", but it is off" };
    format!(
        "rule {}, which is somebody else's: {place} {}{off}",
        rule.id().unwrap_or("without a name"),
        does.join(", ")
    )
}

/// `None` for no origins.
pub(super) fn cors(origins: &[String]) -> Option<CorsRule> {
    let list = |list: &[&str]| Some(list.iter().map(|&item| item.to_owned()).collect());
    let rule = CorsRule::builder()
        .id(ID)
        .set_allowed_origins(Some(origins.to_vec()))
        .set_allowed_methods(list(&METHODS))
        // What may be sent, the signature says.
        .allowed_headers("*")
        .set_expose_headers(list(&EXPOSED))
        .max_age_seconds(PREFLIGHT)
        .build();
    rule.ok().filter(|_| !origins.is_empty())
}

/// Whether two rules let the same do the same.
pub(super) fn same_cors(one: &CorsRule, other: &CorsRule) -> bool {
    let same = |one: &[String], other: &[String]| {
        let lower = |list: &[String]| {
            let mut list: Vec<String> = list.iter().map(|item| item.to_ascii_lowercase()).collect();
            list.sort_unstable();
            list
        };
        lower(one) == lower(other)
    };
    same(one.allowed_origins(), other.allowed_origins())
        && same(one.allowed_methods(), other.allowed_methods())
        && same(one.allowed_headers(), other.allowed_headers())
        && same(one.expose_headers(), other.expose_headers())
        && one.max_age_seconds() == other.max_age_seconds()
}

/// Somebody else's rule.
pub(super) fn say_cors(rule: &CorsRule) -> String {
    let (methods, origins) = (rule.allowed_methods().join(", "), rule.allowed_origins().join(", "));
    format!("rule {}, which is somebody else's: {methods} for {origins}", rule.id().unwrap_or("without a name"))
}
