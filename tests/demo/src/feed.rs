//! `GET /api/sync/subscribe?app_id=…`: server-sent events that say that something changed (WHATWG HTML, section 9.2).

use std::{
    convert::Infallible,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, interval_at};

use crate::{Demo, Options, api};

#[derive(Debug, Deserialize)]
pub(crate) struct Subscription {
    #[serde(default)]
    app_id: String,
}

/// `GET /api/sync/subscribe`: an event at once, then one each interval, until the client goes. Last-Event-ID goes on counting.
pub(crate) async fn subscribe(
    State(demo): State<Demo>,
    Query(subscription): Query<Subscription>,
    request: HeaderMap,
) -> Response {
    if subscription.app_id.is_empty() {
        return api::error(StatusCode::BAD_REQUEST, "app_id is missing: say which app's changes you want");
    }
    let last = request.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok()).unwrap_or(0);
    ([(header::CACHE_CONTROL, "no-store")], Sse::new(events(&demo.shared.options, last))).into_response()
}

struct Clockwork {
    sequence: u64,
    changes: Interval,
    keepalives: Interval,
}

fn events(options: &Options, last: u64) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
    let clockwork = Clockwork {
        sequence: last,
        changes: patient(interval(options.sse_interval)),
        keepalives: patient(interval_at(Instant::now() + options.keepalive, options.keepalive)),
    };
    stream::unfold(clockwork, async |mut clockwork| {
        let event = tokio::select! {
            _ = clockwork.changes.tick() => {
                clockwork.sequence = clockwork.sequence.saturating_add(1);
                changed(clockwork.sequence)
            }
            _ = clockwork.keepalives.tick() => Event::default().comment("keepalive"),
        };
        Some((Ok(event), clockwork))
    })
}

/// A client that reads slowly misses ticks; it does not get them all at once later.
fn patient(mut interval: Interval) -> Interval {
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn changed(sequence: u64) -> Event {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let data = format!(r#"{{"sequence":{sequence},"time":{time}}}"#);
    Event::default().event("changed").id(sequence.to_string()).data(data)
}
