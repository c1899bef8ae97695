#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::string_slice, clippy::panic)
)]

pub mod choice;
pub mod control;
pub mod date;
pub mod fields;
pub mod invalidation;
pub mod key;
pub mod meta;
pub mod partial;
pub mod phase;
pub mod prefixes;
pub mod purge;
pub mod range;
pub mod request;
pub mod response;
pub mod search;
pub mod store;
pub mod targeted;
pub mod time;
pub mod validation;
pub mod vary;

pub use choice::{Choice, Settings, choose};
pub use control::Control;
pub use fields::Fields;
pub use key::Key;
pub use meta::{Meta, Terms};
pub use phase::{Bypass, Forwarded, Phase, Stale};
pub use prefixes::Prefixes;
pub use request::{Ask, Plan};
pub use response::{Refusal, Times};
pub use store::{Kept, Mark, Store};
pub use time::Timestamp;
pub use vary::{Signpost, Vary};
