//! The trace that a request belongs to: W3C Trace Context level 1, sections 3.2 and 3.3.
//!
//! A client's trace is continued, since it costs nothing and helps the person who is looking for a request of theirs. Of its flags
//! only the sampled one is taken over, as level 1 asks for unknown flags to be sent as zero. A request without a trace, or with a
//! broken one, starts one that bears its id.
//!
//! Each hop has a span, and what it says to the next hop names a new parent. Ids of spans are not drawn: they are halves of the
//! request's id, which is random, and the children of a span differ from it in the last byte.

mod state;

use std::fmt;

use crate::{RequestId, hex};

pub use state::tracestate;

const SAMPLED: u8 = 0x01;

/// Where on its way a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// Where it enters: the Worker, or the gateway where no Worker stands before it.
    First,
    /// The gateway, behind the Worker.
    Second,
}

/// The trace of a request, as one hop sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace's id.
    pub id: [u8; 16],
    /// The span of whoever asks, where it said one.
    pub parent: Option<[u8; 8]>,
    /// The span of this hop.
    pub span: [u8; 8],
    /// Whether whoever asks may have recorded the trace.
    pub sampled: bool,
}

impl Trace {
    /// Continues the trace that a `traceparent` names, where that is valid; else starts one. `id` is the request's.
    pub fn at(hop: Hop, traceparent: Option<&str>, id: RequestId) -> Self {
        let bytes = id.bytes();
        let (halves, _) = bytes.as_chunks::<8>();
        let half = match hop {
            Hop::First => halves.first(),
            Hop::Second => halves.last(),
        };
        let span = non_zero(half.copied().unwrap_or_default());
        match traceparent.and_then(Traceparent::parse) {
            Some(Traceparent { trace_id, parent_id, sampled }) => {
                Self { id: trace_id, parent: Some(parent_id), span, sampled }
            }
            None => Self { id: non_zero(bytes), parent: None, span, sampled: false },
        }
    }

    /// Whether it is ours: started here or at the hop before, for this request.
    pub fn is_own(&self, id: RequestId) -> bool {
        self.id == non_zero(id.bytes())
    }

    /// The id of this hop's span number `n`, below its own; number 0 is its own.
    pub fn child(&self, n: u8) -> [u8; 8] {
        let mut id = self.span;
        if let Some(last) = id.last_mut() {
            *last ^= n;
        }
        // A span that is another's would be lost.
        if id == [0; 8] { [0xff; 8] } else { id }
    }

    /// What to say to the next hop: its parent is our span number `n`.
    pub fn onward(&self, n: u8) -> Traceparent {
        Traceparent { trace_id: self.id, parent_id: self.child(n), sampled: self.sampled }
    }

    /// The trace's id as text, on the stack.
    pub fn id_text(&self) -> [u8; 32] {
        let mut text = [b'0'; 32];
        hex::encode(&self.id, &mut text);
        text
    }
}

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
    fn each_hop_continues_a_clients_trace_with_a_new_parent() {
        let id = RequestId::parse("11111111111111112222222222222222").unwrap();
        let edge = Trace::at(Hop::First, Some(CLIENT), id);
        assert_eq!(edge.parent, Some([0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]));
        let said = edge.onward(0).to_string();
        assert_eq!(said, "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01");
        let gateway = Trace::at(Hop::Second, Some(&said), id);
        assert_eq!((gateway.parent, gateway.is_own(id)), (Some([0x11; 8]), false));
        assert_eq!(gateway.onward(1).to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-2222222222222223-01");
    }

    #[test]
    fn starts_one_that_bears_the_requests_id() {
        for client in [None, Some("nonsense")] {
            let edge = Trace::at(Hop::First, client, ID);
            assert_eq!((edge.parent, edge.is_own(ID)), (None, true));
            let said = edge.onward(0).to_string();
            assert_eq!(said, "00-11111111111111111111111111111111-1111111111111111-00");
            assert!(Trace::at(Hop::Second, Some(&said), ID).is_own(ID), "the next hop knows it, too");
        }
    }

    #[test]
    fn never_sends_an_id_of_zeros() {
        let said = Trace::at(Hop::First, None, RequestId::from_random([0; 16])).onward(0).to_string();
        assert_eq!(said, "00-00000000000000000000000000000001-0000000000000001-00");
        assert!(Traceparent::parse(&said).is_some());
        let said = Trace::at(Hop::First, None, RequestId::from_random([0; 16])).onward(1).to_string();
        assert!(Traceparent::parse(&said).is_some(), "{said}");
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
