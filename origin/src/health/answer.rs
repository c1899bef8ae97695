//! `/api/health`: JSON in the monitor's words, and the same as `application/health+json`. docs/health.schema.json has the shape.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::Health;
use super::level::Level;
use super::shown::{Check, Monitor, Shown};
use crate::trust::Trusted;

/// The media type of draft-inadarei-api-health-check-06.
const HEALTH_JSON: &str = "application/health+json";

/// What a request asks for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The site's number.
    pub(crate) site: usize,
    pub(crate) trusted: Trusted,
    pub(crate) headers: &'a HeaderMap,
}

/// The JSON of `/api/health`.
#[derive(Serialize)]
struct Answer<'a> {
    status: Level,
    /// Which way the request came: `edge-signed`, `cloudflare` or `direct`.
    via: &'static str,
    uptime_seconds: u64,
    checked_at: Option<String>,
    uptime: Uptime,
    services: Vec<Service<'a>>,
    incidents: Vec<Incident<'a>>,
    external_monitoring: Option<External<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
}

/// Percent of the known time; null where nothing is known.
#[derive(Serialize)]
struct Uptime {
    #[serde(rename = "24h")]
    day: Option<f64>,
    #[serde(rename = "7d")]
    week: Option<f64>,
    #[serde(rename = "90d")]
    quarter: Option<f64>,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'a str,
    status: Level,
    checked_at: Option<String>,
    response_ms: Option<u64>,
    uptime: Uptime,
}

#[derive(Serialize)]
struct Incident<'a> {
    service: &'a str,
    status: Level,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Serialize)]
struct External<'a> {
    status: Option<&'a str>,
    checked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a Value>,
}

/// Only for who shows the token.
#[derive(Serialize)]
struct Details<'a> {
    version: &'static str,
    config: &'a str,
    checks: Vec<Detail<'a>>,
}

#[derive(Serialize)]
struct Detail<'a> {
    name: &'a str,
    kind: &'static str,
    service: &'a str,
    /// The level that has lasted.
    status: Option<Level>,
    /// The last result's.
    last: Option<Level>,
    checked_at: Option<String>,
    value: Option<f64>,
    unit: Option<&'static str>,
    response_ms: Option<u64>,
    message: &'a str,
}

impl From<[Option<u64>; 3]> for Uptime {
    fn from([day, week, quarter]: [Option<u64>; 3]) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "up to 10,000")]
        let percent = |hundredths: Option<u64>| hundredths.map(|hundredths| hundredths as f64 / 100.0);
        Self { day: percent(day), week: percent(week), quarter: percent(quarter) }
    }
}

impl Health {
    /// The answer to the monitor: 200 as long as the site can serve, else 503.
    pub(crate) fn answer(&self, asked: Asked<'_>, config: &str) -> Response<Bytes> {
        let Some(shown) = self.shown(asked.site) else { return Response::new(Bytes::new()) };
        let accept = asked.headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
        let standard = accept.flat_map(|accept| accept.split(',')).any(wants_health_json);
        let admitted = self.admits(asked.headers);
        let via = asked.trusted.as_str();
        let body = if standard {
            serde_json::to_vec(&health_json(&shown, via, admitted))
        } else {
            let details = admitted.then(|| Details {
                version: env!("CARGO_PKG_VERSION"),
                config,
                checks: shown.checks.iter().map(Detail::from).collect(),
            });
            serde_json::to_vec(&self.plain(&shown, via, details))
        };
        let mut response = Response::new(Bytes::from(body.unwrap_or_default()));
        *response.status_mut() = status(shown.level);
        let headers = response.headers_mut();
        let media_type = if standard { HEALTH_JSON } else { "application/json" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Whether the token of `[health]` is shown (RFC 6750). Compared in constant time.
    fn admits(&self, headers: &HeaderMap) -> bool {
        let token = self.0.settings.as_ref().and_then(|settings| settings.token.as_ref());
        let offered = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let offered = offered.and_then(|value| {
            let (scheme, rest) = value.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(rest)
        });
        token.zip(offered).is_some_and(|(token, offered)| token.is(offered))
    }

    fn plain<'a>(&self, shown: &'a Shown, via: &'static str, details: Option<Details<'a>>) -> Answer<'a> {
        let service = |service: &'a super::shown::Service| Service {
            name: &service.name,
            status: service.level,
            checked_at: service.checked.and_then(instant),
            response_ms: service.millis,
            uptime: service.uptime.into(),
        };
        let incident = |(service, incident): &'a (String, super::Incident)| Incident {
            service,
            status: incident.worst,
            from: instant(incident.from),
            to: incident.to.and_then(instant),
        };
        let external = |monitor: &'a Monitor| External {
            status: monitor.status.as_deref(),
            checked_at: instant(monitor.at),
            answer: details.is_some().then_some(&monitor.answer),
        };
        Answer {
            status: shown.level,
            via,
            uptime_seconds: self.0.started.elapsed().as_secs(),
            checked_at: instant(shown.checked),
            uptime: shown.uptime.into(),
            services: shown.services.iter().map(service).collect(),
            incidents: shown.incidents.iter().map(incident).collect(),
            external_monitoring: shown.monitor.as_ref().map(external),
            details,
        }
    }
}

