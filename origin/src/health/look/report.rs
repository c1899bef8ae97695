//! A report that a job leaves in a file: `{"check": …, "ok": …, "at": …, "good_for_seconds": …, "detail": …}`, as the jobs in
//! deploy/backups write it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::{Found, plain, span};
use crate::health::level::Level;

/// Bytes of a report at most.
const LARGEST: u64 = 64 << 10;

#[derive(Deserialize)]
struct Report {
    ok: bool,
    at: String,
    good_for_seconds: u64,
    #[serde(default)]
    detail: String,
}

pub(super) async fn look(file: &Path) -> Result<Found, String> {
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || -> std::io::Result<String> {
        use std::io::Read as _;
        let mut text = String::new();
        std::fs::File::open(path)?.take(LARGEST).read_to_string(&mut text)?;
        Ok(text)
    });
    let text = read.await.map_err(|e| e.to_string())?.map_err(|e| format!("there is no report: {e}"))?;
    judge(&text, SystemTime::now())
}

/// An old report is as bad as one of a failure: the job no longer runs.
fn judge(text: &str, now: SystemTime) -> Result<Found, String> {
    let report: Report = serde_json::from_str(text).map_err(|e| format!("the report is not of its shape: {e}"))?;
    let at = humantime::parse_rfc3339(&report.at).map_err(|_| "the report's time is none".to_owned())?;
    let age = now.duration_since(at).unwrap_or_default();
    let (ago, detail) = (span(age), plain(&report.detail));
    if !report.ok {
        return Err(format!("failed {ago} ago: {detail}"));
    }
    if age > Duration::from_secs(report.good_for_seconds) {
        return Err(format!(
            "the last one is {ago} old, and was good for {}",
            span(Duration::from_secs(report.good_for_seconds))
        ));
    }
    let found = Found::figure(age.as_secs_f64(), "s", format!("went well {ago} ago: {detail}"));
    // Its own time says how long it is good for; the probe's bounds may ask for more.
    Ok(found.at_least(Level::Operational))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::judge;

    #[test]
    fn a_report_counts_while_it_is_good() {
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds);
        let report = |ok: bool| {
            format!(
                r#"{{"check":"restore-drill","ok":{ok},"at":"{}","seconds":42,"good_for_seconds":3600,"detail":"last\nline"}}"#,
                humantime::format_rfc3339_seconds(at(0))
            )
        };
        let good = judge(&report(true), at(3600)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(good.says, "went well 1h ago: lastline");
        assert!(judge(&report(true), at(3601)).is_err_and(|why| why.contains("good for 1h")));
        assert!(judge(&report(false), at(5)).is_err_and(|why| why == "failed 5s ago: lastline"));
        assert!(judge("{}", at(0)).is_err_and(|why| why.contains("shape")));
    }
}
