//! The control plane's side: a name's way from "somebody asks for it" to a certificate that is kept and known.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::Uri;
use instant_acme::CertificateIdentifier;
use tokio::sync::mpsc;

use super::ask::{Answer, ask};
use super::certificate::Certificate;
use super::order::Failure;
use super::refusals::Refusal;
use super::storage::Lock;
use super::{Acme, Wanted, lock};

/// How long the work on a name may take in all.
const WITHIN: Duration = Duration::from_secs(300);
/// How often it is looked whether another process is done with a name.
const LOOK: Duration = Duration::from_millis(250);

impl Acme {
    /// Works on what handshakes want, for as long as the runtime lives.
    pub(crate) async fn run(self: Arc<Self>, mut wishes: mpsc::Receiver<Wanted>) {
        tracing::info!(names = self.validities().len(), storage = %self.storage.folder().display(), "certificates on first use");
        tokio::spawn(Arc::clone(&self).renew());
        while let Some(wanted) = wishes.recv().await {
            let this = Arc::clone(&self);
            tokio::spawn(async move {
                let obtained = tokio::time::timeout(WITHIN, this.obtain(&wanted.name, &wanted.ask));
                let obtained = obtained.await.unwrap_or(Err(Refusal::CaDown));
                if let Err(why) = obtained {
                    this.refusals.remember(&wanted.name, why, Instant::now());
                    tracing::info!(name = wanted.name, reason = why.as_str(), "no certificate");
                }
                // Only now: whoever comes next finds the certificate or the refusal.
                lock(&this.flights).remove(&wanted.name);
                wanted.landed.send_replace(Some(obtained));
            });
        }
    }

    async fn obtain(&self, name: &str, url: &Uri) -> Result<(), Refusal> {
        // Another process may have had it, or `import-caddy` brought it.
        if self.take_over(name) {
            return Ok(());
        }
        match self.ask(url, name).await {
            Answer::Yes => self.issue(name, Occasion::First).await,
            Answer::No => Err(Refusal::NotOurs),
            Answer::None => Err(Refusal::AppSilent),
        }
    }

    pub(super) async fn ask(&self, url: &Uri, name: &str) -> Answer {
        let _turn = self.asking.acquire().await;
        ask(url, name).await
    }

    /// Orders a certificate, keeps it and makes it known.
    pub(super) async fn issue(&self, name: &str, occasion: Occasion) -> Result<(), Refusal> {
        let _turn = self.ordering.acquire().await;
        let storage = |error: std::io::Error| {
            tracing::error!(name, %error, "the storage can't be used");
            Refusal::CaDown
        };
        let _lock = self.lock(name).await.map_err(storage)?;
        // While we waited for the lock, its holder may have had one.
        if self.take_over(name) {
            return Ok(());
        }
        // Renewals come one by one, and a CA expects them.
        if matches!(occasion, Occasion::First) && !lock(&self.orders).take(Instant::now()) {
            tracing::warn!(name, "acme.orders are used up: the name has to wait");
            return Err(Refusal::Busy);
        }
        let began = Instant::now();
        let (renewed, replaces) = match &occasion {
            Occasion::First => (false, None),
            Occasion::Renewal(before) => (true, before.as_ref()),
        };
        let ordered = self.ca.order(&self.storage, name, replaces).await;
        let kept = ordered.and_then(|pem| {
            let certificate = Certificate::read(pem.as_bytes(), name).map_err(std::io::Error::other)?;
            self.storage.keep(name, &pem)?;
            Ok(certificate)
        });
        match kept {
            Ok(certificate) => {
                let until = humantime::format_rfc3339_seconds(certificate.validity.not_after);
                let took = began.elapsed().as_millis() as u64;
                tracing::info!(name, renewed, %until, duration.ms = took, "a certificate was issued");
                self.learn(name, certificate);
                Ok(())
            }
            Err(Failure::Pause(left)) => {
                tracing::debug!(name, ?left, "not ordered: the CA failed a moment ago");
                Err(Refusal::CaDown)
            }
            Err(error) => {
                tracing::warn!(name, %error, "a certificate was not issued");
                let down = matches!(error, Failure::Ca(_) | Failure::Storage(_));
                Err(if down { Refusal::CaDown } else { Refusal::CaRefused })
            }
        }
    }

    /// The name's lock, as soon as whoever has it lets go.
    async fn lock(&self, name: &str) -> std::io::Result<Lock> {
        loop {
            if let Some(lock) = self.storage.lock(name)? {
                return Ok(lock);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Takes over what is on disk, where it is better than what is known. Whether it did.
    pub(super) fn take_over(&self, name: &str) -> bool {
        let there = match self.storage.certificate(name) {
            Ok(there) => there,
            Err(error) => {
                tracing::error!(name, %error, "a certificate in the storage is not usable");
                None
            }
        };
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).map(|c| c.validity.not_after);
        match there.filter(|c| c.lives(SystemTime::now()) && known.is_none_or(|k| k < c.validity.not_after)) {
            Some(certificate) => {
                self.learn(name, certificate);
                true
            }
            None => false,
        }
    }

    fn learn(&self, name: &str, certificate: Certificate) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.to_owned(), Arc::new(certificate));
        self.refusals.forget(name);
    }
}

/// Why a certificate is ordered.
pub(super) enum Occasion {
    /// A name has none.
    First,
    /// The one that it has ends; this is what the CA calls it, where it wants to be told.
    Renewal(Option<CertificateIdentifier<'static>>),
}
