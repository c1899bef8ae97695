//! Asks the app whether a name is one of its creators': `GET URL?domain=NAME`, where 200 means yes.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long the app may take.
const WITHIN: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// 200.
    Yes,
    /// Any other answer of the app's.
    No,
    /// No answer, or 5xx: it is asked again soon.
    None,
}

/// Asks `url`, which is checked: `http`, with a host.
pub(super) async fn ask(url: &Uri, name: &str) -> Answer {
    // Without its path and query, in which a secret may stand.
    let app = url.authority().map_or("", |a| a.as_str());
    match tokio::time::timeout(WITHIN, get(url, name)).await {
        Ok(Ok(StatusCode::OK)) => Answer::Yes,
        Ok(Ok(status)) if !status.is_server_error() => Answer::No,
        Ok(Ok(status)) => {
            tracing::warn!(app, name, %status, "the app can't say whether the name is a creator's");
            Answer::None
        }
        Ok(Err(error)) => {
            tracing::warn!(app, name, %error, "the app can't be asked whether the name is a creator's");
            Answer::None
        }
        Err(_) => {
            tracing::warn!(app, name, within = ?WITHIN, "the app does not say whether the name is a creator's");
            Answer::None
        }
    }
}

async fn get(url: &Uri, name: &str) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let authority = url.authority().ok_or("no host in acme_ask")?;
    // Brackets are for URLs only.
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    // The name is checked: letters, digits, dashes and dots.
    let join = if url.query().is_some() { '&' } else { '?' };
    let target = url.path_and_query().map_or("/", |p| p.as_str());
    *request.uri_mut() = format!("{target}{join}domain={name}").parse()?;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(authority.as_str())?);
    headers.insert(USER_AGENT, HeaderValue::from_static("origin-acme"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(sender.send_request(request).await?.status())
}
