//! The ports: what a platform does for the pipeline.

use cache::purge::Verdict;
use cache::{Fields, Key, Meta, Settings, Store, Timestamp};
use contract::Problem;

use crate::challenge::{Gate, Said};
use crate::fetch::{Errand, Fetched};
use crate::{Answer, Exchange, FieldsMut, Standing};

/// The head of a request.
pub trait Head: Fields {
    /// The method, as sent.
    fn method(&self) -> &str;
    /// Host and port, as the client named them.
    fn authority(&self) -> &str;
    /// Whether the client speaks TLS, to us or to what stands before us.
    fn secure(&self) -> bool;
    /// Path and query, as received.
    fn target(&self) -> &str;
}

/// Which conditional fields go on (RFC 9110 section 13.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conditions {
    /// The client's, as they are.
    Clients,
    /// Ours, in place of the client's If-None-Match and If-Modified-Since, and of others by the same names: perhaps none.
    Own(Vec<(&'static str, Box<str>)>),
}

/// A platform that carries the pipeline out. Its clock, its store, its way to the next hop.
#[expect(
    async_fn_in_trait,
    reason = "the Worker's futures are not Send, the gateway's are: each host's own type decides"
)]
pub trait Host: Store + Sized {
    /// A request without its body.
    type Request: Head;
    /// The body of a request.
    type Upload;
    /// A header section.
    type Fields: FieldsMut;

    /// The name under which this host's cache speaks in `Cache-Status`.
    const CACHE: &'static str;

    /// Whether its store keeps parts of bodies, and [joins](Store::join) them.
    const PARTS: bool = false;

    /// The time.
    fn now(&self) -> Timestamp;

    /// Bytes of the largest body that is stored.
    fn object_limit(&self) -> u64;

    /// What the operator has decided of the cache.
    fn settings(&self) -> Settings;

    /// The number of the newest purge that this host knows of.
    fn sequence(&self) -> u64;

    /// Hears of purges, where this host only follows them and has not for long: begins at once, and takes a short time. Whether what
    /// it knows is recent.
    fn hear(&self, _exchange: &Exchange) -> impl Future<Output = bool> {
        std::future::ready(true)
    }

    /// Reads the standing orders that this host knows of.
    fn standing<T>(&self, read: impl FnOnce(&Standing) -> T) -> T;

    /// What it needs to challenge visitors; where there is nothing, rules that would block.
    fn gate(&self) -> Option<Gate<'_>> {
        None
    }

    /// Whether a path is a program's that no rule is to challenge, as a webhook's.
    fn is_for_programs(&self, _path: &str) -> bool {
        false
    }

    /// Has Turnstile say whether a token is good, within a time. Only asked where there is a [`gate`](Self::gate).
    ///
    /// # Errors
    /// It does not say.
    fn verify(&self, _exchange: &Exchange, _token: &str) -> impl Future<Output = Result<Said, Problem>> {
        std::future::ready(Err(Problem::ChallengeUnavailable))
    }

    /// What the purges say of an entry.
    fn verdict(&self, key: &Key, stored: &Meta) -> Verdict;

    /// Makes invalid what is stored of these groups of an origin (RFC 9875).
    fn invalidate_groups(&self, origin: &str, groups: Vec<String>);

    /// The header section of a stored answer.
    fn stored_fields(&self, stored: &Meta, _handle: &Self::Handle) -> Self::Fields {
        Self::Fields::of_meta(stored)
    }

    /// A static asset, where this host serves them and has it. A miss goes on to the app, which may know older ones.
    async fn asset(&self, exchange: &Exchange, request: &Self::Request) -> Option<Answer<Self::Fields, Self::Body>>;

    /// The same request once more.
    fn again(&self, request: &Self::Request) -> Self::Request;

    /// Sends the request on to the next hop, and waits for the head of its answer. Redirects are answers. With a `spare`, an
    /// answer from the store that may stand in, it does not wait long.
    async fn forward(
        &self,
        exchange: &Exchange,
        request: Self::Request,
        upload: Option<Self::Upload>,
        conditions: Conditions,
        spare: bool,
    ) -> Result<Answer<Self::Fields, Self::Body>, Problem>;

    /// Carries out [`crate::fetch::run`], perhaps for several requests at a time.
    async fn fetch(&self, errand: Errand<Self>) -> Fetched<Self>;

    /// Carries it out after the answer, for nobody: to have it fresh.
    fn fetch_later(&self, errand: Errand<Self>);

    /// A body made of text.
    fn text(&self, text: String) -> Self::Body;
}
