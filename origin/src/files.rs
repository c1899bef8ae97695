//! What the private API needs of the buckets: the way to each of them, and counts of how its calls ended.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::config::Config;
use crate::storage::{Store, Transport};

/// The buckets, as the private API uses them.
pub(crate) struct Files {
    stores: Result<Vec<Store>, String>,
    /// By call and outcome. Both are words of ours, so there are few.
    outcomes: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Files {
    /// The way to every bucket of the configuration.
    pub(crate) fn new(config: &Config) -> Self {
        let open = |transport| config.buckets.iter().map(|bucket| Store::new(bucket, &transport)).collect();
        let stores = if config.buckets.is_empty() { Ok(Vec::new()) } else { Transport::new(&config.storage).map(open) };
        if let Err(error) = &stores {
            tracing::error!(error, "the private API can't call object storage; URLs are signed as ever");
        }
        Self { stores, outcomes: Mutex::default() }
    }

    /// The way to a bucket.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn store(&self, role: &str) -> Result<&Store, &str> {
        let stores = self.stores.as_ref().map_err(String::as_str)?;
        stores.iter().find(|store| store.role() == role).ok_or("there is no such bucket")
    }

    /// Counts how a call ended.
    pub(crate) fn count(&self, call: &'static str, outcome: &'static str) {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        *outcomes.entry((call, outcome)).or_default() += 1;
    }

    /// Call, outcome, how often.
    pub(crate) fn outcomes(&self) -> Vec<(&'static str, &'static str, u64)> {
        let outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.iter().map(|((call, outcome), count)| (*call, *outcome, *count)).collect()
    }
}
