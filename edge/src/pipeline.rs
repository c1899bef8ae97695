//! The pipeline: one story, told once for both hosts.

use std::fmt::Write as _;
use std::sync::Arc;

use cache::purge::groups;
use cache::{
    Ask, Bypass, Choice, Fields, Forwarded, Meta, Phase, Plan, Stale, Terms, Times, choose, invalidation, request,
};
use contract::clearance::COOKIE;
use contract::trace::tracestate;
use contract::{EdgeFacts, Hop, Problem, RequestId, Target, Trace, header, news, wants_json};

use crate::challenge::{self, Form as Passed};
use crate::exchange::Refused;
use crate::fetch::{self, Errand, Fetched, Manner};
use crate::filter::rule::without_port;
use crate::filter::{Block, Outcome, Rule, Ruleset, VERSION, Verdict};
use crate::host::{Conditions, Head, Host};
use crate::locate::{self, Entry, Located};
use crate::page::Reply;
use crate::serve::{self, Form};
use crate::{Answer, Exchange, FieldsMut, Spent, Visitor, page};

/// Admits a request that nobody has looked at before: gives it an id and applies the one path rule.
///
/// `random` becomes its id; `max_target` bounds path and query in bytes.
pub fn admit(head: &impl Head, visitor: Visitor, random: [u8; 16], max_target: usize) -> Result<Exchange, Refused> {
    let id = RequestId::from_random(random);
    let exchange = enter(head, visitor, id, Hop::First, max_target)?;
    let path = exchange.target.path();
    if path.starts_with(news::RESERVED) && path != challenge::PATH {
        return Err(Refused { problem: Problem::NotFound, id, json: exchange.json });
    }
    Ok(exchange)
}

/// Admits a request that our edge has admitted before, and says so under its signature: it keeps its id and its facts.
pub fn admitted(head: &impl Head, facts: &EdgeFacts, max_target: usize) -> Result<Exchange, Refused> {
    let visitor = Visitor { client: facts.client, country: facts.country, asn: facts.asn };
    let exchange = enter(head, visitor, facts.id, Hop::Second, max_target)?;
    Ok(Exchange { ruleset: facts.ruleset, cleared: facts.cleared, ..exchange })
}

/// Has the rules judge an admitted request that no rules have judged before; `before` are asked before them, and alone where there are no
/// others. What is to be answered then, [`stopped`] says.
pub fn filter<'a>(
    rules: impl Into<Option<&'a Ruleset>>,
    before: &[Rule],
    exchange: &mut Exchange,
    head: &impl Head,
    form: Option<&[u8]>,
) -> Verdict {
    let rules = rules.into();
    let verdict = match rules {
        Some(rules) => rules.judge(before, exchange, head.method(), head, form),
        None => Ruleset::default().only(before, exchange, head.method(), head),
    };
    if rules.is_some() {
        exchange.ruleset = Some(VERSION);
    }
    carry(&verdict, exchange);
    verdict
}

/// Has rules alone that stand judge a request that our edge has let pass, and may not have heard of them yet.
pub fn standing<'a>(
    rules: impl Into<Option<&'a Ruleset>>,
    before: &[Rule],
    exchange: &mut Exchange,
    head: &impl Head,
) -> Verdict {
    let verdict = match rules.into() {
        Some(rules) => rules.only(before, exchange, head.method(), head),
        None => Ruleset::default().only(before, exchange, head.method(), head),
    };
    carry(&verdict, exchange);
    verdict
}

/// The same for what its rules have said of cache and limits, which holds here, too.
pub fn filtered(rules: &Ruleset, before: &[Rule], exchange: &mut Exchange, head: &impl Head) {
    carry(&rules.again(before, exchange, head.method(), head), exchange);
}

fn carry(verdict: &Verdict, exchange: &mut Exchange) {
    if verdict.bypass_cache {
        exchange.plan = Plan::Pass(Bypass::Rule);
    }
    if verdict.limit.is_some() {
        exchange.limit.clone_from(&verdict.limit);
    }
}

