//! A server with two buckets, and the gateway's configuration for it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use origin::buckets::{Survey, survey};
use origin::config::{Bucket, Config};
use origin::storage::{Permit, Place, Put, Signer, Transport};
use reqwest::{Client, Method, RequestBuilder};
use stack::bucket::Buckets;
use stack::rgw::Rgw;
use stack::swift::Swift;
use stack::toolchain::Toolchain;
use stack::toolchain::ceph::{Generation, ceph};
use stack::toolchain::swift::swift;
use tempfile::TempDir;

use crate::api::Api;

const OWNER: (&str, &str) = ("STORAGEOWNER00000001", "storageOwnerSecret0000000000000000000001");
const WRITER: (&str, &str) = ("STORAGEWRITER0000001", "storageWriterSecret000000000000000000001");

/// Whose scripts may use the buckets.
pub(crate) const ORIGIN: &str = "https://makenot.work";
/// A bucket of the same project that the configuration does not name.
pub(crate) const ELSEWHERE: &str = "backups";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In this process.
    Embedded,
    Ceph(Generation),
    /// OpenStack's, by its S3 API: another vendor's, with versions, and little that S3's own means set up.
    Swift,
}

/// What a server may have nothing of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    Versions,
    WriteOnlyKey,
    /// A hash beside a presigned query, which binds the body.
    BoundBody,
    /// Forms under a policy (POST).
    Forms,
    /// CORS by S3's means.
    Cors,
    /// A bucket's policy.
    Policy,
    /// Telling an upload that it no longer knows from one that the key may not see.
    EndedUploads,
}

impl Kind {
    /// What its server has nothing of. Cases that are about it show that it says so, or do not run.
    fn lacks(self) -> &'static [Lack] {
        match self {
            Self::Ceph(_) => &[],
            Self::Embedded => &[Lack::Versions, Lack::BoundBody, Lack::Cors, Lack::Policy, Lack::EndedUploads],
            Self::Swift => &[Lack::WriteOnlyKey, Lack::BoundBody, Lack::Forms, Lack::Cors, Lack::Policy],
        }
    }

    /// Its keys: one for everything, and one that only writes.
    fn keys(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Embedded | Self::Ceph(_) => [OWNER, WRITER],
            // What another user writes there, is that user's, and the owner can't read it.
            Self::Swift => [("app:owner", OWNER.1); 2],
        }
    }
}

pub(crate) struct Server {
    pub(crate) kind: Kind,
    /// Users' files, as the gateway is configured for them.
    pub(crate) files: Bucket,
    /// Another bucket of the same project.
    pub(crate) other: Bucket,
    pub(crate) http: Client,
    /// The gateway's whole configuration.
    pub(crate) config: Config,
    /// A gateway with its private API.
    pub(crate) api: Api,
    address: SocketAddr,
    running: Mutex<Option<Running>>,
    folder: TempDir,
}

