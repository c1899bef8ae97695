//! The native cache store: moka, bounded by bytes, shared by all cores. An answer is found from the moment its head is there: its body
//! then grows, and whoever asks reads along.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use cache::range::ByteRange;
use cache::{Key, Mark, Meta};
use edge::FieldsMut as _;
use http::HeaderMap;
use http_body::Body as _;

use crate::body::Body;
use crate::chunk_log::{ChunkLog, Writer};
use crate::config;
use crate::head::HeaderFields;

/// What an answer is taken to weigh whose length is not known yet.
const UNKNOWN: u64 = 64 << 10;

/// What stands under a key.
#[derive(Clone)]
pub(crate) enum Slot {
    /// An answer.
    Answer(Entry),
    /// What leads to others.
    Mark(Mark),
}

/// A stored answer.
#[derive(Clone)]
pub(crate) struct Entry {
    /// What is known of it.
    pub(crate) meta: Arc<Meta>,
    /// Its fields, ready to be sent: their values are shared by all that are.
    pub(crate) headers: Arc<HeaderMap>,
    body: Stored,
}

#[derive(Clone)]
enum Stored {
    /// All of it.
    Whole(Bytes),
    /// What has come of it.
    Growing(Arc<ChunkLog>),
}

/// All stored answers.
#[derive(Clone)]
pub struct EntryStore {
    entries: moka::sync::Cache<Key, Slot>,
    object: u64,
}

impl EntryStore {
    /// An empty store with the configured bounds.
    #[must_use]
    pub fn new(config: &config::Cache) -> Self {
        let weigh = |key: &Key, kept: &Slot| {
            let kept = match kept {
                Slot::Answer(entry) => entry.weight(),
                Slot::Mark(mark) => size_of::<Mark>() + mark.encode().len(),
            };
            u32::try_from(key.as_str().len() + kept).unwrap_or(u32::MAX)
        };
        Self {
            entries: moka::sync::Cache::builder().max_capacity(config.size.0).weigher(weigh).build(),
            object: config.object.0,
        }
    }

    /// What stands under a key.
    pub(crate) fn get(&self, key: &Key) -> Option<Slot> {
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

    /// Stores an answer while its body comes, and gives back the body to send. It comes to its end, and into the store, also where
    /// nobody reads it any more. A body that breaks off, is not as long as its head said or turns out too large is not stored.
    pub(crate) fn put(&self, key: Key, meta: Meta, body: Body) -> Body {
        if body.is_end_stream() {
            if meta.length().is_none_or(|length| length == 0) {
                let entry = Entry::new(Arc::new(meta.with_length(0)), Stored::Whole(Bytes::new()));
                self.entries.insert(key, Slot::Answer(entry));
            }
            return body;
        }
        let (writer, log) = ChunkLog::new(self.object, meta.length());
        let Some(reader) = log.reader() else { return body };
        let entry = Entry::new(Arc::new(meta), Stored::Growing(Arc::clone(&log)));
        self.entries.insert(key.clone(), Slot::Answer(entry.clone()));
        tokio::spawn(Receiving { store: self.clone(), key, entry, log }.pump(body, writer));
        Body::followed(reader)
    }

    /// Puts new metadata in place of an answer's; its body stays.
    pub(crate) fn refresh(&self, key: Key, meta: Arc<Meta>, entry: Entry) -> Entry {
        let entry = Entry::new(meta, entry.body);
        self.entries.insert(key, Slot::Answer(entry.clone()));
        entry
    }

    /// Puts a mark in place of what stands under a key.
    pub(crate) fn mark(&self, key: Key, mark: Mark) {
        self.entries.insert(key, Slot::Mark(mark));
    }

    /// Removes what stands under a key.
    pub(crate) fn remove(&self, key: &Key) {
        self.entries.invalidate(key);
    }
}

impl Entry {
    fn new(meta: Arc<Meta>, body: Stored) -> Self {
        let headers = Arc::new(HeaderFields::of_meta(&meta).0);
        Self { meta, headers, body }
    }

