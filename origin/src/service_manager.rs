//! What systemd hears of us (sd_notify(3)), where it is systemd that started us.

use std::process;

use sd_notify::NotifyState;

/// We serve, and are the service's main process.
pub(crate) fn serving(status: &str) {
    say(&[NotifyState::Ready, NotifyState::MainPid(process::id()), NotifyState::Status(status)]);
}

/// A new process is on its way, and we serve.
pub(crate) fn reloading() {
    let mut said = vec![NotifyState::Reloading, NotifyState::Status("starting a new process")];
    // Newer versions want it.
    said.extend(NotifyState::monotonic_usec_now());
    say(&said);
}

/// Another process, which serves, is the service's main process from now on.
pub(crate) fn followed_by(process: u32) {
    say(&[NotifyState::MainPid(process)]);
}

/// We end, and nobody follows.
pub(crate) fn stopping() {
    say(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

fn say(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::warn!(%error, "systemd could not be told how we are");
    }
}