/// The answer to a request that the rules do not let pass; `None` for one that they do.
pub fn stopped<H: Host>(host: &H, exchange: &Exchange, outcome: &Outcome) -> Option<Answered<H>> {
    let blocked = |block: &Block| (block.problem, block.status, page::blocked(block, exchange.id, exchange.json));
    let (problem, status, reply) = match outcome {
        Outcome::Pass => return None,
        Outcome::Block(block) => blocked(block),
        Outcome::Challenge(block) => match host.gate() {
            Some(gate) => {
                let problem = Problem::ChallengeRequired;
                let challenge = Block { problem, status: problem.status(), ..Block::clone(block) };
                let to = exchange.target.as_str();
                let json = exchange.json;
                let page = page::challenge(problem, Some(&challenge), gate.site_key, to, exchange.id, json);
                (problem, challenge.status, page)
            }
            None => blocked(block),
        },
        Outcome::Redirect(to) => {
            let answer = redirected(host, 302, to, exchange.id);
            return Some(Answered { answer, phase: None, problem: None });
        }
    };
    Some(Answered { answer: reply_with(host, status, reply, exchange.id), phase: None, problem: Some(problem) })
}

fn enter(head: &impl Head, visitor: Visitor, id: RequestId, hop: Hop, max_target: usize) -> Result<Exchange, Refused> {
    let json = wants_json(head.single("accept"), head.target());
    let refused = |problem| Refused { problem, id, json };
    if matches!(head.method(), "TRACE" | "CONNECT") {
        return Err(refused(Problem::MethodNotAllowed));
    }
    let target = Target::parse(head.target(), max_target).map_err(|e| refused(e.problem()))?;
    let trace = Trace::at(hop, head.single(header::TRACEPARENT), id);
    // Where a trace is started anew, what was said of another is not about it.
    let tracestate = trace.parent.and_then(|_| tracestate(head.values(header::TRACESTATE)));
    Ok(Exchange {
        id,
        trace,
        tracestate,
        visitor,
        secure: head.secure(),
        authority: head.authority().to_ascii_lowercase().into(),
        target: target.into_owned(),
        plan: request::plan(head.method(), head),
        json,
        ruleset: None,
        limit: None,
        cleared: false,
        spent: Spent::default(),
    })
}

/// Takes note of the clearance that a request shows, if any ([`challenge::take`]), and of whether it needs one at all.
pub fn clear<H: Host>(host: &H, exchange: &mut Exchange, clearance: Option<&str>) {
    let path = exchange.target.path();
    let free = contract::is_health(path) || path.starts_with(news::RESERVED) || host.is_for_programs(path);
    let holds = |clearance: &str| {
        let who = (exchange.visitor.client, without_port(&exchange.authority));
        host.gate().is_some_and(|gate| gate.keys.is_clear(clearance, who.0, who.1, host.now().as_secs()))
    };
    exchange.cleared |= free || clearance.is_some_and(holds);
}

/// Answers who has been challenged, and brings what `method` and `form` say to [`challenge::PATH`]: with a clearance and the way on, or
/// with the challenge again.
pub async fn challenged<H: Host>(host: &H, exchange: &Exchange, method: &str, form: Option<&[u8]>) -> Answered<H> {
    let (Some(gate), "POST", Some(form)) = (host.gate(), method, form) else {
        return refused(
            host,
            exchange,
            if form.is_none() && method == "POST" { Problem::BodyTooLarge } else { Problem::NotFound },
        );
    };
    let Passed { token, to } = Passed::read(form);
    let authority = without_port(&exchange.authority);
    let said = match &*token {
        "" => Ok(challenge::Said::default()),
        token => host.verify(exchange, token).await,
    };
    let problem = match said {
        Ok(said) if said.suffices(authority) => {
            let until = host.now().as_secs().saturating_add(gate.clearance);
            let clearance = gate.keys.clear(exchange.visitor.client, authority, until);
            let mut answer = redirected(host, 303, &to, exchange.id);
            let cookie =
                format!("{COOKIE}={clearance}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Lax", gate.clearance);
            answer.fields.append("set-cookie", cookie.as_bytes());
            return Answered { answer, phase: None, problem: None };
        }
        Ok(_) => Problem::ChallengeFailed,
        Err(problem) => problem,
    };
    if !matches!(problem, Problem::ChallengeFailed | Problem::ChallengeUnavailable) {
        return refused(host, exchange, problem);
    }
    let reply = page::challenge(problem, None, gate.site_key, &to, exchange.id, exchange.json);
    Answered { answer: reply_with(host, problem.status(), reply, exchange.id), phase: None, problem: Some(problem) }
}

fn refused<H: Host>(host: &H, exchange: &Exchange, problem: Problem) -> Answered<H> {
    let answer = refuse(host, &Refused { problem, id: exchange.id, json: exchange.json });
    Answered { answer, phase: None, problem: Some(problem) }
}

