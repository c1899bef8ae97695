//! The request filter: the managed rules, and the operator's own.
//!
//! [`look`](look::look) judges with the managed rules: hand-made matchers over decoded values, one per [`Class`]. They prefer missing an
//! attack to stopping somebody who writes about one; the corpora in `edge/tests/filter/` hold both figures.

mod agent;
mod class;
mod command;
mod crlf;
mod decode;
mod look;
mod managed;
mod probe;
mod scan;
mod sql;
mod ssrf;
mod template;
mod traversal;
mod xss;

pub use class::{Class, Classes};
pub use look::{Finding, Looked, Place, look};
pub use managed::{Managed, VERSION};
