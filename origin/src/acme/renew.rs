//! Renewal in the background: when the CA says so (ARI, RFC 9773), else when a third of a certificate's life is left.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use instant_acme::RenewalInfo;

use super::Acme;
use super::ask::Answer;
use super::certificate::{Certificate, Validity};
use super::issue::Occasion;
use super::refusals::backoff;

/// How often it is looked what is due.
const LOOK: Duration = Duration::from_secs(5);
/// Certificates for which the CA is asked when to renew, from one look to the next.
const ARI_AT_ONCE: usize = 10;
/// How often the CA is asked that: as it says, within these.
const ARI_AGAIN: (Duration, Duration) = (Duration::from_secs(3600), Duration::from_secs(86_400));

/// What is intended for one certificate.
#[derive(Debug)]
struct Plan {
    of: Validity,
    at: SystemTime,
    /// Failures in a row.
    failures: u32,
    /// When the CA is asked when to renew it.
    ari: SystemTime,
    /// Whether it has answered, and so wants to be told what a new one replaces.
    answered: bool,
}

impl Plan {
    fn new(certificate: &Certificate, now: SystemTime) -> Self {
        let of = certificate.validity;
        Self { of, at: due(of, None, certificate.fraction()), failures: 0, ari: now, answered: false }
    }

    /// Puts it off after a failure, in proportion to the life of the certificate: after an hour at first where it is 90 days.
    fn put_off(&mut self, now: SystemTime) {
        self.failures += 1;
        let first = (self.of.life() / 2000).clamp(Duration::from_secs(1), Duration::from_secs(3600));
        self.at = now + backoff(self.failures, first, first * 8);
    }
}

impl Acme {
    pub(super) async fn renew(self: Arc<Self>) {
        let mut plans = HashMap::new();
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.look(&mut plans).await;
        }
    }

    /// Renews what is due, one after the other, what ends first at first.
    async fn look(&self, plans: &mut HashMap<String, Plan>) {
        let now = SystemTime::now();
        let known: Vec<(String, Arc<Certificate>)> = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.iter().map(|(name, certificate)| (name.clone(), Arc::clone(certificate))).collect()
        };
        let (mut asked, mut work) = (0, Vec::new());
        for (name, certificate) in known {
            let plan = plans.entry(name.clone()).or_insert_with(|| Plan::new(&certificate, now));
            if plan.of != certificate.validity {
                *plan = Plan::new(&certificate, now);
            }
            if plan.ari <= now && asked < ARI_AT_ONCE && certificate.lives(now) && self.asks(&name).is_some() {
                asked += 1;
                self.ask_ca(plan, &certificate, now).await;
            }
            // One that has ended is ordered anew when somebody asks for it.
            if plan.at <= now && certificate.lives(now) {
                work.push((name, certificate));
            }
        }
        work.sort_by_key(|(_, certificate)| certificate.validity.not_after);
        for (name, certificate) in work {
            let Some(plan) = plans.get_mut(&name) else { continue };
            // Another process may have done it.
            if !self.take_over(&name) && !self.renew_one(&name, &certificate, plan).await {
                plan.put_off(SystemTime::now());
            }
        }
    }

    async fn renew_one(&self, name: &str, certificate: &Certificate, plan: &Plan) -> bool {
        let Some(url) = self.asks(name) else { return false };
        match self.ask(url, name).await {
            Answer::Yes => {}
            Answer::No => {
                tracing::info!(name, "not renewed: the app says that the name is none of ours any more");
                return false;
            }
            Answer::None => return false,
        }
        let before = plan.answered.then(|| certificate.identifier()).flatten();
        if self.issue(name, Occasion::Renewal(before)).await.is_err() {
            let until = humantime::format_rfc3339_seconds(certificate.validity.not_after);
            tracing::warn!(name, %until, failures = plan.failures + 1, "not renewed; it is tried again");
            return false;
        }
        true
    }

    async fn ask_ca(&self, plan: &mut Plan, certificate: &Certificate, now: SystemTime) {
        let said = match certificate.identifier() {
            Some(identifier) => self.ca.renewal(&self.storage, &identifier).await,
            None => None,
        };
        let again = said.as_ref().map_or(ARI_AGAIN.1, |(_, again)| (*again).clamp(ARI_AGAIN.0, ARI_AGAIN.1));
        plan.ari = now + again;
        if let Some((RenewalInfo { suggested_window: window, .. }, _)) = said {
            plan.answered = true;
            // While it fails, our own times count.
            if plan.failures == 0 {
                let window = (window.start.into(), window.end.into());
                plan.at = due(plan.of, Some(window), certificate.fraction());
            }
        }
    }
}

/// When to renew: at the certificate's own place within the CA's window, but not in the last tenth of its life; without a
/// window when a third of its life is left, or up to a thirtieth of it earlier.
fn due(of: Validity, window: Option<(SystemTime, SystemTime)>, fraction: f64) -> SystemTime {
    let life = of.life();
    match window {
        Some((start, end)) => {
            let place = start + end.duration_since(start).unwrap_or_default().mul_f64(fraction);
            place.min(of.not_after - life / 10)
        }
        None => of.not_after - life / 3 - (life / 30).mul_f64(fraction),
    }
}

#[cfg(test)]
mod tests {
    use super::{Plan, due};
    use crate::acme::certificate::Validity;
    use std::time::{Duration, UNIX_EPOCH};

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_third_before_the_end_unless_the_ca_says_otherwise() {
        let of = Validity { not_before: UNIX_EPOCH, not_after: UNIX_EPOCH + 90 * DAY };
        assert_eq!(due(of, None, 0.0), UNIX_EPOCH + 60 * DAY);
        assert_eq!(due(of, None, 0.5), UNIX_EPOCH + 58 * DAY + DAY / 2);
        let window = |from: u32, to: u32| Some((UNIX_EPOCH + from * DAY, UNIX_EPOCH + to * DAY));
        assert_eq!(due(of, window(40, 50), 0.0), UNIX_EPOCH + 40 * DAY);
        assert_eq!(due(of, window(40, 50), 0.5), UNIX_EPOCH + 45 * DAY);
        assert_eq!(due(of, window(95, 99), 0.5), UNIX_EPOCH + 81 * DAY, "later than is safe");
        assert_eq!(due(of, window(50, 40), 0.5), UNIX_EPOCH + 50 * DAY, "a window that is none");
    }

    #[test]
    fn failures_put_it_off_ever_longer_and_never_past_the_end() {
        for life in [Duration::from_secs(60), 6 * DAY, 90 * DAY] {
            let of = Validity { not_before: UNIX_EPOCH, not_after: UNIX_EPOCH + life };
            let mut plan = Plan { of, at: due(of, None, 0.0), failures: 0, ari: UNIX_EPOCH, answered: false };
            let (mut tries, mut before) = (0, Duration::ZERO);
            while plan.at < of.not_after {
                let now = plan.at;
                plan.put_off(now);
                let pause = plan.at.duration_since(now).expect("later");
                assert!(pause >= before);
                (tries, before) = (tries + 1, pause);
            }
            assert!((5..200).contains(&tries), "{tries} tries in the last third of {life:?}");
        }
    }
}
