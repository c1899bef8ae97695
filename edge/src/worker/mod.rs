//! The Cloudflare Worker: thin glue between the Workers runtime and the pipeline.
//!
//! The entry is a plain export named `fetch`, not `#[event(fetch)]`: that macro turns an error into a 500, while an error
//! thrown from here makes the runtime pass the request through to the gateway, which hosts the same edge.

mod glue;
mod host;
mod lines;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cache::Fields as _;
use contract::signature::Keys;
use contract::{Problem, RequestId, Trace, header};
use worker::wasm_bindgen::{self, JsCast as _, JsValue, prelude::wasm_bindgen};
use worker::{Context, Env, web_sys};

use crate::challenge::{self, Terms};
use crate::counts::{Kind, More};
use crate::filter::{Hit, Outcome, Ruleset, Verdict};
use crate::headers::Headers;
use crate::pipeline::Answered;
use crate::sampling::{Ended, Sampling};
use crate::{Exchange, FieldsMut as _, Head as _, Host as _, pipeline};

/// Bytes of path and query: what the gateway allows by default.
const MAX_TARGET: usize = 8 << 10;

/// Bytes of a form that brings a challenge's token.
#[expect(clippy::cast_possible_truncation, reason = "a few KiB")]
const FORM: u32 = challenge::LONGEST_FORM as u32;

/// The Worker's entry.
///
/// # Errors
/// Without a usable `EDGE_KEY` nothing can be signed: the error says so, and the request passes through unsigned.
#[wasm_bindgen]
#[expect(unreachable_pub, reason = "the runtime reaches it, by its name")]
pub async fn fetch(request: web_sys::Request, env: Env, context: JsValue) -> Result<web_sys::Response, JsValue> {
    Context::new(context.clone().unchecked_into()).pass_through_on_exception();
    let own = own()?;
    let (keys, turnstile) = (keys(&env)?, turnstile(&env));
    let runtime = host::Runtime { keys, own, turnstile, limiter: glue::binding(&env, "LIMITER"), context };
    let (upload, mut request) = (request.body(), host::Request::new(&request));
    let clearance = request.take_clearance();
    let started = runtime.now();
    let (method, secure): (Box<str>, bool) = (request.method().into(), request.secure());
    let timed = request.has(header::ORIGIN_TIMING);
    let (answered, said, gateway) = match pipeline::admit(&request, request.visitor(), random(), MAX_TARGET) {
        Ok(mut exchange) => {
            pipeline::clear(&runtime, &mut exchange, clearance.as_deref());
            let closed = pipeline::come_back_later(&runtime, &exchange).await;
            let rules = own.rules.as_ref();
            let judge = |exchange: &mut Exchange| {
                runtime.standing(|standing| pipeline::filter(rules, &standing.rules, exchange, &request, None))
            };
            let mut verdict = if closed.is_some() { Verdict::default() } else { judge(&mut exchange) };
            if verdict.outcome != Outcome::Pass && runtime.standing(|standing| !standing.rules.is_empty()) {
                // Perhaps by a rule that stands no more.
                runtime.hear(&exchange).await;
                verdict = judge(&mut exchange);
            }
            let said = Said {
                id: exchange.id,
                trace: Some(exchange.trace),
                path: exchange.target.path().to_owned(),
                filter: verdict.hits.last().cloned(),
                problem: None,
                gateway: None,
            };
            let exchange = Arc::new(exchange);
            let answered = match closed.or_else(|| pipeline::stopped(&runtime, &exchange, &verdict.outcome)) {
                Some(answered) => answered,
                None if exchange.target.path() == challenge::PATH => {
                    let form = match upload {
                        Some(upload) => glue::read_text(&upload, FORM).await.ok().and_then(|text| text.as_string()),
                        None => Some(String::new()),
                    };
                    let form = form.as_deref().map(str::as_bytes);
                    let answered = pipeline::challenged(&runtime, &exchange, &method, form).await;
                    if answered.problem.is_none() {
                        host::count(&runtime, Some(&exchange), |counts| counts.add(Kind::More, More::Passed.as_str()));
                    }
                    answered
                }
                None => pipeline::answer(&runtime, &exchange, request, upload).await,
            };
            host::count(&runtime, Some(&exchange), |counts| {
                counts.request(answered.phase, answered.problem);
                verdict.hits.iter().for_each(|hit| counts.add(Kind::Filter, hit.action));
            });
            let gateway = exchange.spent.answer.get().map(|(_, took)| took);
            (answered, said, gateway)
        }
        Err(refused) => {
            let answer = pipeline::refuse(&runtime, &refused);
            host::count(&runtime, None, |counts| counts.request(None, Some(refused.problem)));
            let answered = Answered { answer, phase: None, problem: Some(refused.problem) };
            (
                answered,
                Said { id: refused.id, trace: None, path: String::new(), filter: None, problem: None, gateway: None },
                None,
            )
        }
    };
    let Answered { mut answer, phase, problem } = answered;
    answer.fields.remove("connection");
    // Kept with what is stored; nobody else's affair.
    answer.fields.remove(header::HANDOFF_OBJECT);
    if let Some(headers) = own.headers.as_ref().filter(|_| answer.status != 101) {
        headers.apply(secure, &mut answer.fields);
    }
    let took = Duration::from_millis(runtime.now().as_millis().saturating_sub(started.as_millis()));
    if timed && answer.fields.values(header::SERVER_TIMING).any(|said| said.starts_with(b"gateway;")) {
        // The gateway knows the operator, and whoever it tells learns it from us, too.
        answer.fields.append(header::SERVER_TIMING, format!("edge;dur={}", took.as_millis()).as_bytes());
    }
    let said = Said { problem, gateway, ..said };
    let log = said.line(own.sampling, &method, answer.status, phase.map_or("none", |p| p.as_str()), took);
    let log = log.unwrap_or_default();
    // Where the next hop's answer goes on, most of its head need not cross over again.
    Ok(match (answer.body.dyn_ref::<web_sys::Response>(), answer.fields.changes()) {
        (Some(response), Some((removed, added))) => glue::pass_on(response, removed, &added, log),
        _ => glue::respond(&answer.body, answer.status, &answer.fields.pack(|_| true), log),
    })
}

