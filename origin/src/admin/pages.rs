//! The answers of the private listener.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use contract::news;
use http::HeaderValue;
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE};
use serde::Serialize;

use super::refusal::Refusal;
use crate::gateway::Gateway;
use crate::metrics::{self, Format};
use crate::upstream::UpstreamState;

type Our = State<Arc<Gateway>>;

pub(super) async fn readyz(State(gateway): Our) -> (StatusCode, &'static str) {
    if gateway.draining.has_begun() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if gateway.resting.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "drained by POST /drain\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

pub(super) async fn metrics(State(gateway): Our, headers: HeaderMap) -> Response {
    let format = Format::wanted(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()));
    match metrics::scrape(&gateway, format) {
        Ok(text) => ([(CONTENT_TYPE, HeaderValue::from_static(format.content_type()))], text).into_response(),
        Err(_) => Refusal::Internal.into_response(),
    }
}

pub(super) async fn config(State(gateway): Our) -> impl IntoResponse {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/toml"))], gateway.config.written.text().to_owned())
}

/// What the other gateway asks for.
pub(super) async fn orders(State(gateway): Our, RawQuery(query): RawQuery) -> Response {
    match gateway.orders.answer_peer(news::after(query.as_deref())) {
        Some(said) => {
            let mut answer = said.into_response();
            // The next is to be asked of the process that takes over.
            if gateway.draining.has_begun() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            answer
        }
        None => Refusal::NotFound.into_response(),
    }
}

pub(super) async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], super::OPENAPI)
}

pub(super) async fn drain(State(gateway): Our) -> &'static str {
    if !gateway.resting.swap(true, Ordering::Relaxed) {
        tracing::warn!("drained: /readyz says 503 until DELETE /drain, requests are served");
    }
    "drained: /readyz says 503 until DELETE /drain, requests are served\n"
}

pub(super) async fn undrain(State(gateway): Our) -> &'static str {
    if gateway.resting.swap(false, Ordering::Relaxed) {
        tracing::info!("no longer drained: /readyz says 200");
    }
    "no longer drained: /readyz says 200\n"
}

/// An app in `/upstreams`.
#[derive(Serialize)]
struct App {
    /// The first of the sites that it serves, by which metrics call it.
    app: String,
    in_flight: u32,
    /// How many may be, just now.
    in_flight_limit: u32,
    /// Whether it answers nobody in time.
    stalled: bool,
    upstreams: Vec<Upstream>,
}

#[derive(Serialize)]
struct Upstream {
    address: String,
    /// `up`, `down` (alone, and it accepts no connection), `ejected`, or `ill` (its checks fail).
    state: &'static str,
    #[serde(flatten)]
    member: Option<Member>,
    last_error: Option<String>,
    last_error_seconds_ago: Option<u64>,
}

/// What is known where there are several.
#[derive(Serialize)]
struct Member {
    weight: u32,
    in_flight: u32,
    failures_in_a_row: u32,
    ejected_for_seconds: Option<u64>,
}

pub(super) async fn upstreams(State(gateway): Our) -> Json<Vec<impl Serialize>> {
    let now = Instant::now();
    let app = |(site, app): (&crate::config::Site, &Arc<crate::upstream::App>)| {
        let state = app.state(now);
        let accepts = gateway.health.accepts(&site.app);
        App {
            app: site.name(),
            in_flight: state.in_flight,
            in_flight_limit: state.limit,
            stalled: state.stalled,
            upstreams: state.upstreams.into_iter().map(|u| Upstream::of(u, accepts, now)).collect(),
        }
    };
    Json(gateway.distinct_apps().map(app).collect())
}

impl Upstream {
    fn of(state: UpstreamState, accepts: bool, now: Instant) -> Self {
        let word = match &state.member {
            Some(member) if member.ejected_for.is_some() => "ejected",
            Some(member) if member.ill => "ill",
            None if !accepts => "down",
            _ => "up",
        };
        Self {
            address: state.address,
            state: word,
            member: state.member.map(|member| Member {
                weight: member.weight,
                in_flight: member.in_flight,
                failures_in_a_row: member.failures_in_a_row,
                ejected_for_seconds: member.ejected_for.as_ref().map(Duration::as_secs),
            }),
            last_error_seconds_ago: state.last_error.as_ref().map(|error| (now - error.at).as_secs()),
            last_error: state.last_error.map(|error| error.what),
        }
    }
}
