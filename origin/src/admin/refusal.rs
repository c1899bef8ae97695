//! What the private listener does not do, said in the shape that problems have on the sites.

use axum::response::{IntoResponse, Response};
use contract::{RequestId, header};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

/// Why it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is nothing there.
    NotFound,
    /// Not for this method. The router adds Allow.
    MethodNotAllowed,
    /// The token is missing or wrong.
    Token,
    /// The same where files are asked for, which are nobody's without one.
    AppToken,
    /// A page in a browser asks, or someone by a name that may be made to lead here.
    Browser,
    /// A fault of ours.
    Internal,
}

impl Refusal {
    const fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NotFound => {
                (StatusCode::NOT_FOUND, "not-found", "There is nothing at this address; / lists what there is.")
            }
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This address does not take this method.")
            }
            Self::Token => {
                (StatusCode::UNAUTHORIZED, "token-required", "Send admin.token_file's content as a bearer token.")
            }
            Self::AppToken => (
                StatusCode::UNAUTHORIZED,
                "token-required",
                "This opens files: send the content of admin.app_token_file or admin.token_file as a bearer token, or ask through a Unix socket.",
            ),
            Self::Browser => (
                StatusCode::FORBIDDEN,
                "browser-refused",
                "Without a token only programs that ask by address or as localhost are answered.",
            ),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The answer could not be made."),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, error) = self.row();
        let mut response = Problem::new(status, code, error).into_response();
        if matches!(self, Self::Token | Self::AppToken) {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Why something was not done, in words of the case.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) error: String,
    /// By which it is found in the log.
    pub(super) id: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, error: impl Into<String>) -> Self {
        Self { status, code, error: error.into(), id: RequestId::from_random(rand::random()).to_string() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, code, error, id } = self;
        let body = serde_json::json!({ "error": error, "code": code, "request_id": id });
        let mut response = (status, format!("{body}\n")).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::try_from(id) {
            headers.insert(header::REQUEST_ID, id);
        }
        response
    }
}
