//! The gateway, as the app asks it: one short connection for each question, over a Unix socket or TCP.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::{
    Batch, Begun, Listed, NewUpload, Outcome, Parts, Release, Stored, Ticket, TicketOnly, Version, Wanted, lfs,
};

/// For one question with its answer. Completing a large upload takes the storage a while.
const WITHIN: Duration = Duration::from_secs(120);
/// Bytes of an answer at most.
const LARGEST: usize = 64 << 20;

/// The gateway's private listener.
#[derive(Clone)]
pub struct Gateway {
    address: Address,
    token: Option<HeaderValue>,
}

#[derive(Clone, Debug)]
enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What the gateway says when it does not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// What is wrong, and what would be right.
    pub error: String,
    /// The same as a word.
    pub code: String,
    /// By which it is found in the gateway's log.
    #[serde(default)]
    pub request_id: String,
}

/// Why there is no answer, or not the one hoped for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither `unix:/PATH` nor an IP address and a port, or a token that can't be one.
    #[error("{0}")]
    Address(String),
    /// It does not listen there, or not to us.
    #[error("the gateway can't be reached at {0}: {1}")]
    Unreachable(String, io::Error),
    /// Something went wrong on the way.
    #[error("the gateway did not answer: {0}")]
    Broken(String),
    /// It answered, and did not do it.
    #[error("{} ({status}, {})", problem.error, problem.code)]
    Refused {
        /// The answer's status.
        status: u16,
        /// What it said.
        problem: Problem,
    },
}

impl Error {
    /// The problem's code, where the gateway gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { problem, .. } => Some(&problem.code),
            _ => None,
        }
    }
}

