//! Listening sockets: one per address and core, all on the same port (SO_REUSEPORT), so that the kernel spreads the
//! connections and no core hands one to another.

mod accept;
mod certificates;
mod framing;
mod guard;
mod handshake;
mod proxied;
mod sockets;
mod tls;

use std::io;

pub(crate) use accept::{Listener, Stream};
pub(crate) use certificates::IdentityError;
pub(crate) use guard::{Guard, Switched};
pub(crate) use handshake::why_no_handshake;
pub(crate) use sockets::{Address, Given, Listening, Name, Opened, open, share};
pub(crate) use tls::Identity;

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", reason(.address, .error))]
pub struct ListenError {
    address: Address,
    error: io::Error,
}

fn reason(address: &Address, error: &io::Error) -> String {
    match (address, error.kind()) {
        (Address::Tcp(_), io::ErrorKind::AddrInUse) => {
            "another program listens there; stop it or choose another port".to_owned()
        }
        (Address::Tcp(_), io::ErrorKind::PermissionDenied) => {
            "the system does not allow it; ports under 1024 need AmbientCapabilities=CAP_NET_BIND_SERVICE".to_owned()
        }
        (Address::Tcp(_), io::ErrorKind::AddrNotAvailable) => {
            "no interface of this machine has that address".to_owned()
        }
        (Address::Unix(_), io::ErrorKind::AddrInUse) => {
            "another program listens there, or the file is no socket; stop it or choose another path".to_owned()
        }
        (Address::Unix(_), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => {
            format!("{error}; its folder must be there and ours: RuntimeDirectory=origin in the unit makes /run/origin")
        }
        _ => error.to_string(),
    }
}
