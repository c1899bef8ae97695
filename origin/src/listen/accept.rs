//! Accepting connections, over TCP and Unix sockets alike.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use rustix::net::{RecvFlags, recv};
use socket2::{Domain, Socket};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::proxied;

/// A listening socket, in a core's runtime.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection from downstream.
pub(crate) enum Stream {
    /// With whom we talk to; once a balancer has said it, its client.
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    pub(crate) fn new(socket: Socket) -> io::Result<Self> {
        // One that the system has bound for us may block.
        socket.set_nonblocking(true)?;
        Ok(match socket.domain()? {
            Domain::UNIX => Self::Unix(UnixListener::from_std(socket.into())?),
            _ => Self::Tcp(TcpListener::from_std(socket.into())?),
        })
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Stream::Tcp(stream, address)
            }
            Self::Unix(listener) => Stream::Unix(listener.accept().await?.0),
        })
    }

    /// Closes it, and gives those that wait in its queue: closing would reset them.
    pub(crate) fn close(self) -> io::Result<Vec<Stream>> {
        let mut waiting = Vec::new();
        // Asked of the system itself: the runtime may not know of the newest yet.
        match self {
            Self::Tcp(listener) => {
                let listener = listener.into_std()?;
                while let Ok((stream, address)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    waiting.push(Stream::Tcp(TcpStream::from_std(stream)?, address));
                }
            }
            Self::Unix(listener) => {
                let listener = listener.into_std()?;
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    waiting.push(Stream::Unix(UnixStream::from_std(stream)?));
                }
            }
        }
        Ok(waiting)
    }
}

impl Stream {
    /// Whom we talk to. What comes over a Unix socket is from this machine, as what comes over loopback is.
    pub(crate) fn peer(&self) -> IpAddr {
        match self {
            Self::Tcp(_, address) => address.ip().to_canonical(),
            Self::Unix(_) => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// Whether one of these passes it on, and says first for whom.
    pub(crate) fn is_passed_on_by(&self, balancers: &[IpNet]) -> bool {
        matches!(self, Self::Tcp(..)) && balancers.iter().any(|net| net.contains(&self.peer()))
    }

    /// Has the balancer say whose connection it is, within this time: from then on that is its peer.
    pub(crate) async fn introduce(&mut self, within: Duration) -> io::Result<()> {
        if let Self::Tcp(stream, address) = self {
            let said = async {
                let mut ahead = [0; proxied::LONGEST_TEXT];
                let seen = stream.peek(&mut ahead).await?;
                proxied::read(stream, ahead.get(..seen).unwrap_or_default()).await
            };
            let said = tokio::time::timeout(within, said).await;
            if let Some(client) = said.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
                address.set_ip(client);
            }
        }
        Ok(())
    }

    /// Takes what a balancer says of a client where it says anything, as some do with their health checks and others do not.
    pub(crate) async fn take_introduction(&mut self, within: Duration) -> io::Result<()> {
        let mut first = [0; 12];
        let begins = async {
            loop {
                let n = self.peek(&mut first).await?;
                match proxied::begins(first.get(..n).unwrap_or_default()) {
                    Some(begins) => return Ok::<_, io::Error>(begins),
                    None if n == 0 => return Ok(false),
                    // The rest is on its way.
                    None => tokio::time::sleep(Duration::from_millis(2)).await,
                }
            }
        };
        let begins = tokio::time::timeout(within, begins).await.map_err(|_| io::ErrorKind::TimedOut)??;
        if begins { self.introduce(within).await } else { Ok(()) }
    }

    /// Looks at the first bytes, which stay where they are.
    pub(crate) async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream, _) => stream.peek(bytes).await,
            Self::Unix(stream) => {
                let look = || Ok(recv(stream, &mut *bytes, RecvFlags::PEEK)?.1);
                stream.async_io(Interest::READABLE, look).await
            }
        }
    }
}
