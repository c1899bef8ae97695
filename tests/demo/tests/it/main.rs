//! The demo app over real sockets, as the gateway meets it.

mod account;
mod files;
mod lab;
mod live;
mod misbehave;
mod pages;

use std::{net::SocketAddr, time::Duration};

use demo::{Demo, Options};
use reqwest::{Client, RequestBuilder, Response, redirect::Policy};
use tokio::{net::TcpListener, task::JoinHandle};

/// An app on a port of its own; stops when dropped.
struct App {
    demo: Demo,
    address: SocketAddr,
    client: Client,
    task: JoinHandle<()>,
}

impl App {
    async fn start() -> Self {
        Self::with(Options { sse_interval: Duration::from_millis(30), ..Options::default() }).await
    }

    async fn with(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let demo = Demo::new(options);
        let task = tokio::spawn(demo.clone().serve(listener));
        let client = Client::builder().redirect(Policy::none()).no_proxy().build().expect("a client");
        Self { demo, address, client, task }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    /// GET that has to be answered.
    async fn fetch(&self, path: &str) -> Response {
        self.get(path).send().await.expect("an answer")
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A response field as text; empty where there is none.
fn field<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("an ASCII value"))
}
