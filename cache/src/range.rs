//! Ranges (RFC 9110 section 14) of a stored whole.

use crate::Fields;

/// A part of a body: first byte and one past the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl ByteRange {
    /// Bytes in it.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// What a request's Range asks of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of it: there is no Range, or one that may be ignored (another unit, several ranges, what can't be read).
    Whole,
    /// This part: 206.
    Part(ByteRange),
    /// A part that is not there: 416.
    Unsatisfiable,
}

/// Reads a request's Range against a body of `length` bytes.
pub fn asked(request: &(impl Fields + ?Sized), length: u64) -> Asked {
    request.single("range").map_or(Asked::Whole, |value| parse(value, length).unwrap_or(Asked::Whole))
}

fn parse(value: &str, length: u64) -> Option<Asked> {
    let (unit, set) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let set = set.trim_matches([' ', '\t', ',']);
    // Several ranges are answered with the whole, which is allowed (section 14.2) and spares a multipart body.
    if set.contains(',') {
        return None;
    }
    let (first, last) = set.split_once('-')?;
    let number = |text: &str| -> Option<u64> {
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (first, last) = (first.trim(), last.trim());
    let range = if first.is_empty() {
        let suffix = number(last)?;
        if suffix == 0 {
            return Some(Asked::Unsatisfiable);
        }
        ByteRange { start: length.saturating_sub(suffix), end: length }
    } else {
        let start = number(first)?;
        let end = if last.is_empty() { length } else { number(last)?.saturating_add(1).min(length) };
        if !last.is_empty() && number(last)? < start {
            return None;
        }
        ByteRange { start, end }
    };
    Some(if range.start >= length { Asked::Unsatisfiable } else { Asked::Part(range) })
}

#[cfg(test)]
mod tests {
    use super::{Asked, ByteRange, asked};
    use proptest::prelude::*;

    fn of(value: &str) -> Asked {
        asked(&[("range", value)][..], 10)
    }

    #[test]
    fn one_range_in_every_form() {
        let part = |start, end| Asked::Part(ByteRange { start, end });
        for (value, expected) in [
            ("bytes=0-4", part(0, 5)),
            ("BYTES=0-0", part(0, 1)),
            ("bytes=5-", part(5, 10)),
            ("bytes=-3", part(7, 10)),
            ("bytes=-30", part(0, 10)),
            ("bytes=5-99999999999999999999999", part(5, 10)),
            ("bytes=10-", Asked::Unsatisfiable),
            ("bytes=-0", Asked::Unsatisfiable),
            ("bytes=99-100", Asked::Unsatisfiable),
            ("bytes=4-3", Asked::Whole),
            ("bytes=0-1,3-4", Asked::Whole),
            ("lines=0-1", Asked::Whole),
            ("bytes", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
        ] {
            assert_eq!(of(value), expected, "{value}");
        }
        assert_eq!(asked(&[("range", "bytes=0-")][..], 0), Asked::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn a_part_lies_within(text in "bytes=[0-9]{0,4}-[0-9]{0,4}|[ -~]{0,20}", length in 0u64..5000) {
            if let Asked::Part(range) = asked(&[("range", text)][..], length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}
