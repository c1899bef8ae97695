//! One order with the CA (RFC 8555 section 7.4): account ▸ order ▸ challenge ▸ certificate.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier,
    NewAccount, NewOrder, Order, OrderStatus, Problem, RenewalInfo, RetryPolicy,
};

use super::refusals::backoff;
use super::storage::Storage;
use super::transport::Transport;
use crate::config;

/// How an order's state is asked for while the CA validates or signs.
const POLL: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(200)).backoff(1.5).timeout(Duration::from_secs(60));
/// How often an order is begun anew because the CA took none of our nonces: it does not count as a failure.
const NONCES: u32 = 3;
/// After the first failure that is the CA's own no order is begun for so long, and for so long at most.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How the CA is shown that a name is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// TLS-ALPN-01, by `listen.https`.
    Tls,
    /// HTTP-01, by `listen.redirect`.
    Http,
}

/// Why an order came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The CA did not find us under the name, or found something else.
    #[error("the CA can't see that the name is ours ({way}): {what}")]
    Challenge { way: &'static str, what: String },
    /// The CA refuses this name.
    #[error("the CA refuses: {0}")]
    Refused(Problem),
    /// The CA is down, overloaded, or has had enough of us.
    #[error("the CA can't be used: {0}")]
    Ca(Error),
    /// It failed a moment ago, and is left alone.
    #[error("the CA failed a moment ago, and is asked again in {}", humantime::format_duration(Duration::from_secs(.0.as_secs())))]
    Pause(Duration),
    /// Our own disk.
    #[error("the storage can't be used: {0}")]
    Storage(#[from] std::io::Error),
}

/// The CA, as far as we know it.
pub(super) struct Ca {
    directory: String,
    contact: Option<String>,
    ways: Vec<Way>,
    transport: Transport,
    account: tokio::sync::Mutex<Option<Account>>,
    /// Failures of its own in a row, and until when it is left alone.
    failing: Mutex<(u32, Instant)>,
}

impl Way {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls-alpn-01",
            Self::Http => "http-01",
        }
    }

    const fn challenge(self) -> ChallengeType {
        match self {
            Self::Tls => ChallengeType::TlsAlpn01,
            Self::Http => ChallengeType::Http01,
        }
    }
}

impl Ca {
    /// `ways` are tried in their order.
    pub(super) fn new(config: &config::Acme, ways: Vec<Way>, transport: Transport) -> Self {
        Self {
            directory: config.directory.to_string(),
            contact: config.contact.as_ref().map(|address| format!("mailto:{address}")),
            ways,
            transport,
            account: tokio::sync::Mutex::default(),
            failing: Mutex::new((0, Instant::now())),
        }
    }

    /// Orders a certificate for `name`; gives its private key and chain as PEM. `replaces` is what the CA calls the one before.
    pub(super) async fn order(
        &self,
        storage: &Storage,
        name: &str,
        replaces: Option<&CertificateIdentifier<'_>>,
    ) -> Result<String, Failure> {
        if let Some(pause) = self.pause() {
            return Err(Failure::Pause(pause));
        }
        let mut ordered = Err(Failure::Challenge { way: "none", what: "there is no way to show it".to_owned() });
        for way in &self.ways {
            ordered = self.order_by(storage, name, replaces, *way).await;
            storage.clear_challenge(name);
            match &ordered {
                Err(Failure::Challenge { .. }) => {}
                _ => break,
            }
        }
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match &ordered {
            Err(Failure::Ca(_)) => {
                failing.0 += 1;
                failing.1 = Instant::now() + backoff(failing.0, PAUSE, LONGEST_PAUSE);
            }
            Err(Failure::Storage(_)) => {}
            _ => failing.0 = 0,
        }
        ordered
    }

