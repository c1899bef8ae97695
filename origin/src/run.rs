//! The order of events: listen ▸ serve ▸ wait for a signal, or for a new process to take over ▸ drain.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fs, io, process};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::acme::{Acme, AcmeError};
use crate::config::{Config, changes};
use crate::cores::{self, Cut};
use crate::drain::{Drain, Phase};
use crate::gateway::Gateway;
use crate::handover::{self, Inheritance, Successor};
use crate::listen::{self, Identity, Listening, Name, Opened};
use crate::metrics::Isolates;
use crate::orders::{self, Orders};
use crate::{admin, expiry, service_manager, telemetry, upstream};

/// For what health has seen last to be kept, once everything has drained.
const LAST_WORDS: Duration = Duration::from_secs(5);

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

/// Serves until SIGTERM, SIGINT, or until a new process that SIGHUP has called for serves in our place; then drains. The control
/// plane runs on this thread.
///
/// `file` is where `config` is from, `inheritance` what we were started with.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn run(config: Config, file: &Path, inheritance: &mut Inheritance) -> Result<(), RunError> {
    let text = read(file);
    let (acme, wishes) = Acme::open(&config)?.unzip();
    let identity = Identity::load(&config, acme.clone())?.map(Arc::new);
    let cores = config.listen.cores;
    let Opened { all: sockets, unwanted } = listen::open(&config, inheritance.sockets())?;
    let shares = listen::share(&sockets, cores)?;

    let _flush = telemetry::start()?;
    let drain_within = config.timeouts.drain.0;
    let (drain, draining) = Drain::new(drain_within);
    let gateway = Gateway::new(config, draining);
    let threads = cores::start(&gateway, identity.as_ref(), shares)?;
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cut = control.block_on(async {
        let (mut hangup, mut stop) = (signal(SignalKind::hangup())?, Stop::new()?);
        let watched = gateway.health.watch(&gateway.draining, identity.as_ref());
        let traces = gateway.traces.clone();
        let exported = traces.clone().map(|traces| tokio::spawn(traces.run()));
        if let Some(identity) = &identity {
            tokio::spawn(Arc::clone(identity).watch());
            tokio::spawn(expiry::watch(Arc::clone(identity), Arc::clone(&gateway)));
        }
        if let (Some(acme), Some(wishes)) = (acme, wishes) {
            tokio::spawn(acme.run(wishes));
        }
        upstream::watch(&gateway.apps);
        tokio::spawn(Orders::watch(Arc::clone(&gateway)));
        tokio::spawn(orders::follow(Arc::clone(&gateway)));
        tokio::spawn(Isolates::watch(Arc::clone(&gateway)));
        tokio::spawn(telemetry::watch());
        let (admin, leave) = serve_admin(&gateway, &sockets)?;
        let public = sockets.iter().filter(|l| l.name != Name::Admin).map(ToString::to_string);
        let addresses = public.collect::<Vec<_>>().join(" ");
        tracing::info!(addresses, admin, cores, sites = gateway.sites.all().len(), pid = process::id(), "serving");
        if !unwanted.is_empty() {
            tracing::warn!(addresses = unwanted.join(" "), "closed: given to us, and not in the configuration");
        }
        // The old process first: it names us to the service manager, which may believe its main process alone.
        inheritance.ready().await;
        service_manager::serving(&format!("serving {addresses}"));

        let mut successor = until_told(file, &text, &sockets, &mut hangup, &mut stop).await;
        // Ours would keep an address open on which nobody accepts.
        drop(sockets);
        tracing::info!(within = ?drain_within, "draining");
        drain.send_replace(Phase::Draining);
        // Without a successor the private listener answers until the last core is done.
        match successor {
            Some(_) => drop(leave),
            None => service_manager::stopping(),
        }
        let cut = drained(threads, &drain, &mut successor, &mut stop).await;
        // What has been seen is on disk before we go.
        let _ = tokio::time::timeout(LAST_WORDS, watched).await;
        let _ = tokio::time::timeout(LAST_WORDS, Isolates::keep(&gateway)).await;
        if let (Some(traces), Some(exported)) = (traces, exported) {
            traces.over();
            let _ = tokio::time::timeout(LAST_WORDS, exported).await;
        }
        cut
    })?;
    telemetry::flush();
    let connections: usize = cut.iter().map(|c| c.connections).sum();
    let upgraded: usize = cut.iter().map(|c| c.upgraded).sum();
    if connections + upgraded == 0 {
        tracing::info!("stopped");
    } else {
        tracing::warn!(
            cut.connections = connections,
            cut.upgraded = upgraded,
            "stopped; what had not ended is cut off"
        );
    }
    Ok(())
}

/// Serves the private listener, if there is one, until the second value is dropped; the first says where.
fn serve_admin(gateway: &Arc<Gateway>, sockets: &[Listening]) -> io::Result<(String, oneshot::Sender<()>)> {
    let (leave, left) = oneshot::channel::<()>();
    let Some(private) = sockets.iter().find(|l| l.name == Name::Admin) else { return Ok((String::new(), leave)) };
    admin::serve(private, gateway, async { drop(left.await) })?;
    Ok((private.to_string(), leave))
}

/// Waits until every core has drained. They are hurried where we are told to stop again, and where nobody has taken over after
/// all.
async fn drained(
    threads: Vec<JoinHandle<Cut>>,
    drain: &watch::Sender<Phase>,
    successor: &mut Option<Successor>,
    stop: &mut Stop,
) -> io::Result<Vec<Cut>> {
    let successor_ended = async {
        match successor {
            Some(successor) => successor.ended().await,
            None => std::future::pending().await,
        }
    };
    let join = move || threads.into_iter().filter_map(|thread| thread.join().ok()).collect();
    let mut joined = tokio::task::spawn_blocking(join);
    tokio::select! {
        cut = &mut joined => return Ok(cut?),
        () = stop.asked() => tracing::info!("told to stop again"),
        // Nobody listens any more, and as long as we live the service manager does not hear of it.
        how = successor_ended => tracing::error!(how, "the new process has ended; so does this one"),
    }
    drain.send_replace(Phase::Ending);
    Ok(joined.await?)
}

/// Waits until the gateway is to stop, or until a new process serves in its place, which it gives.
async fn until_told(
    file: &Path,
    text: &str,
    sockets: &[Listening],
    hangup: &mut Signal,
    stop: &mut Stop,
) -> Option<Successor> {
    loop {
        tokio::select! {
            () = stop.asked() => return None,
            _ = hangup.recv() => {}
        }
        tracing::info!("reloading: a new process is started");
        service_manager::reloading();
        let changed = changes(text, &read(file)).join("; ");
        let started = tokio::select! {
            biased;
            started = handover::start(sockets) => started,
            () = stop.asked() => return None,
        };
        match started {
            Ok(successor) => {
                tracing::info!(successor = successor.pid(), changed, "reloaded: a new process serves");
                return Some(successor);
            }
            Err(reason) => {
                tracing::error!(reason, changed, "the reload has failed; this process goes on as it was");
                service_manager::serving(&format!("serving; the reload has failed: {}", reason.replace('\n', " ")));
            }
        }
    }
}

/// The configuration's text, to compare it. Whether it is right, whoever serves by it finds out.
fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// The signals that end us.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Ends when one has come.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
