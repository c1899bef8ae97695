//! What a core has of its own for each app: idle connections, the budget of retries, and the gate before an app that is down.
//! The lock is hardly ever contended: only its own core takes it, never across an await, and whoever reads the metrics.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use tokio::task::AbortHandle;

use super::app::{App, Load};
use super::budget::Budget;
use super::events::Events;
use super::hold::Gate;
use super::resolve::Name;
use super::wire::{Taken, Tap};
use crate::body::Body;
use crate::config::Protocol;
use crate::limits::upload::Progress;

/// Idle connections kept to one upstream on one core.
const IDLE: usize = 64;
/// How long a client may go on to send a body after the app has answered without waiting for its end.
const LINGER: Duration = Duration::from_secs(10);

/// The connections of one core.
#[derive(Clone)]
pub(crate) struct Pool {
    started: Instant,
    apps: Arc<Mutex<Vec<Own>>>,
}

/// One core's part of an app.
#[derive(Default)]
pub(super) struct Own {
    /// By upstream; the one that was used last is at the end.
    idle: Vec<Vec<Idle>>,
    pub(super) budget: Budget,
    pub(super) gate: Option<Gate>,
    /// Whether idle connections are looked after.
    swept: bool,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection to an upstream. Dropped, it closes.
pub(super) struct Connection {
    pub(super) sender: Sender,
    http1: Option<Http1>,
    generation: u32,
}

/// What a connection that speaks HTTP/1.1 is held by, besides.
pub(super) struct Http1 {
    pub(super) task: AbortHandle,
    pub(super) tap: Tap,
}

/// Sends requests on a connection.
pub(super) enum Sender {
    /// One at a time.
    Http1(http1::SendRequest<Body>),
    /// Many at once: a copy stays in the pool.
    Http2(http2::SendRequest<Body>),
}

impl Sender {
    /// Sends a request. Where it was not sent, the error has it.
    pub(super) async fn try_send_request(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        }
    }

    fn is_ready(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready(),
            Self::Http2(sender) => sender.is_ready(),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }
}

/// A connection in use. Dropped, it closes; given back, it waits for the next request.
pub(crate) struct Lease {
    pool: Pool,
    pub(super) load: Load,
    connection: Connection,
    idle: Duration,
    /// The body that is sent on it.
    pub(super) upload: Option<Arc<Progress>>,
    /// The connection itself, where it was taken from hyper.
    taken: Option<Box<Taken>>,
}

impl Default for Pool {
    fn default() -> Self {
        Self { started: Instant::now(), apps: Arc::default() }
    }
}

impl Pool {
    /// What this core has of an app.
    pub(super) fn own<T>(&self, app: &App, of: impl FnOnce(&mut Own) -> T) -> T {
        let mut apps: MutexGuard<'_, Vec<Own>> = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        if apps.len() <= app.number {
            apps.resize_with(app.number + 1, Own::default);
        }
        let own = &mut apps[app.number];
        if own.idle.is_empty() {
            own.idle.resize_with(app.upstreams.len(), Vec::new);
        }
        of(own)
    }

    /// Counts a request for the budget of retries.
    pub(super) fn count(&self, app: &App) {
        let now = self.started.elapsed().as_secs();
        self.own(app, |own| own.budget.request(now));
    }

    /// Whether a request may be sent once more.
    pub(super) fn may_retry(&self, app: &App) -> bool {
        let now = self.started.elapsed().as_secs();
        self.own(app, |own| own.budget.retry(now))
    }

    /// Whether there is a connection that could be used.
    pub(super) fn has_idle(&self, load: &Load) -> bool {
        self.own(&load.app, |own| !own.idle[load.upstream].is_empty())
    }

    /// The connection that was used last, if it is open and was used within `unused`.
    pub(super) fn take(&self, load: &Load, unused: Duration) -> Option<Connection> {
        let generation = load.upstream().name.as_ref().map_or(0, Name::generation);
        self.own(&load.app, |own| {
            let list = &mut own.idle[load.upstream];
            while let Some(mut last) = list.pop() {
                if let (Sender::Http2(sender), true) = (&last.connection.sender, last.connection.sender.is_ready())
                    && last.connection.generation == generation
                {
                    // Where it ends, it says so first: how long it was unused does not matter.
                    let shared = Connection::new(Sender::Http2(sender.clone()), None, generation);
                    last.since = Instant::now();
                    list.push(last);
                    return Some(shared);
                }
                if last.connection.sender.is_ready() && last.connection.generation == generation {
                    if last.since.elapsed() < unused {
                        return Some(last.connection);
                    }
                    // The others have been unused for longer; who closes them, [`sweep_idle`] decides.
                    list.push(last);
                    return None;
                }
            }
            None
        })
    }

    /// Connections to an upstream that nobody uses just now.
    pub(crate) fn idle(&self, app: usize, upstream: usize) -> usize {
        let apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        apps.get(app).and_then(|own| own.idle.get(upstream)).map_or(0, Vec::len)
    }

    /// Lets others use a new connection too, where it can carry several exchanges at once.
    pub(super) fn share(&self, load: &Load, connection: &Connection, idle: Duration) {
        if let Sender::Http2(sender) = &connection.sender {
            let shared = Connection::new(Sender::Http2(sender.clone()), None, connection.generation);
            self.put(&load.app, load.upstream, shared, idle);
        }
    }

    /// Puts a connection to the idle ones.
    pub(super) fn put(&self, app: &Arc<App>, upstream: usize, connection: Connection, idle: Duration) {
        let sweep = self.own(app, |own| {
            let list = &mut own.idle[upstream];
            if list.len() < IDLE {
                list.push(Idle { connection, since: Instant::now() });
            }
            !std::mem::replace(&mut own.swept, true)
        });
        if sweep {
            tokio::spawn(sweep_idle(self.clone(), Arc::clone(app), idle));
        }
    }
}

