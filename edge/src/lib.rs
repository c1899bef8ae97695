//! The edge: what happens to a request before the gateway, as one pipeline that knows no platform.
//!
//! ```text
//! identify ▸ (filter) ▸ asset? ▸ locate ▸ choose ▸ fetch ▸ store ▸ serve
//! ```
//!
//! [`pipeline::admit`] decides who and what a request is; [`pipeline::answer`] answers it over the ports of a [`Host`]. Two
//! hosts exist: the Cloudflare Worker (`worker`, only built for wasm32) and the gateway, which lets in at
//! [`pipeline::admitted`] what a Worker has admitted before.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::string_slice, clippy::panic)
)]

pub mod answer;
pub mod assets;
pub mod challenge;
mod complete;
pub mod counts;
pub mod exchange;
pub mod fetch;
pub mod filter;
pub mod following;
pub mod headers;
pub mod host;
mod locate;
pub mod onward;
pub mod page;
pub mod pipeline;
pub mod sampling;
mod serve;
pub mod spent;
pub mod standing;
pub mod stored;

#[cfg(target_arch = "wasm32")]
mod worker;

pub use answer::{Answer, FieldsMut};
pub use challenge::Gate;
pub use exchange::{Exchange, Visitor};
pub use fetch::{Errand, Fetched, Sharing};
pub use host::{Conditions, Head, Host};
pub use sampling::Sampling;
pub use spent::Spent;
pub use standing::Standing;
