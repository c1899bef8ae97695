//! An errand to the next hop for an answer that may be stored: what is asked, and what becomes of what comes.

use std::sync::Arc;

use cache::{Ask, Fields, Forwarded, Key, Meta, Phase, Refusal, Stale, Times, partial, response, validation};
use contract::Problem;

use crate::host::{Conditions, Host};
use crate::locate::{self, Entry, Located};
use crate::serve::{self, Form};
use crate::{Answer, Exchange, FieldsMut, complete};

/// A request that goes on, and what is known about what it asks for.
pub struct Errand<H: Host> {
    /// The request's facts.
    pub exchange: Arc<Exchange>,
    pub(crate) request: H::Request,
    pub(crate) ask: Ask,
    pub(crate) form: Form,
    pub(crate) located: Located<H::Handle>,
    pub(crate) why: Forwarded,
    pub(crate) manner: Manner,
}

/// How an errand is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// For one who waits, and perhaps for others.
    Shared,
    /// For one who has waited for another's already, and goes alone.
    Waited,
    /// Alone, since the last answer was not stored: what is kept of the request to store this one would be kept in vain.
    Light,
    /// For nobody, so that it may take its time.
    Later,
}

impl<H: Host> Errand<H> {
    /// The key under which several requests may wait for one answer; `None` where this one must go by itself.
    pub fn shared_key(&self) -> Option<Key> {
        let alone = self.manner == Manner::Waited || self.ask.head || self.ask.range || self.why == Forwarded::Request;
        (!alone && self.ask.is_anonymous()).then(|| self.located.shared_key(&self.request))
    }

    /// Whether nothing was found where its answer would be.
    pub fn is_cold(&self) -> bool {
        self.located.entry.is_none()
    }

    /// The same, lighter: the last answer was not stored, and probably this one is not, either.
    #[must_use]
    pub fn alone(mut self) -> Self {
        if self.located.entry.is_none() {
            self.manner = Manner::Light;
        }
        self
    }
}

/// What of an answer is for others who ask for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// It is stored, and fresh: they find it there.
    Found,
    /// It is not stored, or not fresh: each asks for itself.
    Never,
    /// It would have been stored, had all been kept that it takes: the next one is.
    Next,
}

/// What came of an errand.
pub enum Fetched<H: Host> {
    /// An answer, and what the cache did.
    Answer {
        /// The answer.
        answer: Answer<H::Fields, H::Body>,
        /// What the cache did.
        phase: Phase,
        /// What of it is for others.
        sharing: Sharing,
    },
    /// Another's answer has been stored meanwhile: look again.
    Again(Box<Errand<H>>),
    /// No answer came.
    Failed(Problem),
}

