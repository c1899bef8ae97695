//! Requests of which nothing was sent wait at a gate while their app accepts no connections, instead of failing: a restart of
//! the app costs nobody anything. One prober per core and app tries to connect; when it can, it lets the waiting ones in,
//! a few first and then more, so that an app that has just started is not run over: what it can't accept at once the system drops, and the
//! kernel tries again a second later. For a moment after that, whoever needs a new connection waits in line, too: those who have waited for
//! another's answer come all at once.

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
/// For how long after the first try that succeeds new connections are opened in line. By then so many are let in that it is no line any more.
const NARROW: Duration = Duration::from_millis(250);

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

/// What stands before an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It is known to accept no connections.
    Shut,
    /// It accepts them again, and they are opened in line.
    Narrow,
    /// Nothing.
    Open,
}

/// Whether new connections can be opened.
pub(super) fn entry(pool: &Pool, app: &App) -> Entry {
    pool.own(app, |own| match &own.gate {
        Some(gate) if gate.shut => Entry::Shut,
        Some(_) => Entry::Narrow,
        None => Entry::Open,
    })
}

/// Waits until the app accepts connections and it is this one's turn; `false` where that is not before `until`. `refused` says that it was seen to
/// accept none.
pub(super) async fn wait(pool: &Pool, app: &Arc<App>, timeouts: &Timeouts, until: Instant, refused: bool) -> bool {
    let (entry, probe) = pool.own(app, |own| {
        let probe = own.gate.is_none();
        let gate = own.gate.get_or_insert_with(|| Gate { entry: Arc::new(Semaphore::new(0)), waiting: 0, shut: true });
        gate.waiting += 1;
        gate.shut |= refused;
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
    // Since when it has been accepting, without a break.
    let mut open: Option<Instant> = None;
    loop {
        tokio::time::sleep(EVERY).await;
        let narrow = open.is_some_and(|open| open.elapsed() < NARROW);
        let (gone, idle) = pool.own(&app, |own| {
            let gone = own.gate.take_if(|gate| gate.waiting == 0 && !narrow).is_some();
            (gone, own.gate.as_ref().is_some_and(|gate| gate.waiting == 0))
        });
        if gone {
            let seconds = open.map_or_else(|| since.elapsed(), |open| open - since).as_secs_f32();
            return tracing::info!(app = %app.upstreams[0].address, seconds, "none is held any more");
        }
        if idle {
            batch = batch.saturating_mul(2);
            continue;
        }
        let connected = probe(&pool, &app, &timeouts).await;
        open = connected.then(|| open.unwrap_or_else(Instant::now));
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
