//! The stack: the real Worker in workerd, the real gateway, the demo app and an embedded object storage, on loopback.
//!
//! `cargo dev` is this with a face; every end-to-end test starts it through [`Stack::start`].

pub mod bucket;
mod configuration;
pub mod drill;
pub mod faults;
pub mod frames;
pub mod gateway;
pub mod idle;
pub mod keys;
pub mod link;
pub mod load;
pub mod open_loop;
pub mod rgw;
pub mod stack;
pub mod swift;
pub mod toolchain;
pub mod turnstile;
pub mod workerd;

pub use ::load::{ports, process, report};
pub use stack::{Addresses, Edge, Listeners, Options, Ports, Stack};
