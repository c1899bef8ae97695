//! The request filter at the native host: what no Worker has judged is judged here, and the forms that only the gateway reads.

use bytes::Bytes;
use contract::Problem;
use edge::exchange::Refused;
use edge::filter::Outcome;
use edge::filter::ruleset::LONGEST_FORM;
use edge::{Answer, Exchange, pipeline};
use http_body_util::{BodyExt as _, Limited};

use crate::access::Record;
use crate::body::{Body, BodyError};
use crate::native::{HeaderFields, Incoming, Native};
use crate::trust::Trusted;

/// Judges a request, where the filter is on: its body, perhaps bounded further, or the answer of one that is stopped.
pub(crate) async fn judge(
    native: &Native,
    exchange: &mut Exchange,
    incoming: &Incoming,
    mut body: Body,
    record: &mut Record,
) -> Result<Body, Answer<HeaderFields, Body>> {
    let Some(rules) = native.gateway().config.filter.as_deref() else { return Ok(body) };
    // What the edge asks for itself.
    if native.trusted == Trusted::EdgeSigned && exchange.target.path().starts_with(contract::news::RESERVED) {
        return Ok(body);
    }
    let method = incoming.parts.method.as_str();
    if let Some(most) = rules.size(exchange.target.path()).filter(|_| !rules.log_only) {
        body = body.at_most(most);
    }
    let mut form = None;
    if rules.wants_form(exchange, method, incoming) {
        match read(body).await {
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
        pipeline::filtered(rules, &[], exchange, incoming);
        return Ok(body);
    }
    let verdict = pipeline::filter(rules, &[], exchange, incoming, form.as_deref());
    record.filter = verdict.hits;
    match pipeline::stopped(native, exchange, &verdict.outcome) {
        Some(answer) => {
            if let Outcome::Block(block) = &verdict.outcome {
                record.reason = block.problem.as_str();
            }
            Err(answer)
        }
        None => Ok(body),
    }
}

/// Reads a form, whose length is known to be small.
async fn read(body: Body) -> Result<Bytes, Problem> {
    let most = usize::try_from(LONGEST_FORM).unwrap_or(usize::MAX);
    match Limited::new(body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(match error.downcast_ref::<BodyError>() {
            Some(BodyError::TooSlow) => Problem::RequestTimeout,
            Some(BodyError::TooLarge) | None => Problem::BodyTooLarge,
            Some(_) => Problem::BadRequest,
        }),
    }
}
