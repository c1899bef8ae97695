//! Content codings for clients that come to us without Cloudflare, which codes for its own (RFC 9110 section 8.4). Off unless
//! `[compress]` is there.

use std::convert::Infallible;

use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tower::ServiceExt as _;
use tower_http::CompressionLevel;
use tower_http::compression::{Compression, Predicate};

use crate::body::Body;
use crate::config::Compress;

/// How hard to try, of what a coding offers: beyond it, time grows faster than what is saved.
const LEVEL: CompressionLevel = CompressionLevel::Precise(4);

/// Which answers are coded.
#[derive(Clone, Copy)]
struct Worth {
    /// Bytes of a body, where its length is known, from which on it is.
    least: u64,
}

impl Predicate for Worth {
    fn should_compress<B: http_body::Body>(&self, answer: &Response<B>) -> bool {
        let headers = answer.headers();
        let whole = answer.status().is_success() && answer.status() != StatusCode::NO_CONTENT
            || answer.status().is_client_error()
            || answer.status().is_server_error();
        let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
        whole
            && length.or(answer.body().size_hint().exact()).is_none_or(|length: u64| length >= self.least)
            && headers.get(CONTENT_TYPE).is_some_and(is_text_like)
            && !says_no_transform(headers)
    }
}

/// Whether content of this type gets much smaller. Event streams would wait in the coder.
fn is_text_like(content_type: &HeaderValue) -> bool {
    let Ok(content_type) = content_type.to_str() else { return false };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.split_once('/') {
        Some(("text", "event-stream")) => false,
        Some(("text", _)) => true,
        Some(("application", sub)) => {
            matches!(sub, "javascript" | "json" | "manifest+json" | "wasm" | "xml" | "x-ndjson" | "vnd.ms-fontobject")
                || sub.ends_with("+json")
                || sub.ends_with("+xml")
        }
        Some(("image", sub)) => matches!(sub, "svg+xml" | "bmp" | "x-icon" | "vnd.microsoft.icon"),
        Some(("font", sub)) => matches!(sub, "ttf" | "otf" | "collection"),
        _ => false,
    }
}

/// RFC 9111 section 5.2.2.6: nobody on the way may change the content.
fn says_no_transform(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(cache::fields::list_members).any(|member| member.eq_ignore_ascii_case("no-transform"))
}

/// What a client takes: its Accept-Encoding.
pub(crate) fn wish(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut wishes = headers.get_all(ACCEPT_ENCODING).iter();
    match (wishes.next(), wishes.next()) {
        (Some(wish), None) => Some(wish.clone()),
        // Several lines are one list. Rare enough to go without.
        _ => None,
    }
}

/// The answer, in a coding that the client takes where it is worth it. `Vary` says so either way.
pub(crate) async fn answer(settings: &Compress, wish: Option<HeaderValue>, answer: Response<Body>) -> Response<Body> {
    let worth = Worth { least: settings.least.0 };
    if !worth.should_compress(&answer) {
        return answer;
    }
    let mut request = Request::new(answer);
    if let Some(wish) = wish {
        request.headers_mut().insert(ACCEPT_ENCODING, wish);
    }
    let service =
        tower::service_fn(|request: Request<Response<Body>>| async { Ok::<_, Infallible>(request.into_body()) });
    let coded = Compression::new(service).quality(LEVEL).compress_when(worth).oneshot(request).await;
    let Ok(mut coded) = coded;
    if coded.headers().contains_key(http::header::CONTENT_ENCODING) {
        weaken(coded.headers_mut());
        return coded.map(|body| Body::own(axum::body::Body::new(body)));
    }
    coded.map(|body| body.into_inner())
}

/// A strong validator stands for the bytes, which are others now (RFC 9110 section 8.8.3.3).
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")) else { return };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        headers.insert(ETAG, weak);
    }
}

#[cfg(test)]
mod tests {
    use super::{answer, is_text_like};
    use crate::body::Body;
    use crate::config::{Compress, Size};
    use http::{HeaderValue, Response};

    /// The coding, Vary and ETag of an answer with these fields.
    async fn coded(wish: &str, fields: &[(&'static str, &'static str)], length: usize) -> [Option<String>; 3] {
        let mut response = Response::new(Body::full("a".repeat(length)));
        for (name, value) in fields {
            response.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        let settings = Compress { least: Size(1024) };
        let wish = HeaderValue::from_str(wish).expect("a value");
        let response = answer(&settings, Some(wish), response).await;
        ["content-encoding", "vary", "etag"]
            .map(|name| response.headers().get(name).map(|v| v.to_str().expect("text").to_owned()))
    }

    #[tokio::test]
    async fn what_is_coded_and_how() {
        const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
        let vary = || Some("accept-encoding".to_owned());
        let said = |coding: &str| Some(coding.to_owned());
        for (wish, coding) in [
            ("gzip", said("gzip")),
            ("gzip, br", said("br")),
            ("gzip, deflate, br, zstd", said("zstd")),
            ("br;q=0.5, gzip", said("gzip")),
            ("br;q=0, zstd;q=0, gzip;q=0", None),
            ("identity", None),
            ("", None),
        ] {
            assert_eq!(coded(wish, &[HTML], 2000).await, [coding, vary(), None], "{wish}");
        }
        let plain = [None, None, None];
        assert_eq!(coded("gzip", &[HTML], 1000).await, plain, "too short");
        assert_eq!(coded("gzip", &[("content-type", "image/png")], 2000).await, plain);
        assert_eq!(coded("gzip", &[HTML, ("cache-control", "public, no-transform")], 2000).await, plain);
        let done = [said("br"), None, None];
        assert_eq!(coded("gzip", &[HTML, ("content-encoding", "br")], 2000).await, done, "it is coded already");
        let tagged = [said("gzip"), vary(), said("W/\"a\"")];
        assert_eq!(coded("gzip", &[HTML, ("etag", "\"a\"")], 2000).await, tagged);
    }

    #[test]
    fn what_gets_smaller() {
        for (content_type, smaller) in [
            ("text/css", true),
            ("TEXT/HTML;charset=utf-8", true),
            ("application/problem+json", true),
            ("image/svg+xml", true),
            ("text/event-stream", false),
            ("application/octet-stream", false),
            ("font/woff2", false),
            ("video/mp4", false),
        ] {
            assert_eq!(is_text_like(&HeaderValue::from_static(content_type)), smaller, "{content_type}");
        }
    }
}
