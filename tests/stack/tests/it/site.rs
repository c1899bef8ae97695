//! A running site: one stack, with a client that does nothing by itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use stack::{Edge, Listeners, Options, Ports, Stack};
use tokio::sync::OnceCell;

use crate::answer::{Answer, send};

/// Where the edge runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// In the gateway.
    Native,
    /// In workerd.
    Worker,
}

impl Host {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Worker => "worker",
        }
    }
}

/// A site as a visitor reaches it, and what stands behind it.
pub(crate) struct Site {
    pub(crate) host: Host,
    pub(crate) stack: Stack,
    client: Client,
}

/// A client that follows no redirect, keeps no cookie and asks for no coding.
pub(crate) fn client() -> reqwest::ClientBuilder {
    Client::builder().redirect(Policy::none()).no_proxy()
}

impl Site {
    /// Starts a stack of its own.
    pub(crate) async fn start(host: Host) -> Result<Self, String> {
        Self::start_with(host, None, None).await
    }

    /// The same, where the Worker lets one client bring so many requests a minute to the gateway.
    pub(crate) async fn start_limited(host: Host, limit: Option<u32>) -> Result<Self, String> {
        Self::start_with(host, limit, None).await
    }

    /// The same, with more of the gateway's configuration.
    pub(crate) async fn start_with(host: Host, limit: Option<u32>, config: Option<PathBuf>) -> Result<Self, String> {
        let edge = match host {
            Host::Native => Edge::Native,
            Host::Worker => Edge::Worker,
        };
        let options = Options { edge, app: None, config, limit, ports: Ports::default() };
        let stack = Stack::start(options, Listeners::default(), &|line| eprintln!("{line}")).await?;
        let client = client().build().map_err(|e| e.to_string())?;
        Ok(Self { host, stack, client })
    }

    /// A path at the site.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.stack.addresses.edge)
    }

    /// Where the site listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.stack.addresses.edge.trim_start_matches("http://").parse().expect("an address")
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// GET of a path.
    pub(crate) async fn fetch(&self, path: &str) -> Answer {
        send(self.get(path)).await
    }

    /// GET straight from the app.
    pub(crate) async fn ask_app(&self, path: &str) -> Answer {
        send(self.client.get(format!("{}{path}", self.stack.addresses.app))).await
    }

    /// PUT straight to the app.
    pub(crate) async fn tell_app(&self, path: &str, json: &impl serde::Serialize) -> Answer {
        send(self.client.put(format!("{}{path}", self.stack.addresses.app)).json(json)).await
    }

    /// How often the app has answered `/cache?query`, which it counts by the whole query.
    pub(crate) async fn renders(&self, query: &str) -> u64 {
        self.ask_app(&format!("/cache?{query}")).await.field("demo-render").parse::<u64>().expect("a number") - 1
    }

    /// The gateway's log line of a request.
    #[track_caller]
    pub(crate) fn gateway_line(&self, id: &str) -> Value {
        self.stack.record(id).unwrap_or_else(|| panic!("the gateway has no line of {id}"))
    }

    /// The Worker's log line of a request.
    pub(crate) async fn worker_line(&self, id: &str) -> Value {
        let worker = self.stack.workerd.as_ref().expect("a Worker");
        eventually("the Worker's log line", || {
            let lines = worker.lines().into_iter().rev();
            let mut lines = lines.filter_map(|line| serde_json::from_str::<Value>(&line.message).ok());
            lines.find(|line| line["request.id"] == id)
        })
        .await
    }
}

/// What `look` finds, as soon as it does; fails after 10 s.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let within = Duration::from_secs(10);
    let found = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(within, found).await.unwrap_or_else(|_| panic!("not within {within:?}: {what}"))
}

/// The two sites that the cases share, each started when it is first asked for.
#[derive(Default)]
pub(crate) struct Sites {
    native: OnceCell<Result<Site, String>>,
    worker: OnceCell<Result<Site, String>>,
}

impl Sites {
    /// A host's site.
    pub(crate) async fn get(&self, host: Host) -> Result<&Site, String> {
        let cell = match host {
            Host::Native => &self.native,
            Host::Worker => &self.worker,
        };
        cell.get_or_init(|| Site::start(host)).await.as_ref().map_err(Clone::clone)
    }

    /// Takes down what runs.
    pub(crate) async fn stop(self) {
        for site in [self.native, self.worker].into_iter().filter_map(OnceCell::into_inner).flatten() {
            site.stack.stop().await;
        }
    }
}
