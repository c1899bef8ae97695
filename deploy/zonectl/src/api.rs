//! Cloudflare's API, version 4: an envelope around every answer, pages around every list, and 429 with `Retry-After` where it is asked too much.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::thread::sleep;
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

/// Where it is.
pub(crate) const API: &str = "https://api.cloudflare.com/client/v4";

/// For one call with its answer.
const WITHIN: Duration = Duration::from_secs(30);
/// What we wait for it in all, in one run, where it says that it takes no more for now. Its own limit is counted over five minutes.
const PATIENCE: Duration = Duration::from_secs(330);
/// How long where it does not say.
const A_WHILE: Duration = Duration::from_secs(10);
/// Items on a page of records.
const PAGE: usize = 100;
/// Who asks.
pub(crate) const AGENT: &str = concat!("zonectl/", env!("CARGO_PKG_VERSION"));

/// A token, which never shows.
pub(crate) struct Token(HeaderValue);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// The error says what is wrong with the text, without it.
    pub(crate) fn new(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("is not one token: it is one line without spaces, as the dashboard shows it");
        }
        let mut value = HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| "is not a token")?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

/// Why a call did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// Nobody answered.
    #[error("{0} {1}: no answer: {2}")]
    Silent(Method, String, String),
    /// It said no.
    #[error("{method} {path}: Cloudflare says {status}: {said}{hint}")]
    Refused { method: Method, path: String, status: u16, said: String, hint: String },
    /// It answered with something else.
    #[error("{0} {1}: the answer is not what the API's description promises: {2}")]
    Odd(Method, String, String),
}

impl ApiError {
    /// Whether it said that there is none.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

/// The API, as one token sees it.
#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    base: String,
    token: Token,
    waited: Cell<Duration>,
}

impl Api {
    /// `base` is an `https` URL; clear text is for loopback.
    pub(crate) fn new(base: &str, token: Token) -> Result<Self, String> {
        let url = Url::parse(base).map_err(|e| format!("--api {base}: {e}"))?;
        let loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return Err(format!("--api {base}: the token is sent there, so it must be an https URL"));
        }
        let client =
            Client::builder().user_agent(AGENT).timeout(WITHIN).redirect(reqwest::redirect::Policy::none()).build();
        let client = client.map_err(|e| format!("no client for HTTPS: {e}"))?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), token, waited: Cell::default() })
    }

    /// Asks for one thing.
    pub(crate) fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.call(&Method::GET, path, None)
    }

    /// Asks for a list that comes whole.
    pub(crate) fn whole(&self, path: &str) -> Result<Vec<Value>, ApiError> {
        match self.get(path)? {
            Value::Array(items) => Ok(items),
            _ => Err(ApiError::Odd(Method::GET, path.to_owned(), "there is no list".to_owned())),
        }
    }

    /// Asks for all of a list, page by page.
    pub(crate) fn paged(&self, path: &str) -> Result<Vec<Value>, ApiError> {
        let mut all = Vec::new();
        for page in 1.. {
            let mut envelope = self.envelope(&Method::GET, &format!("{path}?per_page={PAGE}&page={page}"), None)?;
            let Value::Array(items) = envelope["result"].take() else {
                return Err(ApiError::Odd(Method::GET, path.to_owned(), "there is no list".to_owned()));
            };
            let none = items.is_empty();
            all.extend(items);
            let pages = envelope["result_info"]["total_pages"].as_u64().unwrap_or(1);
            if none || page >= pages {
                break;
            }
        }
        Ok(all)
    }

    /// Has something done, and returns the result.
    pub(crate) fn call(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        Ok(self.envelope(method, path, body)?["result"].take())
    }

    /// Asks for text that is in no envelope.
    pub(crate) fn text(&self, path: &str) -> Result<String, ApiError> {
        let answer = self.send(&Method::GET, path, None)?;
        let status = answer.status();
        let text = answer.text().map_err(|e| ApiError::Silent(Method::GET, path.to_owned(), reason(&e)))?;
        if status.is_success() {
            return Ok(text);
        }
        Err(refused(&Method::GET, path, status, &serde_json::from_str(&text).unwrap_or_default()))
    }

    fn envelope(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let answer = self.send(method, path, body)?;
        let status = answer.status();
        let text = answer.text().map_err(|e| ApiError::Silent(method.clone(), path.to_owned(), reason(&e)))?;
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        if !status.is_success() || said["success"] == false {
            return Err(refused(method, path, status, &said));
        }
        if said["success"] != true {
            return Err(ApiError::Odd(method.clone(), path.to_owned(), "it has no `success`".to_owned()));
        }
        Ok(said)
    }

    /// Sends a call, and again where it came too early: then it was not carried out.
    fn send(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Response, ApiError> {
        loop {
            let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
            request = request.header(AUTHORIZATION, self.token.0.clone());
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = request.send().map_err(|e| ApiError::Silent(method.clone(), path.to_owned(), reason(&e)))?;
            if answer.status() != StatusCode::TOO_MANY_REQUESTS {
                return Ok(answer);
            }
            let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let wait = seconds.map_or(A_WHILE, Duration::from_secs);
            let waited = self.waited.get() + wait;
            if waited > PATIENCE {
                return Ok(answer);
            }
            self.waited.set(waited);
            eprintln!("Cloudflare takes no more for now (429): waiting {} s", wait.as_secs());
            sleep(wait);
        }
    }
}

