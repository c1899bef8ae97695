//! Cacheable pages: each rendering is numbered, stamped and tagged, so that a cache hit can be seen by eye and by test.
//!
//! The number and the time are part of the page, so every rendering is another representation with another strong ETag
//! (RFC 9110 section 8.8.3). A request that holds the latest one gets 304 and costs no rendering.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};

use crate::{api, upload::hex};

/// How often this route was rendered, this time included.
pub(crate) const DEMO_RENDER: HeaderName = HeaderName::from_static("demo-render");

const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const PAGE_CACHE_CONTROL: &str = "public, max-age=60, stale-while-revalidate=600, stale-if-error=86400";

/// What a page's footer says of its rendering.
#[derive(Debug, Clone)]
pub(crate) struct Stamp {
    pub(crate) at: String,
    pub(crate) number: u64,
}

/// The latest rendering of each page. Only pages that exist are in it, which bounds it.
#[derive(Debug, Default)]
pub(crate) struct Renders(Mutex<HashMap<String, Latest>>);

#[derive(Debug, Default)]
struct Latest {
    number: u64,
    etag: Option<HeaderValue>,
}

impl Renders {
    /// Answers a page that any cache may keep: 304 where the client holds the latest rendering, else a new one.
    ///
    /// `page` names the representation; `tags` is the Cache-Tag; `vary` the request fields that select it.
    pub(crate) fn answer(
        &self,
        page: &str,
        tags: &str,
        vary: Option<&'static str>,
        request: &HeaderMap,
        render: impl FnOnce(Stamp) -> askama::Result<String>,
    ) -> Response {
        if let Some((number, etag)) = self.held(page, request) {
            return (StatusCode::NOT_MODIFIED, fields(number, etag, tags, vary)).into_response();
        }
        let number = self.next(page);
        let html = match render(Stamp { at: httpdate::fmt_http_date(SystemTime::now()), number }) {
            Ok(html) => html,
            Err(error) => return api::template_failed(&error),
        };
        let etag = etag_of(html.as_bytes());
        self.keep(page, number, etag.clone());
        (fields(number, etag, tags, vary), Html(html)).into_response()
    }

    /// The latest rendering, if the request says that it has it.
    fn held(&self, page: &str, request: &HeaderMap) -> Option<(u64, HeaderValue)> {
        let latest = self.latest();
        let latest = latest.get(page)?;
        let etag = latest.etag.clone()?;
        if_none_match(request, &etag).then_some((latest.number, etag))
    }

    fn next(&self, page: &str) -> u64 {
        let mut latest = self.latest();
        let latest = latest.entry(page.to_owned()).or_default();
        latest.number += 1;
        latest.etag = None;
        latest.number
    }

    fn keep(&self, page: &str, number: u64, etag: HeaderValue) {
        // Another request may have begun a later rendering meanwhile: that one is the latest then.
        if let Some(latest) = self.latest().get_mut(page).filter(|latest| latest.number == number) {
            latest.etag = Some(etag);
        }
    }

    fn latest(&self) -> MutexGuard<'_, HashMap<String, Latest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether If-None-Match lists this entity tag (weak comparison, RFC 9110 section 13.1.2). Tags with a comma in them are not
/// found, and the site makes none.
pub(crate) fn if_none_match(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let Ok(etag) = etag.to_str() else { return false };
    let opaque = etag.trim_start_matches("W/");
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|listed| listed == "*" || listed.trim_start_matches("W/") == opaque)
}

fn etag_of(body: &[u8]) -> HeaderValue {
    let digest = hex(&Sha256::digest(body));
    // Hexadecimal between quotation marks is a valid field value.
    HeaderValue::try_from(format!("\"{}\"", &digest[..32])).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

fn fields(number: u64, etag: HeaderValue, tags: &str, vary: Option<&'static str>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(PAGE_CACHE_CONTROL));
    fields.insert(header::ETAG, etag);
    fields.insert(DEMO_RENDER, number.into());
    if let Ok(tags) = HeaderValue::from_str(tags) {
        fields.insert(CACHE_TAG, tags);
    }
    if let Some(vary) = vary {
        fields.insert(header::VARY, HeaderValue::from_static(vary));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_none_match_compares_weakly_over_the_whole_list() {
        let etag = HeaderValue::from_static("\"abc\"");
        for (sent, held) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("*", true),
            ("\"x\"", false),
            ("abc", false),
            ("", false),
        ] {
            let request = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(sent))]);
            assert_eq!(if_none_match(&request, &etag), held, "{sent}");
        }
        assert!(!if_none_match(&HeaderMap::new(), &etag));
    }
}
