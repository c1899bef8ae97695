//! An answer from the store: whole, in part, or only the word that the client has it already.

use cache::partial::{self, Fit, Part};
use cache::range::{self, Asked, ByteRange};
use cache::{Ask, Fields, Meta, Phase, validation};

use crate::host::Host;
use crate::locate::Entry;
use crate::{Answer, FieldsMut};

/// The fields of a request that decide about the form of its answer; kept when the request itself has gone on.
pub(crate) type Form = Vec<(&'static str, Box<[u8]>)>;

/// Takes them from a request.
pub(crate) fn form(request: &(impl Fields + ?Sized)) -> Form {
    const NAMES: [&str; 4] = ["if-none-match", "if-modified-since", "if-range", "range"];
    request
        .iter()
        .filter_map(|(name, value)| NAMES.iter().find(|known| **known == name).map(|known| (*known, value.into())))
        .collect()
}

/// Whether what is stored answers the request, where only a part may be.
pub(crate) fn suffices(ask: &Ask, form: &Form, meta: &Meta) -> bool {
    meta.part().is_none_or(|part| {
        partial::fit(ask, &form[..], meta, part, u64::MAX) == Fit::Enough
            || validation::not_modified(&form[..], meta, meta.received())
    })
}

/// Answers from an entry; `None` where the store has dropped its body since, or has only a part that does not suffice.
pub(crate) async fn entry<H: Host>(
    host: &H,
    ask: &Ask,
    form: &Form,
    entry: Entry<H::Handle>,
    phase: Phase,
) -> Option<(Answer<H::Fields, H::Body>, Phase)> {
    let Entry { key, meta, handle } = entry;
    if !suffices(ask, form, &meta) {
        return None;
    }
    let mut fields = host.stored_fields(&meta, &handle);
    fields.set("age", &meta.age(host.now()).to_string());
    let held = match meta.part() {
        Some(Part { range, length }) => Some((range.start, length)),
        None => meta.length().map(|length| (0, length)),
    };
    if matches!(meta.status(), 200 | 206) && !form.is_empty() {
        if validation::not_modified(&form[..], &*meta, meta.received()) {
            return Some((not_modified(host, fields), phase));
        }
        if !ask.head
            && let Some((from, length)) = held
            && validation::range_holds(&form[..], &*meta)
        {
            match range::asked(&form[..], length) {
                Asked::Whole => {}
                Asked::Unsatisfiable => {
                    strip_content(&mut fields);
                    fields.set("content-range", &format!("bytes */{length}"));
                    return Some((Answer { status: 416, fields, body: host.text(String::new()) }, phase));
                }
                Asked::Part(part) => {
                    fields.set("content-range", &partial::content_range(part, length));
                    fields.set("content-length", &part.len().to_string());
                    let part = ByteRange { start: part.start.saturating_sub(from), end: part.end.saturating_sub(from) };
                    let body = host.body(&key, handle, Some(part)).await?;
                    return Some((Answer { status: 206, fields, body }, phase));
                }
            }
        }
    }
    let body = if ask.head { host.text(String::new()) } else { host.body(&key, handle, None).await? };
    Some((Answer { status: meta.status(), fields, body }, phase))
}

/// 304, without the fields that describe a body (RFC 9110 section 15.4.5).
pub(crate) fn not_modified<H: Host>(host: &H, mut fields: H::Fields) -> Answer<H::Fields, H::Body> {
    strip_content(&mut fields);
    Answer { status: 304, fields, body: host.text(String::new()) }
}

fn strip_content(fields: &mut impl FieldsMut) {
    for name in ["content-length", "content-type", "content-encoding", "content-language", "content-range"] {
        fields.remove(name);
    }
}
