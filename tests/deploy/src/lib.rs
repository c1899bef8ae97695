//! What the tests of `deploy/` have in common: the real programs, and a machine to run them on, which is a folder.

pub mod cloudflare;
pub mod dns;
mod machine;
mod programs;
pub mod registry;

pub use machine::{Machine, Outcome};
pub use programs::{Needed, have, is_root};

use std::path::{Path, PathBuf};

/// The folder `deploy/` of this checkout.
#[must_use]
pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}
