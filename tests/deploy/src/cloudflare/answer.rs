//! The envelope that is around every answer.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::Response;
use serde_json::{Value, json};

/// What is said, or why not.
pub(crate) type Answer = Result<Said, Refusal>;

/// A good answer.
#[derive(Debug)]
pub(crate) enum Said {
    Result(Value),
    Page(Value, Value),
    Text(String),
}

/// A bad one.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: u16,
    error: Value,
}

pub(crate) fn refuse(status: u16, code: u64, message: &str) -> Refusal {
    Refusal { status, error: json!({ "code": code, "message": message }) }
}

/// With the place in the body, as rules' errors have it.
pub(crate) fn refuse_at(code: u64, message: &str, pointer: &str) -> Refusal {
    Refusal { status: 400, error: json!({ "code": code, "message": message, "source": { "pointer": pointer } }) }
}

/// With what lies below, as errors of DNS have it.
pub(crate) fn refuse_dns(code: u64, message: &str) -> Refusal {
    let chain = json!([{ "code": code, "message": message }]);
    Refusal { status: 400, error: json!({ "code": 1004, "message": "DNS Validation Error", "error_chain": chain }) }
}

/// A page of a list.
pub(crate) fn page(all: &[Value], query: &BTreeMap<&str, &str>) -> Answer {
    let number = |key: &str, default: usize| query.get(key).map_or(Ok(default), |text| text.parse::<usize>());
    let wrong = |_| refuse(400, 9003, "Invalid pagination parameters");
    let (page, size) = (number("page", 1).map_err(wrong)?, number("per_page", 100).map_err(wrong)?);
    if page == 0 || !(5..=100).contains(&size) {
        return Err(refuse(400, 9003, "Invalid pagination parameters"));
    }
    let items: Vec<&Value> = all.iter().skip((page - 1) * size).take(size).collect();
    let info = json!({
        "page": page, "per_page": size, "count": items.len(), "total_count": all.len(), "total_pages": all.len().div_ceil(size),
    });
    Ok(Said::Page(json!(items), info))
}

/// The status, and the whole.
pub(crate) fn respond(answer: Answer) -> (u16, Response) {
    let (status, body) = match answer {
        Ok(Said::Text(text)) => {
            let response = Response::builder().header(CONTENT_TYPE, "text/plain").body(Body::from(text)).unwrap();
            return (200, response);
        }
        Ok(Said::Result(result)) => (200, json!({ "success": true, "errors": [], "messages": [], "result": result })),
        Ok(Said::Page(result, info)) => {
            (200, json!({ "success": true, "errors": [], "messages": [], "result": result, "result_info": info }))
        }
        Err(refusal) => {
            (refusal.status, json!({ "success": false, "errors": [refusal.error], "messages": [], "result": null }))
        }
    };
    let mut response = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    if status == 429 {
        response = response.header(RETRY_AFTER, "1");
    }
    (status, response.body(Body::from(body.to_string())).unwrap())
}
