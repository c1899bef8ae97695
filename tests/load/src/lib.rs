//! `cargo load`: load on the stack, or on a server that says that it may be loaded. docs/load.md is for who uses it.
//!
//! ```text
//! scenario ─▶ schedule ─▶ visitors ─▶ asker ─▶ way ─▶ the server
//!             (when)      (who)       (what)   (how)      │
//! outcome ◂── judge ◂──────────────── record ◂────────────┘
//! ```
//!
//! HTTP is hyper's, TLS rustls's, WebSockets are tungstenite's, histograms HdrHistogram's; what is ours is when requests leave and what is
//! counted.

mod amount;
mod asker;
pub mod audience;
mod chart;
pub mod compare;
pub mod face;
mod faults;
pub mod growth;
pub mod judge;
pub mod knee;
pub mod limits;
pub mod local;
pub mod outcome;
pub mod page;
pub mod peer;
pub mod ports;
pub mod process;
mod record;
pub mod report;
mod run;
pub mod scenario;
mod schedule;
mod session;
mod sign_in;
pub mod site;
pub mod soak;
pub mod target;
mod visitors;
pub mod watch;
mod way;
mod words;

pub use run::OnSecond;
pub use session::{Session, is_interrupted, is_missing, soak_is_missing};
