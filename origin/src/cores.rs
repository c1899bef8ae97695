//! A runtime per core: each accepts, serves and connects upstream by itself, and shares nothing that moves.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::conversation;
use crate::gateway::{Core, Gateway};
use crate::listen::Identity;
use crate::telemetry;
use crate::upstream::Pool;

/// How often it is said that no connection can be accepted.
const TELL: Duration = Duration::from_secs(10);

/// What one core listens on.
pub(crate) struct Listeners {
    pub(crate) https: Vec<TcpListener>,
    pub(crate) http: Vec<TcpListener>,
}

/// Starts one thread per element of `listeners`. Each ends when it has drained.
pub(crate) fn start(
    gateway: &Arc<Gateway>,
    identity: Option<&Arc<Identity>>,
    listeners: Vec<Listeners>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::with_capacity(listeners.len());
    for (n, own) in listeners.into_iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let core = Arc::new(Core { gateway: Arc::clone(gateway), pool: Pool::default() });
        let identity = identity.cloned();
        let run = move || {
            runtime.block_on(serve(core, identity, own));
            // What was cut off is logged, too.
            drop(runtime);
            telemetry::flush();
        };
        threads.push(thread::Builder::new().name(format!("core-{n}")).spawn(run)?);
    }
    Ok(threads)
}

/// Accepts until the gateway drains, then waits for what is in flight, within the time allowed.
async fn serve(core: Arc<Core>, identity: Option<Arc<Identity>>, listeners: Listeners) {
    let mut accepting = JoinSet::new();
    for listener in listeners.https {
        accepting.spawn(accept(Arc::clone(&core), identity.clone(), listener));
    }
    for listener in listeners.http {
        accepting.spawn(accept(Arc::clone(&core), None, listener));
    }
    while accepting.join_next().await.is_some() {}
}

async fn accept(core: Arc<Core>, identity: Option<Arc<Identity>>, listener: TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listening socket is lost"),
    };
    let mut draining = core.gateway.draining.clone();
    let mut connections = JoinSet::new();
    let mut told = None;
    loop {
        let (stream, address) = tokio::select! {
            biased;
            () = conversation::draining(&mut draining) => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: waiting is better than spinning, and saying so once in a while is enough.
                    if told.is_none_or(|at: Instant| at.elapsed() > TELL) {
                        told = Some(Instant::now());
                        tracing::warn!(%error, "cannot accept a connection");
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        while connections.try_join_next().is_some() {}
        let Some(place) = core.gateway.connections.enter() else {
            tracing::debug!(client.address = %address.ip(), "closed: limits.connections are open");
            continue;
        };
        connections.spawn(conversation::hold(Arc::clone(&core), identity.clone(), stream, address, place));
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(core.gateway.config.timeouts.drain.0, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "cut off: they did not end within timeouts.drain");
    }
}
