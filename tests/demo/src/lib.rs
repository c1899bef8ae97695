//! The demo app: a small creator site that stands behind the gateway in `cargo dev` and in every end-to-end test.
//!
//! A real site first (pages, sign-in, server-sent events, a WebSocket, uploads, files handed off to a bucket), and beside it what
//! tests need: an echo of what arrived, answers with any cache headers, faults on demand (`/misbehave/…`), and counts of
//! what the app saw. It never serves `/static/*` itself, except the previous release's stylesheet: the edge has the rest.
//!
//! ```no_run
//! # async fn run() -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let demo = demo::Demo::new(demo::Options::default());
//! tokio::spawn(demo.clone().serve(listener));
//! assert_eq!(demo.counts().get("/"), None);
//! # Ok(())
//! # }
//! ```

mod account;
mod api;
mod assets;
mod cache_lab;
mod counts;
mod cover;
mod database;
mod feed;
mod files;
mod handoff;
mod lab;
mod misbehave;
mod objects;
mod ota;
mod pages;
mod renders;
mod saboteur;
mod script;
mod server;
mod session;
mod site;
mod socket;
mod studio;
mod sync;
mod upload;
mod webhooks;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router, middleware,
    routing::{any, get, post},
    serve::{Listener, ListenerExt as _},
};

use tokio::net::TcpListener;

pub use assets::{PREVIOUS_STYLESHEET, STATIC_DIR};
pub use lab::pattern;
pub use objects::{Object, objects};
pub use webhooks::Delivery;

/// How the app behaves; the default is what tests want.
#[derive(Debug, Clone)]
pub struct Options {
    /// Time between two `changed` events of the feed. More than zero; 1 s by default.
    pub sse_interval: Duration,
    /// Time between two `: keepalive` comments of the feed. More than zero; 15 s by default.
    pub keepalive: Duration,
    /// Whether the app serves [`STATIC_DIR`] itself, for looking at the site alone. Off by default: behind the gateway the edge
    /// does that, and a test that passes with this on would prove nothing.
    pub serve_static: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { sse_interval: Duration::from_secs(1), keepalive: Duration::from_secs(15), serve_static: false }
    }
}

/// A handle on one app: clones share sessions, counts and deliveries, so a test can serve it, stop it, serve it again elsewhere,
/// and read what it saw.
#[derive(Debug, Clone)]
pub struct Demo {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    sessions: session::Sessions,
    renders: renders::Renders,
    counts: counts::Counts,
    lab_counts: counts::Counts,
    scripts: script::Scripts,
    deliveries: webhooks::Deliveries,
    files: files::Files,
    gateway: OnceLock<client::Gateway>,
    shelf: studio::Shelf,
    changes: sync::Changes,
    database: database::Database,
}

