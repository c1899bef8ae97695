//! Another protocol on a connection (RFC 9110 section 7.8): client and app agree on it, and we join the two.

use std::sync::Arc;
use std::time::Instant;

use edge::Answer;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response};
use hyper_util::rt::TokioIo;

use crate::body::Body;
use crate::forwarded;
use crate::gateway::Core;
use crate::head::HeaderFields;
use crate::limits::connections::Place;

/// Whether a request asks for it.
pub(crate) fn is_wanted(request: &Request<Body>) -> bool {
    request.version() == http::Version::HTTP_11
        && request.headers().contains_key(UPGRADE)
        && request.headers().get(CONNECTION).is_some_and(|c| {
            c.to_str().is_ok_and(|c| cache::fields::list_members(c).any(|m| m.eq_ignore_ascii_case("upgrade")))
        })
}

/// Joins the two connections once the client's has switched too. It keeps its `place` among the open ones.
pub(crate) fn switch(
    core: &Core,
    mut response: Response<hyper::body::Incoming>,
    downstream: hyper::upgrade::OnUpgrade,
    place: Arc<Place>,
) -> Answer<HeaderFields, Body> {
    let upstream = hyper::upgrade::on(&mut response);
    let started = Instant::now();
    core.upgraded.spawn(async move {
        let _place = place;
        let joined = async {
            let (downstream, upstream) = tokio::try_join!(downstream, upstream)?;
            let (mut downstream, mut upstream) = (TokioIo::new(downstream), TokioIo::new(upstream));
            let copied = tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await;
            copied.map_err(Box::<dyn std::error::Error + Send + Sync>::from)
        };
        match joined.await {
            Ok((sent, received)) => {
                tracing::debug!(sent, received, seconds = started.elapsed().as_secs(), "upgrade ended")
            }
            Err(error) => tracing::debug!(%error, "upgrade broke off"),
        }
    });
    let protocol = response.headers().get(UPGRADE).cloned();
    let mut headers = std::mem::take(response.headers_mut());
    forwarded::keep_the_apps(&mut headers);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
    }
    Answer { status: 101, fields: HeaderFields(headers), body: Body::empty() }
}
