//! Listening sockets: one per address and core, all on the same port (SO_REUSEPORT), so that the kernel spreads the
//! connections and no core hands one to another.

mod certificates;
mod framing;
mod guard;
mod handshake;
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

pub(crate) use certificates::IdentityError;
pub(crate) use guard::{Guard, Switched};
pub(crate) use handshake::why_no_handshake;
pub(crate) use tls::Identity;

/// Connections that may wait to be accepted, per socket.
const BACKLOG: i32 = 1024;

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(.error))]
pub struct ListenError {
    address: String,
    error: io::Error,
}

impl ListenError {
    pub(crate) fn new(address: impl ToString, error: io::Error) -> Self {
        Self { address: address.to_string(), error }
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there; stop it or choose another port".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "the system does not allow it; ports under 1024 need AmbientCapabilities=CAP_NET_BIND_SERVICE".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address".to_owned(),
        io::ErrorKind::AlreadyExists => "there is something of that name that is no socket".to_owned(),
        _ => error.to_string(),
    }
}

/// Binds one socket per core to an address. Port 0 takes a free one, the same for all.
pub(crate) fn bind(address: SocketAddr, cores: usize) -> Result<(SocketAddr, Vec<TcpListener>), ListenError> {
    let failed = |error| ListenError::new(address, error);
    // Sockets that share a port hide that another program has it, so the first is bound without sharing, to find out.
    if address.port() != 0 {
        drop(socket(address, false).map_err(failed)?);
    }
    let first = socket(address, true).map_err(failed)?;
    let bound = first.local_addr().map_err(failed)?;
    let mut sockets = vec![first];
    for _ in 1..cores {
        sockets.push(socket(bound, true).map_err(failed)?);
    }
    Ok((bound, sockets))
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // `[::]` means both families.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
