//! `[upload.NAME]`: a route where clients upload to a bucket, as their app allows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Fault;
use super::check::path_begins;
use super::value::{Size, Span};

/// A route as written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UploadSection {
    path: String,
    size: Option<Size>,
    lasts: Option<Span>,
}

/// A route where clients upload.
#[derive(Clone, Debug)]
pub struct UploadRoute {
    /// Its name, in logs and metrics.
    pub name: String,
    /// Its path, on every site; all below it is the gateway's too.
    pub path: String,
    /// Bytes of a file at most.
    pub size: u64,
    /// How long a client may take from its beginning to its end.
    pub lasts: Duration,
}

/// What S3 takes in one go.
pub(super) const SIZE: u64 = 5 << 30;
/// A night on a slow line.
pub(super) const LASTS: Duration = Duration::from_secs(86_400);
/// What S3 has objects of: 5 TiB.
const LARGEST: u64 = 5 << 40;

pub(super) fn check(name: &str, section: UploadSection, faults: &mut Vec<Fault>) -> Option<UploadRoute> {
    let before = faults.len();
    let mut fault = |key: &str, what: String| faults.push(Fault::new(format!("upload.{name}{key}"), what));
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        fault("", "a route's name is lower-case letters, digits and dashes, as in [upload.works]".to_owned());
    }
    if let Err(what) = path_begins(&section.path) {
        fault(
            ".path",
            what.replace("the beginning of a path", "a path")
                .replace("/git/", "/api/uploads")
                .replace(", or leave paths out for all", ""),
        );
    } else if section.path.ends_with('/') {
        fault(".path", format!("`{}` ends with a slash: write \"/api/uploads\"", section.path));
    }
    let size = section.size.map_or(SIZE, |size| size.0);
    if !(1..=LARGEST).contains(&size) {
        fault(".size", "is out of range: S3 has objects of 1 B to 5 TiB, as in \"2GiB\"".to_owned());
    }
    let lasts = section.lasts.map_or(LASTS, |lasts| lasts.0);
    if !(Duration::from_secs(60)..=Duration::from_secs(7 * 86_400)).contains(&lasts) {
        let shown = humantime::format_duration(lasts);
        fault(".lasts", format!("{shown} is out of range: 1 min to 7 days, as in \"1day\""));
    }
    (faults.len() == before).then(|| UploadRoute { name: name.to_owned(), path: section.path, size, lasts })
}

/// Each has a path of its own, which is below no other's: what is below a route's path is the route's.
pub(super) fn apart(routes: &[UploadRoute], faults: &mut Vec<Fault>) {
    for (n, one) in routes.iter().enumerate() {
        let within = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let meets = |other: &&UploadRoute| within(&one.path, &other.path) || within(&other.path, &one.path);
        if let Some(other) = routes.iter().take(n).find(meets) {
            let what = format!("and that of {} lie in each other: each route has a path of its own", other.name);
            faults.push(Fault::new(format!("upload.{}.path", one.name), what));
        }
    }
}
