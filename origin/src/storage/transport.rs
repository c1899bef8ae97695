//! How our own requests reach object storage: a pool of connections, so many at once and so many a second as servers allow one address.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::config::RuntimeComponents;
use aws_sdk_s3::config::http::{HttpRequest, HttpResponse};
use aws_sdk_s3::error::ConnectorError;
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector as Connector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method};
use http_body::Body as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;

use crate::config::Storage;
use crate::web;

/// Shorter than what servers keep an idle connection for (Ceph: 65 s).
const IDLE: Duration = Duration::from_secs(30);

/// The way to object storage. Clones are the same way, and share its bounds.
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    client: Client<HttpsConnector<HttpConnector>, SdkBody>,
    /// One for each request that may be under way until its answer begins.
    turns: Semaphore,
    pace: DefaultDirectRateLimiter,
    clock: DefaultClock,
    bounds: Storage,
}

impl Transport {
    /// Trusts the system's authorities.
    ///
    /// # Errors
    /// Where the system has none, in words.
    pub fn new(bounds: &Storage) -> Result<Self, String> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(bounds.attempt.0));
        let https = HttpsConnectorBuilder::new().with_tls_config(web::trusting(None)?).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(bounds.at_once as usize)
            .build(https.wrap_connector(tcp));
        // A burst of a tenth of a second, so that no second has more than a tenth above the rate.
        let rate = NonZeroU32::new(bounds.rate).unwrap_or(NonZeroU32::MIN);
        let burst = NonZeroU32::new(bounds.rate / 10).unwrap_or(NonZeroU32::MIN);
        Ok(Self(Arc::new(Inner {
            client,
            turns: Semaphore::new(bounds.at_once as usize),
            pace: RateLimiter::direct(Quota::per_second(rate).allow_burst(burst)),
            clock: DefaultClock::default(),
            bounds: bounds.clone(),
        })))
    }

    pub(super) fn bounds(&self) -> &Storage {
        &self.0.bounds
    }
}

impl Inner {
    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let other = |error| ConnectorError::other(error, None);
        let _turn = self.turns.acquire().await.map_err(|error| other(error.into()))?;
        while let Err(early) = self.pace.check() {
            tokio::time::sleep(early.wait_time_from(self.clock.now())).await;
        }
        let mut request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        // Ceph copies no part for a PUT that does not say that nothing follows (411), and hyper says it only where something might.
        if matches!(*request.method(), Method::PUT | Method::POST) && request.body().size_hint().exact() == Some(0) {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let answer = self.client.request(request).await.map_err(|error| ConnectorError::io(error.into()))?;
        HttpResponse::try_from(answer.map(SdkBody::from_body_1_x)).map_err(|error| other(error.into()))
    }
}

impl Connector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let inner = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move { inner.exchange(request).await })
    }
}

impl HttpClient for Transport {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transport").field(&self.0.bounds).finish()
    }
}
