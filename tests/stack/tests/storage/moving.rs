//! A bucket is moved to another vendor's storage, as docs/storage.md says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use origin::config::Bucket;
use origin::storage::Permit;
use sha2::{Digest as _, Sha256};
use stack::drill::Drill;
use stack::toolchain::ceph::Generation;
use stack::toolchain::rclone;

use crate::parts;
use crate::server::{Kind, Server, now, send};

/// What a client sees of an object: its SHA-256, and the fields that go along.
type Object = ([u8; 32], Vec<(&'static str, String)>);

const FIELDS: [&str; 4] = ["content-type", "content-disposition", "x-amz-meta-artist", "x-amz-meta-take"];

const KEYS: [&str; 6] = [
    "users/1/plain.wav",
    "users/1/with space & more.wav",
    "users/2/Fünf Fenster é.wav",
    "users/2/小さな町 (1)+~'.wav",
    "users/2/a%20b=c?d#e.wav",
    "users/3/deep/er/and.deeper.wav",
];

/// As XML has them; the last one last.
const ENTITIES: [(&str, &str); 5] = [("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];

async fn store(server: &Server, key: &str, body: &[u8]) {
    let headers = [
        ("content-disposition", "attachment; filename=\"a b.wav\""),
        ("content-type", "audio/wav"),
        ("x-amz-meta-artist", "Tide"),
        ("x-amz-meta-take", "3"),
    ];
    let permit = Permit { method: "PUT", key, query: &[], headers: &headers, begins: now(), lasts: 60 };
    let request = server.http.put(server.files.reader.presign(&permit)).body(body.to_vec());
    // Of an empty body the client would not say it, and Swift would wait for more.
    let mut request = request.header("content-length", body.len());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    send(request).await.expect_success();
}

/// All that a bucket's list names, read.
async fn all(server: &Server, bucket: &Bucket) -> BTreeMap<String, Object> {
    let list = server.owner(bucket, "GET", "", &[("list-type", "2")], Vec::new()).await;
    list.expect_success();
    let text = list.text();
    assert!(text.contains("<IsTruncated>false<"), "one page: {text}");
    let mut found = BTreeMap::new();
    for key in text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()) {
        let key = ENTITIES.iter().fold(key.to_owned(), |key, (entity, text)| key.replace(entity, text));
        let got = server.owner(bucket, "GET", &key, &[], Vec::new()).await;
        assert_eq!(got.status, 200, "{key}: {}", got.text());
        let fields = FIELDS.map(|name| (name, got.field(name).to_owned()));
        found.insert(key, (Sha256::digest(&got.body).into(), fields.to_vec()));
    }
    found
}

/// rclone, with both storages as the page has them.
struct Rclone {
    program: PathBuf,
    variables: Vec<(String, String)>,
}

impl Rclone {
    fn new(remotes: [(&str, &Server, &str); 2]) -> Self {
        let program = tokio::task::block_in_place(|| rclone(&|line| println!("{line}")));
        let mut variables = Vec::new();
        for (name, server, provider) in remotes {
            let (place, (id, secret)) = (server.files.reader.place(), server.owner_key());
            for (setting, value) in [
                ("TYPE", "s3"),
                ("PROVIDER", provider),
                ("REGION", &place.region),
                ("ENDPOINT", &format!("http://{}", place.host)),
                ("ACCESS_KEY_ID", id),
                ("SECRET_ACCESS_KEY", secret),
            ] {
                variables.push((format!("RCLONE_CONFIG_{name}_{setting}"), value.to_owned()));
            }
        }
        Self { program: program.unwrap_or_else(|error| panic!("{error}")), variables }
    }

    /// Its exit code, and what it says.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(&self.program);
        command.args(arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        // Neither a user's own storages nor a proxy.
        command.env("RCLONE_CONFIG", "/dev/null").env("NO_PROXY", "127.0.0.1").env_remove("AWS_CA_BUNDLE");
        let done = tokio::task::block_in_place(|| command.output()).expect("it runs");
        let said = [done.stdout, done.stderr].concat();
        (done.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
    }
}

/// From Swift to the older Ceph.
pub(crate) async fn from_another_vendor(server: &Server) {
    if !server.is(Generation::Old) {
        return;
    }
    let mut drill = Drill::begin("storage", "cargo test -p stack --test storage -- ceph_old --nocapture");
    let Some(old) = Server::start(Kind::Swift).await else { return };
    drill.done("OpenStack Swift, the old vendor; Ceph, the new one, runs already");
    let new = server.elsewhere("moved");
    server.owner(&new, "PUT", "", &[], Vec::new()).await.expect_success();
    for (n, key) in KEYS.into_iter().enumerate() {
        store(&old, key, format!("number {n}").repeat(n * 1_000).as_bytes()).await;
    }
    parts::store(&old, "users/1/in parts.wav").await;

    drill.done("seven objects at the old one, one of them in parts");
    let rclone = Rclone::new([("OLD", &old, "Other"), ("NEW", server, "Ceph")]);
    let copy = ["copy", "--metadata", "--checksum", "--s3-no-check-bucket", "old:user-files", "new:moved"];
    let check = ["check", "--download", "old:user-files", "new:moved"];
    let (code, said) = rclone.run(&copy);
    assert_eq!(code, 0, "{said}");
    let before = all(&old, &old.files).await;
    assert_eq!(before.len(), KEYS.len() + 1, "{:?}", before.keys());
    assert_eq!(all(server, &new).await, before);
    assert_eq!(before[KEYS[1]].1[1].1, "attachment; filename=\"a b.wav\"", "it is not empty on both sides");

    drill.done("rclone copy --metadata; every object, with its type and metadata, is at the new one");

    // What came meanwhile, by the second run.
    store(&old, KEYS[0], b"another take").await;
    store(&old, "users/9/late.wav", b"late").await;
    let (code, said) = rclone.run(&check);
    assert_eq!(code, 1, "two differ: {said}");
    drill.done("one is stored anew, one comes meanwhile; rclone check finds two that differ");
    let (code, said) = rclone.run(&copy);
    assert_eq!(code, 0, "{said}");
    let after = all(&old, &old.files).await;
    assert_eq!((after.len(), after == before), (KEYS.len() + 2, false));
    assert_eq!(all(server, &new).await, after);
    let (code, said) = rclone.run(&check);
    assert_eq!((code, said.contains("0 differences found")), (0, true), "{said}");
    let added = server.owner(&new, "HEAD", KEYS[0], &[], Vec::new()).await;
    assert!(!added.field("x-amz-meta-btime").is_empty(), "the page says that rclone adds it: {:?}", added.headers);
    drill.done("rclone copy again; rclone check --download finds 0 differences");
    drill.end();
}
