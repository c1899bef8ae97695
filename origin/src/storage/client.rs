//! Our own calls to a bucket, through AWS's SDK: within time limits, with pauses that grow where the storage is in trouble, and errors that
//! say what is wrong. Nothing that a visitor waits for is called but what the private API needs; URLs are signed without asking anyone.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::http::{HttpRequest, HttpResponse};
use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction, RetryConfig};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::BucketVersioningStatus;
use aws_sdk_s3::{Client, Config};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::{Signer, Transport};
use crate::config::Bucket;

/// Tries of one call at most; the time for it ends it sooner.
const TRIES: u32 = 6;
/// The pause after the first failure is up to this long, and twice as long after each further one.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How far a signature's time may be from the storage's, at Ceph and at AWS.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// A bucket that can be called, with one of its keys.
#[derive(Clone, Debug)]
pub struct Store {
    role: String,
    name: String,
    client: Client,
    /// The host without the bucket.
    endpoint: String,
}

impl Store {
    /// With the key that reads.
    #[must_use]
    pub fn new(bucket: &Bucket, transport: &Transport) -> Self {
        Self::with(&bucket.role, &bucket.reader, transport)
    }

    /// With one of its keys.
    #[must_use]
    pub fn with(role: &str, signer: &Signer, transport: &Transport) -> Self {
        let (place, key, bounds) = (signer.place(), signer.credentials(), transport.bounds());
        let name = place.bucket();
        // In host style the bucket's name is the host's first label, and the SDK puts it there.
        let path_style = !place.prefix.is_empty();
        let host = if path_style { &place.host } else { place.host.split_once('.').map_or("", |(_, rest)| rest) };
        let times = TimeoutConfig::builder()
            .operation_attempt_timeout(bounds.attempt.0)
            .operation_timeout(bounds.within.0)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(TRIES)
            .with_initial_backoff(PAUSE)
            .with_max_backoff(LONGEST_PAUSE);
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(place.region.clone()))
            .credentials_provider(Credentials::new(&key.id, &key.secret, None, None, "configuration"))
            .endpoint_url(format!("{}://{host}", place.scheme))
            .force_path_style(path_style)
            // Old Ceph reads the newer checksums as part of the body.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .timeout_config(times)
            .retry_config(retries)
            .retry_classifier(TooMany)
            .http_client(SharedHttpClient::new(transport.clone()));
        Self {
            role: role.to_owned(),
            name: name.to_owned(),
            client: Client::from_conf(config.build()),
            endpoint: host.to_owned(),
        }
    }

    /// The SDK's client, for calls on [`name`](Self::name).
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The bucket's name at the storage.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bucket's role.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The same for another bucket of the same project.
    #[must_use]
    pub fn on(&self, name: &str) -> Self {
        let role = if name == self.name { self.role.clone() } else { name.to_owned() };
        Self { role, name: name.to_owned(), client: self.client.clone(), endpoint: self.endpoint.clone() }
    }

    /// Whether this is AWS itself.
    pub(crate) fn is_aws(&self) -> bool {
        self.endpoint.ends_with(".amazonaws.com")
    }

    /// What is wrong with what we or they wrote.
    pub(crate) fn wrong(&self, doing: &'static str, error: &dyn fmt::Display) -> StoreError {
        StoreError { role: self.role.clone(), doing, trouble: Trouble::Refused, said: error.to_string() }
    }

    /// Whether the storage answers and knows bucket and key: a signed HEAD of the bucket.
    ///
    /// # Errors
    /// What is in the way.
    pub async fn reach(&self) -> Result<(), StoreError> {
        let asked = self.client.head_bucket().bucket(&self.name).send().await;
        asked.map(drop).map_err(|error| self.failed("asking for the bucket", error))
    }

    /// Whether what is deleted or overwritten is kept as an older version.
    ///
    /// # Errors
    /// A storage that does not say.
    pub async fn keeps_versions(&self) -> Result<bool, StoreError> {
        let asked = self.client.get_bucket_versioning().bucket(&self.name).send().await;
        let asked = asked.map_err(|error| self.failed("reading whether it keeps versions", error))?;
        Ok(asked.status() == Some(&BucketVersioningStatus::Enabled))
    }

    /// What a call's error means. `doing` ends the sentence "… failed", as in `listing versions`.
    pub fn failed<E>(&self, doing: &'static str, error: SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let trouble = Trouble::of(&error);
        // A server's text comes from elsewhere: cut, on one line.
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
        let said = match &error {
            SdkError::ServiceError(answer) => {
                let meta = answer.err().meta();
                let code = meta.code().map(plain).unwrap_or_default();
                let text = meta.message().map(plain).unwrap_or_default();
                let status = answer.raw().status().as_u16();
                [status.to_string(), code, text].iter().filter(|part| !part.is_empty()).fold(
                    String::new(),
                    |said, part| if said.is_empty() { part.clone() } else { format!("{said} {part}") },
                )
            }
            SdkError::ResponseError(answer) => format!("{}, not in S3's form", answer.raw().status().as_u16()),
            // Neither names the URL.
            other => innermost(other),
        };
        StoreError { role: self.role.clone(), doing, trouble, said }
    }
}

