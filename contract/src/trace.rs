//! The `traceparent` field: W3C Trace Context level 1, section 3.2.
//!
//! A client's trace is continued, since it costs nothing and helps the person who is looking for a request of theirs; only
//! the sampled flag is taken over, as level 1 asks for unknown flags to be sent as zero.

use std::fmt;

use crate::{RequestId, hex};

const SAMPLED: u8 = 0x01;

/// Which trace a request belongs to, and which span is its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    sampled: bool,
}

impl Traceparent {
    /// Reads a field value. Version 00 has exactly four parts; a later version may have more, which are ignored; version ff
    /// and ids of zeros only are refused (3.2.2).
    pub fn parse(value: &str) -> Option<Self> {
        let mut parts = value.splitn(5, '-');
        let [version] = hex::decode(parts.next()?)?;
        let trace_id = hex::decode(parts.next()?)?;
        let parent_id = hex::decode(parts.next()?)?;
        let [flags] = hex::decode(parts.next()?)?;
        let more = parts.next().is_some();
        let refused = version == 0xff || (version == 0 && more) || trace_id == [0; 16] || parent_id == [0; 8];
        (!refused).then_some(Self { trace_id, parent_id, sampled: flags & SAMPLED != 0 })
    }

    /// The value to send on: the client's trace id and sampled flag where it sent a valid one, else a new trace that bears
    /// the request's id. The parent id is the request id's first half either way.
    pub fn continue_or_start(client: Option<&str>, id: RequestId) -> Self {
        let id = id.bytes();
        let (head, _) = id.as_chunks::<8>();
        let parent_id = non_zero(head.first().copied().unwrap_or_default());
        match client.and_then(Self::parse) {
            Some(client) => Self { parent_id, ..client },
            None => Self { trace_id: non_zero(id), parent_id, sampled: false },
        }
    }

    /// The trace's id.
    pub const fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// Whether the caller may have recorded the trace.
    pub const fn sampled(&self) -> bool {
        self.sampled
    }
}

/// An id of zeros means "none" in Trace Context, and a random one may be so by chance.
fn non_zero<const N: usize>(mut id: [u8; N]) -> [u8; N] {
    if id == [0; N]
        && let Some(last) = id.last_mut()
    {
        *last = 1;
    }
    id
}

impl Traceparent {
    /// The text, on the stack: for header values without an allocation.
    pub fn text(&self) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        for (bytes, at) in [(&self.trace_id[..], 3), (&self.parent_id[..], 36), (&[u8::from(self.sampled)][..], 53)] {
            hex::encode(bytes, text.get_mut(at..).unwrap_or_default());
        }
        text
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: RequestId = RequestId::from_random([0x11; 16]);
    const CLIENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_standards_own_example() {
        let parsed = Traceparent::parse(CLIENT).unwrap();
        assert_eq!(parsed.to_string(), CLIENT);
        assert!(parsed.sampled());
    }

    #[test]
    fn continues_a_clients_trace_with_a_new_parent() {
        let sent = Traceparent::continue_or_start(Some(CLIENT), ID).to_string();
        assert_eq!(sent, "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01");
    }

    #[test]
    fn starts_one_that_bears_the_requests_id() {
        for client in [None, Some("nonsense")] {
            let sent = Traceparent::continue_or_start(client, ID).to_string();
            assert_eq!(sent, "00-11111111111111111111111111111111-1111111111111111-00");
        }
    }

    #[test]
    fn never_sends_an_id_of_zeros() {
        let sent = Traceparent::continue_or_start(None, RequestId::from_random([0; 16])).to_string();
        assert_eq!(sent, "00-00000000000000000000000000000001-0000000000000001-00");
        assert!(Traceparent::parse(&sent).is_some());
    }

    #[test]
    fn flags_that_level_1_does_not_know_are_dropped() {
        let sent = |flags: &str| Traceparent::parse(&CLIENT.replace("-01", flags)).unwrap().to_string();
        assert!(sent("-03").ends_with("-01"));
        assert!(sent("-fe").ends_with("-00"));
    }

    #[test]
    fn later_versions_may_be_longer() {
        assert!(Traceparent::parse(&CLIENT.replacen("00", "01", 1)).is_some());
        assert!(Traceparent::parse(&format!("{}-what-ever", CLIENT.replacen("00", "cc", 1))).is_some());
        assert!(Traceparent::parse(&format!("{}.what", CLIENT.replacen("00", "cc", 1))).is_none());
    }

    #[test]
    fn refuses_what_the_standard_refuses() {
        for bad in [
            "",
            "00",
            &CLIENT.replacen("00", "ff", 1),
            &CLIENT.replacen("00", "0", 1),
            &format!("{CLIENT}-more"),
            &format!("{CLIENT}-"),
            &CLIENT.to_uppercase(),
            &CLIENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000"),
            &CLIENT.replace("00f067aa0ba902b7", "0000000000000000"),
            &CLIENT.replace("00f067aa0ba902b7", "00f067aa0ba902b"),
            &CLIENT.replace("-01", "-1"),
            &CLIENT.replace("-01", ""),
            &format!(" {CLIENT}"),
        ] {
            assert_eq!(Traceparent::parse(bad), None, "{bad}");
        }
    }
}