/// Closes connections that nobody has used for `idle`, until there are none.
async fn sweep_idle(pool: Pool, app: Arc<App>, idle: Duration) {
    loop {
        tokio::time::sleep(idle / 4).await;
        let left = pool.own(&app, |own| {
            for list in &mut own.idle {
                list.retain(|c| c.since.elapsed() < idle && !c.connection.sender.is_closed());
            }
            own.swept = own.idle.iter().any(|list| !list.is_empty());
            own.swept
        });
        if !left {
            return;
        }
    }
}

impl Connection {
    pub(super) const fn new(sender: Sender, http1: Option<Http1>, generation: u32) -> Self {
        Self { sender, http1, generation }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(http1) = self.http1.take() {
            http1.task.abort();
        }
    }
}

impl Lease {
    pub(super) fn new(pool: &Pool, load: Load, connection: Connection, idle: Duration) -> Self {
        Self { pool: pool.clone(), load, connection, idle, upload: None, taken: None }
    }

    pub(super) const fn sender(&mut self) -> &mut Sender {
        &mut self.connection.sender
    }

    /// Has hyper read no more than the head of the answer, until it is said how it goes on; `false` where it speaks HTTP/2.
    pub(super) fn stop(&self) -> bool {
        self.connection.http1.as_ref().inspect(|http1| http1.tap.stop()).is_some()
    }

    /// Says how it goes on: `taken` from hyper, whose part ends here, or as always.
    pub(super) fn go_on(&mut self, taken: bool) {
        if let Some(http1) = &self.connection.http1 {
            if taken && self.upload.as_ref().is_none_or(|upload| upload.ended()) {
                self.taken = http1.tap.take().map(Box::new);
            }
            if self.taken.is_none() {
                http1.tap.release();
            }
        }
    }

    /// Whether it was taken from hyper.
    pub(super) const fn is_taken(&self) -> bool {
        self.taken.is_some()
    }

    /// What was taken; hyper's part of it goes.
    pub(super) fn into_events(self) -> Option<Events> {
        Some(Events::new(self.taken?, self.load))
    }

    /// Back to its pool, unless it is closed or the pool is full.
    pub(crate) fn give_back(self) {
        let Self { pool, load, connection, idle, upload, taken } = self;
        if taken.is_some() {
            return;
        }
        let shared = matches!(connection.sender, Sender::Http2(_));
        if connection.sender.is_closed() || shared || load.app.protocol == Protocol::Http2 {
            return;
        }
        if upload.is_none_or(|upload| upload.ended()) {
            return pool.put(&load.app, load.upstream, connection, idle);
        }
        // The app answered before it had the whole request; cut off at once, a client that is still sending might never
        // read the answer.
        tokio::spawn(async move {
            tokio::time::sleep(LINGER).await;
            drop(connection);
        });
    }

    /// Leaves the connection to itself: it speaks another protocol from now on.
    pub(crate) fn detach(mut self) {
        self.connection.http1 = None;
    }
}
