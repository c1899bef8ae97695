//! Forwarding to an app: connections of each core's own, taken out of the pool for one exchange and given back when the
//! answer's last byte has been read.

mod connect;
mod pool;

use std::time::Duration;

use contract::Problem;
use http::{Request, Response};
use hyper::body::Incoming;

pub(crate) use pool::{Lease, Pool};

use crate::body::{Body, BodyError};
use crate::config::AppAddress;

/// Sends a request to an app and waits for the head of the answer.
///
/// A pooled connection that turns out closed before anything was sent costs nothing: the request comes back unsent and goes
/// out on the next one.
pub(crate) async fn send(
    pool: &Pool,
    app: &AppAddress,
    mut request: Request<Body>,
    connect_within: Duration,
    answer_within: Duration,
) -> Result<(Response<Incoming>, Lease), Problem> {
    let bodiless = http_body::Body::is_end_stream(request.body());
    loop {
        let pooled = pool.take(app);
        let fresh = pooled.is_none();
        let mut lease = match pooled {
            Some(lease) => lease,
            None => connect::connect(pool, app, connect_within).await?,
        };
        let sending = lease.sender().try_send_request(request);
        // How long an upload takes is the client's affair; without one, the wait for an answer is bounded.
        let sent = if bodiless {
            match tokio::time::timeout(answer_within, sending).await {
                Ok(sent) => sent,
                Err(_) => return Err(Problem::AppTimeout),
            }
        } else {
            sending.await
        };
        match sent {
            Ok(response) => return Ok((response, lease)),
            Err(mut error) => match error.take_message() {
                Some(unsent) if !fresh => request = unsent,
                _ => return Err(problem(error.error(), app)),
            },
        }
    }
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
