//! Forwarding to an app: connections of each core's own, taken out of the pool for one exchange and given back when the
//! answer's last byte has been read.
//!
//! Waiting is not retrying. While the app accepts no connection, as when it restarts, a request of any method waits for it:
//! nothing of it has been sent. A request that may have been sent goes out again only where that is harmless.

mod connect;
mod hold;
mod pool;

use std::time::Instant;

use contract::Problem;
use http::{Method, Request, Response};
use hyper::body::Incoming;

pub(crate) use hold::Held;
pub(crate) use pool::{Lease, Pool};

use crate::body::{Body, BodyError};
use crate::config::{AppAddress, Timeouts};
use connect::NoConnection;

/// The head of an app's answer, the connection that its body comes on, and when the request was sent at last.
pub(crate) struct Answered {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: Lease,
    pub(crate) sent: Instant,
}

/// Sends a request to an app and waits for the head of the answer.
///
/// A pooled connection that turns out closed before anything was sent costs nothing: the request comes back unsent and goes
/// out on the next one. One that closes on a request that asks for nothing but an answer costs one more try on a fresh
/// connection; other requests are not sent on a connection that has been idle for long enough to be closing.
pub(crate) async fn send(
    pool: &Pool,
    held: &Held,
    app: &AppAddress,
    mut request: Request<Body>,
    timeouts: &Timeouts,
) -> Result<Answered, Problem> {
    let bodiless = http_body::Body::is_end_stream(request.body());
    let harmless = bodiless && matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let mut waiting = None;
    loop {
        let pooled = pool.take(app, harmless);
        let fresh = pooled.is_none();
        let mut lease = match pooled {
            Some(lease) => lease,
            None => match connect::connect(pool, app, timeouts.connect.0).await {
                Ok(lease) => lease,
                Err(NoConnection::Failed) => return Err(Problem::AppUnreachable),
                Err(NoConnection::Refused) => {
                    let place = match waiting.take() {
                        Some(place) => place,
                        None => held.enter(timeouts.hold.0).ok_or(Problem::Overloaded)?,
                    };
                    if !pool.accepting(app, place.until()).await {
                        tracing::warn!(app = %app, within = ?timeouts.hold.0, "the app refuses connections");
                        return Err(Problem::AppUnreachable);
                    }
                    waiting = Some(place);
                    continue;
                }
            },
        };
        waiting = None;
        let sent = Instant::now();
        let again = (harmless && lease.may_be_closing()).then(|| repeat(&request));
        let sending = lease.sender().try_send_request(request);
        // How long an upload takes is the client's affair; without one, the wait for an answer is bounded.
        let answered = if bodiless {
            match tokio::time::timeout(timeouts.answer.0, sending).await {
                Ok(answered) => answered,
                Err(_) => return Err(Problem::AppTimeout),
            }
        } else {
            sending.await
        };
        match answered {
            Ok(response) => return Ok(Answered { response, lease, sent }),
            Err(mut error) => match (error.take_message(), again) {
                (Some(unsent), _) if !fresh => request = unsent,
                (None, Some(again)) if !fresh && error.error().is_incomplete_message() => request = again,
                _ => return Err(problem(error.error(), app)),
            },
        }
    }
}

/// The same request once more; it has no body.
fn repeat(request: &Request<Body>) -> Request<Body> {
    let mut again = Request::new(Body::empty());
    again.method_mut().clone_from(request.method());
    again.uri_mut().clone_from(request.uri());
    again.headers_mut().clone_from(request.headers());
    again
}

fn problem(error: &hyper::Error, app: &AppAddress) -> Problem {
    if error.is_user() {
        // The body that we were passing on broke off: that is between us and the client.
        tracing::debug!(app = %app, error = %chain(error), "the client's body broke off");
        return match std::error::Error::source(error).and_then(|cause| cause.downcast_ref()) {
            Some(BodyError::TooLarge) => Problem::BodyTooLarge,
            Some(BodyError::TooSlow) => Problem::RequestTimeout,
            _ => Problem::BadRequest,
        };
    }
    tracing::warn!(app = %app, error = %chain(error), "the app did not answer");
    if error.is_parse() { Problem::AppInvalid } else { Problem::AppUnreachable }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(": ");
        said.push_str(&error.to_string());
        cause = error.source();
    }
    said
}
