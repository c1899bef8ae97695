//! The native cache store: moka, bounded by bytes, shared by all cores.

use std::sync::Arc;

use bytes::Bytes;
use cache::{Meta, PrimaryKey};

use crate::config;

/// A stored answer.
#[derive(Clone)]
pub struct Entry {
    /// What is known of it.
    pub meta: Arc<Meta>,
    /// Its body in the pieces it came in.
    pub chunks: Arc<[Bytes]>,
}

/// All stored answers.
#[derive(Clone)]
pub struct EntryStore {
    entries: moka::sync::Cache<PrimaryKey, Entry>,
    object: u64,
}

impl EntryStore {
    /// An empty store with the configured bounds.
    #[must_use]
    pub fn new(config: &config::Cache) -> Self {
        let weigh = |key: &PrimaryKey, entry: &Entry| {
            let body: usize = entry.chunks.iter().map(|c| c.len() + size_of::<Bytes>()).sum();
            u32::try_from(key.as_str().len() + entry.meta.weight() + body).unwrap_or(u32::MAX)
        };
        Self {
            entries: moka::sync::Cache::builder().max_capacity(config.size.0).weigher(weigh).build(),
            object: config.object.0,
        }
    }

    /// What is stored under a key.
    #[must_use]
    pub fn get(&self, key: &PrimaryKey) -> Option<Entry> {
        self.entries.get(key)
    }

    /// How many answers are stored, but for those of the last moments.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.entry_count()
    }

    /// Their bytes, likewise.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.entries.weighted_size()
    }

    /// Bytes of the largest body that is stored.
    #[must_use]
    pub fn object_limit(&self) -> u64 {
        self.object
    }

    /// Starts recording an answer's body.
    #[must_use]
    pub fn record(&self, key: PrimaryKey, meta: Meta) -> Recorder {
        let expected = meta.content_length();
        Recorder { store: self.clone(), key, meta, chunks: Vec::new(), bytes: 0, expected }
    }
}

/// Records one body. Dropped before its end, nothing is stored.
pub struct Recorder {
    store: EntryStore,
    key: PrimaryKey,
    meta: Meta,
    chunks: Vec<Bytes>,
    bytes: u64,
    expected: Option<u64>,
}

impl Recorder {
    /// Takes a chunk; `false` when the body has become too large to store.
    pub(crate) fn push(&mut self, chunk: &Bytes) -> bool {
        self.bytes += chunk.len() as u64;
        if self.bytes > self.store.object {
            return false;
        }
        // A chunk is a view into a read buffer: copied, so that a small entry does not hold a large buffer.
        self.chunks.push(Bytes::copy_from_slice(chunk));
        true
    }

    /// The body came to its end: stores it, unless it is not as long as its head said.
    pub(crate) fn complete(self) {
        if self.expected.is_some_and(|length| length != self.bytes) {
            return;
        }
        let entry = Entry { meta: Arc::new(self.meta), chunks: self.chunks.into() };
        self.store.entries.insert(self.key, entry);
    }
}