    /// For how long the CA is still left alone.
    fn pause(&self) -> Option<Duration> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.1.checked_duration_since(Instant::now()).filter(|left| failing.0 > 0 && !left.is_zero())
    }

    async fn order_by(
        &self,
        storage: &Storage,
        name: &str,
        replaces: Option<&CertificateIdentifier<'_>>,
        way: Way,
    ) -> Result<String, Failure> {
        let mut left = NONCES;
        loop {
            let failed = match self.attempt(storage, name, replaces, way).await {
                Ok(pem) => return Ok(pem),
                Err(failed) => failed,
            };
            let Failure::Refused(problem) = &failed else { return Err(failed) };
            match kind(problem) {
                "badNonce" if left > 0 => left -= 1,
                "accountDoesNotExist" if left > 0 => {
                    left = 0;
                    tracing::warn!(ca = self.directory, "the CA does not know our account; a new one is made");
                    *self.account.lock().await = None;
                    storage.retire_account()?;
                }
                "badNonce" | "accountDoesNotExist" | "rateLimited" | "serverInternal" | "userActionRequired" => {
                    return Err(match failed {
                        Failure::Refused(problem) => Failure::Ca(Error::Api(problem)),
                        other => other,
                    });
                }
                _ => return Err(failed),
            }
        }
    }

    async fn attempt(
        &self,
        storage: &Storage,
        name: &str,
        replaces: Option<&CertificateIdentifier<'_>>,
        way: Way,
    ) -> Result<String, Failure> {
        let account = self.account(storage).await?;
        let names = [Identifier::Dns(name.to_owned())];
        let mut new = NewOrder::new(&names);
        if let Some(replaces) = replaces {
            new = new.replaces(replaces.clone());
        }
        let mut order = account.new_order(&new).await.map_err(Failure::of)?;
        let unseen = |what: String| Failure::Challenge { way: way.as_str(), what };
        let mut challenged = false;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(Failure::of)?;
            match authorization.status {
                // From an order before.
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                other => return Err(unseen(format!("the authorization is {other:?} already"))),
            }
            let mut challenge = authorization
                .challenge(way.challenge())
                .ok_or_else(|| unseen("the CA does not offer this way".to_owned()))?;
            storage.set_challenge(name, challenge.key_authorization().as_str())?;
            challenge.set_ready().await.map_err(Failure::of)?;
            challenged = true;
        }
        if challenged || order.state().status == OrderStatus::Pending {
            match order.poll_ready(&POLL).await {
                Ok(OrderStatus::Ready) => {}
                Ok(_) => return Err(unseen(why_not(&mut order).await)),
                Err(Error::Api(problem)) if !transient(&problem) => {
                    let more = why_not(&mut order).await;
                    return Err(unseen(if more.is_empty() { problem.to_string() } else { more }));
                }
                Err(error) => return Err(Failure::of(error)),
            }
        }
        let key = order.finalize().await.map_err(Failure::of)?;
        let chain = order.poll_certificate(&POLL).await.map_err(Failure::of)?;
        Ok(format!("{key}{chain}"))
    }

    /// Our account: known, kept, or made now.
    async fn account(&self, storage: &Storage) -> Result<Account, Failure> {
        let mut known = self.account.lock().await;
        if let Some(account) = &*known {
            return Ok(account.clone());
        }
        let builder = Account::builder_with_http(Box::new(self.transport.clone()));
        let account = match storage.account()? {
            Some(text) => {
                let credentials: AccountCredentials = serde_json::from_str(&text)
                    .map_err(|e| std::io::Error::other(format!("account.json holds no account: {e}")))?;
                builder.from_credentials(credentials).await.map_err(Failure::of)?
            }
            None => {
                let contact: Vec<&str> = self.contact.as_deref().into_iter().collect();
                let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
                let made = builder.create(&new, self.directory.clone(), None).await.map_err(Failure::of)?;
                let credentials = serde_json::to_string(&made.1).map_err(std::io::Error::other)?;
                storage.set_account(&credentials)?;
                tracing::info!(ca = self.directory, account = made.0.id(), "an account with the CA was made");
                made.0
            }
        };
        *known = Some(account.clone());
        Ok(account)
    }

    /// When the CA would have a certificate renewed (RFC 9773), and when to ask again; nothing where it does not say.
    pub(super) async fn renewal(
        &self,
        storage: &Storage,
        of: &CertificateIdentifier<'_>,
    ) -> Option<(RenewalInfo, Duration)> {
        if self.pause().is_some() {
            return None;
        }
        let account = self.account(storage).await.ok()?;
        match account.renewal_info(of).await {
            Ok(said) => Some(said),
            Err(error) => {
                tracing::debug!(%error, "the CA does not say when to renew");
                None
            }
        }
    }
}

impl Failure {
    fn of(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::Refused(problem),
            other => Self::Ca(other),
        }
    }
}

/// The last part of a problem's type (RFC 8555 section 6.7).
fn kind(problem: &Problem) -> &str {
    problem.r#type.as_deref().and_then(|urn| urn.strip_prefix("urn:ietf:params:acme:error:")).unwrap_or_default()
}

fn transient(problem: &Problem) -> bool {
    matches!(kind(problem), "badNonce" | "rateLimited" | "serverInternal")
}

/// What the CA says of the challenges that failed.
async fn why_not(order: &mut Order) -> String {
    let mut all = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else { break };
        if let Ok(state) = authorization.refresh().await {
            all.extend(state.challenges.iter().filter_map(|c| c.error.as_ref()).map(ToString::to_string));
        }
    }
    all.join("; ")
}
