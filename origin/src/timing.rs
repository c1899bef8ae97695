//! `Server-Timing` for the operator's own requests (`[timing]`, W3C Server Timing): where the time went until the answer's head was there.
//!
//! How long something takes tells what was done, so nobody else is told, and an answer that says it is kept nowhere: not by the Worker's
//! cache, nor by any other on its way. In our own cache it never is, since it is said on the way out.

use std::fmt::Write as _;
use std::time::Duration;

use contract::header;
use http::header::{CACHE_CONTROL, EXPIRES};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::access::Record;
use crate::config::Token;

static ORIGIN_TIMING: HeaderName = HeaderName::from_static(header::ORIGIN_TIMING);
static SERVER_TIMING: HeaderName = HeaderName::from_static(header::SERVER_TIMING);
static CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static(header::CDN_CACHE_CONTROL);

/// Whether a request shows the operator's token.
pub(crate) fn is_operators(token: Option<&Token>, headers: &HeaderMap) -> bool {
    let Some(token) = token else { return false };
    let mut shown = headers.get_all(&ORIGIN_TIMING).iter();
    matches!((shown.next(), shown.next()), (Some(shown), None) if token.is(shown.as_bytes()))
}

/// Says it. Not with a 304, whose fields go into what is stored elsewhere, nor where the connection changes hands.
pub(crate) fn say(record: &Record, headers: &mut HeaderMap) {
    if [StatusCode::NOT_MODIFIED, StatusCode::SWITCHING_PROTOCOLS].iter().any(|none| none.as_u16() == record.status) {
        return;
    }
    let Ok(said) = HeaderValue::try_from(text(record)) else { return };
    headers.append(&SERVER_TIMING, said);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for name in [&CDN_CACHE_CONTROL, &EXPIRES] {
        headers.remove(name);
    }
}

fn text(record: &Record) -> String {
    let mut said = format!("gateway;dur={}", millis(record.answered - record.started));
    let spent = &record.spent;
    for (name, stretch) in [("filter", &spent.filter), ("queue", &spent.queue), ("connect", &spent.connect)] {
        if let Some((_, took)) = stretch.get() {
            // Writing to a String does not fail.
            let _ = write!(said, ", {name};dur={}", millis(took));
        }
    }
    if let Some((_, took)) = spent.answer.get() {
        let _ = write!(said, ", app;dur={};desc=\"{}\"", millis(took), record.upstream);
    }
    let _ = write!(said, ", cache;desc=\"{}\"", record.cache);
    said
}

/// Milliseconds, to the microsecond.
fn millis(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}
