//! Updates over the air: a program asks for what is newer than itself, and fetches it.
//!
//! The check is what Tauri's updater expects: `GET /api/sync/ota/{slug}/{target}/{arch}/{current_version}` answers 200 with `version` and `url`, or 204.
//! Its `url` is an address of this site, which does not expire; behind it the file is handed off as a stable, public URL of the bucket. So caches may
//! keep both, and programs find their update while this app is down.

use axum::{
    Json,
    extract::Path,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{api, handoff, objects::Object, upload::hex};

/// The bucket (by its role in the gateway's configuration) that holds what programs fetch.
pub(crate) const OTA: &str = "ota";

/// Fresh for a minute, and for a day where nobody can be asked: nothing in it expires.
const CHECK: &str = "public, max-age=60, stale-if-error=86400";
/// Of the hand-off, of which each client gets a URL of its own time.
const ARTIFACT: &str = "public, max-age=300, stale-if-error=86400";
/// How long the URL lasts, in seconds. It is the same for half of that.
const LASTS: &str = "3600";

/// A program that comes from here.
#[derive(Debug)]
struct Program {
    slug: &'static str,
    name: &'static str,
    version: &'static str,
    published: &'static str,
    notes: &'static str,
    /// Each of target and architecture.
    platforms: &'static [(&'static str, &'static str)],
}

static PROGRAMS: &[Program] = &[Program {
    slug: "sketchbook",
    name: "Sketchbook",
    version: "1.2.0",
    published: "2026-11-02T08:00:00Z",
    notes: "Straight lines are straight again.",
    platforms: &[("linux", "x86_64"), ("darwin", "aarch64"), ("windows", "x86_64")],
}];

impl Program {
    fn find(slug: &str) -> Option<&'static Self> {
        PROGRAMS.iter().find(|program| program.slug == slug)
    }

    fn is_for(&self, target: &str, arch: &str) -> bool {
        self.platforms.contains(&(target, arch))
    }

    fn key(&self, target: &str, arch: &str) -> String {
        format!("ota/{}/{}/{target}-{arch}", self.slug, self.version)
    }

    /// A tar archive of one file, the same in every run.
    fn archive(&self, target: &str, arch: &str) -> Vec<u8> {
        let line = format!("{} {} for {target} on {arch}\n", self.name, self.version);
        tar(self.slug, line.repeat(4_000).as_bytes())
    }
}

/// What the bucket holds.
pub(crate) fn objects() -> impl Iterator<Item = Object> {
    let of = |program: &'static Program| {
        program.platforms.iter().map(move |(target, arch)| Object {
            bucket: OTA,
            key: program.key(target, arch),
            content_type: "application/x-tar",
            bytes: program.archive(target, arch),
        })
    };
    PROGRAMS.iter().flat_map(of)
}

/// `GET /api/sync/ota/{slug}/{target}/{arch}/{current_version}`.
pub(crate) async fn check(
    Path((slug, target, arch, current)): Path<(String, String, String, String)>,
    request: HeaderMap,
) -> Response {
    let Some(program) = Program::find(&slug).filter(|program| program.is_for(&target, &arch)) else {
        return api::error(StatusCode::NOT_FOUND, "no such program, or not for that platform");
    };
    let Some(current) = version(&current) else {
        return api::error(StatusCode::BAD_REQUEST, "the current version is three numbers, as in 1.2.0");
    };
    let fields = [
        (header::CACHE_CONTROL, HeaderValue::from_static(CHECK)),
        (HeaderName::from_static("cache-tag"), HeaderValue::from_static("ota")),
    ];
    if version(program.version).is_none_or(|newest| current >= newest) {
        return (StatusCode::NO_CONTENT, fields).into_response();
    }
    let said = |name: &str, other: &'static str| {
        request.get(name).and_then(|value| value.to_str().ok()).unwrap_or(other).to_owned()
    };
    let site = format!("{}://{}", said("x-forwarded-proto", "http"), said("host", "localhost"));
    let update = json!({
        "version": program.version,
        "pub_date": program.published,
        "notes": program.notes,
        "url": format!("{site}/ota/{slug}/{}/{target}/{arch}", program.version),
        // A real program's maker signs it as well; this one has none.
        "sha256": hex(&Sha256::digest(program.archive(&target, &arch))),
    });
    (fields, Json(update)).into_response()
}

/// `GET /ota/{slug}/{version}/{target}/{arch}`.
pub(crate) async fn artifact(Path((slug, version, target, arch)): Path<(String, String, String, String)>) -> Response {
    let program = Program::find(&slug).filter(|program| program.version == version && program.is_for(&target, &arch));
    let Some(program) = program else { return api::error(StatusCode::NOT_FOUND, "no such release") };
    let filename = format!("{}_{version}_{target}_{arch}.tar", program.name);
    let field = handoff::field(OTA, &program.key(&target, &arch), &filename, "attachment");
    handoff::answer(&format!("{field};expires={LASTS};stable;public"), ARTIFACT)
}

/// Three numbers with dots.
fn version(text: &str) -> Option<[u64; 3]> {
    let numbers: Vec<u64> = text.split('.').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

/// A POSIX ustar archive of one file.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut head = [0; 512];
    let mut put = |at: usize, text: &str| {
        for (byte, said) in head.iter_mut().skip(at).zip(text.bytes()) {
            *byte = said;
        }
    };
    put(0, name);
    put(100, "0000755");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{:011o}", content.len()));
    put(136, "00000000000");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\u{0}00");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    for (byte, said) in head.iter_mut().skip(148).zip(format!("{sum:06o}\u{0} ").bytes()) {
        *byte = said;
    }
    let mut archive = [&head, content].concat();
    // To the end of its block, and two empty ones.
    archive.resize(archive.len().next_multiple_of(512) + 1_024, 0);
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version("1.10.0") > version("1.9.9") && version("1.2.0") == Some([1, 2, 0]));
        for bad in ["", "1", "1.2", "1.2.0.0", "v1.2.0", "1.2.x", "1..2"] {
            assert_eq!(version(bad), None, "{bad}");
        }
    }

    #[test]
    fn archives_are_whole() {
        for object in objects() {
            assert_eq!(object.bytes.len() % 512, 0);
            assert_eq!(&object.bytes[257..265], b"ustar\x0000");
            let said = std::str::from_utf8(&object.bytes[124..135]).expect("ASCII");
            let length = usize::from_str_radix(said, 8).expect("octal");
            assert!(length > 100_000 && object.bytes.len() - length < 2_560, "{}: {length}", object.key);
        }
    }
}