impl<'a> From<&'a Check> for Detail<'a> {
    fn from(check: &'a Check) -> Self {
        Self {
            name: &check.name,
            kind: check.kind,
            service: &check.service,
            status: check.level,
            last: check.last,
            checked_at: instant(check.at),
            value: check.figure.map(|figure| figure.value),
            unit: check.figure.map(|figure| figure.unit),
            response_ms: check.millis,
            message: &check.says,
        }
    }
}

/// 503 when the site can't serve.
const fn status(level: Level) -> StatusCode {
    match level {
        Level::Operational | Level::Degraded => StatusCode::OK,
        Level::Down => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The same in the draft's terms; its `checks` are our services, or the probes for who shows the token.
fn health_json(shown: &Shown, via: &str, admitted: bool) -> Value {
    let mut checks: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for service in &shown.services {
        let check = json!({
            "componentType": component_type(service.kind),
            "status": service.level.in_health_json(),
            "time": service.checked.and_then(instant),
        });
        checks.entry(service.name.clone()).or_default().push(without_nulls(check));
        if let Some(millis) = service.millis {
            let check = json!({
                "componentType": component_type(service.kind),
                "observedValue": millis,
                "observedUnit": "ms",
                "status": service.level.in_health_json(),
                "time": service.checked.and_then(instant),
            });
            checks.entry(format!("{}:responseTime", service.name)).or_default().push(without_nulls(check));
        }
    }
    for check in shown.checks.iter().filter(|_| admitted) {
        let level = check.level.unwrap_or(Level::Operational);
        let detail = json!({
            "componentId": check.name,
            "componentType": component_type(check.kind),
            "observedValue": check.figure.map(|figure| figure.value),
            "observedUnit": check.figure.map(|figure| figure.unit),
            "status": level.in_health_json(),
            "time": instant(check.at),
            "output": (level != Level::Operational).then_some(&check.says),
        });
        checks.entry(format!("{}:{}", check.service, check.kind)).or_default().push(without_nulls(detail));
    }
    let release = admitted.then_some(env!("CARGO_PKG_VERSION"));
    without_nulls(json!({
        "status": shown.level.in_health_json(),
        "description": shown.level.as_str(),
        "notes": [format!("via {via}")],
        "releaseId": release,
        "checks": checks,
    }))
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    value
}

/// The draft's words (section 4.1).
fn component_type(kind: &str) -> &'static str {
    match kind {
        "postgres" | "postgres-lag" | "postgres-connections" | "postgres-archive" | "bucket" => "datastore",
        "disk" | "memory" | "descriptors" | "clock" | "certificates" => "system",
        _ => "component",
    }
}

/// Whether one member of `Accept` names the draft's media type, and not with `q=0`.
fn wants_health_json(member: &str) -> bool {
    let mut parts = member.split(';').map(str::trim);
    let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(HEALTH_JSON));
    let refused =
        |part: &str| part.split_once('=').is_some_and(|(key, q)| key.trim() == "q" && q.trim().parse() == Ok(0.0_f32));
    named && !parts.any(refused)
}

/// RFC 3339, to the second; `None` for a time that was not.
pub(super) fn instant(at: u64) -> Option<String> {
    let at = (at > 0).then(|| UNIX_EPOCH.checked_add(Duration::from_secs(at)))??;
    Some(humantime::format_rfc3339_seconds(at).to_string())
}

#[cfg(test)]
mod tests {
    use super::{instant, wants_health_json};

    #[test]
    fn accept_is_read() {
        assert!(wants_health_json(" application/health+json"));
        assert!(wants_health_json("Application/Health+JSON;q=0.5"));
        assert!(!wants_health_json("application/health+json; q=0.0"));
        assert!(!wants_health_json("application/json"));
        assert!(!wants_health_json("*/*"));
    }

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(instant(1_790_000_000).as_deref(), Some("2026-09-21T14:13:20Z"));
        assert_eq!(instant(0), None);
    }
}
