//! Where a request's answer stands in the store, or would.

use std::sync::Arc;

use cache::search::Rule;
use cache::{Fields, Forwarded, Kept, Key, Mark, Meta, Signpost, Vary};

use crate::host::Host;

/// A stored answer that a request has selected.
pub(crate) struct Entry<H> {
    pub(crate) key: Key,
    pub(crate) meta: Arc<Meta>,
    pub(crate) handle: H,
}

/// What a look-up has found.
pub(crate) struct Located<H> {
    /// The key of the URL, or of the part of it that counts.
    key: Key,
    /// What stood there, where the answers vary.
    post: Option<Signpost>,
    /// The answer for this request.
    pub(crate) entry: Option<Entry<H>>,
}

impl<H> Located<H> {
    /// Why a request goes on when no entry was found.
    pub(crate) fn miss(&self) -> Forwarded {
        if self.post.is_some() { Forwarded::VaryMiss } else { Forwarded::UriMiss }
    }

    /// The key that requests for the same answer share, as far as it is known.
    pub(crate) fn shared_key(&self, request: &(impl Fields + ?Sized)) -> Key {
        match self.post.as_ref().and_then(|post| Some((post.generation, post.specs.first()?))) {
            Some((generation, spec)) => self.key.variant(generation, spec, request),
            None => self.key.clone(),
        }
    }
}

/// Looks a request up: one look-up where nothing varies.
pub(crate) async fn find<H: Host>(host: &H, key: Key, request: &H::Request) -> Located<H::Handle> {
    match host.get(&key).await {
        Some(Kept::Search(_)) => return Located { key, post: None, entry: None },
        Some(kept) => return at(host, key, kept, request).await,
        None => {}
    }
    if key.query().is_some()
        && let Some(Kept::Search(rule)) = host.get(&key.search_rule()).await
        && let Some(rule) = Rule::parse(&rule)
    {
        let key = key.with_search(&rule.canonical(key.query()));
        return match host.get(&key).await {
            Some(kept) => at(host, key, kept, request).await,
            None => Located { key, post: None, entry: None },
        };
    }
    Located { key, post: None, entry: None }
}

async fn at<H: Host>(host: &H, key: Key, kept: Kept<H::Handle>, request: &H::Request) -> Located<H::Handle> {
    let post = match kept {
        Kept::Answer { meta, handle } => {
            let entry = Some(Entry { key: key.clone(), meta, handle });
            return Located { key, post: None, entry };
        }
        Kept::Signpost(post) => post,
        Kept::Search(_) => return Located { key, post: None, entry: None },
    };
    for spec in &post.specs {
        let variant = key.variant(post.generation, spec, request);
        if let Some(Kept::Answer { meta, handle }) = host.get(&variant).await {
            return Located { key, post: Some(post), entry: Some(Entry { key: variant, meta, handle }) };
        }
    }
    Located { key, post: Some(post), entry: None }
}

/// The key to store an answer under, and the marks that lead to it; `None` where it varies by a request that is not at hand.
pub(crate) fn place<H: Host>(
    host: &H,
    url: &Key,
    located: &Located<H::Handle>,
    request: Option<&H::Request>,
    meta: &Meta,
) -> Option<Key> {
    let mut key = url.clone();
    if let Some(rule) = Rule::of(meta) {
        key = url.with_search(&rule.canonical(url.query()));
        if key != located.key {
            host.mark(url.search_rule(), Mark::Search(meta.single("no-vary-search").unwrap_or_default().into()));
        }
    }
    let Vary::On(spec) = Vary::of(meta) else { return Some(key) };
    let request = request?;
    let before = located.post.as_ref().filter(|_| key == located.key);
    let generation = before.map_or(meta.received().as_millis(), |post| post.generation);
    if let Some(post) = Signpost::with(before, &spec, generation) {
        host.mark(key.clone(), Mark::Signpost(post));
    }
    Some(key.variant(generation, &spec, request))
}

/// Removes what is stored of a URL.
pub(crate) async fn remove<H: Host>(host: &H, key: &Key) {
    host.remove(key).await;
    if key.query().is_some()
        && let Some(Kept::Search(rule)) = host.get(&key.search_rule()).await
        && let Some(rule) = Rule::parse(&rule)
    {
        host.remove(&key.with_search(&rule.canonical(key.query()))).await;
    }
}
