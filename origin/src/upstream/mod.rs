//! Forwarding to an app: connections of each core's own, taken out of the pool for one exchange and given back when the
//! answer's last byte has been read.
//!
//! Waiting is not retrying. As long as nothing of a request was sent it may wait for a connection, go out on another one or to
//! another upstream, whatever its method ([`hold`]). Once it was sent it goes out again only if repeating it is safe
//! (RFC 9110 section 9.2.2), something else than a new connection to the same upstream broke off, once, and within a [`budget`].

mod app;
mod balance;
mod budget;
mod connect;
mod download;
mod events;
mod hold;
mod pool;
mod resolve;
mod state;
mod watch;
mod wire;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use contract::Problem;
use edge::Spent;
use edge::spent::Stretch;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use tokio::time::Instant;

pub(crate) use app::{App, of_sites};
pub(crate) use download::Download;
pub(crate) use pool::{Lease, Pool};
pub(crate) use state::{AppState, UpstreamState};
pub(crate) use watch::watch;

use app::{Load, Place};
use hold::Entry;

use crate::body::{Body, BodyError};
use crate::config::{Protocol, Timeouts};
use crate::limits::concurrency::Permit;
use crate::limits::upload::Progress;
use crate::metrics::{self, Event, Failure};

/// From here on an unused connection may be one that the app is closing: what can't be sent twice is not sent on it.
const CLOSING: Duration = Duration::from_millis(200);
/// The type of a stream of events.
const EVENTS: &[u8] = b"text/event-stream";
/// How often a request that was held looks whether there is room for it.
const ROOM: Duration = Duration::from_millis(20);

/// Where it is noted what a request's time went to.
#[derive(Clone, Copy)]
pub(crate) struct Course<'a> {
    pub(crate) spent: &'a Spent,
    /// When the request began.
    pub(crate) since: std::time::Instant,
    /// Whether we have waited for it long enough, whose client has not.
    pub(crate) enough: &'a AtomicBool,
}

impl Course<'_> {
    fn note(&self, stretch: &Stretch, from: Instant, to: Instant) {
        stretch.note(from.into_std().saturating_duration_since(self.since), to - from);
    }

    /// It is waited for no longer, which was since then.
    pub(crate) fn given_up(&self, since: Instant) {
        self.enough.store(true, Ordering::Relaxed);
        if self.spent.tries.get() > 0 {
            self.note(&self.spent.answer, since, Instant::now());
        }
    }

    /// It is sent to an upstream, by its number.
    fn sent(&self, upstream: usize) {
        self.spent.tries.set(self.spent.tries.get() + 1);
        self.spent.upstream.set(u32::try_from(upstream + 1).unwrap_or_default());
    }
}

/// Sends a request to an app and waits for the head of the answer.
pub(crate) async fn send(
    pool: &Pool,
    app: &Arc<App>,
    mut request: Request<Body>,
    timeouts: &Timeouts,
    course: Course<'_>,
) -> Result<(Response<Incoming>, Lease), Problem> {
    let upload = request.body().progress();
    let repeatable = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
        && http_body::Body::is_end_stream(request.body());
    let protocol = if request.headers().contains_key(UPGRADE) { Protocol::Http1 } else { app.protocol };
    if protocol == Protocol::Http2 && !connect::in_http2(&mut request) {
        return Err(Problem::BadRequest);
    }
    // The answer to HEAD says that it comes in chunks, too, and has none.
    let streams = *request.method() == Method::GET && wants_events(request.headers());
    let mut way = Way::new(pool, app, protocol, timeouts, course, upload.as_deref())?;
    pool.count(app);
    let mut retried = false;
    loop {
        let (mut lease, pooled) = way.lease(repeatable).await?;
        lease.upload.clone_from(&upload);
        let upstream = lease.load.upstream;
        course.sent(upstream);
        let began = Instant::now();
        let stops = streams && lease.stop();
        let copy = (repeatable && !retried && (pooled || app.several())).then(|| Copy::of(&request));
        let Some(sent) = in_time(lease.sender().try_send_request(request), upload.as_deref(), timeouts.answer.0).await
        else {
            course.note(&course.spent.answer, began, Instant::now());
            tracing::warn!(app = %lease.load.upstream().address, "the app does not answer in time");
            app.failed(upstream, Failure::Timeout, &format_args!("no answer within {:?}", timeouts.answer.0));
            way.timed_out();
            return Err(Problem::AppTimeout);
        };
        let mut error = match sent {
            Ok(response) => {
                app.succeeded(upstream);
                way.answered(began);
                if stops {
                    lease.go_on(is_in_chunks(&response));
                }
                return Ok((response, lease));
            }
            Err(error) => error,
        };
        course.note(&course.spent.answer, began, Instant::now());
        if let Some(unsent) = error.take_message() {
            if !pooled {
                let app = &lease.load.upstream().address;
                tracing::warn!(app = %app, error = %chain(error.error()), "the app accepts a connection and closes it");
            }
            way.came_back(upstream, pooled);
            request = unsent;
            continue;
        }
        let problem = problem(error.error(), &lease.load);
        // What breaks off on a connection from the pool is nobody's fault.
        if problem == Problem::AppInvalid || (problem == Problem::AppUnreachable && !pooled) {
            let failure = if problem == Problem::AppInvalid { Failure::Invalid } else { Failure::BrokeOff };
            app.failed(upstream, failure, &chain(error.error()));
        }
        match copy {
            Some(copy) if problem == Problem::AppUnreachable && may_retry(pool, app, upstream) => {
                request = copy.request();
                retried = true;
                way.broke_off(upstream);
            }
            _ => {
                way.leaves();
                return Err(problem);
            }
        }
    }
}

