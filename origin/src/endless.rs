//! An endless answer over HTTP/1.1, such as a stream of events: hyper says its head, and its body is sent without hyper
//! (`conversation/relay.rs`), whose buffers and futures are most of what a stream would take.
//!
//! hyper is let go when it holds nothing any more: it has asked the body for its first bytes, so that the head is in its buffer, and
//! has had its buffer written after that.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cache::fields::list_members;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::body::Body;

/// hyper has not come to the body.
const HEAD: u8 = 0;
/// It has asked for the body's first bytes.
const ASKED: u8 = 1;
/// And has had written all that it had.
const WRITTEN: u8 = 2;

/// What a connection's endless answer is taken from hyper by; its own, its service's and its guard's.
#[derive(Clone, Default)]
pub(crate) struct Endless(Arc<State>);

#[derive(Default)]
struct State {
    step: AtomicU8,
    stream: Mutex<Option<Box<Stream>>>,
}

/// A body that is to be sent in chunks, its head having been said. In a box: most connections have none.
pub(crate) struct Stream {
    pub(crate) body: Body,
    /// Whether the connection ends with it.
    pub(crate) last: bool,
}

/// A request whose answer may be sent so.
pub(crate) struct Fit {
    endless: Endless,
    last: bool,
}

impl Endless {
    /// Whether a request's answer may be sent so: its head says then that it comes in chunks, and nothing of the request is still to
    /// come, so that the connection stands between two requests.
    pub(crate) fn fits(&self, request: &Request<Incoming>) -> Option<Fit> {
        let fits =
            request.version() == Version::HTTP_11 && *request.method() == Method::GET && request.body().is_end_stream();
        fits.then(|| Fit { endless: self.clone(), last: closes(request.headers()) })
    }

    /// hyper has asked for the first bytes of a body that it does not get.
    pub(crate) fn asked(&self) {
        let _ = self.0.step.compare_exchange(HEAD, ASKED, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// All that hyper had is written.
    pub(crate) fn flushed(&self) {
        if self.0.step.load(Ordering::Relaxed) == ASKED {
            self.0.step.store(WRITTEN, Ordering::Relaxed);
        }
    }

    /// The stream, when hyper is done with its head.
    pub(crate) fn take(&self) -> Option<Box<Stream>> {
        if self.0.step.load(Ordering::Relaxed) != WRITTEN {
            return None;
        }
        self.0.step.store(HEAD, Ordering::Relaxed);
        self.0.stream.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Fit {
    /// Takes the body where it is endless, and leaves in its place one that never comes to its first byte.
    pub(crate) fn take_endless(self, response: Response<Body>) -> Response<Body> {
        let headers = response.headers();
        let in_chunks = response.status() == StatusCode::OK
            && response.body().is_endless()
            && !headers.contains_key(CONTENT_LENGTH)
            && !headers.contains_key(TRANSFER_ENCODING);
        if !in_chunks {
            return response;
        }
        let last = self.last || closes(headers);
        response.map(|body| {
            let stream = Box::new(Stream { body, last });
            *self.endless.0.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
            Body::elsewhere(self.endless)
        })
    }
}

fn closes(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    said.any(|value| list_members(value).any(|member| member.eq_ignore_ascii_case("close")))
}
