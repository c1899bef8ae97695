//! What stands in the store for a request, and what would be done with it: for an operator who asks why. Nothing is answered.

use std::sync::Arc;

use cache::purge::Verdict;
use cache::{Ask, Choice, Forwarded, Meta, choose};

use crate::{Exchange, Host, locate};

/// A stored answer that a request selects.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What is known of it.
    pub meta: Arc<Meta>,
    /// What purges say of it.
    pub verdict: Verdict,
    /// What would be done with it.
    pub choice: Choice,
}

/// Looks it up.
///
/// # Errors
/// Nothing is there; whether that is so since only answers to other requests for this URL are (`Vary`).
pub async fn look_up<H: Host>(host: &H, exchange: &Exchange, request: &H::Request, ask: &Ask) -> Result<Stored, bool> {
    let located = locate::find(host, exchange.key(), request).await;
    let varies = located.miss() == Forwarded::VaryMiss;
    let entry = located.entry.ok_or(varies)?;
    let verdict = host.verdict(&entry.key, &entry.meta);
    let choice = choose(ask, &entry.meta, host.now(), verdict);
    Ok(Stored { meta: entry.meta, verdict, choice })
}