/// With what lies below: an error of the client's own says little.
fn reason(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut below = std::error::Error::source(error);
    while let Some(cause) = below {
        let _ = write!(text, ": {cause}");
        below = cause.source();
    }
    text
}

fn refused(method: &Method, path: &str, status: StatusCode, said: &Value) -> ApiError {
    let errors = said["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let mut text = String::new();
    for error in errors {
        let separator = if text.is_empty() { "" } else { "; " };
        let message = error["message"].as_str().unwrap_or("it does not say why");
        let _ = write!(text, "{separator}{message} ({})", error["code"]);
        if let Some(place) = error["source"]["pointer"].as_str() {
            let _ = write!(text, " at {place}");
        }
        for below in error["error_chain"].as_array().into_iter().flatten() {
            let _ = write!(text, ": {} ({})", below["message"].as_str().unwrap_or_default(), below["code"]);
        }
    }
    if text.is_empty() {
        "it does not say why".clone_into(&mut text);
    }
    let code = |code: u64| errors.iter().any(|error| error["code"] == code);
    let hint = match permission(path) {
        Some(needed) if status == StatusCode::FORBIDDEN || code(9109) || code(10000) => {
            format!(". The token needs the permission \"{needed}\" for this zone")
        }
        _ => String::new(),
    };
    ApiError::Refused { method: method.clone(), path: path.to_owned(), status: status.as_u16(), said: text, hint }
}

/// What a token needs for a call, as the dashboard names it; `Read` in place of `Edit` does for a plan.
fn permission(path: &str) -> Option<&'static str> {
    let (_, below) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    let below = below.split_once('/').map_or("", |(_, rest)| rest);
    let table = [
        ("dns_records", "DNS: Edit"),
        ("dnssec", "DNS: Edit"),
        ("settings", "Zone Settings: Edit"),
        ("rulesets/phases/http_request_cache_settings", "Cache Rules: Edit"),
        ("rulesets", "Zone WAF: Edit"),
        ("url_normalization", "Sanitize: Edit"),
        ("bot_management", "Bot Management: Edit"),
        ("workers/routes", "Workers Routes: Edit"),
        ("origin_tls_client_auth", "SSL and Certificates: Edit"),
    ];
    if path.starts_with("/certificates") {
        return Some("SSL and Certificates: Edit");
    }
    if path.starts_with("/zones?") {
        return Some("Zone: Read");
    }
    table.iter().find(|(begin, _)| below.starts_with(begin)).map(|(_, needed)| *needed)
}

#[cfg(test)]
mod tests {
    use super::{Api, Token, permission};

    #[test]
    fn a_token_never_shows() {
        let token = Token::new(" abc\n").unwrap();
        assert_eq!(format!("{token:?}"), "Token");
        let api = Api::new("https://api.example", token).unwrap();
        assert!(!format!("{api:?}").contains("abc"));
        assert!(Token::new("two words").is_err() && Token::new(" ").is_err());
    }

    #[test]
    fn it_goes_in_clear_text_to_this_machine_only() {
        let to = |base: &str| Api::new(base, Token::new("t").unwrap()).is_ok();
        assert!(to("https://api.example/v4") && to("http://127.0.0.1:8000"));
        assert!(!to("http://api.example/v4") && !to("http://127.0.0.1.example") && !to("api.example"));
    }

    #[test]
    fn a_call_is_known_by_its_path() {
        assert_eq!(permission("/zones/0123/dns_records?page=1"), Some("DNS: Edit"));
        assert_eq!(permission("/zones/0123/rulesets/phases/http_ratelimit/entrypoint"), Some("Zone WAF: Edit"));
        assert_eq!(permission("/zones?name=example.com"), Some("Zone: Read"));
        assert_eq!(permission("/zones/0123/else"), None);
    }
}
