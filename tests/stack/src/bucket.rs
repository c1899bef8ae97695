//! The embedded object storage: s3s with its file-system store, which verifies signatures and expiry. It knows two keys, of which one only writes,
//! and lets pages of this machine ask it, as a bucket's CORS would.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{SecretKey, SimpleAuth};
use s3s::dto::{
    AbortMultipartUploadInput, CompleteMultipartUploadInput, CreateMultipartUploadInput, PutObjectInput, StreamingBlob,
    UploadPartCopyInput, UploadPartInput,
};
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Request, S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How many requests it remembers: a soak must not see its own record grow.
const KEPT: usize = 1_000;

/// A request as the bucket saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The path, without the query that holds the signature.
    pub path: String,
    /// `User-Agent`: tells a client that came by itself from a gateway that fetched for it.
    pub user_agent: Option<String>,
    /// Whether it brought an `Authorization` or `Cookie` field.
    pub credentials: bool,
}

/// The running store; dropping it ends it.
pub struct Buckets {
    address: SocketAddr,
    seen: Arc<Mutex<VecDeque<Seen>>>,
    task: JoinHandle<()>,
}

impl Buckets {
    /// Serves a folder's buckets to whoever signs with this key, or with one that only writes; seeded with the demo's objects.
    ///
    /// # Errors
    /// The folder can't be written or the listener not be used.
    pub async fn start(
        folder: &Path,
        listener: TcpListener,
        key: &(String, String),
        writer: &(String, String),
    ) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let store = FileSystem::new(folder).map_err(|e| io::Error::other(format!("{e:?}")))?;
        for object in demo::objects() {
            std::fs::create_dir_all(folder.join(object.bucket))?;
            let body = s3s::Body::from(Bytes::from(object.bytes));
            let mut input = PutObjectInput::builder();
            input.set_bucket(object.bucket.to_owned());
            input.set_key(object.key.clone());
            input.set_content_type(Some(object.content_type.to_owned()));
            input.set_body(Some(StreamingBlob::from(body)));
            let input = input.build().map_err(io::Error::other)?;
            store.put_object(by_hand(input)).await.map_err(|e| io::Error::other(format!("{}: {e}", object.key)))?;
        }
        let mut builder = S3ServiceBuilder::new(store);
        let mut keys = SimpleAuth::from_single(key.0.as_str(), key.1.as_str());
        keys.register(writer.0.clone(), SecretKey::from(writer.1.as_str()));
        builder.set_auth(keys);
        builder.set_access(Access { writer: writer.0.clone() });
        let service = builder.build();
        let seen: Arc<Mutex<VecDeque<Seen>>> = Arc::default();
        let address = listener.local_addr()?;
        let recorded = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                while connections.try_join_next().is_some() {}
                let (service, seen) = (service.clone(), Arc::clone(&recorded));
                let service = service_fn(move |request: Request<Incoming>| {
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.truncate(KEPT - 1);
                    seen.push_front(look(&request));
                    drop(seen);
                    let service = service.clone();
                    async move {
                        let page = Page::asking(&request);
                        if let Some(answer) = page.as_ref().and_then(Page::preflight) {
                            return Ok(answer);
                        }
                        let mut answer = service.call(request.map(Into::into)).await?;
                        page.inspect(|page| page.admit(answer.headers_mut()));
                        Ok::<_, s3s::HttpError>(answer)
                    }
                });
                connections.spawn(async move {
                    // A client that goes away is the client's affair.
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, seen, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The last 1,000 requests, the newest first.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Drop for Buckets {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A page of this machine that asks by a script (the Fetch Standard's CORS protocol). The store itself knows nothing of that.
struct Page {
    origin: HeaderValue,
    /// The fields that it wants to send, where it asks beforehand.
    asks: Option<HeaderValue>,
}

impl Page {
    fn asking(request: &Request<Incoming>) -> Option<Self> {
        let field = |name: &HeaderName| request.headers().get(name).cloned();
        let origin = field(&header::ORIGIN)?;
        let host = origin.to_str().ok()?.split_once("://")?.1;
        let local =
            ["127.0.0.1", "localhost"].iter().any(|name| host == *name || host.starts_with(&format!("{name}:")));
        let preflight = request.method() == Method::OPTIONS && field(&header::ACCESS_CONTROL_REQUEST_METHOD).is_some();
        let fields = || field(&header::ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or(HeaderValue::from_static(""));
        local.then(|| Self { origin, asks: preflight.then(fields) })
    }

    fn preflight(&self) -> Option<Response<s3s::Body>> {
        let asks = self.asks.clone()?;
        let mut answer = Response::new(s3s::Body::empty());
        let headers = answer.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, PUT"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asks);
        self.admit(headers);
        Some(answer)
    }

    fn admit(&self, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("ETag, x-amz-version-id"));
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
}

/// Who may do what.
struct Access {
    /// May put objects and parts, and read nothing.
    writer: String,
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = context.s3_op().name();
        match context.credentials() {
            None => Err(s3_error!(AccessDenied, "Signature is required")),
            Some(key)
                if key.access_key == self.writer && !["PutObject", "PostObject", "UploadPart"].contains(&operation) =>
            {
                Err(s3_error!(AccessDenied, "This key only writes"))
            }
            Some(_) => Ok(()),
        }
    }

    // The store has uploads belong to the key that began them; here, as elsewhere, the other one may bring the parts.
    async fn create_multipart_upload(&self, request: &mut S3Request<CreateMultipartUploadInput>) -> S3Result<()> {
        request.credentials = None;
        Ok(())
    }

    async fn upload_part(&self, request: &mut S3Request<UploadPartInput>) -> S3Result<()> {
        request.credentials = None;
        Ok(())
    }

    async fn upload_part_copy(&self, request: &mut S3Request<UploadPartCopyInput>) -> S3Result<()> {
        request.credentials = None;
        Ok(())
    }

    async fn complete_multipart_upload(&self, request: &mut S3Request<CompleteMultipartUploadInput>) -> S3Result<()> {
        request.credentials = None;
        Ok(())
    }

    async fn abort_multipart_upload(&self, request: &mut S3Request<AbortMultipartUploadInput>) -> S3Result<()> {
        request.credentials = None;
        Ok(())
    }
}

/// A request that comes from no client.
fn by_hand<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: Method::PUT,
        uri: http::Uri::from_static("/"),
        headers: HeaderMap::new(),
        extensions: http::Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

fn look(request: &Request<Incoming>) -> Seen {
    let field = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).map(ToOwned::to_owned);
    Seen {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        user_agent: field("user-agent"),
        credentials: field("authorization").is_some() || field("cookie").is_some(),
    }
}
