//! A core's idle connections, and its look-out for apps that accept none. The locks are never contended: only their own core
//! takes them, and never across an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;
use tokio::sync::Notify;

use super::connect::{NoConnection, open};
use crate::body::Body;
use crate::config::AppAddress;

/// Idle connections kept to one app on one core.
const IDLE: usize = 64;
/// From here on an idle connection may be one that the app is closing.
const CLOSING: Duration = Duration::from_millis(200);
/// How often an app that accepts no connection is tried, and how long it may take.
const LOOK: Duration = Duration::from_millis(25);
const LOOK_WITHIN: Duration = Duration::from_secs(1);

/// The connections of one core.
#[derive(Clone, Default)]
pub(crate) struct Pool {
    idle: Arc<Mutex<HashMap<AppAddress, Vec<Idle>>>>,
    /// Apps that are being tried, and who wants to know.
    awaited: Arc<Mutex<HashMap<AppAddress, Arc<Notify>>>>,
}

struct Idle {
    sender: SendRequest<Body>,
    since: Instant,
}

/// A connection in use. Dropped, it closes; given back, it waits for the next request.
pub(crate) struct Lease {
    pool: Pool,
    app: AppAddress,
    sender: SendRequest<Body>,
    idle: Duration,
}

impl Pool {
    /// The connection that was used last, if it is still open; for a request that can't be sent twice, only one that is not
    /// likely to be closing.
    pub(super) fn take(&self, app: &AppAddress, harmless: bool) -> Option<Lease> {
        let mut idle = locked(&self.idle);
        let list = idle.get_mut(app)?;
        while let Some(Idle { sender, since }) = list.pop() {
            let idle = since.elapsed();
            if sender.is_closed() {
                continue;
            }
            if !harmless && idle > CLOSING {
                list.push(Idle { sender, since });
                return None;
            }
            return Some(Lease { pool: self.clone(), app: app.clone(), sender, idle });
        }
        None
    }

    /// A connection just opened.
    pub(super) fn lease(&self, app: &AppAddress, sender: SendRequest<Body>) -> Lease {
        Lease { pool: self.clone(), app: app.clone(), sender, idle: Duration::ZERO }
    }

    /// Waits until an app that has refused a connection accepts one again; `false` where `until` comes first. However many
    /// wait, one task of this core tries.
    pub(super) async fn accepting(&self, app: &AppAddress, until: tokio::time::Instant) -> bool {
        let news = {
            let mut awaited = locked(&self.awaited);
            let notify = awaited.entry(app.clone()).or_insert_with(|| {
                let notify = Arc::new(Notify::new());
                tokio::spawn(self.clone().look_out(app.clone(), Arc::clone(&notify)));
                notify
            });
            let mut news = Box::pin(Arc::clone(notify).notified_owned());
            // Listening from here on, while the one who tells can't have told yet.
            news.as_mut().enable();
            news
        };
        tokio::time::timeout_at(until, news).await.is_ok()
    }

    /// Tries an app until it accepts, or fails in another way, or nobody waits.
    async fn look_out(self, app: AppAddress, notify: Arc<Notify>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let refused = match tokio::time::timeout(LOOK_WITHIN, open(&app)).await {
                Ok(Ok(sender)) => {
                    self.lease(&app, sender).give_back();
                    false
                }
                Ok(Err(error)) => NoConnection::from(&error) == NoConnection::Refused,
                Err(_) => false,
            };
            let mut awaited = locked(&self.awaited);
            // Beside the map and this task, each who waits holds one.
            if !refused || Arc::strong_count(&notify) <= 2 {
                awaited.remove(&app);
                notify.notify_waiters();
                return;
            }
        }
    }
}

impl Lease {
    pub(super) fn sender(&mut self) -> &mut SendRequest<Body> {
        &mut self.sender
    }

    /// Whether it has been idle for long enough that the app may be closing it right now.
    pub(super) fn may_be_closing(&self) -> bool {
        self.idle > CLOSING
    }

    /// Back to its pool, unless it is closed or the pool is full.
    pub(crate) fn give_back(self) {
        if self.sender.is_closed() {
            return;
        }
        let idle = Idle { sender: self.sender, since: Instant::now() };
        let mut all = locked(&self.pool.idle);
        match all.get_mut(&self.app) {
            Some(list) if list.len() < IDLE => list.push(idle),
            Some(_) => {}
            None => drop(all.insert(self.app, vec![idle])),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