/// What the log says of a request.
struct Said {
    id: RequestId,
    trace: Option<Trace>,
    path: String,
    filter: Option<Hit>,
    problem: Option<Problem>,
    /// From sending it to the gateway to the head of the answer, or to giving up.
    gateway: Option<Duration>,
}

impl Said {
    /// The line; `None` where it is not of those that are logged.
    fn line(
        &self,
        sampling: Option<Sampling>,
        method: &str,
        status: u16,
        cache: &str,
        took: Duration,
    ) -> Option<String> {
        let reason = self.problem.map_or("", Problem::as_str);
        let sample = match sampling {
            Some(sampling) => {
                let ended = Ended { id: self.id, status, reason, head: took, noted: self.filter.is_some() };
                Some(sampling.keeps(&ended)?)
            }
            None => None,
        };
        let id = self.id.text();
        let trace = self.trace.map(|trace| trace.id_text());
        let trace = trace.as_ref().and_then(|text| str::from_utf8(text).ok()).unwrap_or(id.as_str());
        let mut line = String::with_capacity(512);
        // Writing to a String does not fail. Each part is made by us or has been through the path rule, so none holds a quote, a backslash
        // or a control byte.
        let _ = write!(
            line,
            r#"{{"message":"request","request.id":"{}","trace.id":"{trace}","http.request.method":"{method}","url.path":"{}","http.response.status_code":{status},"cache":"{cache}","reason":"{reason}","#,
            id.as_str(),
            self.path,
        );
        if let Some(hit) = &self.filter {
            let place = hit.place.map_or("", |place| place.as_str());
            let _ = write!(
                line,
                r#""filter.rule":"{}","filter.action":"{}","filter.place":"{place}","#,
                hit.rule, hit.action
            );
        }
        if let Some(gateway) = self.gateway {
            let _ = write!(line, r#""duration.gateway_ms":{},"#, gateway.as_millis());
        }
        if let Some(sample) = sample {
            let _ = write!(line, r#""sample":{sample},"#);
        }
        let memory = core::arch::wasm32::memory_size::<0>() * 65_536;
        let _ = write!(line, r#""duration.ms":{},"wasm.memory_bytes":{memory}}}"#, took.as_millis());
        Some(line)
    }
}

/// What the build has put in: the filter's rules and what is done with answers' fields, where there are any, and the terms of challenges.
#[derive(Default)]
struct Own {
    rules: Option<Ruleset>,
    headers: Option<Headers>,
    terms: Terms,
    /// Which requests are logged, where not all are.
    sampling: Option<Sampling>,
}

/// Read once an instance.
fn own() -> Result<&'static Own, JsValue> {
    static OWN: OnceLock<Own> = OnceLock::new();
    if let Some(own) = OWN.get() {
        return Ok(own);
    }
    let text = glue::rules();
    // Unbuilt, as in a test of the modules alone, there is nothing.
    let mut lines = Some(&*text).filter(|text| !text.is_empty() && !text.starts_with('@')).unwrap_or_default();
    let mut own = Own::default();
    while let Some((first, rest)) = lines.split_once('\n') {
        match (Headers::parse(first), Terms::parse(first), Sampling::parse(first)) {
            (Some(headers), ..) => own.headers = Some(headers),
            (_, Some(terms), _) => own.terms = terms,
            (.., Some(sampling)) => own.sampling = Some(sampling),
            _ => break,
        }
        lines = rest;
    }
    if !lines.is_empty() {
        own.rules = Some(Ruleset::parse(lines).map_err(|e| JsValue::from(format!("the rules: {e}")))?);
    }
    Ok(OWN.get_or_init(|| own))
}

/// The widget that challenges.
struct Turnstile {
    site_key: Box<str>,
    secret: Box<str>,
}

/// Its two keys, read once an instance; without both there is none.
fn turnstile(env: &Env) -> Option<&'static Turnstile> {
    static TURNSTILE: OnceLock<Option<Turnstile>> = OnceLock::new();
    let read = || {
        let text = |name| glue::binding(env, name).as_string().filter(|text| !text.is_empty());
        match (text("TURNSTILE_SITEKEY"), text("TURNSTILE_SECRET")) {
            (Some(site_key), Some(secret)) if challenge::is_site_key(&site_key) => {
                return Some(Turnstile { site_key: site_key.into(), secret: secret.into() });
            }
            (None, None) => {}
            _ => worker::console_error!(
                "TURNSTILE_SITEKEY and TURNSTILE_SECRET go together, both from the widget's page"
            ),
        }
        None
    };
    TURNSTILE.get_or_init(read).as_ref()
}

/// The keys, the first of which signs, read once an instance.
fn keys(env: &Env) -> Result<&'static Keys, JsValue> {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    Ok(match KEYS.get() {
        Some(keys) => keys,
        None => {
            let text = env
                .secret("EDGE_KEY")
                .map_err(|_| JsValue::from("EDGE_KEY is missing: wrangler secret put EDGE_KEY"))?;
            let keys = Keys::parse(&text.to_string()).map_err(|e| JsValue::from(format!("EDGE_KEY: {e}")))?;
            KEYS.get_or_init(|| keys)
        }
    })
}

/// Sixteen random bytes, taken from the runtime by the kilobyte: crossing over costs more than the bytes.
fn random() -> [u8; 16] {
    thread_local!(static POOL: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
    POOL.with_borrow_mut(|pool| {
        if pool.len() < 16 {
            pool.resize(1024, 0);
            glue::fill_random(pool);
        }
        let mut taken = [0; 16];
        for byte in &mut taken {
            *byte = pool.pop().unwrap_or_default();
        }
        taken
    })
}
