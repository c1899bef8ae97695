//! `[timing]`: who is told where a request's time goes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Fault;
use super::token::Token;

/// `[timing]` as written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimingSection {
    token_file: PathBuf,
}

pub(super) fn check(section: &TimingSection, faults: &mut Vec<Fault>) -> Option<Token> {
    Token::read(&section.token_file).map_err(|what| faults.push(Fault::new("timing.token_file", what))).ok()
}
