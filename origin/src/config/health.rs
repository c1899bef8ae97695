//! `[health]`: the status page for people, what is kept for it, and who may read more.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Fault;
use super::section::State;
use super::token::Token;

/// `[health]` as written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthSection {
    token_file: Option<PathBuf>,
    #[serde(default = "subscribers")]
    subscribers: u32,
}

/// The status page.
#[derive(Clone, Debug)]
pub struct Health {
    /// What whoever reads details must show.
    pub token: Option<Token>,
    /// Browsers at once that the page is kept up to date for, 1 to 10,000; a further one asks again by itself.
    pub subscribers: u32,
    /// The file that results are kept in; without `[state]` none are.
    pub file: Option<PathBuf>,
}

const fn subscribers() -> u32 {
    200
}

pub(super) fn check(section: HealthSection, state: Option<&State>, faults: &mut Vec<Fault>) -> Option<Health> {
    let before = faults.len();
    if !(1..=10_000).contains(&section.subscribers) {
        let what = format!("{} is out of range: write 1 to 10000 browsers, as in 200", section.subscribers);
        faults.push(Fault::new("health.subscribers", what));
    }
    let token = section.token_file.as_deref().map(Token::read).transpose();
    let token = token.map_err(|what| faults.push(Fault::new("health.token_file", what))).ok();
    let file = state.map(|state| state.folder.join("health.redb"));
    (faults.len() == before).then_some(Health { token: token?, subscribers: section.subscribers, file })
}
