//! A shared HTTP cache (RFC 9111) as decisions without I/O.
//!
//! A host brings three things: the request's and response's fields through [`Fields`], the time through [`Timestamp`], and
//! a place to keep entries through [`Store`]. What the cache does with them is decided here, synchronously, and said in
//! `Cache-Status` (RFC 9211) by [`Phase`].
//!
//! ```
//! use cache::{request, response, Plan, Timestamp};
//! let asked = [("accept", "text/html")];
//! assert_eq!(request::plan("GET", &asked[..]), Plan::Lookup);
//! let answered = [("cache-control", "public, max-age=60")];
//! let now = Timestamp::from_secs(1_800_000_000);
//! let meta = response::storable("GET", 200, &answered[..], now, 0).expect("public and fresh");
//! assert_eq!(meta.ttl(now), 60);
//! ```
//!
//! What it stores today is what needs no judgement: a complete 200 answer to GET that says `public` and how long. What it
//! does not understand (Vary, targeted fields, partial content) it passes by, which is always safe.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::string_slice, clippy::panic)
)]

pub mod control;
pub mod fields;
pub mod key;
pub mod meta;
pub mod phase;
pub mod request;
pub mod response;
pub mod store;
pub mod time;

pub use fields::Fields;
pub use key::PrimaryKey;
pub use meta::Meta;
pub use phase::{Bypass, Phase};
pub use request::Plan;
pub use store::{Index, Store, Stored};
pub use time::Timestamp;
