//! When our certificates end: for metrics, for the monitor, and in the log before it is too late.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::acme::Validity;
use crate::gateway::Gateway;
use crate::listen::Identity;
use crate::metrics::Certificate;

/// From when on a certificate's end is worth a warning.
const SOON: Duration = Duration::from_secs(14 * 86_400);
/// How often it is looked, and said.
const DAY: Duration = Duration::from_secs(86_400);
/// How often the monitor's answer follows.
const LOOK: Duration = Duration::from_secs(60);
/// Certificates that are named in one day's warnings.
const NAMED: usize = 20;
/// Certificates that metrics have a series for: there may be as many as creators.
const MEASURED: usize = 100;

/// Where a certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file that the configuration names.
    File,
    /// ACME, which renews it.
    Acme,
}

/// When one certificate ends.
#[derive(Clone, Debug)]
pub(crate) struct Expiry {
    /// `tls`, a site's first host, or the name that it was issued for.
    pub(crate) name: String,
    pub(crate) source: Source,
    pub(crate) validity: Validity,
}

impl Source {
    /// The word for logs and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Acme => "acme",
        }
    }
}

impl Expiry {
    /// Whether it ends within 14 days; one that lasts for days only, within the last quarter of its life, by when it should
    /// have been renewed.
    fn is_soon(&self, now: SystemTime) -> bool {
        now + SOON.min(self.validity.life() / 4) >= self.validity.not_after
    }
}

/// Warns once a day of what ends soon, tells the monitor where it is a file's, and metrics of the soonest, for as long as the runtime
/// lives. A creator's domain that has moved elsewhere is no trouble of the site's.
pub(crate) async fn watch(identity: Arc<Identity>, gateway: Arc<Gateway>) {
    let mut looks = tokio::time::interval(LOOK);
    let mut said: Option<SystemTime> = None;
    loop {
        looks.tick().await;
        let now = SystemTime::now();
        let mut all = identity.expiries();
        // Those of files first: there are as many as the operator has written.
        all.sort_by_key(|expiry| (expiry.source == Source::Acme, expiry.validity.not_after));
        let measured = all
            .iter()
            .take(MEASURED)
            .map(|expiry| Certificate { name: expiry.name.clone(), not_after: expiry.validity.not_after });
        gateway.metrics.set_certificates(measured.collect());
        let mut soon: Vec<Expiry> = all.into_iter().filter(|expiry| expiry.is_soon(now)).collect();
        gateway.health.set_certificates(soon.iter().any(|expiry| expiry.source == Source::File));
        if soon.is_empty() || said.is_some_and(|said| now.duration_since(said).is_ok_and(|since| since < DAY)) {
            continue;
        }
        said = Some(now);
        soon.sort_by_key(|expiry| expiry.validity.not_after);
        for Expiry { name, source, validity } in soon.iter().take(NAMED) {
            let until = humantime::format_rfc3339_seconds(validity.not_after);
            let ended = validity.not_after <= now;
            tracing::warn!(name, source = source.as_str(), %until, ended, "a certificate ends soon");
        }
        if soon.len() > NAMED {
            tracing::warn!(more = soon.len() - NAMED, "further certificates end soon");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, Expiry, Source};
    use crate::acme::Validity;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn two_weeks_or_a_quarter_of_its_life() {
        let soon_from = |life: Duration| {
            let validity = Validity { not_before: UNIX_EPOCH, not_after: UNIX_EPOCH + life };
            let expiry = Expiry { name: "a".to_owned(), source: Source::File, validity };
            let hours = (0..=20_000).find(|h| expiry.is_soon(UNIX_EPOCH + Duration::from_secs(h * 3600)));
            hours.expect("at the end at last") as f64 / 24.0
        };
        assert_eq!(soon_from(365 * DAY), 351.0);
        assert_eq!(soon_from(90 * DAY), 76.0);
        assert_eq!(soon_from(6 * DAY), 4.5);
    }
}
