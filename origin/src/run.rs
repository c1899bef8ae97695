//! The order of events: bind ▸ serve ▸ wait for a signal ▸ drain.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::acme::{Acme, AcmeError};
use crate::config::Config;
use crate::cores::{self, Listeners};
use crate::gateway::Gateway;
use crate::listen::{self, Identity};
use crate::{admin, expiry, telemetry, upstream};

/// What ends the gateway before it serves.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An address is taken or not ours.
    #[error(transparent)]
    Listen(#[from] listen::ListenError),
    /// The certificate files are not usable.
    #[error(transparent)]
    Identity(#[from] listen::IdentityError),
    /// Certificates on first use can't be had.
    #[error(transparent)]
    Acme(#[from] AcmeError),
    /// The system does not give what is needed.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// Whether the files that `[tls]` names make an identity.
///
/// # Errors
/// Names the key and the file.
pub fn check_identity(config: &Config) -> Result<(), RunError> {
    Identity::load(config, None)?;
    Ok(())
}

/// Serves until SIGTERM or SIGINT, then drains. The control plane runs on this thread.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn run(config: Config) -> Result<(), RunError> {
    let (acme, wishes) = Acme::open(&config)?.unzip();
    let identity = Identity::load(&config, acme.clone())?.map(Arc::new);
    let cores = config.listen.cores;
    let mut own: Vec<Listeners> = (0..cores).map(|_| Listeners::default()).collect();
    let mut addresses = Vec::new();
    let mut bind = |scheme: &'static str, wanted: &[SocketAddr]| -> Result<(), RunError> {
        for address in wanted {
            let (bound, sockets) = listen::bind(*address, cores)?;
            addresses.push(format!("{scheme}://{bound}"));
            for (core, socket) in own.iter_mut().zip(sockets) {
                match scheme {
                    "https" => core.https.push(socket),
                    "http" => core.http.push(socket),
                    _ => core.redirect.push(socket),
                }
            }
        }
        Ok(())
    };
    bind("https", &config.listen.https)?;
    bind("http", &config.listen.http)?;
    bind("redirect", &config.listen.redirect)?;
    let private = match &config.admin {
        Some(admin) => listen::bind(admin.listen, 1)?.1.pop(),
        None => None,
    };

    let _flush = telemetry::start();
    let drain_within = config.timeouts.drain.0;
    let (drain, draining) = watch::channel(false);
    let gateway = Gateway::new(config, draining);
    let threads = cores::start(&gateway, identity.as_ref(), own)?;
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    control.block_on(async {
        tokio::spawn(gateway.health.clone().watch());
        if let Some(identity) = &identity {
            tokio::spawn(Arc::clone(identity).watch());
            tokio::spawn(expiry::watch(Arc::clone(identity), gateway.health.clone()));
        }
        if let (Some(acme), Some(wishes)) = (acme, wishes) {
            tokio::spawn(acme.run(wishes));
        }
        upstream::watch(&gateway.apps);
        let mut admin = String::new();
        if let Some(private) = private {
            let private = tokio::net::TcpListener::from_std(private)?;
            admin = format!("http://{}", private.local_addr()?);
            let routes = admin::router(Arc::clone(&gateway));
            tokio::spawn(async move { axum::serve(private, routes).await });
        }
        tracing::info!(addresses = addresses.join(" "), admin, cores, sites = gateway.sites.all().len(), "serving");
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!(within = ?drain_within, "draining");
        let _ = drain.send(true);
        // The private listener answers until the last core is done.
        tokio::task::spawn_blocking(|| threads.into_iter().for_each(|t| drop(t.join()))).await?;
        tracing::info!("stopped");
        Ok::<_, std::io::Error>(())
    })?;
    telemetry::flush();
    Ok(())
}
