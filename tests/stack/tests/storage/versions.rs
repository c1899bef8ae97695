//! What was deleted or overwritten comes back: `origin objects`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use origin::config::Bucket;
use origin::storage::{Store, Transport};
use origin::versions::{History, Plan, histories};
use sha2::{Digest as _, Sha256};

use crate::server::{Lack, Server};

/// Objects of the drill: more than are brought back at once.
const OBJECTS: usize = 40;

fn key(n: usize) -> String {
    format!("users/7/Ä {}/song+{n}.wav", n % 3)
}

fn body(n: usize, edition: u8) -> Vec<u8> {
    vec![edition; n + 1]
}

/// What readers get: keys and hashes, without those that are gone.
async fn hashes(server: &Server) -> BTreeMap<usize, String> {
    let mut all = BTreeMap::new();
    for n in 0..OBJECTS {
        if let Some(body) = server.stored(&server.files, &key(n)).await {
            all.insert(n, format!("{:x?}", Sha256::digest(body)));
        }
    }
    all
}

async fn delete(server: &Server, bucket: &Bucket, key: &str) {
    server.owner(bucket, "DELETE", key, &[], Vec::new()).await.expect_success();
}

/// Now, with nothing before it or after it in the same second, whatever the storage's clock resolves.
async fn moment() -> SystemTime {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let moment = SystemTime::now();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    moment
}

pub(crate) async fn a_prefix_is_wiped_and_comes_back(server: &Server) {
    if server.lacks(Lack::Versions) {
        return;
    }
    for n in 0..OBJECTS {
        server.store(&server.files, &key(n), "audio/wav", &body(n, b'a')).await;
    }
    // A neighbour whose key only begins alike.
    server.store(&server.files, "users/70/other.wav", "audio/wav", b"neighbour").await;
    let before = hashes(server).await;
    assert_eq!(before.len(), OBJECTS);
    let at = humantime::format_rfc3339_seconds(moment().await).to_string();

    // Most are deleted, one twice; some overwritten, some of these deleted then; one comes that was not there.
    for n in 0..OBJECTS {
        match n % 4 {
            0 | 1 => delete(server, &server.files, &key(n)).await,
            2 => drop(server.store(&server.files, &key(n), "text/plain", &body(n, b'b')).await),
            _ => {
                server.store(&server.files, &key(n), "text/plain", &body(n, b'c')).await;
                delete(server, &server.files, &key(n)).await;
            }
        }
    }
    delete(server, &server.files, &key(0)).await;
    delete(server, &server.files, "users/70/other.wav").await;
    server.store(&server.files, "users/7/later.wav", "audio/wav", b"later").await;
    assert_ne!(hashes(server).await, before);

    let (code, said) = server.origin(&["objects", "restore", "user-files", "users/7", "--at", &at]);
    assert_eq!(code, 2, "nobody can be asked: {said}");
    for line in [
        "bring back  20 that were deleted, by taking the mark of deletion away\n",
        "bring back  20 that were overwritten, as copies of their old version",
        "leave       0 that are as they were, 1 that came later, 0 that were not there\n",
        "… and 20 more",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert_ne!(hashes(server).await, before, "nothing was agreed to");
    let (code, said) = server.origin(&["objects", "restore", "user-files", "users/7", "--at", &at, "--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.ends_with("40 object(s) are back, 0 are not\n"), "{said}");
    assert_eq!(hashes(server).await, before);
    // With its fields, and not beyond what was meant.
    let head = server.owner(&server.files, "HEAD", &key(2), &[], Vec::new()).await;
    assert_eq!(head.field("content-type"), "audio/wav");
    assert_eq!(server.stored(&server.files, "users/70/other.wav").await, None);
    assert_eq!(server.stored(&server.files, "users/7/later.wav").await.as_deref(), Some(&b"later"[..]));
    // Again: nothing is left to do.
    let (code, said) = server.origin(&["objects", "restore", "user-files", "users/7", "--at", &at, "--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("leave       40 that are as they were") && said.ends_with("nothing is to be brought back\n"),
        "{said}"
    );

    let (code, said) = server.origin(&["objects", "versions", "user-files", &key(3)]);
    assert_eq!(code, 0, "{said}");
    // The copy that is there now; deleted, overwritten, and as it was.
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines.len(), lines[0]), (5, key(3).as_str()), "{said}");
    assert!(lines[1].ends_with("  4 B  now") && lines[4].ends_with("  4 B"), "{said}");
    assert!(lines[2..4].iter().any(|line| line.ends_with("  deleted")), "{said}");
}

/// A run that was cut off is taken up by the next.
pub(crate) async fn step_by_step(server: &Server) {
    if server.lacks(Lack::Versions) {
        return;
    }
    let store = Store::new(&server.files, &Transport::new(&server.config.storage).expect("authorities"));
    let keys: Vec<String> = (0..6).map(|n| format!("users/8/{n}.wav")).collect();
    for key in &keys {
        server.store(&server.files, key, "audio/wav", b"first").await;
    }
    let at = moment().await;
    for key in &keys {
        server.store(&server.files, key, "audio/wav", b"second").await;
    }
    let mut plan = Plan::make(&store, "users/8", at, |_| ()).await.expect("a plan");
    assert_eq!(plan.steps.len(), 6);
    plan.steps.truncate(2);
    let done = plan.run(&store, |_| ()).await;
    assert_eq!((done.back, done.failed.len()), (2, 0));
    let plan = Plan::make(&store, "users/8", at, |_| ()).await.expect("a plan");
    assert_eq!((plan.steps.len(), plan.same), (4, 2));
    let done = plan.run(&store, |_| ()).await;
    assert_eq!((done.back, done.failed.len()), (4, 0));
    for key in &keys {
        assert_eq!(server.stored(&server.files, key).await.as_deref(), Some(&b"first"[..]));
    }
    // A page of the listing ends within a key's versions.
    let mut seen = BTreeMap::new();
    for n in 0..25 {
        server.store(&server.other, "users/paging/often.wav", "text/plain", n.to_string().as_bytes()).await;
        if n % 8 == 0 {
            server.store(&server.other, &format!("users/paging/{n}.txt"), "text/plain", b"x").await;
        }
    }
    delete(server, &server.other, "users/paging/often.wav").await;
    let other = Store::new(&server.other, &Transport::new(&server.config.storage).expect("authorities"));
    for page in [1, 7, 1_000] {
        seen.clear();
        let each = |history: History| assert!(seen.insert(history.key, history.versions.len()).is_none());
        histories(&other, "users/paging", page, each).await.expect("a list");
        let expected = [("0.txt", 1), ("16.txt", 1), ("24.txt", 1), ("8.txt", 1), ("often.wav", 26)];
        let expected = expected.map(|(name, count)| (format!("users/paging/{name}"), count));
        assert_eq!(seen, BTreeMap::from(expected), "{page} a page");
    }
}

pub(crate) async fn where_there_are_none(server: &Server) {
    if !server.lacks(Lack::Versions) {
        let (code, said) = server.origin(&["objects", "versions", "user-files", "users/none"]);
        assert_eq!((code, said.contains("there is no such object, and was none")), (1, true), "{said}");
        return;
    }
    let (code, said) = server.origin(&["objects", "restore", "user-files", "users/1", "--ago", "1h"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("this storage has nothing of the kind (501 NotImplemented"), "{said}");
}
