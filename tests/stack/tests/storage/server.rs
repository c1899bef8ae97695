//! A server with two buckets, and the gateway's configuration for it.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use origin::config::Bucket;
use origin::storage::{Permit, Put};
use reqwest::{Client, Method, RequestBuilder};
use stack::bucket::Buckets;
use stack::rgw::Rgw;
use stack::toolchain::Toolchain;
use stack::toolchain::ceph::{Generation, ceph};
use tempfile::TempDir;

const OWNER: (&str, &str) = ("STORAGEOWNER00000001", "storageOwnerSecret0000000000000000000001");
const WRITER: (&str, &str) = ("STORAGEWRITER0000001", "storageWriterSecret000000000000000000001");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In this process. Has one key, and so nobody who only writes; no versions, no bucket policies, no hash that binds a body.
    Embedded,
    Ceph(Generation),
}

pub(crate) struct Server {
    pub(crate) kind: Kind,
    /// Users' files, as the gateway is configured for them.
    pub(crate) files: Bucket,
    /// Another bucket of the same project.
    pub(crate) other: Bucket,
    pub(crate) http: Client,
    _running: Running,
    _folder: TempDir,
}

/// Only held.
enum Running {
    Embedded(#[expect(dead_code, reason = "dropped, it ends")] Buckets),
    Ceph(#[expect(dead_code, reason = "dropped, it ends")] Rgw),
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
    /// `None`, with a loud line, where a Ceph can't be had: never where `CI` is set.
    pub(crate) async fn start(kind: Kind) -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let (running, address) = match kind {
            Kind::Embedded => {
                let store = folder.path().join("buckets");
                std::fs::create_dir_all(store.join("other")).expect("a bucket");
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let key = (OWNER.0.to_owned(), OWNER.1.to_owned());
                let buckets = Buckets::start(&store, listener, &key).await.expect("the embedded storage");
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
                    rgw.key_of("app", "writer", WRITER)?;
                    Ok::<_, String>(rgw)
                });
                let rgw = rgw.unwrap_or_else(|error| panic!("{error}"));
                println!("Ceph {version} is up after {:?}", began.elapsed());
                let address = rgw.address();
                (Running::Ceph(rgw), address)
            }
        };
        let [files, other] = configured(&folder, address, kind);
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().expect("a client");
        let server = Self { kind, files, other, http, _running: running, _folder: folder };
        if kind != Kind::Embedded {
            for (bucket, name) in [(&server.files, "user-files"), (&server.other, "other")] {
                server.make(bucket, name).await;
            }
        }
        Some(server)
    }

    pub(crate) fn is(&self, generation: Generation) -> bool {
        self.kind == Kind::Ceph(generation)
    }

    pub(crate) fn is_embedded(&self) -> bool {
        self.kind == Kind::Embedded
    }

    /// A bucket with versions, in which the writing key can read nothing, and nobody can make public what they write.
    async fn make(&self, bucket: &Bucket, name: &str) {
        self.owner(bucket, "PUT", "", &[], Vec::new()).await.expect_success();
        let versions = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>";
        self.owner(bucket, "PUT", "", &[("versioning", "")], versions.into()).await.expect_success();
        let (all, objects) = (format!("arn:aws:s3:::{name}"), format!("arn:aws:s3:::{name}/*"));
        // Named one by one: Ceph 16.2 passes over a denial of all but some (`NotAction`).
        let denied = [
            "s3:Get*",
            "s3:List*",
            "s3:Delete*",
            "s3:PutBucket*",
            "s3:PutLifecycle*",
            "s3:PutObjectAcl",
            "s3:PutObjectVersionAcl",
        ];
        let deny = |field: &str, values: &[&str]| {
            serde_json::json!({
                "Effect": "Deny", "Principal": "*", "Resource": [objects], "Action": ["s3:PutObject", "s3:PutObjectAcl"],
                "Condition": {"StringLike": {field: values}},
            })
        };
        let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Principal": {"AWS": ["arn:aws:iam:::user/app:writer"]}, "Resource": [all, objects], "Action": denied},
            deny("s3:x-amz-acl", &["public-read*", "authenticated-read"]),
            // The same by other names, which old Ceph takes unsigned, too.
            deny("s3:x-amz-grant-read", &["*"]),
            deny("s3:x-amz-grant-read-acp", &["*"]),
            deny("s3:x-amz-grant-write-acp", &["*"]),
            deny("s3:x-amz-grant-full-control", &["*"]),
        ]});
        self.owner(bucket, "PUT", "", &[("policy", "")], policy.to_string().into()).await.expect_success();
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

/// The buckets as the gateway's own configuration gives them.
fn configured(folder: &TempDir, address: SocketAddr, kind: Kind) -> [Bucket; 2] {
    let file = |name: &str, (id, secret): (&str, &str)| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{id}:{secret}\n")).expect("written");
        path
    };
    let owner = file("owner.key", OWNER);
    let writer = file("writer.key", if kind == Kind::Embedded { OWNER } else { WRITER });
    let mut text = "listen.http = [\"127.0.0.1:0\"]\n[[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:1\"\n".to_owned();
    for role in ["user-files", "other"] {
        text += &format!(
            "[bucket.{role}]\nurl = \"http://{address}/{role}\"\nregion = \"fsn1\"\ncredentials_file = {owner:?}\nprefixes = [\"users\"]\n\
             types = [\"audio/*\", \"text/plain\", \"image/svg+xml\"]\nupload_max = \"16MiB\"\n"
        );
        if kind != Kind::Embedded {
            text += &format!("write_credentials_file = {writer:?}\n");
        }
    }
    let mut buckets = origin::config::parse(&text).unwrap_or_else(|faults| panic!("{faults:?}")).buckets;
    if kind == Kind::Embedded {
        // It knows one key.
        buckets.iter_mut().for_each(|bucket| bucket.writer = Some(bucket.reader.clone()));
    }
    buckets.sort_by(|a, b| b.role.cmp(&a.role));
    buckets.try_into().expect("two buckets")
}
