//! What answers over HTTP: an address, a vendor's document on its own state, the monitor, a server's clock.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, DATE, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use serde_json::Value;

use super::cause::innermost;
use super::{Found, More, plain};
use crate::config::Url;
use crate::health::level::Level;
use crate::web;

/// Whether a status is the expected one, or any 2xx.
pub(super) fn is_expected(status: StatusCode, expect: Option<u16>) -> bool {
    expect.map_or_else(|| status.is_success(), |expect| status.as_u16() == expect)
}

async fn ask(url: &Url) -> Result<Response<Bytes>, String> {
    // Made anew for each look: there are few, and files of authorities change.
    let client = web::Client::new(url.ca.as_deref())?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = url.uri.clone();
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static("origin-health"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.1"));
    if let Some(bearer) = &url.bearer {
        headers.insert(AUTHORIZATION, bearer.clone());
    }
    client.send(request).await.map_err(|error| innermost(&*error))
}

pub(super) async fn look(url: &Url, expect: Option<u16>) -> Result<Found, String> {
    let status = ask(url).await?.status();
    let says = format!("answers {}", status.as_u16());
    if is_expected(status, expect) { Ok(Found::good(says)) } else { Err(says) }
}

async fn document(url: &Url) -> Result<Value, String> {
    let answer = ask(url).await?;
    if !answer.status().is_success() {
        return Err(format!("answers {}", answer.status().as_u16()));
    }
    serde_json::from_slice(answer.body()).map_err(|_| "answers what is not JSON".to_owned())
}

/// A vendor that says it has trouble is believed; one whose document is not understood is degraded, for then nobody knows.
pub(super) async fn status_page(url: &Url, component: Option<&str>) -> Result<Found, String> {
    let document = document(url).await?;
    match word(&document, component) {
        Some(word) => Ok(Found::good(format!("says {}", plain(word))).at_least(level_of(word))),
        None => {
            let what = component.map_or_else(String::new, |component| format!(" on {component}"));
            Ok(Found::good(format!("its document says nothing{what}")).at_least(Level::Degraded))
        }
    }
}

/// The word for the state of the whole, or of one component, in the shapes that are in use: Statuspage's summary (`status.indicator`,
/// `components[].status`), Sorry's (`page.state`, `components[].state`), and a plain `status`, `state` or `largestatus`.
fn word<'a>(document: &'a Value, component: Option<&str>) -> Option<&'a str> {
    if let Some(name) = component {
        let all = document.get("components")?.as_array()?;
        let one = all.iter().find(|one| one.get("name").and_then(Value::as_str) == Some(name))?;
        return ["status", "state"].iter().find_map(|key| one.get(key)?.as_str());
    }
    let whole = ["/status/indicator", "/page/state", "/largestatus", "/status", "/state"];
    whole.iter().find_map(|at| document.pointer(at)?.as_str())
}

/// What vendors call their states.
fn level_of(word: &str) -> Level {
    match word.to_ascii_lowercase().as_str() {
        "none" | "operational" | "up" | "ok" | "good" | "pass" | "healthy" => Level::Operational,
        "critical" | "major_outage" | "down" | "outage" | "fail" | "issues detected" => Level::Down,
        // minor, major, maintenance, degraded_performance, partial_outage, and what nobody has thought of.
        _ => Level::Degraded,
    }
}

/// What the monitor says is passed on; whether it is well is not our state.
pub(super) async fn monitor(url: &Url) -> Result<Found, String> {
    let document = document(url).await?;
    Ok(Found { more: More::Monitor(document), ..Found::good("answers") })
}

/// Compares our clock with the `Date` of an answer, which is cut to the second: half a second is added, and the middle of the exchange
/// taken.
pub(super) async fn clock(url: &Url) -> Result<Found, String> {
    let began = Instant::now();
    let answer = ask(url).await?;
    let now = SystemTime::now() - began.elapsed() / 2;
    let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| httpdate::parse_http_date(date).ok()).ok_or("its answer has no Date")?;
    let theirs = date + Duration::from_millis(500);
    let (apart, how) = match now.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    // What the cut and the exchange leave open.
    let sure = apart.saturating_sub(Duration::from_millis(500)).saturating_sub(began.elapsed() / 2);
    let seconds = sure.as_secs_f64();
    Ok(Found::figure(seconds, "s", format!("our clock is at least {seconds:.1} s {how} the server's")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{level_of, word};
    use crate::health::level::Level;

    #[test]
    fn vendors_documents_are_understood() {
        let statuspage = json!({
            "page": { "id": "x", "name": "Vendor" },
            "status": { "indicator": "minor", "description": "Partial outage" },
            "components": [{ "name": "API", "status": "operational" }, { "name": "SMTP", "status": "major_outage" }],
        });
        assert_eq!(word(&statuspage, None), Some("minor"));
        assert_eq!(word(&statuspage, Some("SMTP")).map(level_of), Some(Level::Down));
        assert_eq!(word(&statuspage, Some("API")).map(level_of), Some(Level::Operational));
        assert_eq!(word(&statuspage, Some("Inbound")), None);
        assert_eq!(word(&json!({ "page": { "state": "operational" } }), None), Some("operational"));
        assert_eq!(word(&json!({ "largestatus": "up" }), None).map(level_of), Some(Level::Operational));
        assert_eq!(word(&json!({ "status": { "indicator": 3 } }), None), None);
        assert_eq!(level_of("under_maintenance"), Level::Degraded);
    }
}
