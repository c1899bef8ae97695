//! Our own calls to object storage where it is in trouble: what is tried again, when it is given up, and what is said.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use origin::config::{Config, parse};
use origin::storage::{Download, Store, StoreError, Transport, Trouble};
use tempfile::TempDir;
use tokio::net::TcpListener;

const SECRET: &str = "hushhushhushhushhushhush";

/// What Hetzner sends past its limits, in spirit.
const PAGE: &str = "<html><body><h1>429 Too Many Requests</h1>\nYou have sent too many requests.</body></html>";

/// A storage that answers the nth request just so, and then always as last; `None` is no answer at all.
struct Double {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

type Answer = Option<(u16, &'static str)>;

async fn double(answers: &'static [Answer], date: Option<&'static str>) -> Double {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let [asked, now, most] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    let double = Double { address, asked: Arc::clone(&asked), most: Arc::clone(&most) };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (asked, now, most) = (Arc::clone(&asked), Arc::clone(&now), Arc::clone(&most));
            let service = service_fn(move |_: Request<Incoming>| {
                let number = asked.fetch_add(1, Ordering::SeqCst);
                let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                async move {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let answer = *answers.get(number).or(answers.last()).expect("an answer");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    let Some((status, body)) = answer else { return std::future::pending().await };
                    let answer = Response::builder().status(status).header("date", date.unwrap_or_default());
                    Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(body))).expect("an answer"))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    double
}

fn configured(address: SocketAddr, storage: &str) -> (Config, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let key = folder.path().join("key");
    std::fs::write(&key, format!("ACCESSKEY:{SECRET}")).expect("written");
    let text = format!(
        "listen.http = [\"127.0.0.1:0\"]\n[[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:1\"\n\
         [bucket.files]\nurl = \"http://{address}/files\"\ncredentials_file = {key:?}\n[storage]\n{storage}\n"
    );
    (parse(&text).unwrap_or_else(|faults| panic!("{faults:?}")), folder)
}

fn store(config: &Config) -> Store {
    Store::new(&config.buckets[0], &Transport::new(&config.storage).expect("authorities"))
}

async fn reach(address: SocketAddr) -> Result<(), StoreError> {
    let (config, _folder) = configured(address, "attempt = \"500ms\"\nwithin = \"20s\"");
    let reached = store(&config).reach().await;
    // Whatever happens at the storage, signing goes on.
    let download = Download { key: "a", ..Download::default() };
    assert!(download.sign(&config.buckets[0], 1_764_244_800).expect("signed").url.contains("X-Amz-Signature="));
    reached
}

/// What is said where every answer is this one.
async fn said(answer: Answer, date: Option<&'static str>) -> (StoreError, usize) {
    let answers: &'static [Answer] = Box::leak(Box::new([answer]));
    let double = double(answers, date).await;
    let error = reach(double.address).await.expect_err("a trouble");
    let text = format!("{error} {error:?}");
    for secret in [SECRET, "ACCESSKEY", "Signature", "X-Amz"] {
        assert!(!text.contains(secret), "{text}");
    }
    (error, double.asked.load(Ordering::SeqCst))
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    for answers in [
        &[Some((429, PAGE)), Some((429, PAGE)), Some((200, ""))][..],
        &[Some((503, "")), Some((500, "<html>")), Some((200, ""))],
        &[None, Some((200, ""))],
    ] {
        let double = double(answers, None).await;
        assert_eq!(reach(double.address).await, Ok(()), "{answers:?}");
        assert_eq!(double.asked.load(Ordering::SeqCst), answers.len());
    }
}

#[tokio::test]
async fn what_does_not_is_said_at_once() {
    for (status, trouble) in
        [(403, Trouble::Denied), (404, Trouble::Missing), (400, Trouble::Refused), (501, Trouble::Unsupported)]
    {
        let (error, asked) = said(Some((status, "")), None).await;
        assert_eq!((error.trouble(), asked), (trouble, 1), "{error}");
    }
}

#[tokio::test]
async fn troubles_are_told_apart() {
    let (error, asked) = said(Some((429, PAGE)), None).await;
    assert_eq!(error.trouble(), Trouble::Busy);
    assert!(asked > 1);
    assert!(
        error.to_string().starts_with("bucket files: asking for the bucket failed: the storage is asked too often")
    );
    let (error, asked) = said(Some((503, "<html>down</html>")), None).await;
    assert_eq!((error.trouble(), asked > 1), (Trouble::Failing, true), "{error}");
    let (error, asked) = said(None, None).await;
    assert_eq!((error.trouble(), asked > 1), (Trouble::Slow, true), "{error}");
    // A HEAD's answer says nothing but its date.
    let (error, _) = said(Some((403, "")), Some("Fri, 01 Jan 2021 00:00:00 GMT")).await;
    assert_eq!(error.trouble(), Trouble::Clock, "{error}");
    assert!(error.to_string().contains("set it by NTP"));

    // A port on which nobody listens.
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let error = reach(address).await.expect_err("nobody is there");
    assert_eq!(error.trouble(), Trouble::Unreachable);
    assert!(error.to_string().contains("can't be reached (Connection refused"), "{error}");
}

#[tokio::test]
async fn calls_are_bounded() {
    let double = double(&[Some((200, ""))], None).await;
    let (config, _folder) = configured(double.address, "at_once = 3\nrate = 50");
    let store = Arc::new(store(&config));
    let began = Instant::now();
    let calls: Vec<_> = (0..25)
        .map(|_| {
            tokio::spawn({
                let store = Arc::clone(&store);
                async move { store.reach().await }
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.expect("a call"), Ok(()));
    }
    assert!(double.most.load(Ordering::SeqCst) <= 3);
    // A burst of 5, then one each 20 ms.
    assert!(began.elapsed() >= Duration::from_millis(380), "{:?}", began.elapsed());
}
