//! Static files: their names carry a hash of their content, so that they can be cached for ever.
//!
//! The edge or the gateway serves the folder. A name that is not in it falls through to the app, which still knows the stylesheet of
//! the release before: pages that were cached then keep their looks.

use axum::{
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};

use crate::{Demo, pages};

/// The folder whose files are served at `/static/*`, by the edge or the gateway.
pub const STATIC_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/static");

/// The previous release's stylesheet: not in [`STATIC_DIR`], but the app answers `/static/` and this name.
pub const PREVIOUS_STYLESHEET: &str = "previous.72328f7e.css";

pub(crate) const STYLESHEET: &str = "site.1daaf877.css";
pub(crate) const SCRIPT: &str = "site.2269748f.js";
pub(crate) const STUDIO: &str = "studio.21af4c76.js";
pub(crate) const HTMX: &str = "htmx.d6fdc75f.js";

const PREVIOUS: &str = include_str!("../previous/previous.72328f7e.css");
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// `GET /static/{file}`.
pub(crate) async fn file(State(demo): State<Demo>, Path(name): Path<String>) -> Response {
    if name == PREVIOUS_STYLESHEET {
        let fields = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, FOR_EVER)];
        return (fields, PREVIOUS).into_response();
    }
    if demo.shared.options.serve_static {
        return from_folder(&name).await;
    }
    pages::no_such("file")
}

/// A file of the folder, for looking at the site alone. The name is one path segment, decoded: it must not leave the folder.
async fn from_folder(name: &str) -> Response {
    let media_type = match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => return pages::no_such("file"),
    };
    if name.contains(['/', '\\', '\0']) {
        return pages::no_such("file");
    }
    match tokio::fs::read(format!("{STATIC_DIR}/{name}")).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-cache")], bytes).into_response(),
        Err(_) => pages::no_such("file"),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::upload::hex;

    /// `stem.ext` → `stem.<first 8 hexadecimal digits of the content's SHA-256>.ext`.
    fn assert_named_by_content(folder: &str, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name);
        let content = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let hash = &hex(&Sha256::digest(content))[..8];
        let mut parts = name.split('.');
        let (stem, named, extension) = (parts.next(), parts.next(), parts.next());
        assert_eq!(
            (named, parts.next()),
            (Some(hash), None),
            "{name} has changed: rename it {}.{hash}.{} here, on disk and nowhere else",
            stem.unwrap_or_default(),
            extension.unwrap_or_default()
        );
    }

    #[test]
    fn names_carry_their_content_hash() {
        for name in [STYLESHEET, SCRIPT, STUDIO, HTMX] {
            assert_named_by_content("static", name);
        }
        assert_named_by_content("previous", PREVIOUS_STYLESHEET);
        assert!(!Path::new(STATIC_DIR).join(PREVIOUS_STYLESHEET).exists(), "the previous release is not in the folder");
    }
}
