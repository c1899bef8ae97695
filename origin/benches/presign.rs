//! What a presigned URL costs, beside AWS's SDK, its signer alone, rusty-s3, and boto3 (presign_in_python.py): `cargo bench -p origin`. All sign the same
//! GET on one core; the moment goes on by a second with each, and crosses midnight. Allocations are counted beside the time.

use std::cell::Cell;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::{Client, Config};
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode,
    sign,
};
use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use origin::storage::{Permit, Place, Signer};
use rusty_s3::{Bucket, S3Action as _, UrlStyle};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const ID: &str = "STACKACCESSKEY000001";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const KEY: &str = "users/1048576/works/01J9ZQ4T9Y8W7V6U5T4S3R2Q1P/Fünf Fenster.wav";
const DISPOSITION: &str = "attachment; filename=\"Tide.wav\"";
const LASTS: u64 = 900;

fn main() {
    divan::main();
    // In the same run; Debian's Python, which has Debian's boto3.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/presign_in_python.py");
    if let Err(error) = Command::new("/usr/bin/python3").arg(script).status() {
        eprintln!("boto3 is not measured: /usr/bin/python3: {error}");
    }
}

/// The seconds after some noon.
struct Clock(Cell<u64>);

impl Clock {
    fn new() -> Self {
        Self(Cell::new(1_764_244_800))
    }

    fn next(&self) -> u64 {
        self.0.replace(self.0.get() + 1)
    }
}

fn ours() -> Signer {
    let host = "makenotwork-files.fsn1.your-objectstorage.com".into();
    let place = Place { scheme: "https", host, prefix: String::new(), region: "fsn1".into() };
    Signer::new(place, origin::config::Credentials { id: ID.into(), secret: SECRET.into() })
}

#[divan::bench]
fn origin_get(bencher: Bencher<'_, '_>) {
    let (signer, clock) = (ours(), Clock::new());
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let permit = Permit { method: "GET", key: KEY, query: &[], headers: &[], begins: clock.next(), lasts: LASTS };
        signer.presign(black_box(&permit))
    });
}

#[divan::bench]
fn origin_get_named(bencher: Bencher<'_, '_>) {
    let (signer, clock) = (ours(), Clock::new());
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let query = [("response-content-disposition", DISPOSITION)];
        let permit =
            Permit { method: "GET", key: KEY, query: &query, headers: &[], begins: clock.next(), lasts: LASTS };
        signer.presign(black_box(&permit))
    });
}

#[divan::bench]
fn origin_put(bencher: Bencher<'_, '_>) {
    let (signer, clock) = (ours(), Clock::new());
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let headers = [("content-length", "1048576"), ("content-type", "audio/wav")];
        let permit =
            Permit { method: "PUT", key: KEY, query: &[], headers: &headers, begins: clock.next(), lasts: LASTS };
        signer.presign(black_box(&permit))
    });
}

#[divan::bench]
fn aws_sdk_s3_get(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("fsn1"))
        .credentials_provider(Credentials::new(ID, SECRET, None, None, "bench"))
        .endpoint_url("https://fsn1.your-objectstorage.com");
    let (client, clock) = (Client::from_conf(config.build()), Clock::new());
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let window = PresigningConfig::builder()
            .start_time(UNIX_EPOCH + Duration::from_secs(clock.next()))
            .expires_in(Duration::from_secs(LASTS))
            .build()
            .expect("a window");
        let operation = client.get_object().bucket("makenotwork-files").key(black_box(KEY));
        runtime.block_on(operation.presigned(window)).expect("signed")
    });
}

#[divan::bench]
fn aws_sigv4_get(bencher: Bencher<'_, '_>) {
    let identity = Credentials::new(ID, SECRET, None, None, "bench").into();
    // It takes a URL whose path is encoded already.
    let url = ours().presign(&Permit { method: "GET", key: KEY, query: &[], headers: &[], begins: 0, lasts: 1 });
    let url = url.split_once('?').expect("a query").0;
    let clock = Clock::new();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(LASTS));
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let signing = aws_sigv4::sign::v4::SigningParams::builder().identity(&identity).region("fsn1").name("s3");
        let time = UNIX_EPOCH + Duration::from_secs(clock.next());
        let signing = signing.time(time).settings(settings).build().expect("parameters").into();
        let body = SignableBody::UnsignedPayload;
        let request = SignableRequest::new("GET", black_box(url), std::iter::empty(), body).expect("a request");
        sign(request, &signing).expect("signed").into_parts()
    });
}

#[divan::bench]
fn rusty_s3_get(bencher: Bencher<'_, '_>) {
    let endpoint = "https://fsn1.your-objectstorage.com".parse().expect("a URL");
    let bucket = Bucket::new(endpoint, UrlStyle::VirtualHost, "makenotwork-files", "fsn1").expect("a bucket");
    let credentials = rusty_s3::Credentials::new(ID, SECRET);
    // Its moment is the clock's.
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench_local(|| bucket.get_object(Some(&credentials), black_box(KEY)).sign(Duration::from_secs(LASTS)));
}
