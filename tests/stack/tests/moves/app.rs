//! The site's app: a page that may be cached, one that says who asks, and one that takes what is sent.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What its page says; whoever changes it has to purge it.
#[derive(Default)]
pub(crate) struct App {
    pub(crate) edition: AtomicU64,
}

/// Serves it here, for as long as the runtime lives.
pub(crate) async fn serve(app: Arc<App>, address: SocketAddr) {
    let listener = TcpListener::bind(address).await.expect("free");
    loop {
        let (stream, _) = listener.accept().await.expect("accepted");
        let app = Arc::clone(&app);
        let service = service_fn(move |request| answer(Arc::clone(&app), request));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(app: Arc<App>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let field = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    let answer = Response::builder().header("content-type", "text/plain; charset=utf-8");
    let answer = match request.uri().path() {
        "/page" => {
            let edition = app.edition.load(Ordering::SeqCst);
            let answer = answer.header("cache-control", "public, max-age=600").header("cache-tag", "page");
            answer.body(format!("edition {edition}"))
        }
        "/who" => {
            let who = field("x-forwarded-for");
            answer.header("cache-control", "no-store").body(who)
        }
        "/send" => {
            let length = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len());
            answer.header("cache-control", "no-store").body(format!("{length} bytes"))
        }
        path => {
            let path = path.to_owned();
            answer.header("cache-control", "no-store").body(path)
        }
    };
    Ok(answer.expect("good fields").map(|text| Full::new(Bytes::from(text))))
}
