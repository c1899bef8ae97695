//! Where the private listener is, and its connections: few, and none that says nothing.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::router;
use crate::config::AdminAddress;
use crate::gateway::Gateway;
use crate::listen;

/// Connections at once; who comes later waits.
const CONNECTIONS: usize = 64;
/// For a request's head.
const HEAD: Duration = Duration::from_secs(10);

/// The bound private listener.
#[derive(Debug)]
pub enum Listener {
    /// On an address of this machine.
    Tcp(std::net::TcpListener),
    /// On a Unix socket, for who may open its file.
    Unix(net::UnixListener),
}

impl Listener {
    /// Binds it.
    ///
    /// # Errors
    /// Says what is in the way.
    pub fn bind(address: &AdminAddress) -> Result<Self, listen::ListenError> {
        match address {
            AdminAddress::Tcp(address) => {
                let (bound, mut sockets) = listen::bind(*address, 1)?;
                let missing = || listen::ListenError::new(bound, io::ErrorKind::NotFound.into());
                Ok(Self::Tcp(sockets.pop().ok_or_else(missing)?))
            }
            AdminAddress::Unix(path) => {
                let failed = |error| listen::ListenError::new(path.display(), error);
                Ok(Self::Unix(unix(path).map_err(failed)?))
            }
        }
    }

    /// Where it is, as in `http://127.0.0.1:9180` or `unix:/run/origin/admin.sock`.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
                format!("http://{}", listener.local_addr().unwrap_or(unknown))
            }
            Self::Unix(listener) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(net::SocketAddr::as_pathname);
                format!("unix:{}", path.unwrap_or(Path::new("")).display())
            }
        }
    }

    /// Answers for as long as the runtime lives.
    ///
    /// # Errors
    /// Where the runtime does not take the socket.
    pub fn serve(self, gateway: &Arc<Gateway>) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => {
                let routes = router(gateway, false);
                tokio::spawn(accept(tokio::net::TcpListener::from_std(listener)?, routes));
            }
            Self::Unix(listener) => {
                let routes = router(gateway, true);
                tokio::spawn(accept(tokio::net::UnixListener::from_std(listener)?, routes));
            }
        }
        Ok(())
    }
}

/// Binds a Unix socket that only our user may open. A socket of that name is replaced in one step, so that at every moment there
/// is one; anything else of that name is left alone.
fn unix(path: &Path) -> io::Result<net::UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => return Err(io::ErrorKind::AlreadyExists.into()),
        _ => {}
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    let _ = fs::remove_file(&new);
    let listener = net::UnixListener::bind(&new)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(listener)
}

async fn accept<L: axum::serve::Listener>(mut listener: L, routes: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (io, _) = listener.accept().await;
        let routes = routes.clone();
        let service = service_fn(move |request: Request<Incoming>| routes.clone().oneshot(request.map(Body::new)));
        tokio::spawn(async move {
            let _place = place;
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
            // How it ended is the visitor's affair.
            let _ = builder.serve_connection(TokioIo::new(io), service).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::unix;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_socket_is_ours_alone_and_replaces_an_old_one_but_no_file() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("admin.sock");
        let old = unix(&path).expect("bound");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(old);
        let _new = unix(&path).expect("bound again");
        std::os::unix::net::UnixStream::connect(&path).expect("somebody listens");
        let file = folder.path().join("file");
        std::fs::write(&file, "precious").expect("written");
        unix(&file).expect_err("it is no socket");
        assert_eq!(std::fs::read(&file).expect("still there"), b"precious");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing is left behind");
    }
}