/// Whether the answer may be a stream of events: who subscribes to one says so.
fn wants_events(headers: &HeaderMap) -> bool {
    !headers.contains_key(UPGRADE)
        && headers.get(ACCEPT).is_some_and(|accept| memchr::memmem::find(accept.as_bytes(), EVENTS).is_some())
}

/// Whether it is one, in chunks: its body is read without hyper, whose buffers would be kept for as long as it lasts.
fn is_in_chunks(response: &Response<Incoming>) -> bool {
    let headers = response.headers();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    response.status() == StatusCode::OK
        && response.version() == Version::HTTP_11
        && headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(EVENTS))
        && !headers.contains_key(CONTENT_LENGTH)
        && codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        && codings.next().is_none()
}

/// Whether the budget has a retry left, after this upstream broke off.
fn may_retry(pool: &Pool, app: &App, upstream: usize) -> bool {
    let may = pool.may_retry(app);
    app.upstreams[upstream].count(|counts| if may { &counts.retries } else { &counts.retries_refused }.add(1));
    may
}

/// Refuses a request because there is too much to do.
fn shed(reason: &'static str) -> Problem {
    metrics::event(Event::Shed, reason);
    Problem::Overloaded
}

/// Whether the app answers in time: from the moment on from which only it is waited for.
async fn in_time<T>(sending: impl Future<Output = T>, upload: Option<&Progress>, within: Duration) -> Option<T> {
    let mut sending = pin!(sending);
    let mut until = Instant::now() + within;
    loop {
        if let Ok(sent) = tokio::time::timeout_at(until, sending.as_mut()).await {
            return Some(sent);
        }
        let now = Instant::now();
        until = upload?.until(within, now);
        if until <= now {
            return None;
        }
    }
}

/// What is needed to send a request without a body once more.
struct Copy {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Copy {
    fn of(request: &Request<Body>) -> Self {
        Self { method: request.method().clone(), uri: request.uri().clone(), headers: request.headers().clone() }
    }

    fn request(self) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (self.method, self.uri, self.headers);
        request
    }
}

/// A request's way to a connection.
struct Way<'a> {
    pool: &'a Pool,
    app: &'a Arc<App>,
    protocol: Protocol,
    timeouts: &'a Timeouts,
    course: Course<'a>,
    permit: Option<Permit>,
    /// Upstreams that were tried in vain, one bit each.
    tried: u64,
    /// Whether one of them is down.
    refused: bool,
    /// Whether it has waited for its turn to open a connection.
    in_turn: bool,
    /// Whether the pool is not to be trusted.
    fresh: bool,
    /// Its place in the queue and the end of its patience, once it was held.
    held: Option<(Place, Instant)>,
    /// How far its body has come.
    upload: Option<&'a Progress>,
}

impl<'a> Way<'a> {
    fn new(
        pool: &'a Pool,
        app: &'a Arc<App>,
        protocol: Protocol,
        timeouts: &'a Timeouts,
        course: Course<'a>,
        upload: Option<&'a Progress>,
    ) -> Result<Self, Problem> {
        let permit = app.concurrency.enter().ok_or_else(|| shed("in-flight"))?;
        // What the pool has speaks the app's protocol.
        let fresh = protocol != app.protocol;
        let permit = Some(permit);
        Ok(Self {
            pool,
            app,
            protocol,
            timeouts,
            course,
            permit,
            tried: 0,
            refused: false,
            in_turn: false,
            fresh,
            held: None,
            upload,
        })
    }

    /// A connection, and whether it comes from the pool. Where no upstream accepts one, the request is held.
    async fn lease(&mut self, repeatable: bool) -> Result<(Lease, bool), Problem> {
        let idle = self.timeouts.idle_upstream.0;
        let mut timed_out = false;
        loop {
            let mut in_line = false;
            while let Some(load) = self.app.pick(self.tried) {
                if !self.fresh {
                    if !repeatable && self.pool.has_idle(&load) {
                        // What the system knows of closed connections, we learn now.
                        tokio::task::yield_now().await;
                    }
                    let unused = if repeatable { idle } else { idle.min(CLOSING) };
                    if let Some(connection) = self.pool.take(&load, unused) {
                        return Ok((Lease::new(self.pool, load, connection, idle), true));
                    }
                }
                let entry = if self.app.several() { Entry::Open } else { hold::entry(self.pool, self.app) };
                if entry == Entry::Shut {
                    self.refused = true;
                    break;
                }
                if entry == Entry::Narrow && !self.in_turn {
                    in_line = true;
                    break;
                }
                let began = Instant::now();
                let connected = connect::connect(load.upstream(), self.protocol, self.timeouts.connect.0).await;
                self.course.note(&self.course.spent.connect, began, Instant::now());
                match connected {
                    Ok(connection) => {
                        self.pool.share(&load, &connection, idle);
                        return Ok((Lease::new(self.pool, load, connection, idle), false));
                    }
                    Err(error) => {
                        tracing::warn!(app = %load.upstream().address, %error, "cannot connect to the app");
                        self.in_vain(load.upstream, error.failure(), &error);
                        timed_out |= error.failure() == Failure::ConnectTimeout;
                    }
                }
            }
            if !self.refused && !in_line {
                if timed_out {
                    self.timed_out();
                }
                self.leaves();
                return Err(Problem::AppUnreachable);
            }
            self.hold().await?;
        }
    }