impl Demo {
    /// An app that has seen nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            shared: Arc::new(Shared {
                options,
                sessions: session::Sessions::default(),
                renders: renders::Renders::default(),
                counts: counts::Counts::default(),
                lab_counts: counts::Counts::default(),
                scripts: script::Scripts::default(),
                deliveries: webhooks::Deliveries::default(),
                files: files::Files::default(),
                gateway: OnceLock::new(),
                shelf: studio::Shelf::default(),
                changes: sync::Changes::default(),
                database: database::Database::default(),
            }),
        }
    }

    /// Tells it where the gateway's private listener is, which it asks about files that people upload. The first word counts.
    pub fn ask(&self, gateway: client::Gateway) {
        self.shared.gateway.get_or_init(|| gateway);
    }

    /// Requests by route pattern (`/c/{slug}`; `(none)` where nothing matched), of any method, since the start or the last
    /// reset. The two `/counts` routes are not counted.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.shared.counts.snapshot()
    }

    /// Sets every count to zero.
    pub fn reset_counts(&self) {
        self.shared.counts.reset();
    }

    /// The webhook deliveries received so far, oldest first, at most the last 100.
    #[must_use]
    pub fn received(&self) -> Vec<Delivery> {
        self.shared.deliveries.snapshot()
    }

    /// Serves HTTP/1.1 on a listener (TCP or Unix) until the future is dropped, which also cuts every open connection.
    pub async fn serve<L: Listener>(self, listener: L) {
        server::serve(listener, self.router()).await;
    }

    /// The routes. Below HTTP (`/misbehave/cut` and its like) they work only as [`serve`](Self::serve) runs them.
    fn router(self) -> Router {
        let router = Router::new()
            .route("/", get(pages::home))
            .route("/c/{slug}", get(pages::creator))
            .route("/c/{slug}/works", get(pages::works))
            .route("/player/{work}", get(pages::player))
            .route("/chat", get(pages::chat))
            .route("/upload", get(pages::upload))
            .route("/sign-in", get(account::sign_in_form).post(account::sign_in))
            .route("/sign-out", post(account::sign_out))
            .route("/account", get(account::page))
            .route("/fragment/account", get(account::fragment))
            .route("/listen/{work}", get(handoff::listen))
            .route("/download/{work}", get(handoff::download))
            .route("/api/files", post(files::begin))
            .route("/api/files/{id}", get(files::state).delete(files::give_up))
            .route("/api/files/{id}/parts", post(files::parts))
            .route("/api/files/{id}/complete", post(files::complete))
            .route("/files/{id}", get(files::read))
            .route("/api/creators", get(api::creators))
            .route("/api/me", get(account::me))
            .route("/api/sync/subscribe", get(feed::subscribe))
            .route("/api/sync/push", post(sync::push))
            .route("/api/sync/pull", post(sync::pull))
            .route("/api/sync/ota/{slug}/{target}/{arch}/{current_version}", get(ota::check))
            .route("/ota/{slug}/{version}/{target}/{arch}", get(ota::artifact))
            .route("/api/upload", post(upload::receive))
            .route("/studio", get(studio::page))
            .route("/api/uploads/authorize", post(studio::authorize))
            .route("/api/uploads/done", post(studio::done))
            .route("/recordings/{id}", get(studio::recording))
            .route("/recordings/{id}/listen", get(studio::listen))
            .route("/recordings/{id}/download", get(studio::download))
            .route("/ws", get(socket::upgrade))
            .route("/webhooks/stripe", post(webhooks::stripe))
            .route("/webhooks/postmark", post(webhooks::postmark))
            .route("/webhooks/received", get(webhooks::received))
            .route("/static/{file}", get(assets::file))
            .route("/echo", any(lab::echo))
            .route("/echo/{*rest}", any(lab::echo))
            .route("/bytes/{length}", get(lab::bytes))
            .route("/cache", any(cache_lab::answer))
            .route("/script/{id}", get(script::seen).put(script::program))
            .route("/scripted/{id}", any(script::answer))
            .route("/scripted/{id}/{*rest}", any(script::answer))
            .route("/healthz", get(async || "ok\n"))
            .route("/counts", get(counts::report))
            .route("/counts/reset", post(counts::reset))
            .route("/misbehave/database", post(database::set))
            .nest("/misbehave", misbehave::router())
            .fallback(api::not_found)
            .method_not_allowed_fallback(api::method_not_allowed);
        router
            .layer(middleware::from_fn_with_state(self.clone(), database::wait))
            .layer(middleware::from_fn_with_state(self.clone(), counts::count))
            .with_state(self)
    }
}

/// A listener whose connections send at once what is written. `axum::serve` does not ask for that by itself: a stream's first event, written after
/// its head, then waits until the gateway has acknowledged that (RFC 1122, section 4.2.3.4), which on a kept connection takes 40 ms.
pub fn prompt(listener: TcpListener) -> impl Listener<Io: Send + Unpin + 'static> {
    // What can't be set belongs to a connection that has ended.
    listener.tap_io(|stream| drop(stream.set_nodelay(true)))
}

/// Serves a new app on a listener (TCP or Unix) until the future is dropped.
pub async fn serve<L: Listener>(listener: L, options: Options) {
    Demo::new(options).serve(listener).await;
}
