//! A runtime per core: each accepts, serves and connects upstream by itself, and shares nothing that moves.

use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::Socket;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::gateway::{Core, Gateway};
use crate::listen::{Identity, Listener, Name, Stream};
use crate::metrics::{self, Event};
use crate::upstream::Pool;
use crate::{conversation, redirect, telemetry};

/// How often it is said that no connection can be accepted.
const TELL: Duration = Duration::from_secs(10);

/// What did not end in time, and was cut off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cut {
    /// Connections with requests in flight.
    pub(crate) connections: usize,
    /// Connections that had switched to another protocol.
    pub(crate) upgraded: usize,
}

/// Starts one thread per element of `shares`, which is what it listens on. Each ends when it has drained.
pub(crate) fn start(
    gateway: &Arc<Gateway>,
    identity: Option<&Arc<Identity>>,
    shares: Vec<Vec<(Name, Socket)>>,
) -> std::io::Result<Vec<JoinHandle<Cut>>> {
    let mut threads = Vec::with_capacity(shares.len());
    for (n, own) in shares.into_iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let core = Arc::new(Core {
            gateway: Arc::clone(gateway),
            pool: Pool::default(),
            connections: TaskTracker::new(),
            upgraded: TaskTracker::new(),
        });
        let identity = identity.cloned();
        let run = move || {
            core.gateway.metrics.count_on_this_thread(&core.pool, runtime.metrics());
            let cut = runtime.block_on(serve(core, identity, own));
            // What was cut off is logged, too.
            drop(runtime);
            telemetry::flush();
            cut
        };
        threads.push(thread::Builder::new().name(format!("core-{n}")).spawn(run)?);
    }
    Ok(threads)
}

/// Accepts until the gateway drains, then waits for what is in flight, within the time allowed. What is left is cut off when
/// the runtime ends.
async fn serve(core: Arc<Core>, identity: Option<Arc<Identity>>, own: Vec<(Name, Socket)>) -> Cut {
    let mut accepting = JoinSet::new();
    for (name, socket) in own {
        accepting.spawn(accept(Arc::clone(&core), name, identity.clone(), socket));
    }
    while accepting.join_next().await.is_some() {}
    core.connections.close();
    core.upgraded.close();
    let all = async {
        // In this order: a connection that switches is counted as upgraded before it is done as a connection.
        core.connections.wait().await;
        core.upgraded.wait().await;
    };
    tokio::select! {
        () = all => {}
        () = tokio::time::sleep(core.gateway.config.timeouts.drain.0) => {}
        () = core.gateway.draining.over() => {}
    }
    Cut { connections: core.connections.len(), upgraded: core.upgraded.len() }
}

async fn accept(core: Arc<Core>, name: Name, identity: Option<Arc<Identity>>, socket: Socket) {
    let listener = match Listener::new(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listening socket is lost"),
    };
    let take = |stream: Stream| match core.gateway.connections.enter() {
        Some(place) => {
            let (core, identity) = (Arc::clone(&core), identity.clone());
            let tracker = core.connections.clone();
            match name {
                Name::Redirect => tracker.spawn(redirect::hold(core, identity, stream, place)),
                Name::Https => tracker.spawn(conversation::hold(core, identity, stream, place)),
                _ => tracker.spawn(conversation::hold(core, None, stream, place)),
            };
        }
        None => {
            metrics::event(Event::ConnectionRefused, "connections");
            tracing::debug!(client.address = %stream.peer(), "closed: limits.connections are open");
        }
    };
    let mut drained = pin!(core.gateway.draining.begun());
    let mut told = None;
    loop {
        tokio::select! {
            biased;
            () = &mut drained => break,
            accepted = listener.accept() => match accepted {
                Ok(stream) => take(stream),
                Err(error) => {
                    // Out of descriptors, most likely: waiting is better than spinning, and saying so once in a while is enough.
                    if told.is_none_or(|at: Instant| at.elapsed() > TELL) {
                        told = Some(Instant::now());
                        tracing::warn!(%error, "cannot accept a connection");
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    match listener.close() {
        Ok(waiting) => waiting.into_iter().for_each(take),
        Err(error) => tracing::warn!(%error, "connections that waited to be accepted are lost"),
    }
}