fn redirected<H: Host>(host: &H, status: u16, to: &str, id: RequestId) -> Answer<H::Fields, H::Body> {
    let mut answer = Answer { status, fields: H::Fields::empty(), body: host.text(String::new()) };
    answer.fields.append("location", to.as_bytes());
    answer.fields.append("cache-control", b"no-store");
    answer.fields.append(header::REQUEST_ID, id.text().as_str().as_bytes());
    answer
}

/// The answer to a request for a site that is being worked on; `None` where it is open to this visitor. It comes before the rules: whoever is
/// told to come back has not been judged, and whoever is let in is.
pub async fn come_back_later<H: Host>(host: &H, exchange: &Exchange) -> Option<Answered<H>> {
    closed(host, exchange)?;
    // Perhaps no more.
    host.hear(exchange).await;
    closed(host, exchange).map(|retry| come_back(host, exchange, retry))
}

/// Answers an admitted request of a site that is open: asset, cache, or the next hop.
pub async fn answer<H: Host>(
    host: &H,
    exchange: &Arc<Exchange>,
    request: H::Request,
    upload: Option<H::Upload>,
) -> Answered<H> {
    if let Some(asset) = host.asset(exchange, &request).await {
        return finish::<H>(exchange, asset, None, None);
    }
    let ask = match exchange.plan {
        Plan::Pass(why) => return pass(host, exchange, request, upload, Phase::Bypass(why)).await,
        // A body would be an input that is not in the key.
        Plan::Look(_) if upload.is_some() => {
            return pass(host, exchange, request, upload, Phase::Bypass(Bypass::Body)).await;
        }
        Plan::Look(ask) => ask,
    };
    let form = serve::form(&request);
    let (mut request, mut form, mut waited) = (request, form, false);
    loop {
        let hearing = host.hear(exchange);
        let located = locate::find(host, exchange.key(), &request).await;
        // A miss need not know; but what is stored by one who has never heard anything counts as purged.
        let known = (located.entry.is_none() && host.sequence() > 0) || hearing.await;
        // It may have heard of it just now.
        if let Some(retry) = closed(host, exchange) {
            return come_back(host, exchange, retry);
        }
        let (located, why) = match from_store(host, exchange, &request, &ask, &form, located, waited).await {
            Ok((answer, Phase::Hit { ttl })) if !known => {
                return finish::<H>(exchange, answer, Some(Phase::Unsure { ttl }), None);
            }
            Ok((answer, phase)) => return finish::<H>(exchange, answer, Some(phase), None),
            Err(missing) => missing,
        };
        if ask.only_if_cached {
            return fail(host, exchange, Problem::NotCached, Phase::forwarded(why));
        }
        let errand = Errand {
            exchange: Arc::clone(exchange),
            request,
            ask,
            form,
            located,
            why,
            manner: if waited { Manner::Waited } else { Manner::Shared },
        };
        match host.fetch(errand).await {
            Fetched::Answer { answer, phase, .. } => return finish::<H>(exchange, answer, Some(phase), None),
            Fetched::Failed(problem) => return fail(host, exchange, problem, Phase::forwarded(why)),
            Fetched::Again(errand) => (request, form, waited) = (errand.request, errand.form, true),
        }
    }
}

/// Answers from the store, or says what was found and why it is not enough. Where a stale answer is good enough it is sent, and a
/// fresh one asked for meanwhile.
async fn from_store<H: Host>(
    host: &H,
    exchange: &Arc<Exchange>,
    request: &H::Request,
    ask: &Ask,
    form: &Form,
    mut located: Located<H::Handle>,
    waited: bool,
) -> Result<(Answer<H::Fields, H::Body>, Phase), (Located<H::Handle>, Forwarded)> {
    let Some(Entry { key, meta, .. }) = &located.entry else {
        let why = if ask.no_cache { Forwarded::Request } else { located.miss() };
        return Err((located, why));
    };
    let now = host.now();
    let ttl = meta.ttl(now);
    let (phase, later) = match choose(ask, meta, now, host.verdict(key, meta)) {
        Choice::Fresh if waited => {
            let collapsed = true;
            let why = Forwarded::UriMiss;
            (Phase::Forwarded { why, status: None, stored: true, collapsed, refusal: None }, false)
        }
        Choice::Fresh => (Phase::Hit { ttl }, false),
        Choice::Stale(why) => (Phase::Stale { ttl, why }, why != Stale::MaxStale),
        Choice::Validate(why) => return Err((located, why)),
        Choice::Nothing => {
            located.entry = None;
            return Err((located, Forwarded::Miss));
        }
    };
    if !serve::suffices(ask, form, meta) {
        return Err((located, Forwarded::Partial));
    }
    if later {
        // What is stored may be sent once only, so the errand looks for itself.
        fetch::later(host, exchange, request, ask).await;
    }
    let Some(entry) = located.entry.take() else { return Err((located, Forwarded::Miss)) };
    serve::entry(host, ask, form, entry, phase).await.ok_or((located, Forwarded::UriMiss))
}

