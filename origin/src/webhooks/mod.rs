//! Webhooks: requests of senders that we know. What a sender has not signed, or brings no credentials for, never reaches the app; what it
//! has reaches it byte for byte, with its fields. No filter, rate limit, asset or cache has a part in it.
//!
//! Every failure is an answer after which senders try again later, but where the delivery itself is refused.

mod credentials;
mod signature;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use cache::Fields as _;
use contract::{Problem, header};
use edge::exchange::Refused;
use edge::{Answer, Conditions, Exchange, FieldsMut as _, Host as _, pipeline};
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::body::{Body, BodyError};
use crate::config::{Scheme, Webhook};
use crate::head::{HeaderFields, Incoming};
use crate::native::Native;
use signature::{Clock, Flaw};

/// Bytes of all deliveries that are held at once, since a signature is over the whole of one.
const ROOM: usize = 64 << 20;

/// All senders.
#[derive(Debug)]
pub(crate) struct Webhooks {
    senders: Vec<Sender>,
    room: Arc<Semaphore>,
}

/// A sender, and what has come of its deliveries.
#[derive(Debug)]
pub(crate) struct Sender {
    webhook: Webhook,
    outcomes: Mutex<BTreeMap<&'static str, u64>>,
}

impl Sender {
    /// Its name in the configuration.
    pub(crate) fn name(&self) -> &str {
        &self.webhook.name
    }
}

/// What came of a delivery: the answer, and why it is not the app's.
pub(crate) struct Delivered {
    pub(crate) answer: Answer<HeaderFields, Body>,
    pub(crate) problem: Option<Problem>,
}

impl Webhooks {
    pub(crate) fn new(webhooks: &[Webhook]) -> Self {
        let sender = |webhook: &Webhook| Sender { webhook: webhook.clone(), outcomes: Mutex::default() };
        Self { senders: webhooks.iter().map(sender).collect(), room: Arc::new(Semaphore::new(ROOM)) }
    }

    /// Whose path it is. Any spelling in which an app could take it for that path counts.
    pub(crate) fn find(&self, path: &str) -> Option<&Sender> {
        self.senders.iter().find(|sender| is_same(path, &sender.webhook.path))
    }

    /// How many deliveries came to what, by sender.
    pub(crate) fn outcomes(&self) -> Vec<(&str, &'static str, u64)> {
        let mut all = Vec::new();
        for Sender { webhook, outcomes } in &self.senders {
            let outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(outcomes.iter().map(|(outcome, count)| (&*webhook.name, *outcome, *count)));
        }
        all
    }

    /// Reads a delivery, and keeps room for it.
    async fn read(&self, body: Option<Body>, most: u64) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Problem> {
        let Some(mut body) = body else { return Ok((Bytes::new(), None)) };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let (mut whole, mut held): (_, Option<OwnedSemaphorePermit>) = (BytesMut::new(), None);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error {
                BodyError::TooLarge => Problem::BodyTooLarge,
                BodyError::TooSlow => Problem::RequestTimeout,
                _ => Problem::BadRequest,
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if whole.len() + data.len() > most {
                return Err(Problem::BodyTooLarge);
            }
            let bytes = u32::try_from(data.len()).map_err(|_| Problem::BodyTooLarge)?;
            let more = Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| Problem::Overloaded)?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
            whole.extend_from_slice(&data);
        }
        Ok((whole.freeze(), held))
    }
}

/// Whether two paths have the same segments, however they are escaped, and whatever their case and parameters.
fn is_same(path: &str, own: &str) -> bool {
    fn segments(path: &str) -> impl Iterator<Item = &str> {
        path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).filter(|s| !s.is_empty())
    }
    let bytes = |segment| percent_decode_str(segment).map(|byte| byte.to_ascii_lowercase());
    let (mut one, mut other) = (segments(path), segments(own));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if bytes(one).eq(bytes(other)) => {}
            _ => return false,
        }
    }
}

/// Answers a delivery.
pub(crate) async fn answer(
    native: &Native,
    sender: &Sender,
    exchange: &Exchange,
    incoming: Incoming,
    upload: Option<Body>,
) -> Delivered {
    let delivered = deliver(native, sender, exchange, incoming, upload).await;
    let outcome = delivered.as_ref().map_or_else(|problem| problem.as_str(), |_| "passed");
    *sender.outcomes.lock().unwrap_or_else(PoisonError::into_inner).entry(outcome).or_default() += 1;
    let (mut answer, problem) = match delivered {
        Ok(mut answer) => {
            answer.fields.set(header::REQUEST_ID, exchange.id.text().as_str());
            (answer, None)
        }
        Err(problem) => {
            let mut answer = pipeline::refuse(native, &Refused { problem, id: exchange.id, json: true });
            if problem == Problem::WebhookCredentials {
                let basic = sender.webhook.scheme == Scheme::Basic;
                answer.fields.set("www-authenticate", if basic { "Basic realm=\"webhooks\"" } else { "Bearer" });
            }
            if problem.status() >= 500 {
                // Whatever it is in detail: try again later.
                answer.status = 503;
            }
            (answer, Some(problem))
        }
    };
    answer.fields.set("cache-control", "no-store");
    Delivered { answer, problem }
}

