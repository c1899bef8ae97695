//! Which sockets a configuration wants, and where they come from: handed to us by whoever started us, or bound anew.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::ListenError;
use crate::config::{AdminAddress, Config};

/// Connections that may wait to be accepted, per socket.
const BACKLOG: i32 = 1024;

/// What a socket is for. By this name one process hands it to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// TLS.
    Https,
    /// Clear text.
    Http,
    /// Clear text, to be sent to TLS.
    Redirect,
    /// Clear text on a Unix socket.
    Unix,
    /// The private listener.
    Admin,
}

impl Name {
    /// Who may speak to us over a Unix socket: our user and our group, and on the private one our user.
    const fn mode(self) -> u32 {
        match self {
            Self::Admin => 0o600,
            Self::Https | Self::Http | Self::Redirect | Self::Unix => 0o660,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Redirect => "redirect",
            Self::Unix => "unix",
            Self::Admin => "admin",
        }
    }
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl Address {
    fn of(socket: &Socket) -> Option<Self> {
        let address = socket.local_addr().ok()?;
        address.as_socket().map(Self::Tcp).or_else(|| address.as_pathname().map(|path| Self::Unix(path.to_owned())))
    }
}

/// A socket that we were started with.
#[derive(Debug)]
pub(crate) struct Given {
    /// What whoever started us calls it.
    pub(crate) name: String,
    pub(crate) socket: Socket,
}

/// The sockets of one address.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) name: Name,
    pub(crate) address: Address,
    /// One for each core, or any number where they were handed to us: it stays the same as long as somebody listens, because closing
    /// one of several that share an address resets what waits in its queue.
    pub(crate) sockets: Vec<Socket>,
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(address) if self.name == Name::Https => write!(f, "https://{address}"),
            Address::Tcp(address) if self.name == Name::Redirect => write!(f, "redirect://{address}"),
            Address::Tcp(address) => write!(f, "http://{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What listens and what is left.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) all: Vec<Listening>,
    /// Where sockets listened that we were given and the configuration does not name. They are closed.
    pub(crate) unwanted: Vec<String>,
}

/// Opens all that a configuration names. An address at which one of `given` listens is not bound again.
pub(crate) fn open(config: &Config, mut given: Vec<Given>) -> Result<Opened, ListenError> {
    let listen = &config.listen;
    let tcp = |name, addresses: &[SocketAddr], count| -> Vec<(Name, Address, usize)> {
        addresses.iter().map(|address| (name, Address::Tcp(*address), count)).collect()
    };
    let mut wanted = tcp(Name::Https, &listen.https, listen.cores);
    wanted.extend(tcp(Name::Http, &listen.http, listen.cores));
    wanted.extend(tcp(Name::Redirect, &listen.redirect, listen.cores));
    wanted.extend(listen.unix.iter().map(|path| (Name::Unix, Address::Unix(path.clone()), 1)));
    wanted.extend(config.admin.iter().map(|admin| {
        let address = match &admin.listen {
            AdminAddress::Tcp(address) => Address::Tcp(*address),
            AdminAddress::Unix(path) => Address::Unix(path.clone()),
        };
        (Name::Admin, address, 1)
    }));

    let mut all = Vec::with_capacity(wanted.len());
    for (name, address, count) in wanted {
        all.push(match take(&mut given, name, &address) {
            Some(listening) => listening,
            None => bind(name, address.clone(), count).map_err(|error| ListenError { address, error })?,
        });
    }
    let unwanted = given.iter().filter_map(|g| Some(Address::of(&g.socket)?.to_string())).collect();
    Ok(Opened { all, unwanted })
}

/// Takes those that listen at an address. Port 0 stands for any port, and then the name counts.
fn take(given: &mut Vec<Given>, name: Name, wanted: &Address) -> Option<Listening> {
    let fits = |given: &&Given| match (Address::of(&given.socket), wanted) {
        (Some(Address::Tcp(bound)), Address::Tcp(wanted)) if wanted.port() == 0 => {
            given.name == name.as_str() && bound.ip() == wanted.ip()
        }
        (bound, wanted) => bound.as_ref() == Some(wanted),
    };
    let address = Address::of(&given.iter().find(fits)?.socket)?;
    let taken = given.extract_if(.., |g| Address::of(&g.socket).as_ref() == Some(&address));
    Some(Listening { name, sockets: taken.map(|g| g.socket).collect(), address })
}

fn bind(name: Name, address: Address, count: usize) -> io::Result<Listening> {
    let (address, sockets) = match address {
        Address::Tcp(address) => {
            let (bound, sockets) = bind_tcp(address, count)?;
            (Address::Tcp(bound), sockets)
        }
        Address::Unix(path) => {
            let socket = bind_unix(&path, name.mode())?;
            (Address::Unix(path), vec![socket])
        }
    };
    Ok(Listening { name, address, sockets })
}

/// Binds several sockets to an address. Port 0 takes a free one, the same for all.
fn bind_tcp(address: SocketAddr, count: usize) -> io::Result<(SocketAddr, Vec<Socket>)> {
    // Sockets that share a port hide that another program has it, so the first is bound without sharing, to find out.
    if address.port() != 0 {
        drop(tcp(address, false)?);
    }
    let first = tcp(address, true)?;
    let bound = first.local_addr()?.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    for _ in 1..count {
        sockets.push(tcp(bound, true)?);
    }
    Ok((bound, sockets))
}

fn tcp(address: SocketAddr, shared: bool) -> io::Result<Socket> {
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
    Ok(socket)
}

/// Binds a Unix socket. The file that a dead process has left is replaced; one that somebody listens at is not.
fn bind_unix(path: &Path, mode: u32) -> io::Result<Socket> {
    let address = SockAddr::unix(path)?;
    let new = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        Ok::<_, io::Error>(socket)
    };
    if fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        match new()?.connect(&address) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            // It is accepted, or waits in a full queue.
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let socket = new()?;
    socket.bind(&address)?;
    // Before it listens: until then nobody gets in, whatever the file's mode is.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// What each of so many cores accepts from: of more sockets than cores a core takes several, of fewer it has a copy.
pub(crate) fn share(all: &[Listening], cores: usize) -> io::Result<Vec<Vec<(Name, Socket)>>> {
    let mut shares: Vec<Vec<(Name, Socket)>> = (0..cores).map(|_| Vec::new()).collect();
    for listening in all.iter().filter(|l| l.name != Name::Admin) {
        let sockets = listening.sockets.iter().cycle();
        for (n, socket) in sockets.take(listening.sockets.len().max(cores)).enumerate() {
            if let Some(share) = shares.get_mut(n % cores) {
                share.push((listening.name, socket.try_clone()?));
            }
        }
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use super::{Address, Given, Listening, Name, bind_tcp, share, take};

    fn given(name: &str, count: usize) -> (Vec<Given>, Address) {
        let (address, sockets) = bind_tcp("127.0.0.1:0".parse().expect("an address"), count).expect("a port");
        let given = sockets.into_iter().map(|socket| Given { name: name.to_owned(), socket }).collect();
        (given, Address::Tcp(address))
    }

    #[test]
    fn every_core_has_its_share() {
        for (count, cores, each) in [(2, 2, [1, 1].as_slice()), (3, 2, &[2, 1]), (1, 3, &[1, 1, 1]), (2, 3, &[1, 1, 1])]
        {
            let (given, address) = given("", count);
            let sockets = given.into_iter().map(|g| g.socket).collect();
            let all = [Listening { name: Name::Http, address, sockets }];
            let shares = share(&all, cores).expect("descriptors");
            assert_eq!(shares.iter().map(Vec::len).collect::<Vec<_>>(), each, "{count} on {cores}");
        }
    }

    #[test]
    fn sockets_are_known_by_their_address_and_on_any_port_by_their_name() {
        let (mut all, there) = given("whatever", 2);
        let (second, elsewhere) = given("http", 1);
        all.extend(second);
        let any = Address::Tcp("127.0.0.1:0".parse().expect("an address"));
        let other = Address::Tcp("127.0.0.1:1".parse().expect("an address"));
        assert!(take(&mut all, Name::Http, &other).is_none());
        assert!(take(&mut all, Name::Https, &any).is_none(), "none is called so");
        let found = take(&mut all, Name::Http, &any).expect("one is called so");
        assert_eq!((found.address, found.sockets.len()), (elsewhere, 1));
        let found = take(&mut all, Name::Https, &there).expect("its address is known");
        assert_eq!((found.address, found.sockets.len(), all.len()), (there, 2, 0), "all that share a port");
    }
}
