//! Object storage: the app decides who may read an object, the gateway signs its URL. File bytes go from the bucket to the
//! client and never through here.

mod handoff;
mod sigv4;

pub use handoff::{Handoff, HandoffError};
pub use sigv4::{Read, presign};

use crate::config::Bucket;

/// The presigned URL that a hand-off stands for.
///
/// # Errors
/// An unknown bucket, or a key that can't be an object's.
pub fn resolve(buckets: &[Bucket], handoff: &str, read: Read, now: u64) -> Result<String, HandoffError> {
    let handoff = Handoff::parse(handoff)?;
    let bucket = buckets
        .iter()
        .find(|b| b.role == handoff.role)
        .ok_or_else(|| HandoffError::UnknownBucket(handoff.role.clone()))?;
    let disposition = handoff.content_disposition();
    Ok(presign(bucket, read, &handoff.key, disposition.as_deref(), now))
}
