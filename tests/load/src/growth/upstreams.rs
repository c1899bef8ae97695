//! An app with many upstreams, here, as its own CPU is not what is asked about.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The host whose app they are.
pub(super) const HOST: &str = "upstreams.test";

/// They run until this is dropped.
#[derive(Default)]
pub(super) struct Upstreams {
    addresses: Vec<SocketAddr>,
    tasks: JoinSet<()>,
}

impl Upstreams {
    /// So many of them.
    pub(super) async fn start(many: u64) -> Result<Self, String> {
        let mut own = Self::default();
        for _ in 0..many {
            let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|e| format!("an upstream: {e}"))?;
            own.addresses.push(listener.local_addr().map_err(|e| e.to_string())?);
            own.tasks.spawn(serve(listener));
        }
        Ok(own)
    }

    /// The gateway's site with them; nothing where there are none.
    pub(super) fn site(&self) -> String {
        if self.addresses.is_empty() {
            return String::new();
        }
        let all: Vec<String> = self.addresses.iter().map(|address| format!("\"{address}\"")).collect();
        format!("[[site]]\nhosts = [\"{HOST}\"]\napp = [{}]\ntrust = \"direct\"\n", all.join(", "))
    }
}

async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // What can't be set belongs to a connection that has ended.
        let _ = stream.set_nodelay(true);
        connections.spawn(async move {
            let service = service_fn(async |_: Request<Incoming>| {
                let mut answer = Response::new(Full::new(Bytes::from_static(b"fine")));
                answer.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
                Ok::<_, Infallible>(answer)
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
