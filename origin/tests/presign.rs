//! AWS's own SDK is the oracle: our URLs are its, byte for byte, over keys of any Unicode. What the SDK adds for AWS's logs, `x-id`, is taken
//! out before it signs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::{Client, Config};
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode,
    sign,
};
use origin::storage::{Permit, Place, Signer};
use proptest::prelude::*;
use tokio::runtime::Runtime;

const ID: &str = "AKIA+IO/SF=EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const REGION: &str = "fsn1";

/// Both, for one bucket in one style.
struct Pair {
    ours: Signer,
    sdk: Client,
}

fn pair(path_style: bool) -> Pair {
    let (host, prefix) = if path_style {
        ("fsn1.your-objectstorage.com:9000", "/user-files")
    } else {
        ("user-files.fsn1.your-objectstorage.com", "")
    };
    let place = Place { scheme: "https", host: host.into(), prefix: prefix.into(), region: REGION.into() };
    let credentials = origin::config::Credentials { id: ID.into(), secret: SECRET.into() };
    let endpoint = format!("https://{}", host.trim_start_matches("user-files."));
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(Credentials::new(ID, SECRET, None, None, "test"))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .endpoint_url(endpoint)
        .force_path_style(path_style);
    Pair { ours: Signer::new(place, credentials), sdk: Client::from_conf(config.build()) }
}

/// The SDK's URL for an operation on the bucket.
macro_rules! theirs {
    ($runtime:expr, $operation:expr, $begins:expr, $lasts:expr) => {{
        let window = PresigningConfig::builder()
            .start_time(UNIX_EPOCH + Duration::from_secs($begins))
            .expires_in(Duration::from_secs($lasts));
        let signed = $operation.customize().mutate_request(|request| {
            let uri = request.uri().to_owned();
            let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
            let kept: Vec<&str> = query.split('&').filter(|p| !p.starts_with("x-id=") && !p.is_empty()).collect();
            let uri = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
            request.set_uri(uri).expect("a URI");
        });
        let signed = $runtime.block_on(signed.presigned(window.build().expect("a window"))).expect("signed");
        signed.uri().to_owned()
    }};
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
}

fn text(longest: usize) -> impl Strategy<Value = String> {
    // Slashes, spaces and what URLs treat specially are commoner than chance makes them.
    let character = prop_oneof![3 => any::<char>(), 2 => prop::sample::select(" /.~+%&=?#:;,'\"\\*()aZ0-_é漢🎵".chars().collect::<Vec<_>>())];
    let text = prop::collection::vec(character, 1..longest).prop_map(String::from_iter);
    // The SDK takes white space alone for nothing.
    text.prop_filter("white space alone", |text: &String| !text.trim().is_empty())
}

fn times() -> impl Strategy<Value = (u64, u64)> {
    // 1970 to 2099; a second to a week.
    (0_u64..4_102_444_800, 1_u64..=604_800)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading(path_style: bool, key in text(60), value in text(30), (begins, lasts) in times()) {
        let (runtime, Pair { ours, sdk }) = (runtime(), pair(path_style));
        let permit = Permit { method: "GET", key: &key, query: &[], headers: &[], begins, lasts };
        let get = || sdk.get_object().bucket("user-files").key(&key);
        prop_assert_eq!(ours.presign(&permit), theirs!(runtime, get(), begins, lasts));
        let head = || sdk.head_object().bucket("user-files").key(&key);
        let permit = Permit { method: "HEAD", ..permit };
        prop_assert_eq!(ours.presign(&permit), theirs!(runtime, head(), begins, lasts));

        let query = [
            ("response-cache-control", value.as_str()),
            ("response-content-disposition", &value),
            ("response-content-type", &value),
            ("versionId", &value),
        ];
        let get = get().response_cache_control(&value).response_content_disposition(&value);
        let get = get.response_content_type(&value).version_id(&value);
        let permit = Permit { method: "GET", query: &query, ..permit };
        prop_assert_eq!(ours.presign(&permit), theirs!(runtime, get, begins, lasts));
    }

    #[test]
    fn writing(path_style: bool, key in text(60), upload in text(30), part in 1_i32..=10_000, length in 0_i64..=5_368_709_120, (begins, lasts) in times()) {
        let (runtime, Pair { ours, sdk }) = (runtime(), pair(path_style));
        let (number, digits) = (part.to_string(), length.to_string());
        let put = sdk.put_object().bucket("user-files").key(&key).content_length(length).content_type("audio/wav");
        let put = put.content_md5("1B2M2Y8AsgTpgAmY7PhCfg==").content_disposition("attachment");
        let headers = [
            ("content-disposition", "attachment"),
            ("content-length", digits.as_str()),
            ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
            ("content-type", "audio/wav"),
        ];
        let permit = Permit { method: "PUT", key: &key, query: &[], headers: &headers, begins, lasts };
        prop_assert_eq!(ours.presign(&permit), theirs!(runtime, put, begins, lasts));

        let upload_part = sdk.upload_part().bucket("user-files").key(&key).upload_id(&upload).part_number(part);
        let query = [("partNumber", number.as_str()), ("uploadId", &upload)];
        let permit = Permit { query: &query, headers: &headers[1..2], ..permit };
        let upload_part = upload_part.content_length(length);
        prop_assert_eq!(ours.presign(&permit), theirs!(runtime, upload_part, begins, lasts));

        let delete = sdk.delete_object().bucket("user-files").key(&key).version_id(&upload);
        let permit = Permit { method: "DELETE", query: &[("versionId", &upload)], headers: &[], ..permit };
        prop_assert_eq!(ours.presign(&permit), theirs!(runtime, delete, begins, lasts));
    }

    /// The SDK can't sign a body that is not at hand; the signer below it can.
    #[test]
    fn a_bound_body(key in text(60), hash in "[0-9a-f]{64}", (begins, lasts) in times()) {
        let Pair { ours, .. } = pair(true);
        let headers = [("content-type", "audio/wav"), ("x-amz-content-sha256", hash.as_str())];
        let permit = Permit { method: "PUT", key: &key, query: &[], headers: &headers, begins, lasts };
        let url = ours.presign(&permit);

        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(lasts));
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.excluded_headers = None;
        let time: SystemTime = UNIX_EPOCH + Duration::from_secs(begins);
        let identity = Credentials::new(ID, SECRET, None, None, "test").into();
        let signing = aws_sigv4::sign::v4::SigningParams::builder().identity(&identity).region(REGION).name("s3");
        let signing = signing.time(time).settings(settings).build().expect("parameters").into();
        let bare = url.split_once('?').expect("a query").0;
        let body = SignableBody::Precomputed(hash.clone());
        let request = SignableRequest::new("PUT", bare, headers.into_iter(), body).expect("a request");
        let (_, signature) = sign(request, &signing).expect("signed").into_parts();
        let ours = url.split_once("X-Amz-Signature=").expect("a signature").1;
        prop_assert_eq!(ours, signature);
    }
}
