//! Static files, where no Cloudflare stands before us: the same folder with the same fields as there. And a site's files of `/.well-known/`, which
//! Cloudflare does not have.

use std::path::Path;

use cache::Fields as _;
use edge::{Answer, FieldsMut as _, assets};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use tower::ServiceExt as _;
use tower_http::services::ServeDir;

use crate::body::Body;
use crate::head::HeaderFields;

/// A file that was asked for.
pub(crate) struct Asked {
    files: ServeDir,
    request: Request<axum::body::Body>,
    cache_control: &'static str,
}

/// Where the files of `well_known` are (RFC 8615).
const WELL_KNOWN: &str = "/.well-known/";
/// They are asked for by machines, and change without changing their names.
const AN_HOUR: &str = "public, max-age=3600";

/// What a request asks of a site's static files, if it asks for one at all.
pub(crate) fn find(folder: &Path, path: &str, request: &Parts) -> Option<Asked> {
    let name = path.strip_prefix(assets::PREFIX)?;
    below(folder, name, request, assets::cache_control(name))
}

/// What a request asks of a site's files of `/.well-known/`.
pub(crate) fn well_known(folder: &Path, path: &str, request: &Parts) -> Option<Asked> {
    below(folder, path.strip_prefix(WELL_KNOWN)?, request, AN_HOUR)
}

/// Names that begin with a dot are nobody's files.
fn below(folder: &Path, name: &str, request: &Parts, cache_control: &'static str) -> Option<Asked> {
    let hidden = name.split('/').any(|part| part.starts_with('.'));
    if !matches!(request.method, Method::GET | Method::HEAD) || name.is_empty() || hidden {
        return None;
    }
    let mut asked = Request::new(axum::body::Body::empty());
    *asked.method_mut() = request.method.clone();
    *asked.uri_mut() = format!("/{name}").parse().ok()?;
    for field in ["range", "if-range", "if-none-match", "if-match", "if-modified-since", "if-unmodified-since"] {
        if let Some(value) = request.headers.get(field) {
            asked.headers_mut().insert(field, value.clone());
        }
    }
    let files = ServeDir::new(folder).append_index_html_on_directories(false);
    Some(Asked { files, request: asked, cache_control })
}

impl Asked {
    /// The file; `None` where there is none of that name, so that the app is asked.
    pub(crate) async fn serve(self) -> Option<Answer<HeaderFields, Body>> {
        let response = self.files.oneshot(self.request).await.ok()?;
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::TEMPORARY_REDIRECT) {
            return None;
        }
        let (parts, body) = response.into_parts();
        let mut fields = HeaderFields(parts.headers);
        fields.set("cache-control", self.cache_control);
        // Files are written in UTF-8 today; without a word of it a browser guesses.
        if let Some(kind) =
            fields.single("content-type").filter(|kind| kind.starts_with("text/") && !kind.contains(';'))
        {
            let kind = format!("{kind}; charset=utf-8");
            fields.set("content-type", &kind);
        }
        for (field, value) in assets::SECURITY {
            fields.set(field, value);
        }
        Some(Answer { status: parts.status.as_u16(), fields, body: Body::own(axum::body::Body::new(body)) })
    }
}
