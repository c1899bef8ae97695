//! Asking the private listener of a gateway that runs, from the command line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::config::{Admin, AdminAddress};

/// How long it may take to answer.
const WITHIN: Duration = Duration::from_secs(60);

/// Sends a request, with JSON where it has any, to a path of the private listener; gives the status and the body of its answer.
///
/// # Errors
/// Why it could not be asked.
pub fn ask(admin: &Admin, method: &Method, path: &str, json: String) -> Result<(u16, String), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let asked = async {
        match &admin.listen {
            AdminAddress::Tcp(address) => {
                let address = reachable(*address);
                let stream = TcpStream::connect(address).await.map_err(|e| format!("{address}: {e}"))?;
                exchange(stream, admin, &address.to_string(), method, path, json).await
            }
            AdminAddress::Unix(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(|e| format!("{}: {e}", socket.display()))?;
                exchange(stream, admin, "localhost", method, path, json).await
            }
        }
    };
    let answered = runtime.block_on(async { tokio::time::timeout(WITHIN, asked).await });
    answered.map_err(|_| format!("no answer within {} s", WITHIN.as_secs()))?
}

/// Where one that listens everywhere is found from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn exchange<I>(
    stream: I,
    admin: &Admin,
    host: &str,
    method: &Method,
    path: &str,
    json: String,
) -> Result<(u16, String), String>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let said = |e: hyper::Error| e.to_string();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(said)?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    request = request.header(HOST, host).header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(token) = &admin.token {
        request = request.header(AUTHORIZATION, token.bearer());
    }
    let request = request.body(Full::new(Bytes::from(json))).map_err(|e| e.to_string())?;
    let answer = sender.send_request(request).await.map_err(said)?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.map_err(said)?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
