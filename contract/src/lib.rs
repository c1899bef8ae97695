//! What the edge and the gateway agree on, and nothing else: names, formats and rules that both must read alike.
//!
//! The edge runs as WASM in a Worker and natively in the gateway; this crate compiles for both. It does no I/O and has no
//! clock and no randomness of its own: the caller passes `now` and random bytes in.
//!
//! ```text
//!  client                        edge                                            gateway                      app
//!    │  GET /a/../b?q=1           │                                                │                           │
//!    ├───────────────────────────▶│  strips what header::client_may_not_send says  │                           │
//!    │                            │  target::Target: /b?q=1 (refused: Problem)     │                           │
//!    │                            │                                                │                           │
//!    │                            │  GET /b?q=1                                    │                           │
//!    │                            │  Traceparent: 00-…                             │                           │
//!    │                            │  Edge-Facts: client="203.0.113.7", id="…", …   │  signature::Keys::verify  │
//!    │                            │  Signature-Input: edge=("@method" …);created=… │  facts::EdgeFacts::parse  │
//!    │                            │  Signature: edge=:…:                           │                           │
//!    │                            ├───────────────────────────────────────────────▶├──────────────────────────▶│
//!    │                            │                                                │◀── Handoff (kept here) ───┤
//!    │                            │◀───────────────── Gateway: …, X-Request-Id: … ─┤                           │
//!    │◀── X-Request-Id: … ────────┤                                                │                           │
//! ```
//!
//! The signature proves who wrote the facts and which request they belong to; the body and all other fields rest on TLS.
//! A replay within [`Window`] is accepted: the window is short, and what a replay can do the client can do by asking again.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::string_slice, clippy::panic)
)]

pub mod accept;
pub mod clearance;
pub mod client;
pub mod counts;
pub mod facts;
pub mod header;
mod hex;
pub mod news;
pub mod problem;
pub mod request_id;
pub mod signature;
pub mod target;
pub mod trace;

/// Where the site says how it is. It answers also while the rest of the site is closed.
pub const HEALTH: &str = "/api/health";

/// The status page for people, where the gateway has one. It is there while the site is closed, too, and so is what keeps it up to date.
pub const STATUS_PAGE: &str = "/health";

/// Whether a path is one of those that say how the site is.
#[must_use]
pub fn is_health(path: &str) -> bool {
    path == HEALTH || path.strip_prefix(STATUS_PAGE).is_some_and(|rest| rest.is_empty() || rest == "/events")
}

pub use accept::{names_json, wants_json};
pub use facts::{Country, EdgeFacts};
pub use problem::Problem;
pub use request_id::RequestId;
pub use signature::{Key, Keys, Message, SignatureError, Window};
pub use target::{Target, TargetError};
pub use trace::{Hop, Trace, Traceparent};
