//! Requests of which nothing was sent wait at a gate while their app accepts no connections, instead of failing: a restart of
//! the app costs nobody anything. One prober per core and app tries to connect; when it can, it lets the waiting ones in,
//! a few first and then more, so that an app that has just started is not run over.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::app::App;
use super::connect;
use super::pool::Pool;
use crate::config::Timeouts;

/// How often the app is tried.
const EVERY: Duration = Duration::from_millis(25);
/// How long one of several upstreams may keep the prober from the next.
const WITHIN: Duration = Duration::from_millis(500);
/// How many are let in at first; twice as many at every try that succeeds.
const FIRST: usize = 16;

/// Before an app that is down.
#[derive(Debug)]
pub(super) struct Gate {
    entry: Arc<Semaphore>,
    waiting: usize,
    /// Whether the app accepted no connection when it was last tried.
    shut: bool,
}

/// One that waits, for as long as it does.
struct Waiting<'a> {
    pool: &'a Pool,
    app: &'a App,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pool.own(self.app, |own| {
            if let Some(gate) = &mut own.gate {
                gate.waiting -= 1;
            }
        });
    }
}

/// Whether an app is known to accept no connections.
pub(super) fn is_shut(pool: &Pool, app: &App) -> bool {
    pool.own(app, |own| own.gate.as_ref().is_some_and(|gate| gate.shut))
}

/// Waits until the app accepts connections and it is this one's turn; `false` where that is not before `until`.
pub(super) async fn wait(pool: &Pool, app: &Arc<App>, timeouts: &Timeouts, until: Instant) -> bool {
    let (entry, probe) = pool.own(app, |own| {
        let probe = own.gate.is_none();
        let gate = own.gate.get_or_insert_with(|| Gate { entry: Arc::new(Semaphore::new(0)), waiting: 0, shut: true });
        gate.waiting += 1;
        gate.shut = true;
        (Arc::clone(&gate.entry), probe)
    });
    let _waiting = Waiting { pool, app };
    if probe {
        tokio::spawn(probe_until_empty(pool.clone(), Arc::clone(app), timeouts.clone()));
    }
    match tokio::time::timeout_at(until, entry.acquire()).await {
        Ok(Ok(entered)) => {
            entered.forget();
            true
        }
        _ => false,
    }
}

async fn probe_until_empty(pool: Pool, app: Arc<App>, timeouts: Timeouts) {
    tracing::warn!(app = %app.upstreams[0].address, "the app accepts no connections: its requests are held");
    let since = Instant::now();
    let mut batch = FIRST;
    loop {
        tokio::time::sleep(EVERY).await;
        let empty = pool.own(&app, |own| own.gate.take_if(|gate| gate.waiting == 0).is_some());
        if empty {
            return tracing::info!(app = %app.upstreams[0].address, seconds = since.elapsed().as_secs_f32(), "none is held any more");
        }
        let connected = probe(&pool, &app, &timeouts).await;
        pool.own(&app, |own| {
            let Some(gate) = &mut own.gate else { return };
            gate.shut = !connected;
            if connected {
                gate.entry.add_permits(batch.min(gate.waiting.saturating_sub(gate.entry.available_permits())));
            }
        });
        batch = if connected { batch.saturating_mul(2) } else { FIRST };
    }
}

/// Tries every upstream once; the connection that comes of it waits in the pool.
async fn probe(pool: &Pool, app: &Arc<App>, timeouts: &Timeouts) -> bool {
    let mut connected = false;
    for (n, upstream) in app.upstreams.iter().enumerate() {
        if let Ok(connection) = connect::connect(upstream, app.protocol, timeouts.connect.0.min(WITHIN)).await {
            pool.put(app, n, connection, timeouts.idle_upstream.0);
            connected = true;
        }
    }
    connected
}
