//! Pebble, and the DNS in which it finds every name on loopback.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Certificate, Client};
use stack::keys::{Authority, ExtendedKeyUsagePurpose};
use stack::ports::free;
use tempfile::TempDir;
use tokio::net::UdpSocket;

/// A running Pebble; dropped, it is killed.
pub(crate) struct Ca {
    child: Option<Child>,
    listen: SocketAddr,
    management: SocketAddr,
    wanted: Wanted,
    dns: SocketAddr,
    folder: TempDir,
    own: Certificate,
}

/// How Pebble behaves.
#[derive(Clone)]
pub(crate) struct Wanted {
    /// Where it looks for names over TLS and over HTTP.
    pub(crate) tls: u16,
    pub(crate) http: u16,
    /// Seconds that a certificate is good for; five years where it is none.
    pub(crate) life: Option<u64>,
    /// Good nonces that it refuses, in percent.
    pub(crate) refused_nonces: u8,
    /// Valid authorizations that it uses again, in percent.
    pub(crate) reused: u8,
}

impl Ca {
    pub(crate) async fn start(wanted: Wanted) -> Self {
        let dns = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = dns.local_addr().unwrap();
        tokio::spawn(answer(dns));
        let folder = TempDir::new().unwrap();
        let authority = Authority::new("of the CA's own server").unwrap();
        let (cert, key) = authority.issue(&["localhost", "127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", &authority.pem);
        write("cert.pem", &cert);
        write("key.pem", &key);
        let mut ca = Self {
            child: None,
            listen: free().unwrap(),
            management: free().unwrap(),
            wanted,
            dns: address,
            folder,
            own: Certificate::from_pem(authority.pem.as_bytes()).unwrap(),
        };
        ca.up().await;
        ca
    }

    /// Starts it, with nothing left of what it knew before.
    pub(crate) async fn up(&mut self) {
        let Wanted { tls, http, life, refused_nonces, reused } = &self.wanted;
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let config = serde_json::json!({ "pebble": {
            "listenAddress": self.listen.to_string(),
            "managementListenAddress": self.management.to_string(),
            "certificate": file("cert.pem"),
            "privateKey": file("key.pem"),
            "httpPort": http,
            "tlsPort": tls,
            "certificateValidityPeriod": life.unwrap_or(0),
        }});
        std::fs::write(self.folder.path().join("config.json"), config.to_string()).unwrap();
        let pebble = tokio::task::block_in_place(|| stack::toolchain::pebble(&|line| println!("{line}"))).unwrap();
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(pebble);
        command
            .args(["-config", &file("config.json"), "-dnsserver", &self.dns.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", refused_nonces.to_string())
            .env("PEBBLE_AUTHZREUSE", reused.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
        let began = Instant::now();
        while self.client().get(self.directory()).send().await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends it.
    pub(crate) fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(crate) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.listen.port())
    }

    /// The authority of its own server.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The root of what it issues.
    pub(crate) async fn root(&self) -> Certificate {
        let url = format!("https://localhost:{}/roots/0", self.management.port());
        let pem = self.client().get(url).send().await.unwrap().bytes().await.unwrap();
        Certificate::from_pem(&pem).unwrap()
    }

    /// All that it has said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// How many orders have been made.
    pub(crate) fn orders(&self) -> usize {
        self.log().matches("Added order ").count()
    }

    fn client(&self) -> Client {
        Client::builder().tls_certs_only([self.own.clone()]).timeout(Duration::from_secs(10)).build().unwrap()
    }
}

impl Drop for Ca {
    fn drop(&mut self) {
        self.down();
    }
}

/// Answers DNS (RFC 1035 section 4): every name has the address 127.0.0.1 and nothing else.
async fn answer(socket: UdpSocket) {
    let mut query = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut query).await {
        // Header of 12 bytes, the name's labels up to the empty one, then type and class.
        let Some(end) = query[12..length].iter().position(|b| *b == 0).map(|n| 12 + n + 5) else { continue };
        let is_a = query.get(end - 4..end - 2) == Some(&[0, 1]);
        let mut said = query[..end].to_vec();
        // A response without error; one question, one answer or none.
        said[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
        if is_a {
            // The question's name, type A, class IN, 60 s, four bytes.
            said.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
        }
        let _ = socket.send_to(&said, from).await;
    }
}
