//! The pipeline: one story, told once for both hosts.

use std::fmt::Write as _;

use cache::{Index, Meta, Phase, Plan, Stored, Timestamp, request, response};
use contract::{EdgeFacts, Problem, RequestId, Target, Traceparent, header, wants_json};

use crate::exchange::Refused;
use crate::host::{Head, Host};
use crate::{Answer, Exchange, FieldsMut, Visitor, page};

/// Admits a request that nobody has looked at before: gives it an id and applies the one path rule.
///
/// `random` becomes its id; `max_target` bounds path and query in bytes.
pub fn admit(head: &impl Head, visitor: Visitor, random: [u8; 16], max_target: usize) -> Result<Exchange, Refused> {
    enter(head, visitor, RequestId::from_random(random), max_target)
}

/// Admits a request that our edge has admitted before, and says so under its signature: it keeps its id and its facts.
pub fn admitted(head: &impl Head, facts: &EdgeFacts, max_target: usize) -> Result<Exchange, Refused> {
    let visitor = Visitor { client: facts.client, country: facts.country, asn: facts.asn };
    enter(head, visitor, facts.id, max_target)
}

fn enter(head: &impl Head, visitor: Visitor, id: RequestId, max_target: usize) -> Result<Exchange, Refused> {
    let json = wants_json(head.single("accept"), head.target());
    let refused = |problem| Refused { problem, id, json };
    if matches!(head.method(), "TRACE" | "CONNECT") {
        return Err(refused(Problem::MethodNotAllowed));
    }
    let target = Target::parse(head.target(), max_target).map_err(|e| refused(e.problem()))?;
    Ok(Exchange {
        id,
        trace: Traceparent::continue_or_start(head.single(header::TRACEPARENT), id),
        visitor,
        authority: head.authority().to_ascii_lowercase().into(),
        target: target.into_owned(),
        plan: request::plan(head.method(), head),
        json,
    })
}

/// Answers an admitted request: asset, cache, or the next hop.
pub async fn answer<H: Host>(host: &H, exchange: &Exchange, request: H::Request) -> Answered<H> {
    if let Some(asset) = host.asset(exchange, &request).await {
        return finish::<H>(exchange, asset, None, None);
    }
    let mut phase = exchange.plan.phase();
    if matches!(exchange.plan, Plan::Lookup | Plan::OnlyIfCached) {
        match find(host, exchange).await {
            Found::Fresh(index, stored) => {
                let held = request::not_modified(&request, &stored.meta);
                if let Some(hit) = hit(host, request.method() == "GET", held, index, stored).await {
                    return finish::<H>(exchange, hit.0, Some(hit.1), None);
                }
            }
            Found::Stale => phase = Phase::Expired { stored: false },
            Found::Nothing => {}
        }
        if exchange.plan == Plan::OnlyIfCached {
            return fail(host, exchange, Problem::NotCached, phase);
        }
    }
    let get = request.method() == "GET";
    let mut answer = match host.forward(exchange, request).await {
        Ok(answer) => answer,
        Err(problem) => return fail(host, exchange, problem, phase),
    };
    if get && !matches!(exchange.plan, Plan::Bypass(_)) {
        let meta = response::storable("GET", answer.status, &answer.fields, host.now(), 0)
            .filter(|meta| meta.content_length().is_none_or(|length| length <= host.object_limit()));
        phase = phase.storing(meta.is_some());
        if let Some(meta) = meta {
            answer.body = host.put(exchange.key(), meta, answer.body);
        }
    }
    finish::<H>(exchange, answer, Some(phase), None)
}

/// An answer and what the cache did; `None` where it was not asked (assets).
pub struct Answered<H: Host> {
    /// The answer to send.
    pub answer: Answer<H::Fields, H::Body>,
    /// What the cache did.
    pub phase: Option<Phase>,
    /// What went wrong, where the answer says so.
    pub problem: Option<Problem>,
}

/// Says a refusal to the client.
pub fn refuse<H: Host>(host: &H, refused: &Refused) -> Answer<H::Fields, H::Body> {
    let reply = page::render(refused.problem, refused.id, refused.json);
    let mut fields = H::Fields::empty();
    for (name, value) in reply.fields {
        fields.append(name, value.as_bytes());
    }
    fields.append(header::REQUEST_ID, refused.id.text().as_str().as_bytes());
    Answer { status: refused.problem.status(), fields, body: host.text(reply.body) }
}

/// Says a problem on the way of an admitted request.
fn fail<H: Host>(host: &H, exchange: &Exchange, problem: Problem, phase: Phase) -> Answered<H> {
    let answer = refuse(host, &Refused { problem, id: exchange.id, json: exchange.json });
    finish::<H>(exchange, answer, Some(phase), Some(problem))
}

enum Found<T> {
    Fresh(T, Stored),
    Stale,
    Nothing,
}

async fn find<H: Host>(host: &H, exchange: &Exchange) -> Found<H::Handle> {
    let Some(Index { entries, handle }) = host.lookup(&exchange.key()).await else { return Found::Nothing };
    let now = host.now();
    // Nothing that varies is stored yet, so an index holds one entry.
    match entries.into_iter().next() {
        Some(stored) if stored.meta.ttl(now) > 0 => Found::Fresh(handle, stored),
        Some(_) => Found::Stale,
        None => Found::Nothing,
    }
}

/// Answers from a fresh entry: with its body, without, or with 304 where the client holds it; `None` where the store has
/// dropped its body since.
async fn hit<H: Host>(
    host: &H,
    get: bool,
    held: bool,
    handle: H::Handle,
    stored: Stored,
) -> Option<(Answer<H::Fields, H::Body>, Phase)> {
    let now = host.now();
    let phase = Phase::Hit { ttl: stored.meta.ttl(now) };
    let mut fields = stored_fields::<H>(&stored.meta, now);
    if held {
        for name in ["content-length", "content-type", "content-encoding", "content-language"] {
            fields.remove(name);
        }
        return Some((Answer { status: 304, fields, body: host.text(String::new()) }, phase));
    }
    let body = if get { host.body(handle, stored.id).await? } else { host.text(String::new()) };
    Some((Answer { status: stored.meta.status(), fields, body }, phase))
}

fn stored_fields<H: Host>(meta: &Meta, now: Timestamp) -> H::Fields {
    let mut fields = H::Fields::of_meta(meta);
    fields.set("age", &meta.age(now).to_string());
    fields
}

/// What every answer carries: its id, and what the cache did (RFC 9211: the cache nearest the origin comes first).
fn finish<H: Host>(
    exchange: &Exchange,
    mut answer: Answer<H::Fields, H::Body>,
    phase: Option<Phase>,
    problem: Option<Problem>,
) -> Answered<H> {
    answer.fields.set(header::REQUEST_ID, exchange.id.text().as_str());
    if let Some(phase) = phase {
        let mut said = String::with_capacity(64);
        // Writing to a String does not fail.
        let _ = write!(said, "{}", phase.status(H::CACHE));
        answer.fields.append(header::CACHE_STATUS, said.as_bytes());
    }
    Answered { answer, phase, problem }
}