    fn in_vain(&mut self, upstream: usize, failure: Failure, error: &dyn std::fmt::Display) {
        // What is accepted and closed at once is as good as refused.
        self.refused |= matches!(failure, Failure::Refused | Failure::BrokeOff);
        self.tried |= 1 << upstream;
        self.in_turn = false;
        self.app.failed(upstream, failure, error);
    }

    /// Waits for the app to accept connections, or for its turn to open one, without counting as a request that is with it.
    async fn hold(&mut self) -> Result<(), Problem> {
        let until = match &self.held {
            Some((_, until)) => *until,
            None => {
                let Some(place) = self.app.queue.enter() else {
                    // A line that is full is no reason to refuse what could go.
                    self.in_turn = !self.refused;
                    if self.in_turn {
                        return Ok(());
                    }
                    self.leaves();
                    return Err(shed("held"));
                };
                metrics::count(|counts| counts.apps[self.app.number].held.add(1));
                let until = Instant::now() + self.timeouts.hold.0;
                self.held = Some((place, until));
                until
            }
        };
        self.leaves();
        let since = until - self.timeouts.hold.0;
        let let_in = hold::wait(self.pool, self.app, self.timeouts, until, self.refused).await;
        self.course.note(&self.course.spent.queue, since, Instant::now());
        if !let_in {
            tracing::warn!(app = %self.app.upstreams[0].address, within = ?self.timeouts.hold.0, "the app refuses connections");
            return Err(Problem::AppUnreachable);
        }
        loop {
            let last = Instant::now() >= until;
            self.permit = if last { self.app.concurrency.enter() } else { self.app.concurrency.try_enter() };
            if self.permit.is_some() {
                break;
            }
            if last {
                return Err(shed("in-flight"));
            }
            tokio::time::sleep(ROOM).await;
        }
        self.course.note(&self.course.spent.queue, since, Instant::now());
        (self.tried, self.refused, self.fresh) = (0, false, self.protocol != self.app.protocol);
        self.in_turn = true;
        Ok(())
    }

    /// Nothing was sent: the connection was closed before.
    fn came_back(&mut self, upstream: usize, pooled: bool) {
        if !pooled {
            self.in_vain(upstream, Failure::BrokeOff, &"it accepts a connection and closes it");
        }
    }

    /// It was sent and not answered: the next is a new connection, to another upstream if there is one.
    fn broke_off(&mut self, upstream: usize) {
        self.fresh = true;
        if self.app.several() {
            self.tried |= 1 << upstream;
        }
    }

    /// The app has answered what was sent at `sent`.
    fn answered(&mut self, sent: Instant) {
        let now = Instant::now();
        self.course.note(&self.course.spent.answer, sent, now);
        if let Some(permit) = self.permit.take() {
            metrics::count(|counts| counts.apps[self.app.number].answers.took(now - sent));
            let since = self.sent_all(now).map_or(sent, |sent_all| sent_all.clamp(sent, now));
            permit.answered(since.into_std(), now.into_std());
        }
    }

    /// When its body had gone as far as it has; `now` while its client is waited for.
    fn sent_all(&self, now: Instant) -> Option<Instant> {
        Some(self.upload?.until(Duration::ZERO, now))
    }

    /// It has failed, or stands aside.
    fn leaves(&mut self) {
        if let Some(mut permit) = self.permit.take() {
            permit.is_not_waited_for();
        }
    }

    /// The app has not answered, or accepted a connection, in time.
    fn timed_out(&mut self) {
        if self.permit.take().is_some_and(Permit::timed_out) {
            let app = &self.app.upstreams[0].address;
            tracing::warn!(app = %app, "the app answers nobody: few requests may wait for it until it does");
        }
    }
}

impl Drop for Way<'_> {
    /// Its client has left, or we stand in for the app.
    fn drop(&mut self) {
        let sent_all = self.sent_all(Instant::now());
        let Some(permit) = &mut self.permit else { return };
        if self.course.enough.load(Ordering::Relaxed) {
            permit.is_not_waited_for();
        } else if let Some(sent_all) = sent_all {
            permit.is_waited_for(sent_all.into_std());
        }
    }
}

fn problem(error: &hyper::Error, load: &Load) -> Problem {
    let app = &load.upstream().address;
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
