//! The ports: what a platform does for the pipeline.

use cache::{Fields, Store, Timestamp};
use contract::Problem;

use crate::{Answer, Exchange, FieldsMut};

/// The head of a request.
pub trait Head: Fields {
    /// The method, as sent.
    fn method(&self) -> &str;
    /// Host and port, as the client named them.
    fn authority(&self) -> &str;
    /// Path and query, as received.
    fn target(&self) -> &str;
}

/// A platform that carries the pipeline out. Its clock, its store, its way to the next hop.
#[expect(
    async_fn_in_trait,
    reason = "the Worker's futures are not Send, the gateway's are: each host's own type decides"
)]
pub trait Host: Store {
    /// A request with its body.
    type Request: Head;
    /// A header section.
    type Fields: FieldsMut;

    /// The name under which this host's cache speaks in `Cache-Status`.
    const CACHE: &'static str;

    /// The time.
    fn now(&self) -> Timestamp;

    /// Bytes of the largest body that is stored.
    fn object_limit(&self) -> u64;

    /// A static asset, where this host serves them and has it. A miss goes on to the app, which may know older ones.
    async fn asset(&self, exchange: &Exchange, request: &Self::Request) -> Option<Answer<Self::Fields, Self::Body>>;

    /// Sends the request on to the next hop, and waits for the head of its answer. Redirects are answers.
    async fn forward(
        &self,
        exchange: &Exchange,
        request: Self::Request,
    ) -> Result<Answer<Self::Fields, Self::Body>, Problem>;

    /// A body made of text.
    fn text(&self, text: String) -> Self::Body;
}