/// Passes a request by the cache; its success may make invalid what is stored.
async fn pass<H: Host>(
    host: &H,
    exchange: &Exchange,
    request: H::Request,
    upload: Option<H::Upload>,
    phase: Phase,
) -> Answered<H> {
    if request::is_safe(request.method()) {
        return match host.forward(exchange, request, upload, Conditions::Clients, false).await {
            Ok(answer) => finish::<H>(exchange, answer, Some(phase), None),
            Err(problem) => fail(host, exchange, problem, phase),
        };
    }
    let as_get = (request.method() == "POST").then(|| host.again(&request));
    let (requested, sequence) = (host.now(), host.sequence());
    let mut answer = match host.forward(exchange, request, upload, Conditions::Clients, false).await {
        Ok(answer) => answer,
        Err(problem) => return fail(host, exchange, problem, phase),
    };
    let key = exchange.key();
    let invalid = invalidation::keys(&key, answer.status, &answer.fields);
    if !invalid.is_empty() {
        for key in &invalid {
            locate::remove(host, key).await;
        }
        let groups = groups(&answer.fields, "cache-group-invalidation");
        if !groups.is_empty() {
            host.invalidate_groups(key.origin(), groups);
        }
    }
    let described = answer.fields.single("content-location").and_then(|location| key.sibling(location));
    if let Some(as_get) = as_get.filter(|_| answer.status == 200 && described.as_ref() == Some(&key)) {
        // RFC 9110 section 9.3.3: the answer is what a GET would get.
        let ask = Ask { cookie: as_get.has("cookie"), authorized: as_get.has("authorization"), ..Ask::default() };
        let times = Times { requested, received: host.now() };
        let located = locate::find(host, key.clone(), &as_get).await;
        let place = |meta: &Meta| {
            let explicit = !meta.terms().has(Terms::HEURISTIC);
            if explicit { locate::place(host, &key, &located, Some(&as_get), meta) } else { None }
        };
        (answer, _, _) = fetch::store(host, &ask, answer, times, sequence, place);
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
    reply_with(host, refused.problem.status(), reply, refused.id)
}

fn reply_with<H: Host>(host: &H, status: u16, reply: Reply, id: RequestId) -> Answer<H::Fields, H::Body> {
    let mut fields = H::Fields::empty();
    for (name, value) in reply.fields {
        fields.append(name, value.as_bytes());
    }
    fields.append(header::REQUEST_ID, id.text().as_str().as_bytes());
    Answer { status, fields, body: host.text(reply.body) }
}

/// Says a problem on the way of an admitted request.
fn fail<H: Host>(host: &H, exchange: &Exchange, problem: Problem, phase: Phase) -> Answered<H> {
    let gone = matches!(problem, Problem::GatewayUnreachable | Problem::GatewayTimeout);
    let answer = if gone && !exchange.json && exchange.target.path() == contract::STATUS_PAGE {
        // Whoever asks how the site is gets an answer to that.
        reply_with(host, 503, page::gone(problem, exchange.id), exchange.id)
    } else {
        refuse(host, &Refused { problem, id: exchange.id, json: exchange.json })
    };
    finish::<H>(exchange, answer, Some(phase), Some(problem))
}

/// Whether the site is being worked on, for this visitor: after how many seconds to come back. Health says how it is all the same, and
/// what is ours is not the site.
fn closed<H: Host>(host: &H, exchange: &Exchange) -> Option<u32> {
    let path = exchange.target.path();
    let health = || contract::is_health(path) || path.starts_with(news::RESERVED);
    host.standing(|standing| standing.closed(&exchange.authority, exchange.visitor.client)).filter(|_| !health())
}

/// Says when to come back; a browser does so by itself.
fn come_back<H: Host>(host: &H, exchange: &Exchange, retry: u32) -> Answered<H> {
    let problem = Problem::Maintenance;
    let mut answer = refuse(host, &Refused { problem, id: exchange.id, json: exchange.json });
    answer.fields.set("retry-after", &retry.to_string());
    if !exchange.json {
        answer.fields.set("refresh", &retry.to_string());
    }
    finish::<H>(exchange, answer, None, Some(problem))
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
