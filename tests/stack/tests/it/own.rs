//! A gateway of a case's own, for what takes another configuration, or the gateway's death; and an app that is driven by hand.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use reqwest::{Certificate, Client, ClientBuilder, Identity, Method, RequestBuilder};
use serde_json::Value;
use stack::gateway::{self, Gateway};
use stack::toolchain::Toolchain;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::site::{Site, client};

/// The names that the stack's certificate holds and that cases use.
const NAMES: [&str; 4] = ["makenot.work", "edge.makenot.work", "direct.makenot.work", "unknown.makenot.work"];

/// A gateway with a configuration of its own, and with the keys and certificates of a site's stack.
pub(crate) struct Own {
    pub(crate) gateway: Gateway,
    ca: Certificate,
    client: Client,
    _folder: TempDir,
}

impl Own {
    /// Starts it. `sections` are TOML, added to listeners on free ports, `[tls]`, `[edge]` and `[admin]`.
    pub(crate) fn start(site: &Site, sections: &str) -> Self {
        Self::start_with_zone(site, &site.stack.credentials.files.client_ca, sections)
    }

    /// The same with another authority of the zone's client certificate.
    pub(crate) fn start_with_zone(site: &Site, client_ca: &Path, sections: &str) -> Self {
        let files = &site.stack.credentials.files;
        let config = format!(
            "listen.https = [\"127.0.0.1:0\"]\nlisten.http = [\"127.0.0.1:0\"]\nadmin.listen = \"127.0.0.1:0\"\n\
             tls = {{ cert = {:?}, key = {:?}, client_ca = {:?} }}\nedge.keys_file = {:?}\n{sections}",
            files.cert, files.key, client_ca, files.edge_keys,
        );
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("origin.toml");
        std::fs::write(&path, config).expect("a file");
        let gateway = tokio::task::block_in_place(|| Gateway::start(binary(), &path, None)).expect("a gateway");
        let ca = Certificate::from_pem(site.stack.credentials.ca.as_bytes()).expect("a certificate");
        let client = client().build().expect("a client");
        Self { gateway, ca, client, _folder: folder }
    }

    /// A request over clear text, of the host that the configuration's `*` serves, or the one that `Host` names.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.gateway.address("http").expect("an address")))
    }

    /// GET over clear text.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// GET from the private listener.
    pub(crate) fn admin(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.gateway.admin().expect("an address")))
    }

    /// A client that trusts the gateway's authority, finds each of our names here, and shows a certificate where it has one.
    pub(crate) fn tls_client(&self, identity: Option<&(String, String)>) -> Client {
        self.tls(identity).build().expect("a client")
    }

    /// The same, to be changed.
    pub(crate) fn tls(&self, identity: Option<&(String, String)>) -> ClientBuilder {
        let mut client = client().tls_certs_only([self.ca.clone()]);
        for name in NAMES {
            client = client.resolve(name, self.https());
        }
        if let Some((certificate, key)) = identity {
            client =
                client.identity(Identity::from_pem(format!("{certificate}{key}").as_bytes()).expect("an identity"));
        }
        client
    }

    /// Where it listens for TLS.
    pub(crate) fn https(&self) -> SocketAddr {
        let address = self.gateway.address("https").expect("an address");
        address.trim_start_matches("https://").parse().expect("an address")
    }

    /// Where it listens in clear text.
    pub(crate) fn http(&self) -> SocketAddr {
        let address = self.gateway.address("http").expect("an address");
        address.trim_start_matches("http://").parse().expect("an address")
    }

    /// Its log line of a request.
    #[track_caller]
    pub(crate) fn line(&self, id: &str) -> Value {
        let line = tokio::task::block_in_place(|| self.gateway.record(id));
        line.unwrap_or_else(|| panic!("the gateway has no line of {id}"))
    }
}

/// The gateway's binary, which the first stack has built already.
fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| gateway::build(&Toolchain::workspace(), &|_| {}).expect("the gateway builds"))
}

/// An app that answers when the case says so, and what.
pub(crate) struct App(TcpListener);

/// A request that the app has got.
pub(crate) struct Got {
    /// Its head.
    pub(crate) head: String,
    stream: TcpStream,
}

impl App {
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a free port"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound listener")
    }

    /// The next request. A connection without one is the gateway's look whether the app is there.
    pub(crate) async fn request(&self) -> Got {
        loop {
            let (mut stream, _) = self.0.accept().await.expect("a connection");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            if !head.is_empty() {
                return Got { head: String::from_utf8_lossy(&head).into_owned(), stream };
            }
        }
    }
}

impl Got {
    /// Waits for the head of another request on the same connection.
    pub(crate) async fn next_head(&mut self) {
        self.head.clear();
        while !self.head.ends_with("\r\n\r\n") {
            self.head.push(char::from(self.stream.read_u8().await.expect("another request")));
        }
    }

    /// Says these bytes.
    pub(crate) async fn say(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.expect("an open connection");
    }

    /// Waits until the gateway lets go of the connection.
    pub(crate) async fn hung_up(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = self.stream.read_to_end(&mut rest).await;
    }
}
