//! WebSockets over HTTP/2 (RFC 8441): an extended CONNECT becomes the upgrade of HTTP/1.1 that the app knows, and the app's answer
//! becomes the one that HTTP/2 has for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;

/// Rewrites an extended CONNECT for a WebSocket; `false` for everything else, which stays as it is.
pub(crate) fn from_http2<B>(request: &mut Request<B>) -> bool {
    let wanted = request.extensions().get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    if !wanted || *request.method() != Method::CONNECT {
        return false;
    }
    *request.method_mut() = Method::GET;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    // Over HTTP/2 there is none; HTTP/1.1 wants 16 random bytes (RFC 6455 section 4.1).
    if let Ok(key) = HeaderValue::try_from(STANDARD.encode(rand::random::<[u8; 16]>())) {
        headers.insert(SEC_WEBSOCKET_KEY, key);
    }
    true
}

/// The app's answer to a request that [`from_http2`] has rewritten.
pub(crate) fn to_http2<B>(response: &mut Response<B>) {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        *response.status_mut() = StatusCode::OK;
    }
    for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
        response.headers_mut().remove(name);
    }
}