/// Only held.
enum Running {
    Embedded(#[expect(dead_code, reason = "dropped, it ends")] Buckets),
    Ceph(#[expect(dead_code, reason = "dropped, it ends")] Rgw),
    Swift(#[expect(dead_code, reason = "dropped, it ends")] Swift),
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of an XML element.
    pub(crate) fn element(&self, name: &str) -> String {
        let text = self.text();
        let rest = text.split_once(&format!("<{name}>")).map_or("", |(_, rest)| rest);
        rest.split('<').next().unwrap_or_default().replace("&quot;", "\"")
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let answer = request.send().await.expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, headers, body: answer.bytes().await.expect("a whole body").to_vec() }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

impl Server {
    /// `None`, with a loud line, where a Ceph or Swift can't be had: never where `CI` is set.
    pub(crate) async fn start(kind: Kind) -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let (running, address) = match kind {
            Kind::Embedded => {
                let store = folder.path().join("buckets");
                std::fs::create_dir_all(store.join("other")).expect("a bucket");
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let key = (OWNER.0.to_owned(), OWNER.1.to_owned());
                let writer = (WRITER.0.to_owned(), WRITER.1.to_owned());
                let buckets = Buckets::start(&store, listener, &key, &writer).await.expect("the embedded storage");
                let address = buckets.address();
                (Running::Embedded(buckets), address)
            }
            Kind::Ceph(generation) => {
                let got = tokio::task::block_in_place(|| {
                    ceph(&Toolchain::workspace(), generation, &|line| println!("{line}"))
                });
                let ceph = match got {
                    Ok(ceph) => ceph,
                    Err(error) if std::env::var_os("CI").is_none() => {
                        eprintln!("\n!!! SKIPPED, NOTHING IS TESTED at {generation:?} Ceph: {error}\n");
                        return None;
                    }
                    Err(error) => panic!("{error}"),
                };
                let (began, version) = (std::time::Instant::now(), ceph.version().to_owned());
                let rgw = tokio::task::block_in_place(|| {
                    let rgw = Rgw::start(ceph)?;
                    rgw.user("app", OWNER)?;
                    // As at Hetzner, a key goes by its id.
                    rgw.key_of("app", WRITER.0, WRITER)?;
                    Ok::<_, String>(rgw)
                });
                let rgw = rgw.unwrap_or_else(|error| panic!("{error}"));
                println!("Ceph {version} is up after {:?}", began.elapsed());
                let address = rgw.address();
                (Running::Ceph(rgw), address)
            }
            Kind::Swift => {
                let got = tokio::task::block_in_place(|| swift(&Toolchain::workspace(), &|line| println!("{line}")));
                let modules = match got {
                    Ok(modules) => modules,
                    Err(error) if std::env::var_os("CI").is_none() => {
                        eprintln!("\n!!! SKIPPED, NOTHING IS TESTED at Swift: {error}\n");
                        return None;
                    }
                    Err(error) => panic!("{error}"),
                };
                let began = std::time::Instant::now();
                let swift = tokio::task::block_in_place(|| Swift::start(&modules, &kind.keys()[..1]));
                let swift = swift.unwrap_or_else(|error| panic!("{error}"));
                println!("Swift {} is up after {:?}", modules.version(), began.elapsed());
                let address = swift.address();
                (Running::Swift(swift), address)
            }
        };
        let (config, [files, other]) = configured(&folder, address, kind);
        let api = Api::new(folder.path(), address, !kind.lacks().contains(&Lack::WriteOnlyKey));
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().expect("a client");
        let server =
            Self { kind, config, files, other, http, api, address, running: Mutex::new(Some(running)), folder };
        if kind != Kind::Embedded {
            // Somebody else's, of the same project.
            let elsewhere = server.elsewhere(ELSEWHERE);
            server.owner(&elsewhere, "PUT", "", &[], Vec::new()).await.expect_success();
            server.store(&elsewhere, "dump.sql", "text/plain", b"a backup").await;
            server.make().await;
        }
        Some(server)
    }

    /// Another bucket, with the same keys.
    pub(crate) fn elsewhere(&self, name: &str) -> Bucket {
        let [owner, only_writes] = self.kind.keys();
        let on = |signer: &Signer, (id, secret): (&str, &str)| {
            let place = Place { prefix: format!("/{name}"), ..signer.place().clone() };
            let key = origin::config::Credentials { id: id.to_owned(), secret: secret.to_owned() };
            Arc::new(Signer::new(place, key))
        };
        let writer = self.files.writer.as_ref().map(|writer| on(writer, only_writes));
        Bucket { role: name.to_owned(), reader: on(&self.files.reader, owner), writer, ..self.files.clone() }
    }

    /// The command line's `origin`, with this configuration: its exit code, and what it says.
    pub(crate) fn origin(&self, arguments: &[&str]) -> (i32, String) {
        static BINARY: OnceLock<PathBuf> = OnceLock::new();
        let build = || stack::gateway::build(&Toolchain::workspace(), &|line| println!("{line}")).expect("origin");
        let binary = tokio::task::block_in_place(|| BINARY.get_or_init(build));
        let mut command = Command::new(binary);
        command.args(arguments).arg("--config").arg(self.folder.path().join("origin.toml")).stdin(Stdio::null());
        let done = tokio::task::block_in_place(|| command.output()).expect("it runs");
        let said = [done.stdout, done.stderr].concat();
        (done.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The section of users' files, and no other key than the owner's, in `credentials`.
    pub(crate) fn section(&self, credentials: &std::path::Path) -> String {
        let address = self.address;
        format!(
            "[bucket.user-files]\nurl = \"http://{address}/user-files\"\nregion = \"fsn1\"\ncredentials_file = {credentials:?}\n"
        )
    }

    /// The owner's key, as a file of credentials holds it.
    pub(crate) fn credentials(&self) -> String {
        let [(id, secret), _] = self.kind.keys();
        format!("{id}:{secret}\n")
    }

    /// Takes it down; nothing can be asked of it any more.
    pub(crate) async fn kill(&self) {
        let running = self.running.lock().expect("no panic").take();
        // Ceph's processes are waited for; the embedded one ends with its tasks.
        tokio::task::block_in_place(|| drop(running));
    }

    pub(crate) fn is(&self, generation: Generation) -> bool {
        self.kind == Kind::Ceph(generation)
    }

    /// The key that may do everything: its id and secret.
    pub(crate) fn owner_key(&self) -> (&'static str, &'static str) {
        self.kind.keys()[0]
    }

    /// Whether it has nothing of this, and says so to who reads the log.
    pub(crate) fn lacks(&self, what: Lack) -> bool {
        let lacks = self.kind.lacks().contains(&what);
        if lacks {
            println!("{:?}: lacks {what:?}", self.kind);
        }
        lacks
    }

    /// The buckets as the gateway sets them up itself: with versions, nothing that the writing key could read, nothing that could be made public.
    async fn make(&self) {
        let found = self.survey().await;
        assert!(found.changes() > 0 && found.differs(), "{found}");
        found.apply(|_| ()).await.unwrap_or_else(|error| panic!("{error}\n{found}"));
        let found = self.survey().await;
        assert!(!found.differs(), "{found}");
        println!("{:?}:\n{found}", self.kind);
    }

    /// What `origin buckets check` looks at.
    pub(crate) async fn survey(&self) -> Survey {
        let transport = Transport::new(&self.config.storage).expect("authorities");
        survey(&self.config, &[], &transport).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// A request by the key that may do everything.
    pub(crate) async fn owner(
        &self,
        bucket: &Bucket,
        method: &'static str,
        key: &str,
        query: &[(&'static str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let permit = Permit { method, key, query, headers: &[], begins: now(), lasts: 60 };
        let url = bucket.reader.presign(&permit);
        send(self.http.request(method.parse().expect("a method"), url).body(body)).await
    }

    /// Sets something up at a bucket, as somebody else would.
    pub(crate) async fn put_setting(&self, bucket: &Bucket, what: &'static str, text: &str) {
        self.owner(bucket, "PUT", "", &[(what, "")], text.as_bytes().to_vec()).await.expect_success();
    }

    /// Puts an object, as an app would.
    pub(crate) async fn store(&self, bucket: &Bucket, key: &str, content_type: &str, body: &[u8]) -> Answer {
        let headers = [("content-type", content_type)];
        let permit = Permit { method: "PUT", key, query: &[], headers: &headers, begins: now(), lasts: 60 };
        let request = self.http.put(bucket.reader.presign(&permit)).header("content-type", content_type);
        let done = send(request.body(body.to_vec())).await;
        done.expect_success();
        done
    }

    /// What is stored, if anything.
    pub(crate) async fn stored(&self, bucket: &Bucket, key: &str) -> Option<Vec<u8>> {
        let answer = self.owner(bucket, "GET", key, &[], Vec::new()).await;
        assert!(matches!(answer.status, 200 | 404), "{}: {}", answer.status, answer.text());
        (answer.status == 200).then_some(answer.body)
    }

    /// The request that a `Put` allows. The length goes by the body.
    pub(crate) fn put(&self, put: &Put, body: &[u8]) -> RequestBuilder {
        let mut request = self.http.request(Method::PUT, &put.url).body(body.to_vec());
        for (name, value) in put.headers.iter().filter(|(name, _)| *name != "content-length") {
            request = request.header(*name, value);
        }
        request
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect_success(&self) {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text());
    }

    #[track_caller]
    pub(crate) fn expect_refusal(&self, what: &str) {
        assert!(matches!(self.status, 400 | 403 | 405 | 411 | 501), "{what}: {}: {}", self.status, self.text());
    }
}

/// The gateway's own configuration, and its buckets.
fn configured(folder: &TempDir, address: SocketAddr, kind: Kind) -> (Config, [Bucket; 2]) {
    let file = |name: &str, (id, secret): (&str, &str)| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{id}:{secret}\n")).expect("written");
        path
    };
    let [owner, writer] = kind.keys();
    let one_key = owner == writer;
    let (owner, writer) = (file("owner.key", owner), file("writer.key", writer));
    let mut text = "listen.http = [\"127.0.0.1:0\"]\n[[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:1\"\n".to_owned();
    for role in ["user-files", "other"] {
        text += &format!(
            "[bucket.{role}]\nurl = \"http://{address}/{role}\"\nregion = \"fsn1\"\ncredentials_file = {owner:?}\nprefixes = [\"users\"]\n\
             types = [\"audio/*\", \"text/plain\", \"image/svg+xml\"]\nupload_max = \"16MiB\"\n\
             origins = [\"{ORIGIN}\"]\n"
        );
        if !one_key {
            text += &format!("write_credentials_file = {writer:?}\n");
        }
        if kind == Kind::Swift {
            text += "lacks = [\"lifecycle\", \"cors\", \"policy\"]\n";
        }
    }
    std::fs::write(folder.path().join("origin.toml"), &text).expect("written");
    let config = origin::config::parse(&text).unwrap_or_else(|faults| panic!("{faults:?}"));
    let mut buckets = config.buckets.clone();
    if one_key {
        // Parts are tried all the same.
        buckets.iter_mut().for_each(|bucket| bucket.writer = Some(bucket.reader.clone()));
    }
    buckets.sort_by(|a, b| b.role.cmp(&a.role));
    let both = buckets.try_into().expect("two buckets");
    (config, both)
}