/// Goes to the next hop and stores what comes, where it may be.
pub async fn run<H: Host>(host: &H, errand: Errand<H>) -> Fetched<H> {
    let Errand { exchange, request, ask, form, mut located, why, manner } = errand;
    let kept = (manner != Manner::Light).then(|| host.again(&request));
    let whole_stands = located.entry.as_ref().is_some_and(|entry| entry.meta.part().is_none());
    let mut lacking = complete::lacking(host, &ask, &form, &mut located);
    let usable = located.entry.as_ref().filter(|entry| entry.meta.is_for(&ask));
    let conditions = match usable {
        _ if ask.head => Conditions::Clients,
        None if let Some((entry, missing)) = &lacking => Conditions::Own(partial::conditions(&entry.meta, *missing)),
        Some(entry) => own(entry),
        None if ask.is_anonymous() && !ask.range => Conditions::Own(Vec::new()),
        None => Conditions::Clients,
    };
    let spare =
        manner != Manner::Later && usable.is_some_and(|entry| entry.meta.stands_in(&ask, host.now(), &host.settings()));
    let validates = lacking.is_none() && matches!(&conditions, Conditions::Own(own) if !own.is_empty());
    let took_over = matches!(conditions, Conditions::Own(_));
    let (mut sequence, mut times) = (host.sequence(), Times { requested: host.now(), received: host.now() });
    let mut came = host.forward(&exchange, request, None, conditions, spare).await;
    times.received = host.now();
    let is_ours = |status| if lacking.is_some() { matches!(status, 206 | 416) } else { validates && status == 304 };
    if let Some(kept) = &kept
        && came.as_ref().is_ok_and(|answer| is_ours(answer.status))
        && let Ok(answer) = came
    {
        let fetched = if let Some((entry, missing)) = lacking.take() {
            let place = |meta: &Meta| locate::place(host, &exchange.key(), &located, Some(kept), meta);
            complete::completed(host, &ask, &form, why, entry, missing, answer, times, sequence, place).await
        } else if let Some(entry) = located.entry.take_if(|entry| validation::is_about(&entry.meta, &answer.fields)) {
            validated(host, &ask, &form, why, entry, &answer.fields, times, sequence).await
        } else {
            None
        };
        if let Some(fetched) = fetched {
            return fetched;
        }
        // It speaks of something else than what is stored, or that has gone.
        located.entry = None;
        (sequence, times.requested) = (host.sequence(), host.now());
        came = host.forward(&exchange, host.again(kept), None, Conditions::Own(Vec::new()), false).await;
        times.received = host.now();
    }
    let answer = match came {
        Ok(answer) if answer.status < 500 => answer,
        Ok(answer) => match stand_in(host, &ask, &form, &mut located).await {
            Some(stale) => return stale,
            None => answer,
        },
        Err(problem) => {
            if spare
                && matches!(problem, Problem::GatewayTimeout | Problem::AppTimeout)
                && let Some(kept) = &kept
            {
                later(host, &exchange, kept, &ask).await;
            }
            let stale = stand_in(host, &ask, &form, &mut located).await;
            return stale.unwrap_or(Fetched::Failed(problem));
        }
    };
    if ask.head
        && let Some(entry) = located.entry.take()
    {
        head_tells(host, &ask, entry, answer.status, &answer.fields, times, sequence).await;
    }
    let place = |meta: &Meta| locate::place(host, &exchange.key(), &located, kept.as_ref(), meta);
    let (mut answer, sharing, refusal) = match answer.status {
        // A part does not take the place of a whole.
        206 if whole_stands => (answer, Sharing::Never, Some(Refusal::Kind)),
        _ => store(host, &ask, answer, times, sequence, place),
    };
    let said = refusal.filter(|_| !ask.head);
    let phase = Phase::Forwarded { why, status: None, stored: refusal.is_none(), collapsed: false, refusal: said };
    // A date to compare with is only what the next hop gives as one (RFC 9110 section 13.1.3).
    let comparable = form.iter().any(|(name, _)| *name == "if-none-match") || answer.fields.has("last-modified");
    if took_over
        && comparable
        && answer.status == 200
        && validation::not_modified(&form[..], &answer.fields, times.received)
    {
        answer = serve::not_modified(host, answer.fields);
    }
    Fetched::Answer { answer, phase, sharing }
}

/// Asks for a fresh answer for whoever comes next. Not on behalf of a HEAD: its answer has no body to store.
pub(crate) async fn later<H: Host>(host: &H, exchange: &Arc<Exchange>, request: &H::Request, ask: &Ask) {
    if ask.head {
        return;
    }
    let request = host.again(request);
    let (form, located) = (serve::form(&request), locate::find(host, exchange.key(), &request).await);
    host.fetch_later(Errand {
        exchange: Arc::clone(exchange),
        request,
        ask: Ask { cookie: ask.cookie, authorized: ask.authorized, ..Ask::default() },
        form,
        located,
        why: Forwarded::Stale,
        manner: Manner::Later,
    });
}

/// Our own conditions, from what is stored.
fn own<H>(entry: &Entry<H>) -> Conditions {
    Conditions::Own(validation::conditions(&entry.meta).map(|(name, value)| (name, value.into())).collect())
}

/// The next hop says that what is stored holds: freshens it and answers with it. `None` where its body has gone.
#[expect(clippy::too_many_arguments, reason = "the parts of one errand, some of them lent to others")]
async fn validated<H: Host>(
    host: &H,
    ask: &Ask,
    form: &Form,
    why: Forwarded,
    mut entry: Entry<H::Handle>,
    fields: &H::Fields,
    times: Times,
    sequence: u64,
) -> Option<Fetched<H>> {
    let (fresh, refusal) = match response::freshen(ask, &entry.meta, fields, times, sequence, &host.settings()) {
        Ok(meta) => {
            entry.meta = Arc::new(meta);
            entry.handle = host.refresh(entry.key.clone(), Arc::clone(&entry.meta), entry.handle);
            (entry.meta.ttl(host.now()) > 0, None)
        }
        Err(refusal) => {
            host.remove(&entry.key).await;
            (false, Some(refusal))
        }
    };
    let phase = Phase::Forwarded { why, status: Some(304), stored: refusal.is_none(), collapsed: false, refusal };
    let (mut answer, phase) = serve::entry(host, ask, form, entry, phase).await?;
    if refusal.is_some()
        && let Some(control) = fields.single("cache-control")
    {
        answer.fields.set("cache-control", control);
    }
    let sharing = if fresh { Sharing::Found } else { Sharing::Never };
    Some(Fetched::Answer { answer, phase, sharing })
}

