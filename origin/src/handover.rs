//! One process takes over from another without a moment in which nobody listens.
//!
//! The old process starts the new one as it was started itself and gives it every listening socket, in the way in which systemd
//! does (sd_listen_fds(3)), and one end of a pair of sockets called `starter`. The new one says on it that it serves, or why it does not.
//! Until then the old one serves; if nothing good is said, it goes on doing so. Else it tells the service manager who is the main process now, and
//! then closes its end: nobody but the main process need be believed there.

use std::io::Write as _;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::Duration;
use std::{env, io};

use command_fds::{CommandFdExt as _, FdMapping};
use listenfd::ListenFd;
use socket2::Socket;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::listen::{Given, Listening};
use crate::service_manager;

/// How long a new process may take until it serves.
const WITHIN: Duration = Duration::from_secs(30);
/// How long the old process may take to tell the service manager.
const NAMED_WITHIN: Duration = Duration::from_secs(5);
/// Descriptors that are handed over begin here (sd_listen_fds(3)).
const FIRST: i32 = 3;
/// The name of the line between the two processes, among those of sockets.
const STARTER: &str = "starter";
/// What a process says on it when it serves.
const READY: &str = "ready";
/// The most that is read of what it says instead.
const COMPLAINT: u64 = 64 << 10;

/// What this process was started with: listening sockets, by systemd or by another gateway, and in the latter case a line to it.
#[derive(Debug, Default)]
pub struct Inheritance {
    sockets: Vec<Given>,
    /// It waits for our word.
    starter: Option<UnixStream>,
}

impl Inheritance {
    /// Takes it over. To be called first of all, before any other descriptor is open.
    ///
    /// # Errors
    /// Where a descriptor is no listening socket.
    pub fn take() -> io::Result<Self> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut descriptors = ListenFd::from_env();
        let mut own = Self::default();
        for n in 0..descriptors.len() {
            let name = names.next().unwrap_or_default().to_owned();
            let socket = match descriptors.take_tcp_listener(n) {
                Ok(socket) => socket.map(|s| Socket::from(OwnedFd::from(s))),
                Err(_) => descriptors.take_unix_listener(n)?.map(|s| Socket::from(OwnedFd::from(s))),
            };
            match socket {
                Some(line) if name == STARTER => own.starter = Some(UnixStream::from(OwnedFd::from(line))),
                Some(socket) => own.sockets.push(Given { name, socket }),
                None => {}
            }
        }
        Ok(own)
    }

    pub(crate) fn sockets(&mut self) -> Vec<Given> {
        std::mem::take(&mut self.sockets)
    }

    /// Says that we serve, and waits until the old process has named us to the service manager.
    pub(crate) async fn ready(&mut self) {
        let line = self.starter.as_ref().and_then(|line| line.try_clone().ok());
        self.say(READY);
        let Some(line) = line else { return };
        let closed = async {
            line.shutdown(Shutdown::Write)?;
            line.set_nonblocking(true)?;
            tokio::net::UnixStream::from_std(line)?.read(&mut [0]).await
        };
        // One that hangs is not waited for.
        let _ = tokio::time::timeout(NAMED_WITHIN, closed).await;
    }

    /// Says why we do not.
    pub fn failed(&mut self, why: &str) {
        self.say(why);
    }

    fn say(&mut self, what: &str) {
        // Whoever is gone needs no word.
        if let Some(mut line) = self.starter.take() {
            let _ = line.write_all(what.as_bytes());
        }
    }
}

/// A new process. Until it serves it ends when it is dropped.
pub(crate) struct Successor {
    child: Child,
    serves: bool,
}

impl Successor {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended, and says how.
    pub(crate) async fn ended(&mut self) -> String {
        let Ok(mut children) = signal(SignalKind::child()) else { return std::future::pending().await };
        loop {
            match self.child.try_wait() {
                Ok(None) => children.recv().await,
                Ok(Some(status)) => return status.to_string(),
                Err(error) => return error.to_string(),
            };
        }
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.serves {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Starts a new process with our sockets, and waits until it serves; the error says why it does not.
pub(crate) async fn start(sockets: &[Listening]) -> Result<Successor, String> {
    let (ours, theirs) = UnixStream::pair().map_err(|e| format!("no line to it: {e}"))?;
    let child = spawn(sockets, theirs).map_err(|e| format!("it cannot be started: {e}"))?;
    let mut successor = Successor { child, serves: false };
    let mut said = String::new();
    let mut ours = ours
        .set_nonblocking(true)
        .and_then(|()| tokio::net::UnixStream::from_std(ours))
        .map_err(|e| format!("no line to it: {e}"))?;
    let read = async { (&mut ours).take(COMPLAINT).read_to_string(&mut said).await };
    let Ok(read) = tokio::time::timeout(WITHIN, read).await else {
        return Err(format!("it has said nothing for {} s", WITHIN.as_secs()));
    };
    match (read, said.trim_end()) {
        (Err(error), _) => Err(format!("the line to it broke: {error}")),
        (Ok(_), READY) => {
            successor.serves = true;
            // Before our end is closed, with the function's.
            service_manager::followed_by(successor.pid());
            Ok(successor)
        }
        (Ok(_), "") => {
            let _ = successor.child.kill();
            let how = successor.child.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
            Err(format!("it ended without a word: {how}"))
        }
        (Ok(_), why) => Err(why.to_owned()),
    }
}

/// Starts it by the name by which we were started: after an upgrade that is the new program, while our own file has no name
/// any more.
fn spawn(sockets: &[Listening], line: UnixStream) -> io::Result<Child> {
    let mut arguments = env::args_os();
    let program = arguments.next().ok_or(io::ErrorKind::NotFound)?;
    let (mut names, mut descriptors) = (Vec::new(), Vec::<OwnedFd>::new());
    for listening in sockets {
        for socket in &listening.sockets {
            names.push(listening.name.as_str());
            descriptors.push(socket.try_clone()?.into());
        }
    }
    names.push(STARTER);
    descriptors.push(line.into());
    let mut command = Command::new(program);
    command.args(arguments);
    command.env("LISTEN_FDS", descriptors.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
    // It has no number yet that could be written here; without one, whoever has the descriptors is meant.
    command.env_remove("LISTEN_PID");
    let mappings = (FIRST..).zip(descriptors).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
    command.fd_mappings(mappings.collect()).map_err(io::Error::other)?;
    // The command, and with it our copies of what it hands over, ends here: the line must have one other end only.
    command.spawn()
}
