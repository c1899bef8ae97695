//! Incomplete answers (RFC 9111 sections 3.3 and 3.4): one contiguous part of a body of known length under a strong entity tag. It
//! answers ranges that lie within it, grows by what joins on to it, and is never taken for the whole.

use crate::range::{self, Asked, ByteRange};
use crate::response::{self, Refusal, Times};
use crate::{Ask, Fields, Meta, Settings, validation};

/// What a 206 carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its bytes.
    pub range: ByteRange,
    /// Bytes of the whole.
    pub length: u64,
}

/// How a stored part fits a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It answers it, if only to say that there are no such bytes.
    Enough,
    /// With these bytes it would.
    Missing(ByteRange),
    /// It is of no use.
    Nothing,
}

impl Part {
    /// Reads the `Content-Range` of a 206 (RFC 9110 section 14.4); `None` where it says no bytes or no length of the whole.
    pub fn of(fields: &(impl Fields + ?Sized)) -> Option<Self> {
        let (unit, said) = fields.single("content-range")?.trim().split_once(' ')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (range, length) = said.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| -> Option<u64> {
            (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
        };
        let range = ByteRange { start: number(first)?, end: number(last)?.checked_add(1)? };
        let length = number(length)?;
        (!range.is_empty() && range.end <= length).then_some(Self { range, length })
    }

    fn is_whole(self) -> bool {
        self.range.len() == self.length
    }
}

impl Meta {
    /// What of a body is stored, where that is not all of it.
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        if self.status == 206 { Part::of(self) } else { None }
    }
}

/// How the stored `part` fits a request. `most` bounds what a store takes: no more is asked for.
pub fn fit(ask: &Ask, request: &(impl Fields + ?Sized), stored: &Meta, part: Part, most: u64) -> Fit {
    if ask.head || !validation::range_holds(request, stored) {
        return Fit::Nothing;
    }
    let Part { range: held, length } = part;
    let missing = match range::asked(request, length) {
        Asked::Unsatisfiable => return Fit::Enough,
        Asked::Part(asked) if held.start <= asked.start && asked.end <= held.end => return Fit::Enough,
        Asked::Part(asked) if held.start <= asked.start && asked.start <= held.end => {
            ByteRange { start: held.end, end: asked.end }
        }
        Asked::Part(asked) if held.start <= asked.end && asked.end <= held.end => {
            ByteRange { start: asked.start, end: held.start }
        }
        // A Range that may be ignored is the origin's to answer.
        Asked::Whole if held.start == 0 && !request.has("range") => ByteRange { start: held.end, end: length },
        Asked::Whole | Asked::Part(_) => return Fit::Nothing,
    };
    if held.len().saturating_add(missing.len()) > most { Fit::Nothing } else { Fit::Missing(missing) }
}

/// The fields that ask the origin for what is missing of what is stored, or for the whole where that has changed.
#[must_use]
pub fn conditions(stored: &Meta, missing: ByteRange) -> Vec<(&'static str, Box<str>)> {
    let last = missing.end.saturating_sub(1);
    let tag = stored.single("etag").unwrap_or_default();
    vec![("range", format!("bytes={}-{last}", missing.start).into()), ("if-range", tag.into())]
}

/// The entry to store for a 206, or why there is none: what holds for any answer, one readable Content-Range, and a strong entity tag.
/// One that brings all of a body is a 200 (RFC 9110 section 15.3.7.3).
///
/// # Errors
/// Why it may not be stored, or need not.
pub fn storable(
    ask: &Ask,
    fields: &(impl Fields + ?Sized),
    times: Times,
    sequence: u64,
    settings: &Settings,
) -> Result<Meta, Refusal> {
    let part = usable(fields).filter(|_| ask.range && !ask.head).ok_or(Refusal::Kind)?;
    let mut meta = if part.is_whole() {
        let whole: Vec<(&str, &[u8])> = fields.iter().filter(|(name, _)| *name != "content-range").collect();
        response::judge(ask, 200, &whole[..], times, sequence, settings)?
    } else {
        response::judge(ask, 206, fields, times, sequence, settings)?
    };
    meta.length = Some(part.range.len());
    Ok(meta)
}

/// The entry for a stored part with the `missing` bytes that a 206 with these `fields` brings, and whether they come first: a larger
/// part, or the whole as a 200. Its fields are the stored ones with the new in their place (RFC 9111 section 3.4).
///
/// # Errors
/// Why the two may not be combined: the new ones are other bytes, or bytes of something else, or the result may not be stored.
pub fn combined(
    ask: &Ask,
    stored: &Meta,
    missing: ByteRange,
    fields: &(impl Fields + ?Sized),
    times: Times,
    sequence: u64,
    settings: &Settings,
) -> Result<(Meta, bool), Refusal> {
    let held = stored.part().ok_or(Refusal::Kind)?;
    let same = |new: &Part| {
        let tags = fields.single("etag").zip(stored.single("etag"));
        let coding = fields.single("content-encoding") == stored.single("content-encoding");
        new.range == missing
            && new.length == held.length
            && coding
            && tags.is_some_and(|(new, old)| validation::strongly_same(new, old))
    };
    let new = usable(fields).filter(same).ok_or(Refusal::Kind)?.range;
    let (first, range) = match held.range {
        old if new.end == old.start => (true, ByteRange { start: new.start, end: old.end }),
        old if old.end == new.start => (false, ByteRange { start: old.start, end: new.end }),
        _ => return Err(Refusal::Kind),
    };
    let part = Part { range, length: held.length };
    let framing = |name: &str| matches!(name, "content-length" | "content-range");
    let mut merged: Vec<(&str, &[u8])> =
        stored.iter().filter(|(name, _)| !framing(name) && *name != "date" && !fields.has(name)).collect();
    merged.extend(fields.iter().filter(|(name, _)| !framing(name)));
    let (length, said) = (range.len().to_string(), content_range(range, part.length));
    merged.push(("content-length", length.as_bytes()));
    let status = if part.is_whole() { 200 } else { 206 };
    if status == 206 {
        merged.push(("content-range", said.as_bytes()));
    }
    Ok((response::judge(ask, status, &merged[..], times, sequence, settings)?, first))
}

/// `Content-Range` for these bytes of a whole of `length`.
#[must_use]
pub fn content_range(range: ByteRange, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1))
}

/// What a 206 carries, where it may be combined with more of it.
fn usable(fields: &(impl Fields + ?Sized)) -> Option<Part> {
    let part = Part::of(fields)?;
    let tag = fields.single("etag").is_some_and(|tag| validation::strongly_same(tag, tag));
    let multipart = fields
        .values("content-type")
        .any(|kind| kind.trim_ascii_start().get(..10).is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/")));
    let framed = !fields.has("content-length")
        || fields.single("content-length").and_then(|length| length.parse().ok()) == Some(part.range.len());
    (tag && framed && !multipart).then_some(part)
}

#[cfg(test)]
mod tests;