/// No answer has come to the request that this one has waited for: what is stored, or the problem.
pub async fn failed<H: Host>(host: &H, problem: Problem, mut errand: Errand<H>) -> Fetched<H> {
    let stale = stand_in(host, &errand.ask, &errand.form, &mut errand.located).await;
    stale.unwrap_or(Fetched::Failed(problem))
}

/// What is stored, where it may stand in for a next hop that has failed.
async fn stand_in<H: Host>(host: &H, ask: &Ask, form: &Form, located: &mut Located<H::Handle>) -> Option<Fetched<H>> {
    let (now, settings) = (host.now(), host.settings());
    let entry = located.entry.take_if(|entry| entry.meta.is_for(ask) && entry.meta.stands_in(ask, now, &settings))?;
    let phase = Phase::Stale { ttl: entry.meta.ttl(now), why: Stale::IfError };
    let (answer, phase) = serve::entry(host, ask, form, entry, phase).await?;
    Some(Fetched::Answer { answer, phase, sharing: Sharing::Never })
}

/// An answer to HEAD confirms what is stored for GET, or makes it invalid (RFC 9111 section 4.3.5).
async fn head_tells<H: Host>(
    host: &H,
    ask: &Ask,
    entry: Entry<H::Handle>,
    status: u16,
    fields: &H::Fields,
    times: Times,
    sequence: u64,
) {
    if status != 200 {
        return;
    }
    let settings = host.settings();
    if validation::same_head(&entry.meta, fields)
        && let Ok(meta) = response::freshen(ask, &entry.meta, fields, times, sequence, &settings)
    {
        host.refresh(entry.key, Arc::new(meta), entry.handle);
    } else {
        host.remove(&entry.key).await;
    }
}

/// Stores an answer where it may be, at the `place` that is given for it. Gives the answer to send, what of it is for others, and why
/// nothing is stored.
pub(crate) fn store<H: Host>(
    host: &H,
    ask: &Ask,
    mut answer: Answer<H::Fields, H::Body>,
    times: Times,
    sequence: u64,
    place: impl FnOnce(&Meta) -> Option<Key>,
) -> (Answer<H::Fields, H::Body>, Sharing, Option<Refusal>) {
    if is_event_stream(&answer.fields) {
        return (answer, Sharing::Never, Some(Refusal::Kind));
    }
    let judged = match answer.status {
        206 if H::PARTS => partial::storable(ask, &answer.fields, times, sequence, &host.settings()),
        status => response::storable(ask, status, &answer.fields, times, sequence, &host.settings()),
    };
    let meta = match judged {
        Ok(meta) if meta.length().is_some_and(|length| length > host.object_limit()) => {
            return (answer, Sharing::Never, Some(Refusal::TooLarge));
        }
        Ok(meta) => meta,
        Err(refusal) => return (answer, Sharing::Never, Some(refusal)),
    };
    let Some(key) = place(&meta) else { return (answer, Sharing::Next, Some(Refusal::Vary)) };
    if !answer.fields.has("date") {
        // What is stored has one now, and all copies are alike.
        answer.fields.set("date", &cache::date::format(times.received));
    }
    let sharing = if meta.ttl(host.now()) > 0 { Sharing::Found } else { Sharing::Never };
    answer.body = host.put(key, meta, answer.body);
    (answer, sharing, None)
}

/// Whether an answer is a stream of events without an end (HTML section 9.2): whatever its headers say, what has come of it is never
/// the answer to another request.
pub fn is_event_stream(fields: &impl Fields) -> bool {
    const TYPE: &str = "text/event-stream";
    fields
        .single("content-type")
        .and_then(|kind| kind.trim_start().get(..TYPE.len()))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(TYPE))
}
