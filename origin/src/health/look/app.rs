//! The app: whether one of its upstreams accepts connections and, where a path is asked for, answers as it should.

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::{Found, More};
use crate::config::{App, AppAddress, Protocol};
use crate::health::level::Level;

/// Bytes of an answer at most.
const LARGEST: usize = 256 << 10;
/// Services of an app's answer that are taken.
const SERVICES: usize = 32;

/// One of the upstreams that does what it should is enough.
pub(super) async fn look(
    app: &App,
    host: &str,
    path: Option<&str>,
    expect: Option<u16>,
    health: bool,
) -> Result<Found, String> {
    let mut why = "it has no upstream".to_owned();
    for upstream in &app.upstreams {
        let answer = match ask(&upstream.address, app.protocol, host, path).await {
            Ok(answer) => answer,
            Err(error) => {
                why = format!("{}: {error}", upstream.address);
                continue;
            }
        };
        let Some(answer) = answer else { return Ok(Found::good("accepts connections")) };
        if health {
            return Ok(read(&answer));
        }
        let status = answer.status();
        if super::http::is_expected(status, expect) {
            return Ok(Found::good(format!("answers {}", status.as_u16())));
        }
        why = format!("{}: answers {}", upstream.address, status.as_u16());
    }
    Err(why)
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// `None` where nothing is asked for.
async fn ask(
    address: &AppAddress,
    protocol: Protocol,
    host: &str,
    path: Option<&str>,
) -> Result<Option<Response<Bytes>>, Error> {
    match address {
        AppAddress::Tcp(address) => say(TcpStream::connect(address).await?, protocol, host, path).await,
        AppAddress::Name(name, port) => {
            say(TcpStream::connect((name.as_str(), *port)).await?, protocol, host, path).await
        }
        AppAddress::Unix(path_of_socket) => say(UnixStream::connect(path_of_socket).await?, protocol, host, path).await,
    }
}

async fn say<I>(stream: I, protocol: Protocol, host: &str, path: Option<&str>) -> Result<Option<Response<Bytes>>, Error>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Some(path) = path else { return Ok(None) };
    let mut request = Request::new(Empty::<Bytes>::new());
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static("origin-health"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.1"));
    let response = match protocol {
        Protocol::Http1 => {
            headers.insert(HOST, HeaderValue::from_str(host)?);
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
            *request.uri_mut() = path.parse()?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        }
        Protocol::Http2 => {
            *request.uri_mut() = Uri::builder().scheme("http").authority(host).path_and_query(path).build()?;
            let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        }
    };
    let (parts, body) = response.into_parts();
    // What has no end has answered with its head.
    if parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        return Ok(Some(Response::from_parts(parts, Bytes::new())));
    }
    Ok(Some(Response::from_parts(parts, Limited::new(body, LARGEST).collect().await?.to_bytes())))
}

/// An app's health, of which the words are enough.
#[derive(Deserialize)]
struct Health {
    status: Level,
    #[serde(default)]
    services: Vec<Service>,
}

#[derive(Deserialize)]
struct Service {
    name: String,
    status: Level,
}

/// As the monitor reads it: 5xx with nothing to read is down, and what is not of the shape is degraded.
fn read(answer: &Response<Bytes>) -> Found {
    let status = answer.status();
    let Ok(health) = serde_json::from_slice::<Health>(answer.body()) else {
        let level = if status.is_server_error() { Level::Down } else { Level::Degraded };
        return Found::good(format!("answers {} with what is no health", status.as_u16())).at_least(level);
    };
    let is_name = |name: &str| (1..=60).contains(&name.len()) && !name.chars().any(char::is_control);
    let services = health.services.into_iter().filter(|service| is_name(&service.name)).take(SERVICES);
    let services = services.map(|service| (service.name, service.status)).collect();
    let level = if status == StatusCode::OK { health.status } else { health.status.max(Level::Degraded) };
    Found { more: More::Services(services), ..Found::good(format!("says {}", health.status.as_str())) }.at_least(level)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Response;

    use super::{More, read};
    use crate::health::level::Level;

    fn said(status: u16, body: &'static str) -> super::Found {
        read(&Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).expect("an answer"))
    }

    #[test]
    fn an_app_is_read_as_the_monitor_reads_us() {
        let good = said(200, r#"{"status":"Degraded","services":[{"name":"mail","status":"Issues Detected"}],"x":1}"#);
        assert_eq!(good.level, Level::Degraded);
        assert!(matches!(good.more, More::Services(all) if all == [("mail".to_owned(), Level::Down)]));
        assert_eq!(said(200, "ok").level, Level::Degraded);
        assert_eq!(said(500, "oh").level, Level::Down);
        assert_eq!(said(503, r#"{"status":"Issues Detected"}"#).level, Level::Down);
        assert_eq!(said(404, r#"{"status":"Operational"}"#).level, Level::Degraded);
    }
}
