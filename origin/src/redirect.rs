//! Port 80: sends everyone to https, and answers a CA that looks whether a name is ours (HTTP-01, RFC 8555 section 8.3).
//!
//! The redirect is 308 (RFC 9110 section 15.4.9) for every method: it is as permanent as 301, and a client may not make a GET of
//! another method by it.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::acme::{self, Acme};
use crate::conversation::introduced;
use crate::gateway::{Core, Gateway};
use crate::limits::connections::Place;
use crate::listen::{Identity, Stream};
use crate::service::authority;
use crate::sites::without_port;

/// Bytes of a request's head: more than a link needs.
const HEAD: usize = 8 << 10;
/// For the head, and for a connection in all: it has one request, and an answer without a body worth the name.
const WITHIN: Duration = Duration::from_secs(10);

/// Answers the one request of a connection.
pub(crate) async fn hold(core: Arc<Core>, identity: Option<Arc<Identity>>, mut stream: Stream, mut place: Place) {
    if !introduced(&core, &mut stream).await {
        return;
    }
    let address = stream.peer();
    if !address.is_loopback() && !place.is_of(address) {
        return tracing::info!(client.address = %address, "closed: it has limits.connections_per_client open");
    }
    match stream {
        Stream::Tcp(stream, _) => converse(&core, identity, stream).await,
        Stream::Unix(stream) => converse(&core, identity, stream).await,
    }
}

async fn converse<I: AsyncRead + AsyncWrite + Unpin>(core: &Core, identity: Option<Arc<Identity>>, io: I) {
    let acme = identity.as_ref().and_then(|identity| identity.acme());
    let service = service_fn(|request| {
        let answer = answer(&core.gateway, acme.map(|acme| &**acme), &request);
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(WITHIN)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(tokio::time::timeout(WITHIN * 2, connection));
    tokio::select! {
        _ = connection.as_mut() => {}
        () = core.gateway.draining.lingered() => {}
    }
}

fn answer(gateway: &Gateway, acme: Option<&Acme>, request: &Request<Incoming>) -> Response<String> {
    let Ok(authority) = authority(request, request.version()) else {
        return plain(StatusCode::BAD_REQUEST, "bad request\n");
    };
    if gateway.sites.find(&authority).is_none() {
        return plain(StatusCode::MISDIRECTED_REQUEST, "this host is not served here\n");
    }
    let host = without_port(&authority);
    let Some(target) = request.uri().path_and_query().filter(|t| t.as_str().starts_with('/')) else {
        return plain(StatusCode::BAD_REQUEST, "bad request\n");
    };
    if let Some(acme) = acme.filter(|_| target.path().starts_with(acme::PATH))
        && acme.asks(host).is_some()
        && let Some(seen) = acme.challenge_over_http(host, target.path())
    {
        if request.method() != Method::GET {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "GET it\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            return refused;
        }
        tracing::info!(name = host, "a CA looks whether the name is ours");
        let mut shown = plain(StatusCode::OK, "");
        *shown.body_mut() = seen;
        shown.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        return shown;
    }
    let Ok(to) = HeaderValue::try_from(format!("https://{host}{target}")) else {
        return plain(StatusCode::BAD_REQUEST, "bad request\n");
    };
    let mut moved = plain(StatusCode::PERMANENT_REDIRECT, "");
    moved.headers_mut().insert(LOCATION, to);
    moved
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_owned());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if status != StatusCode::PERMANENT_REDIRECT {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