    /// Its body, or a part of it; `None` where it can't be had any more.
    pub(crate) fn body(self, part: Option<ByteRange>) -> Option<Body> {
        match (self.body, part) {
            (Stored::Whole(body), None) => Some(Body::full(body)),
            (Stored::Whole(body), Some(part)) => {
                let at = |byte| usize::try_from(byte).unwrap_or(usize::MAX).min(body.len());
                Some(Body::full(body.slice(at(part.start)..at(part.end))))
            }
            (Stored::Growing(log), None) => log.reader().map(Body::followed),
            (Stored::Growing(log), Some(part)) => log.range(part.start..part.end).map(Body::followed),
        }
    }

    fn weight(&self) -> usize {
        let body = match &self.body {
            Stored::Whole(body) => body.len(),
            Stored::Growing(_) => usize::try_from(self.meta.length().unwrap_or(UNKNOWN)).unwrap_or(usize::MAX),
        };
        // The fields are there twice: as they are judged, and as they are sent.
        2 * self.meta.weight() + body
    }

    fn grows_in(&self, log: &Arc<ChunkLog>) -> bool {
        matches!(&self.body, Stored::Growing(own) if Arc::ptr_eq(own, log))
    }
}

/// A body on its way into the store.
struct Receiving {
    store: EntryStore,
    key: Key,
    entry: Entry,
    log: Arc<ChunkLog>,
}

impl Receiving {
    async fn pump(self, body: Body, mut writer: Writer) {
        let mut body = pin!(body);
        let mut trailers = None;
        let mut bytes = 0;
        let mut listed = true;
        while writer.ready().await {
            let frame = {
                let mut pointless = pin!(writer.pointless());
                poll_fn(|cx| match body.as_mut().poll_frame(cx) {
                    Poll::Ready(frame) => Poll::Ready(Some(frame)),
                    Poll::Pending => pointless.as_mut().poll(cx).map(|()| None),
                })
                .await
            };
            match frame {
                None => break,
                Some(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        bytes += data.len() as u64;
                        if bytes > self.store.object && listed {
                            self.forget();
                            listed = false;
                        }
                        writer.append(&data);
                    }
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
                Some(Some(Err(_))) => break,
                Some(None) => {
                    let whole = self.entry.meta.length().is_none_or(|length| length == bytes);
                    if !whole {
                        break;
                    }
                    writer.finish(trailers);
                    if let Some(chunks) = self.log.chunks() {
                        self.complete(chunks, bytes);
                    }
                    return;
                }
            }
        }
        // In this order: whoever has seen it break off does not find it.
        self.forget();
        writer.break_off();
    }

    /// It is all there: it needs no log any more.
    fn complete(&self, chunks: Arc<[Bytes]>, bytes: u64) {
        let meta = Arc::new(Meta::clone(&self.entry.meta).with_length(bytes));
        // In one piece: it is sent more often than it is stored.
        let body = match &*chunks {
            [whole] => whole.clone(),
            pieces => pieces.concat().into(),
        };
        self.replace(Some(Slot::Answer(Entry {
            meta,
            headers: Arc::clone(&self.entry.headers),
            body: Stored::Whole(body),
        })));
    }

    fn forget(&self) {
        self.replace(None);
    }

    /// Puts something in its place, unless another answer stands there by now.
    fn replace(&self, by: Option<Slot>) {
        use moka::ops::compute::Op;
        self.store.entries.entry_by_ref(&self.key).and_compute_with(|entry| {
            let is_it =
                entry.is_some_and(|e| matches!(e.into_value(), Slot::Answer(entry) if entry.grows_in(&self.log)));
            match by {
                _ if !is_it => Op::Nop,
                Some(kept) => Op::Put(kept),
                None => Op::Remove,
            }
        });
    }
}
