//! The request filter: the operator's rules, and the managed ones.
//!
//! A [`Ruleset`] judges an admitted request. The operator's rules come first, and the first that matches counts; then which methods and sizes a
//! route takes; then the managed rules ([`look`](look::look)): hand-made matchers over decoded values, one per [`Class`]. They prefer missing an
//! attack to stopping somebody who writes about one; the corpora in `edge/tests/filter/` hold both figures.

mod agent;
mod class;
mod command;
mod crlf;
mod decode;
pub mod indexed;
pub mod line;
mod look;
mod managed;
pub mod pattern;
mod probe;
pub mod ranges;
pub mod rule;
pub mod ruleset;
mod scan;
mod sql;
mod ssrf;
mod template;
mod traversal;
mod xss;
#[cfg(not(target_arch = "wasm32"))]
pub mod zone;

pub use class::{Class, Classes};
pub use look::{Finding, Looked, Place, look};
pub use managed::{Managed, VERSION};
pub use rule::Rule;
pub use ruleset::{Block, Hit, Outcome, Ruleset, Verdict};