async fn deliver(
    native: &Native,
    sender: &Sender,
    exchange: &Exchange,
    incoming: Incoming,
    upload: Option<Body>,
) -> Result<Answer<HeaderFields, Body>, Problem> {
    let webhook = &sender.webhook;
    let closed = native.standing(|standing| standing.closed(&exchange.authority, exchange.visitor.client).is_some());
    if closed {
        return Err(Problem::Maintenance);
    }
    if !webhook.addresses.is_empty() && !webhook.addresses.iter().any(|net| net.contains(&exchange.visitor.client)) {
        return Err(refuse(sender, exchange, Problem::WebhookAddress, "address"));
    }
    // One field of it: of two, an app could read the other.
    let shown = incoming.single("authorization").map(str::as_bytes);
    let known = match webhook.scheme {
        Scheme::Basic => credentials::basic(&webhook.secrets, shown),
        Scheme::Bearer => credentials::bearer(&webhook.secrets, shown),
        Scheme::Stripe { .. } | Scheme::Hmac { .. } => true,
    };
    if !known {
        let how = if shown.is_some() { "wrong" } else { "missing" };
        return Err(refuse(sender, exchange, Problem::WebhookCredentials, how));
    }
    if upload.as_ref().is_some_and(|body| http_body::Body::size_hint(body).lower() > webhook.body) {
        return Err(Problem::BodyTooLarge);
    }
    let (body, _held) = native.core.gateway.webhooks.read(upload, webhook.body).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    verify(webhook, &incoming, &body, now)
        .map_err(|flaw| refuse(sender, exchange, Problem::WebhookSignature, flaw.as_str()))?;
    let body = (!body.is_empty()).then(|| Body::full(body));
    native.forward(exchange, incoming, body, Conditions::Clients, false).await
}

/// Whether a delivery is signed, where it is to be.
fn verify(webhook: &Webhook, incoming: &Incoming, body: &[u8], now: u64) -> Result<(), Flaw> {
    fn field<'a>(incoming: &'a Incoming, name: &'a str) -> Option<&'a [u8]> {
        // Of two such fields, an app could read the other.
        incoming.single(name).map(str::as_bytes)
    }
    match &webhook.scheme {
        Scheme::Stripe { tolerance } => {
            let clock = Clock { now, tolerance: *tolerance };
            signature::stripe(&webhook.secrets, clock, field(incoming, "stripe-signature"), body)
        }
        Scheme::Hmac { signature, timestamp, tolerance } => {
            let clock = Clock { now, tolerance: *tolerance };
            let time = timestamp.as_ref().map(|name| field(incoming, name.as_str()).ok_or(Flaw::Missing));
            signature::plain(&webhook.secrets, clock, field(incoming, signature.as_str()), time, body)
        }
        Scheme::Basic | Scheme::Bearer => Ok(()),
    }
}

/// Says why a delivery is refused: what its sender sees is short.
fn refuse(sender: &Sender, exchange: &Exchange, problem: Problem, why: &'static str) -> Problem {
    tracing::warn!(
        request.id = %exchange.id,
        client.address = %exchange.visitor.client,
        webhook.sender = %sender.webhook.name,
        reason = problem.as_str(),
        detail = why,
        "a webhook is refused"
    );
    problem
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn a_path_is_found_in_every_spelling() {
        for path in [
            "/webhooks/stripe",
            "/webhooks/stripe/",
            "/webhooks//stripe",
            "/webhooks/%73tripe",
            "/Webhooks/STRIPE",
            "/webhooks;a=1/stripe;b",
        ] {
            assert!(is_same(path, "/webhooks/stripe"), "{path}");
        }
        for path in
            ["/", "/webhooks", "/webhooks/stripe/x", "/webhooks/stripe2", "/x/webhooks/stripe", "/webhooks%2Fstripe"]
        {
            assert!(!is_same(path, "/webhooks/stripe"), "{path}");
        }
    }
}
