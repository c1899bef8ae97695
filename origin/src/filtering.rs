//! The request filter at the native host: what no Worker has judged is judged here, and the forms that only the gateway reads.

use std::time::Instant;

use bytes::Bytes;
use contract::Problem;
use edge::exchange::Refused;
use edge::filter::ruleset::LONGEST_FORM;
use edge::{Answer, Exchange, Host as _, challenge, pipeline};
use http_body_util::{BodyExt as _, Limited};

use crate::access::Record;
use crate::body::{Body, BodyError};
use crate::head::{HeaderFields, Incoming};
use crate::native::Native;
use crate::trust::Trusted;

/// Judges a request, where the filter is on: its body, perhaps bounded further, or the answer of one that is stopped.
pub(crate) async fn judge(
    native: &Native,
    exchange: &mut Exchange,
    incoming: &Incoming,
    body: Body,
    record: &mut Record,
) -> Result<Body, Answer<HeaderFields, Body>> {
    let rules = native.gateway().config.filter.as_deref();
    let standing = native.gateway().orders.standing(|standing| !standing.rules.is_empty());
    // What the edge asks for itself.
    let own = native.trusted == Trusted::EdgeSigned && exchange.target.path().starts_with(contract::news::RESERVED);
    if own || (rules.is_none() && !standing) {
        return Ok(body);
    }
    let began = Instant::now();
    let judged = look(native, exchange, incoming, body, record, standing).await;
    exchange.spent.filter.note(began - native.started, began.elapsed());
    judged
}

async fn look(
    native: &Native,
    exchange: &mut Exchange,
    incoming: &Incoming,
    mut body: Body,
    record: &mut Record,
    standing: bool,
) -> Result<Body, Answer<HeaderFields, Body>> {
    let rules = native.gateway().config.filter.as_deref();
    let method = incoming.parts.method.as_str();
    let mut form = None;
    if let Some(rules) = rules {
        if let Some(most) = rules.size(exchange.target.path()).filter(|_| !rules.log_only) {
            body = body.at_most(most);
        }
        if rules.wants_form(exchange, method, incoming) {
            match read(body, LONGEST_FORM).await {
                Ok(bytes) => {
                    body = Body::full(bytes.clone());
                    form = Some(bytes);
                }
                Err(problem) => {
                    record.reason = problem.as_str();
                    return Err(pipeline::refuse(native, &Refused { problem, id: exchange.id, json: exchange.json }));
                }
            }
        } else if exchange.ruleset.is_some() {
            // The Worker has judged it; what holds of cache and limits, holds at each.
            native.standing(|standing| pipeline::filtered(rules, &standing.rules, exchange, incoming));
            if !standing {
                return Ok(body);
            }
        }
    }
    // Of what stands the Worker may not have heard yet.
    let known = exchange.ruleset.is_some() && form.is_none();
    let verdict = native.standing(|standing| {
        if known {
            pipeline::standing(rules, &standing.rules, exchange, incoming)
        } else {
            pipeline::filter(rules, &standing.rules, exchange, incoming, form.as_deref())
        }
    });
    record.filter = verdict.hits;
    match pipeline::stopped(native, exchange, &verdict.outcome) {
        Some(stopped) => {
            record.reason = stopped.problem.map_or("", Problem::as_str);
            Err(stopped.answer)
        }
        None => Ok(body),
    }
}

/// Answers a form that brings what came of a challenge.
pub(crate) async fn challenged(
    native: &Native,
    exchange: &Exchange,
    method: &str,
    upload: Option<Body>,
    record: &mut Record,
) -> Answer<HeaderFields, Body> {
    let form = read(upload.unwrap_or_else(Body::empty), challenge::LONGEST_FORM as u64).await.ok();
    let answered = pipeline::challenged(native, exchange, method, form.as_deref()).await;
    record.reason = answered.problem.map_or("", Problem::as_str);
    answered.answer
}

/// Reads a form.
pub(crate) async fn read(body: Body, most: u64) -> Result<Bytes, Problem> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    match Limited::new(body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(match error.downcast_ref::<BodyError>() {
            Some(BodyError::TooSlow) => Problem::RequestTimeout,
            Some(BodyError::TooLarge) | None => Problem::BodyTooLarge,
            Some(_) => Problem::BadRequest,
        }),
    }
}
