//! The private API, as an app asks it: a gateway before the same storage, reached through its Unix socket by our client.

pub(crate) mod batches;
pub(crate) mod lfs;
pub(crate) mod openapi;
pub(crate) mod pending;
pub(crate) mod uploads;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use client::{Form, Outcome, Signed};
use stack::gateway::{self, Gateway};
use stack::toolchain::Toolchain;

use crate::server::{Answer, Lack, Server, send};

/// The gateway, started when it is first asked for.
pub(crate) struct Api {
    config: PathBuf,
    socket: String,
    process: Mutex<Option<Gateway>>,
    log: Arc<Mutex<String>>,
}

impl Api {
    /// Roles: `plain` and `creators` are one bucket, without and with a pending prefix; `blobs` is another. Perhaps with a key that only writes.
    pub(crate) fn new(folder: &Path, address: SocketAddr, write_key: bool) -> Self {
        let socket = folder.join("admin.sock").display().to_string();
        let mut text = format!(
            "listen.http = [\"127.0.0.1:0\"]\nlisten.cores = 1\nadmin = {{ listen = \"unix:{socket}\", batch = 50, body = \"64KiB\" }}\n\
             timeouts.drain = \"1s\"\n[[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:1\"\n"
        );
        for (role, bucket, more) in [
            ("plain", "user-files", ""),
            ("creators", "user-files", "pending = \"pending/\"\n"),
            ("blobs", "other", "types = [\"application/octet-stream\"]\n"),
        ] {
            text += &format!(
                "[bucket.{role}]\nurl = \"http://{address}/{bucket}\"\nregion = \"fsn1\"\ncredentials_file = {:?}\n\
                 prefixes = [\"users\"]\nupload_max = \"64MiB\"\nparts_from = \"6MiB\"\npart_size = \"5MiB\"\n{more}",
                folder.join("owner.key"),
            );
            if write_key {
                text += &format!("write_credentials_file = {:?}\n", folder.join("writer.key"));
            }
        }
        let config = folder.join("api.toml");
        std::fs::write(&config, text).expect("written");
        Self { config, socket, process: Mutex::default(), log: Arc::default() }
    }

    /// Our client of it.
    pub(crate) fn client(&self) -> client::Gateway {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.get_or_insert_with(|| tokio::task::block_in_place(|| self.start()));
        client::Gateway::at(&format!("unix:{}", self.socket), None).expect("an address")
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &str {
        &self.socket
    }

    /// Ends it; it is started anew when it is next asked for.
    pub(crate) fn stop(&self) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
        tokio::task::block_in_place(|| drop(process));
    }

    /// All that it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn start(&self) -> Gateway {
        let binary = gateway::build(&Toolchain::workspace(), &|line| println!("{line}")).expect("a gateway");
        let log = Arc::clone(&self.log);
        let on_line = move |line: &serde_json::Value| {
            *log.lock().unwrap_or_else(PoisonError::into_inner) += &format!("{line}\n");
        };
        Gateway::start(&binary, &self.config, Some(Box::new(on_line))).unwrap_or_else(|error| panic!("{error}"))
    }
}

#[track_caller]
fn signed(outcome: Outcome) -> Signed {
    match outcome {
        Outcome::Signed(signed) => signed,
        other => panic!("{other:?}"),
    }
}

/// Why an item was refused, as a word.
#[track_caller]
fn refused(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Refused(refused) => &refused.code,
        other => panic!("{other:?}"),
    }
}

/// Sends what was signed, just so.
async fn send_signed(server: &Server, signed: &Signed, body: &[u8]) -> Answer {
    let method = signed.method.parse().expect("a method");
    let mut request = server.http.request(method, signed.url.as_str()).body(body.to_vec());
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    send(request).await
}

/// Posts a form as a browser does. Where the storage takes none, that is shown, and the app puts the object there with its own key.
async fn post(server: &Server, form: &Form, body: &[u8]) -> Answer {
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let answer = crate::forms::post(server, &form.url, &fields, body).await;
    if !server.lacks(Lack::Forms) {
        return answer;
    }
    assert!(answer.status >= 400, "it takes forms: {}", answer.status);
    let field =
        |wanted: &str| fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, v)| v.as_str());
    let (key, content_type) = (field("key").expect("a key"), field("content-type").expect("a type"));
    server.store(&server.files, key, content_type, body).await
}
