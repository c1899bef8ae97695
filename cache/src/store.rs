//! The port to where entries are kept. The body is opaque to the engine: a host's own type, which may be a stream that
//! no Rust ever touches.

use std::sync::Arc;

use crate::range::ByteRange;
use crate::{Key, Meta, Signpost};

/// What stands under a key.
pub enum Kept<H> {
    /// An answer.
    Answer {
        /// What is known of it; shared, so that a hit copies nothing.
        meta: Arc<Meta>,
        /// What the store has in hand after the look-up (in the Worker the matched response itself), so that one look-up is enough.
        handle: H,
    },
    /// The URL's answers vary.
    Signpost(Signpost),
    /// The answers below this path say what of their queries counts: the value of their `No-Vary-Search`.
    Search(Box<str>),
}

/// What is put under a key, apart from answers with their bodies.
#[derive(Clone, Debug)]
pub enum Mark {
    /// See [`Kept::Signpost`].
    Signpost(Signpost),
    /// See [`Kept::Search`].
    Search(Box<str>),
}

impl Mark {
    /// As one header value, for stores that keep only bytes.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Self::Signpost(post) => format!("vary;{:x};{}", post.generation, post.specs.join(";")),
            Self::Search(rule) => format!("search;{rule}"),
        }
    }

    /// Reads what [`Mark::encode`] wrote; `None` for anything else.
    #[must_use]
    pub fn decode(encoded: &str) -> Option<Self> {
        if let Some(rule) = encoded.strip_prefix("search;") {
            return Some(Self::Search(rule.into()));
        }
        let mut parts = encoded.strip_prefix("vary;")?.split(';');
        let generation = u64::from_str_radix(parts.next()?, 16).ok()?;
        let specs: Vec<Box<str>> = parts.map(Into::into).collect();
        (!specs.is_empty()).then_some(Self::Signpost(Signpost { generation, specs }))
    }
}

impl<H> From<Mark> for Kept<H> {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::Signpost(post) => Self::Signpost(post),
            Mark::Search(rule) => Self::Search(rule),
        }
    }
}

/// Keeps entries and their bodies. Every store may forget at will.
#[expect(
    async_fn_in_trait,
    reason = "the Worker's futures are not Send, the gateway's are: each host's own type decides"
)]
pub trait Store {
    /// What a look-up leaves in hand.
    type Handle;
    /// A body, to be sent or stored.
    type Body;

    /// What stands under a key.
    async fn get(&self, key: &Key) -> Option<Kept<Self::Handle>>;

    /// The body of an answer, or a part of it; `None` where the store has dropped it since.
    async fn body(&self, key: &Key, handle: Self::Handle, part: Option<ByteRange>) -> Option<Self::Body>;

    /// One body after another, as one; `None` where the host does not join them, and keeps no parts.
    fn join(&self, _first: Self::Body, _second: Self::Body) -> Option<Self::Body> {
        None
    }

    /// Stores a body as it streams by, and gives back the one to send on. A body that does not come to its end is not
    /// stored.
    fn put(&self, key: Key, meta: Meta, body: Self::Body) -> Self::Body;

    /// Puts new metadata in place of what is known of an answer; its body stays. Gives what a look-up would leave in hand now.
    fn refresh(&self, key: Key, meta: Arc<Meta>, handle: Self::Handle) -> Self::Handle;

    /// Puts a mark in place of what stands under a key.
    fn mark(&self, key: Key, mark: Mark);

    /// Removes what stands under a key, and with it all that it leads to.
    async fn remove(&self, key: &Key);
}

#[cfg(test)]
mod tests {
    use super::Mark;
    use crate::Signpost;

    #[test]
    fn marks_come_back() {
        let post = Signpost { generation: 77, specs: vec!["a,b".into(), "c".into()] };
        match Mark::decode(&Mark::Signpost(post.clone()).encode()) {
            Some(Mark::Signpost(read)) => assert_eq!(read, post),
            other => panic!("{other:?}"),
        }
        assert!(
            matches!(Mark::decode(&Mark::Search("params".into()).encode()), Some(Mark::Search(rule)) if &*rule == "params")
        );
        assert!(
            Mark::decode("vary;zz;a").is_none() && Mark::decode("vary;1").is_none() && Mark::decode("2;200;").is_none()
        );
    }
}
