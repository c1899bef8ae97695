//! What stands behind a Worker while it is measured, in this process, whose CPU is not counted: a next hop that speaks as the gateway
//! does, and what the runtime's Cache API asks. Both are as small as they can be, and the same for every Worker.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use contract::news::{self, News};
use contract::signature::{Keys, Message, Window};
use contract::{EdgeFacts, header};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The head of the last request that came, for who checks what a Worker sends.
pub(crate) type Seen = Arc<Mutex<HeaderMap>>;

/// Starts a next hop: `/bytes/N` is so many bytes, which may be stored for an hour where there is a query. With `keys` it answers 403
/// to what is not signed as our edge signs.
pub(crate) async fn next_hop(keys: Option<Arc<Keys>>) -> Result<(SocketAddr, Seen), String> {
    let seen = Seen::default();
    let told = Arc::clone(&seen);
    let address = listen(move |request| {
        let (keys, told) = (keys.clone(), Arc::clone(&told));
        async move {
            let signed = keys.is_none_or(|keys| is_signed(&request, &keys));
            let answer = bytes(&request, signed);
            *told.lock().unwrap_or_else(PoisonError::into_inner) = request.into_parts().0.headers;
            answer
        }
    })
    .await?;
    Ok((address, seen))
}

fn bytes(request: &Request<Incoming>, signed: bool) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let length = path.strip_prefix("/bytes/").and_then(|n| n.parse::<usize>().ok());
    let (status, body) = match length {
        _ if !signed => (403, Bytes::new()),
        Some(length) => (200, Bytes::from(vec![b'x'; length])),
        None if path == news::PATH => {
            (200, News { sequence: 1, purges: Vec::new(), standing: None }.to_string().into())
        }
        None => (404, Bytes::new()),
    };
    let control = if request.uri().query().is_some() { "public, max-age=3600" } else { "private, no-store" };
    let made = Response::builder()
        .status(status)
        .header("content-type", "text/html; charset=utf-8")
        .header("cache-control", control)
        .header("etag", "\"5f3759df\"")
        .header("x-content-type-options", "nosniff")
        .header("referrer-policy", "strict-origin-when-cross-origin")
        .header(header::GATEWAY, "1")
        .header(header::PURGE_SEQUENCE, "1")
        .body(Full::new(body));
    made.unwrap_or_default()
}

fn is_signed(request: &Request<Incoming>, keys: &Keys) -> bool {
    let field = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (authority, facts) = (field("host"), field(header::EDGE_FACTS));
    let message = Message {
        method: request.method().as_str(),
        authority,
        path: request.uri().path(),
        query: request.uri().query(),
        facts,
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let (input, signature) = (field(header::SIGNATURE_INPUT), field(header::SIGNATURE));
    keys.verify(&message, input, signature, now, &Window::default()).is_ok() && EdgeFacts::parse(facts).is_ok()
}

/// Starts what the runtime's Cache API asks: GET is `match`, PUT is `put`, with the answer to be stored as its body, as it would come over
/// the wire.
pub(crate) async fn cache() -> Result<SocketAddr, String> {
    let stored: Arc<Mutex<HashMap<String, (HeaderMap, Bytes)>>> = Arc::default();
    listen(move |request| {
        let stored = Arc::clone(&stored);
        async move {
            let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
            let key = format!("{host}{}", request.uri());
            if request.method() == "PUT" {
                let sent = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
                let parsed = sent.ok().and_then(|sent| parse(&sent));
                let status = if parsed.is_some() { 204 } else { 413 };
                stored.lock().unwrap_or_else(PoisonError::into_inner).extend(parsed.map(|answer| (key, answer)));
                return Response::builder().status(status).body(Full::default()).unwrap_or_default();
            }
            let found = stored.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
            let (status, word) = if found.is_some() { (200, "HIT") } else { (504, "MISS") };
            let (headers, body) = found.unwrap_or_default();
            let mut answer = Response::new(Full::new(body));
            *answer.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
            *answer.headers_mut() = headers;
            answer.headers_mut().insert("cf-cache-status", HeaderValue::from_static(word));
            answer
        }
    })
    .await
}

/// Head and body of an answer as it comes over the wire, with the length or in chunks.
fn parse(sent: &[u8]) -> Option<(HeaderMap, Bytes)> {
    let end = sent.windows(4).position(|four| four == b"\r\n\r\n")?;
    let mut headers = HeaderMap::new();
    for line in std::str::from_utf8(&sent[..end]).ok()?.split("\r\n").skip(1) {
        let (name, value) = line.split_once(':')?;
        headers.append(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value.trim()).ok()?);
    }
    let mut body = sent[end + 4..].to_vec();
    if headers.remove("transfer-encoding").is_some() {
        let mut rest = std::mem::take(&mut body);
        loop {
            let line = rest.windows(2).position(|two| two == b"\r\n")?;
            let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?.trim(), 16).ok()?;
            if length == 0 {
                break;
            }
            body.extend_from_slice(rest.get(line + 2..line + 2 + length)?);
            rest.drain(..line + 4 + length);
        }
    }
    headers.remove("content-length");
    Some((headers, body.into()))
}

/// Serves HTTP/1.1 on loopback until this process ends.
async fn listen<F, A>(answer: F) -> Result<SocketAddr, String>
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|e| format!("a port behind the Worker: {e}"))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            // Nagle's wait would be the Worker's.
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answered = answer(request);
                    async move { Ok::<_, Infallible>(answered.await) }
                });
                // A connection that the Worker closes is no error.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}
