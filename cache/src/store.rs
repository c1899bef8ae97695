//! The port to where entries are kept. The body is opaque to the engine: a host's own type, which may be a stream that
//! no Rust ever touches.

use std::sync::Arc;

use crate::{Meta, PrimaryKey};

/// What is stored under a primary key.
///
/// `handle` is whatever the store already holds after the look-up (in the Worker the matched response itself), so that one
/// look-up is enough where nothing varies.
pub struct Index<H> {
    /// The entries, each with the number by which [`Store::body`] knows it.
    pub entries: Vec<Stored>,
    /// The store's own.
    pub handle: H,
}

/// One entry of an [`Index`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its number within the index.
    pub id: u32,
    /// What is known of it; shared, so that a hit copies nothing.
    pub meta: Arc<Meta>,
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

    /// What is stored under the key.
    async fn lookup(&self, key: &PrimaryKey) -> Option<Index<Self::Handle>>;

    /// The body of one entry; `None` where the store has dropped it since.
    async fn body(&self, handle: Self::Handle, id: u32) -> Option<Self::Body>;

    /// Stores a body as it streams by, and gives back the one to send on. A body that does not come to its end is not
    /// stored.
    fn put(&self, key: PrimaryKey, meta: Meta, body: Self::Body) -> Self::Body;
}
