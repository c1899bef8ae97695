//! A stored part and what it lacks: asked for, and both stored as one (RFC 9111 section 3.4).

use cache::partial::{self, Fit};
use cache::range::ByteRange;
use cache::{Ask, Forwarded, Kept, Key, Meta, Phase, Times};

use crate::Answer;
use crate::fetch::{Fetched, Sharing};
use crate::host::Host;
use crate::locate::{Entry, Located};
use crate::serve::{self, Form};

/// Takes a stored part out of what was found, where it does not suffice. Gives it with what it lacks, where that is worth asking for.
pub(crate) fn lacking<H: Host>(
    host: &H,
    ask: &Ask,
    form: &Form,
    located: &mut Located<H::Handle>,
) -> Option<(Entry<H::Handle>, ByteRange)> {
    let entry = located.entry.take_if(|entry| !serve::suffices(ask, form, &entry.meta))?;
    let part = entry.meta.part().filter(|_| entry.meta.is_for(ask))?;
    match partial::fit(ask, &form[..], &entry.meta, part, host.object_limit()) {
        Fit::Missing(missing) => Some((entry, missing)),
        Fit::Enough | Fit::Nothing => None,
    }
}

/// The next hop has sent what a stored part lacks: stores both as one, and answers with it. `None` where they do not belong together.
#[expect(clippy::too_many_arguments, reason = "the parts of one errand, some of them lent to others")]
pub(crate) async fn completed<H: Host>(
    host: &H,
    ask: &Ask,
    form: &Form,
    why: Forwarded,
    entry: Entry<H::Handle>,
    missing: ByteRange,
    answer: Answer<H::Fields, H::Body>,
    times: Times,
    sequence: u64,
    place: impl FnOnce(&Meta) -> Option<Key>,
) -> Option<Fetched<H>> {
    if answer.status != 206 {
        return None;
    }
    let combined = partial::combined(ask, &entry.meta, missing, &answer.fields, times, sequence, &host.settings());
    let (meta, is_before) = combined.ok()?;
    let held = ByteRange { start: 0, end: entry.meta.length()? };
    let held = host.body(&entry.key, entry.handle, Some(held)).await?;
    let body = if is_before { host.join(answer.body, held) } else { host.join(held, answer.body) }?;
    let key = place(&meta)?;
    let _receiving = host.put(key.clone(), meta, body);
    let Some(Kept::Answer { meta, handle }) = host.get(&key).await else { return None };
    let sharing = if meta.ttl(host.now()) > 0 { Sharing::Found } else { Sharing::Never };
    let phase = Phase::Forwarded { why, status: None, stored: true, collapsed: false, refusal: None };
    let (answer, mut phase) = serve::entry(host, ask, form, Entry { key, meta, handle }, phase).await?;
    if let Phase::Forwarded { status, .. } = &mut phase {
        *status = (answer.status != 206).then_some(206);
    }
    Some(Fetched::Answer { answer, phase, sharing })
}
