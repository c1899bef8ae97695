//! A runtime per core: each accepts, serves and connects upstream by itself, and shares nothing that moves.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::task::JoinSet;

use crate::acme::Acme;
use crate::gateway::{Core, Gateway};
use crate::listen::Identity;
use crate::telemetry;
use crate::upstream::Pool;
use crate::{conversation, redirect};

/// What one core listens on.
#[derive(Default)]
pub(crate) struct Listeners {
    pub(crate) https: Vec<TcpListener>,
    pub(crate) http: Vec<TcpListener>,
    pub(crate) redirect: Vec<TcpListener>,
}

/// What a socket's clients find behind it.
#[derive(Clone)]
enum Door {
    Https(Option<Arc<Identity>>),
    Http,
    Redirect(Option<Arc<Acme>>),
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
        accepting.spawn(accept(Arc::clone(&core), Door::Https(identity.clone()), listener));
    }
    for listener in listeners.http {
        accepting.spawn(accept(Arc::clone(&core), Door::Http, listener));
    }
    let acme = identity.as_ref().and_then(|identity| identity.acme());
    for listener in listeners.redirect {
        accepting.spawn(accept(Arc::clone(&core), Door::Redirect(acme.cloned()), listener));
    }
    while accepting.join_next().await.is_some() {}
}

async fn accept(core: Arc<Core>, door: Door, listener: TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listening socket is lost"),
    };
    let mut draining = core.gateway.draining.clone();
    let mut connections = JoinSet::new();
    loop {
        let (stream, address) = tokio::select! {
            biased;
            () = conversation::draining(&mut draining) => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: waiting is better than spinning.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        while connections.try_join_next().is_some() {}
        let Some(place) = core.gateway.connections.enter() else {
            tracing::debug!(client.address = %address.ip(), "closed: limits.connections are open");
            continue;
        };
        let core = Arc::clone(&core);
        match door.clone() {
            Door::Https(identity) => connections.spawn(conversation::hold(core, identity, stream, address, place)),
            Door::Http => connections.spawn(conversation::hold(core, None, stream, address, place)),
            Door::Redirect(acme) => connections.spawn(redirect::hold(core, acme, stream, address, place)),
        };
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(core.gateway.config.timeouts.drain.0, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "cut off: they did not end within timeouts.drain");
    }
}
