//! What is done for upstreams in the background, on the control plane: names are looked up anew, and those of several
//! upstreams that have a check are asked whether they are well.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request};

use super::app::App;
use super::connect;
use crate::body::Body;
use crate::config::{AppAddress, Check, Protocol};

/// How often a name is looked up.
const LOOK_UP: Duration = Duration::from_secs(30);

/// Watches over the upstreams, for as long as the runtime lives.
pub(crate) fn watch(apps: &[Arc<App>]) {
    let mut numbers = Vec::new();
    for app in apps {
        // Sites share apps.
        if numbers.contains(&app.number) {
            continue;
        }
        numbers.push(app.number);
        if app.upstreams.iter().any(|u| u.name.is_some()) {
            tokio::spawn(look_up(Arc::clone(app)));
        }
        if let Some(check) = app.check.clone()
            && app.several()
        {
            let check = Arc::new(check);
            for n in 0..app.upstreams.len() {
                tokio::spawn(ask(Arc::clone(app), n, Arc::clone(&check)));
            }
        }
    }
}

async fn look_up(app: Arc<App>) {
    let mut ticks = tokio::time::interval(LOOK_UP);
    loop {
        ticks.tick().await;
        for name in app.upstreams.iter().filter_map(|u| u.name.as_ref()) {
            if let Err(error) = name.look_up().await {
                tracing::warn!(?name, %error, "the name can't be looked up");
            }
        }
    }
}

async fn ask(app: Arc<App>, n: usize, check: Arc<Check>) {
    let mut ticks = tokio::time::interval(check.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let well = tokio::time::timeout(check.every, is_well(&app, n, &check)).await.unwrap_or(false);
        app.checked(n, well);
    }
}

async fn is_well(app: &App, n: usize, check: &Check) -> bool {
    let upstream = &app.upstreams[n];
    let Ok(mut connection) = connect::connect(upstream, app.protocol, check.every).await else { return false };
    let mut request = Request::new(Body::full(Bytes::new()));
    let Ok(target) = check.path.parse() else { return false };
    *request.uri_mut() = target;
    let host = match &upstream.address {
        AppAddress::Unix(_) => Ok(HeaderValue::from_static("localhost")),
        address => HeaderValue::try_from(address.to_string()),
    };
    let headers = request.headers_mut();
    headers.insert(HOST, host.unwrap_or(HeaderValue::from_static("localhost")));
    headers.insert(USER_AGENT, HeaderValue::from_static("origin-check"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if app.protocol == Protocol::Http2 && !connect::in_http2(&mut request) {
        return false;
    }
    connection.sender.try_send_request(request).await.is_ok_and(|answer| answer.status().is_success())
}
