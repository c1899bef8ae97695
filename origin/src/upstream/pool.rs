//! A core's idle connections. The lock is never contended: only its own core takes it, and never across an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::client::conn::http1::SendRequest;

use crate::body::Body;
use crate::config::AppAddress;

/// Idle connections kept to one app on one core.
const IDLE: usize = 64;

/// The idle connections of one core.
#[derive(Clone, Default)]
pub(crate) struct Pool {
    idle: Arc<Mutex<HashMap<AppAddress, Vec<SendRequest<Body>>>>>,
}

/// A connection in use. Dropped, it closes; given back, it waits for the next request.
pub(crate) struct Lease {
    pool: Pool,
    app: AppAddress,
    sender: SendRequest<Body>,
}

impl Pool {
    /// The connection that was used last, if it is still open.
    pub(super) fn take(&self, app: &AppAddress) -> Option<Lease> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let list = idle.get_mut(app)?;
        while let Some(sender) = list.pop() {
            if !sender.is_closed() {
                return Some(Lease { pool: self.clone(), app: app.clone(), sender });
            }
        }
        None
    }

    pub(super) fn lease(&self, app: &AppAddress, sender: SendRequest<Body>) -> Lease {
        Lease { pool: self.clone(), app: app.clone(), sender }
    }
}

impl Lease {
    pub(super) fn sender(&mut self) -> &mut SendRequest<Body> {
        &mut self.sender
    }

    /// Back to its pool, unless it is closed or the pool is full.
    pub(crate) fn give_back(self) {
        if self.sender.is_closed() {
            return;
        }
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        match idle.get_mut(&self.app) {
            Some(list) if list.len() < IDLE => list.push(self.sender),
            Some(_) => {}
            None => drop(idle.insert(self.app, vec![self.sender])),
        }
    }
}