impl Gateway {
    /// At `unix:/PATH` or an IP address and a port, as `admin.listen` says. `token` is the content of `admin.app_token_file`.
    ///
    /// # Errors
    /// What of it can't be.
    pub fn at(address: &str, token: Option<&str>) -> Result<Self, Error> {
        let address = match address.strip_prefix("unix:") {
            Some(path) => Address::Unix(path.into()),
            None => Address::Tcp(address.parse().map_err(|_| {
                Error::Address(format!("`{address}` is neither unix:/PATH nor an IP address and a port"))
            })?),
        };
        let bearer = |token: &str| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
                .map_err(|_| Error::Address("the token is not one line of visible characters".to_owned()))?;
            value.set_sensitive(true);
            Ok(value)
        };
        Ok(Self { address, token: token.map(bearer).transpose()? })
    }

    /// Signs many, each with its own outcome, in the same order.
    ///
    /// # Errors
    /// Where nothing was signed at all.
    pub async fn sign(&self, items: Vec<Wanted>) -> Result<Vec<Outcome>, Error> {
        let batch: Batch<Outcome> = self.post("/sign", &Batch { items }).await?;
        Ok(batch.items)
    }

    /// Begins an upload. Where `form` of the answer is none it goes in parts.
    ///
    /// # Errors
    /// What the bucket does not take; a storage that does not answer.
    pub async fn begin(&self, upload: &NewUpload) -> Result<Begun, Error> {
        self.post("/uploads", upload).await
    }

    /// Signs parts of an upload, for as long as the bucket's `expiry` says.
    ///
    /// # Errors
    /// An upload that does not go in parts.
    pub async fn parts(&self, upload: &Ticket, parts: &[u16]) -> Result<Vec<Outcome>, Error> {
        let asked = Parts { upload: upload.clone(), parts: parts.to_vec(), expires: None };
        let batch: Batch<Outcome> = self.post("/uploads/parts", &asked).await?;
        Ok(batch.items)
    }

    /// Which parts have arrived, to resume an upload.
    ///
    /// # Errors
    /// `upload-unknown` for one that was completed or aborted; a storage that does not answer.
    pub async fn list(&self, upload: &Ticket) -> Result<Listed, Error> {
        self.post("/uploads/list", &TicketOnly { upload: upload.clone() }).await
    }

    /// Says that all has been sent, and gets what is stored. It may be asked again.
    ///
    /// # Errors
    /// `upload-incomplete` where something is missing, `upload-differs` where what is stored is not what was announced.
    pub async fn complete(&self, upload: &Ticket) -> Result<Stored, Error> {
        self.post("/uploads/complete", &TicketOnly { upload: upload.clone() }).await
    }

    /// Gives up an upload in parts, and what has arrived of it. It may be asked again.
    ///
    /// # Errors
    /// A storage that does not answer.
    pub async fn abort(&self, upload: &Ticket) -> Result<(), Error> {
        self.post("/uploads/abort", &TicketOnly { upload: upload.clone() }).await
    }

    /// Gives a pending object the key that it was uploaded for. It may be asked again.
    ///
    /// # Errors
    /// `version-unknown` where there is no such version, or by now another object.
    pub async fn release(&self, release: &Release) -> Result<Stored, Error> {
        self.post("/uploads/release", release).await
    }

    /// Throws a pending object away. It may be asked again.
    ///
    /// # Errors
    /// A storage that does not answer.
    pub async fn discard(&self, version: &Version) -> Result<(), Error> {
        self.post("/uploads/discard", version).await
    }

    /// What a Git LFS client is told. `prefix` is where in the bucket its objects are; `verify` is the URL at which the app answers whether an
    /// upload has arrived, where it does.
    ///
    /// # Errors
    /// Where nothing can be said of any object.
    pub async fn lfs_batch(
        &self,
        bucket: &str,
        prefix: &str,
        verify: Option<&str>,
        request: &lfs::Request,
    ) -> Result<lfs::Response, Error> {
        let mut path = format!("/lfs/{}/objects/batch?prefix={}", encoded(bucket), encoded(prefix));
        if let Some(verify) = verify {
            path += "&verify=";
            path += &encoded(verify);
        }
        self.post(&path, request).await
    }

    /// Whether an object of Git LFS has arrived with this length.
    ///
    /// # Errors
    /// `object-missing`, `object-differs`, or a storage that does not answer.
    pub async fn lfs_verify(&self, bucket: &str, prefix: &str, object: &lfs::Object) -> Result<(), Error> {
        let path = format!("/lfs/{}/objects/verify?prefix={}", encoded(bucket), encoded(prefix));
        self.post::<serde::de::IgnoredAny>(&path, object).await.map(drop)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, asked: &impl Serialize) -> Result<T, Error> {
        let json = serde_json::to_vec(asked).map_err(|e| Error::Broken(e.to_string()))?;
        let asking = async {
            let unreachable = |at: String| move |error| Error::Unreachable(at, error);
            match &self.address {
                Address::Unix(path_of) => {
                    let stream = UnixStream::connect(path_of).await;
                    self.exchange(stream.map_err(unreachable(path_of.display().to_string()))?, "localhost", path, json)
                        .await
                }
                Address::Tcp(address) => {
                    let stream = TcpStream::connect(address).await;
                    self.exchange(stream.map_err(unreachable(address.to_string()))?, &address.to_string(), path, json)
                        .await
                }
            }
        };
        let within = tokio::time::timeout(WITHIN, asking).await;
        let (status, body) = within.map_err(|_| Error::Broken(format!("nothing within {} s", WITHIN.as_secs())))??;
        if status.is_success() {
            // No content is JSON's null.
            let body = if body.is_empty() { Bytes::from_static(b"null") } else { body };
            return serde_json::from_slice(&body)
                .map_err(|e| Error::Broken(format!("its answer is not understood: {e}")));
        }
        match serde_json::from_slice(&body) {
            Ok(problem) => Err(Error::Refused { status: status.as_u16(), problem }),
            Err(_) => {
                Err(Error::Broken(format!("its answer is {status} without a reason: is it the private listener?")))
            }
        }
    }

    async fn exchange<I>(&self, stream: I, host: &str, path: &str, json: Vec<u8>) -> Result<(StatusCode, Bytes), Error>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |e: &dyn fmt::Display| Error::Broken(e.to_string());
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|e| broken(&e))?;
        // It ends with the answer.
        tokio::spawn(connection);
        let mut request = Request::builder().method(Method::POST).uri(path).header(HOST, host);
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request.body(Full::new(Bytes::from(json))).map_err(|e| broken(&e))?;
        let answer = sender.send_request(request).await.map_err(|e| broken(&e))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST).collect().await.map_err(|e| broken(&e))?;
        Ok((status, body.to_bytes()))
    }
}

/// All but unreserved characters (RFC 3986) as `%XX`.
fn encoded(text: &str) -> String {
    use fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::{Gateway, encoded};

    #[test]
    fn the_token_does_not_show() {
        let gateway = Gateway::at("127.0.0.1:9180", Some("0123456789abcdef\n")).expect("an address");
        assert!(!format!("{gateway:?}").contains("0123456789"));
    }

    #[test]
    fn what_is_no_address() {
        for bad in ["localhost:1", "http://127.0.0.1:1", ""] {
            assert!(Gateway::at(bad, None).expect_err(bad).to_string().contains("unix:/PATH"), "{bad}");
        }
        assert!(Gateway::at("127.0.0.1:1", Some("a\nb")).is_err());
    }

    #[test]
    fn what_stands_in_a_query() {
        assert_eq!(encoded("users/1 ä&b=c"), "users%2F1%20%C3%A4%26b%3Dc");
    }
}