/// What is in the way of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No connection, or it broke.
    Unreachable,
    /// No answer in time.
    Slow,
    /// Too many requests: 429, or a 503 that says so.
    Busy,
    /// It answers with an error of its own, 5xx.
    Failing,
    /// The clocks differ by more than it allows.
    Clock,
    /// The key may not, or is none.
    Denied,
    /// No such bucket, object, version or upload.
    Missing,
    /// This server has nothing of the kind.
    Unsupported,
    /// It does not take what was asked.
    Refused,
    /// What came is no answer of S3's.
    Garbled,
}

impl Trouble {
    /// One word, for logs and figures.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Slow => "slow",
            Self::Busy => "busy",
            Self::Failing => "failing",
            Self::Clock => "clock",
            Self::Denied => "denied",
            Self::Missing => "missing",
            Self::Unsupported => "unsupported",
            Self::Refused => "refused",
            Self::Garbled => "garbled",
        }
    }

    /// Whether the same call may succeed later, without anyone's doing.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Self::Unreachable | Self::Slow | Self::Busy | Self::Failing | Self::Garbled)
    }

    /// What it means, as a sentence without its end.
    fn meaning(self) -> &'static str {
        match self {
            Self::Unreachable => "the storage can't be reached",
            Self::Slow => "the storage did not answer in time",
            Self::Busy => "the storage is asked too often and says to slow down",
            Self::Failing => "the storage has a fault of its own",
            Self::Clock => "this machine's clock and the storage's differ by too much: set it by NTP",
            Self::Denied => "the storage refuses the key: it is wrong, or a policy denies this",
            Self::Missing => "there is no such thing at the storage",
            Self::Unsupported => "this storage has nothing of the kind",
            Self::Refused => "the storage does not take that",
            Self::Garbled => "something between us and the storage answered in its place",
        }
    }

    fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Self {
        let (answer, code) = match error {
            SdkError::TimeoutError(_) => return Self::Slow,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => return Self::Slow,
            SdkError::DispatchFailure(_) => return Self::Unreachable,
            SdkError::ServiceError(answer) => (answer.raw(), answer.err().code()),
            SdkError::ResponseError(answer) => (answer.raw(), None),
            _ => return Self::Refused,
        };
        match (answer.status().as_u16(), code.unwrap_or_default()) {
            (429, _) | (_, "SlowDown" | "TooManyRequests" | "RequestLimitExceeded") => Self::Busy,
            (_, "RequestTimeTooSkewed" | "RequestExpired") => Self::Clock,
            // HEAD's answer has no body that would say so.
            (403, "" | "Forbidden") if is_skewed(answer) => Self::Clock,
            (501 | 405, _) | (_, "NotImplemented" | "MethodNotAllowed") => Self::Unsupported,
            (401 | 403, _) => Self::Denied,
            (404, _) => Self::Missing,
            (408, _) => Self::Slow,
            (500.., _) => Self::Failing,
            (400..500, _) => Self::Refused,
            _ => Self::Garbled,
        }
    }
}

/// A call that failed, in words for an operator: neither key nor signature stands in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    role: String,
    doing: &'static str,
    trouble: Trouble,
    said: String,
}

impl StoreError {
    /// What is in the way.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        self.trouble
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, doing, trouble, said } = self;
        write!(f, "bucket {role}: {doing} failed: {} ({said})", trouble.meaning())
    }
}

impl Error for StoreError {}

/// Adds `Content-MD5`, which old servers want with what sets up a bucket, beside the SDK's newer checksum, which they pass over.
pub(crate) fn add_md5(request: &mut HttpRequest) {
    if let Some(body) = request.body().bytes() {
        let hash = STANDARD.encode(Md5::digest(body));
        request.headers_mut().insert("content-md5", hash);
    }
}

/// Whether the storage's clock differs from ours by more than it allows a signature.
fn is_skewed(answer: &HttpResponse) -> bool {
    let date = answer.headers().get("date").and_then(|date| httpdate::parse_http_date(date).ok());
    let now = SystemTime::now();
    date.is_some_and(|date| now.duration_since(date).or_else(|_| date.duration_since(now)).is_ok_and(|by| by > SKEW))
}

/// The cause that no other is behind.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Waits and tries again after 429, which the SDK knows only by S3's XML: at Hetzner its body is HTML.
#[derive(Debug)]
struct TooMany;

impl ClassifyRetry for TooMany {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response().map(|answer| answer.status().as_u16()) {
            Some(429) => RetryAction::throttling_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "429"
    }
}
