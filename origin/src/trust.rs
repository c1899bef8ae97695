//! Trust, decided once per request, from the connection and the signature. Nothing downstream asks again.
//!
//! | what came | site `edge-only` | site `cloudflare` | site `direct` |
//! | --- | --- | --- | --- |
//! | our certificate, a good signature | EdgeSigned | EdgeSigned | EdgeSigned |
//! | our certificate, no signature | refused | Cloudflare | Cloudflare |
//! | no certificate, a good signature | refused | refused | EdgeSigned |
//! | no certificate, no signature | refused | refused | Direct |
//! | a bad signature | refused | refused | refused |

use std::net::IpAddr;

use contract::signature::{Message, SignatureError};
use contract::{EdgeFacts, header};
use edge::Head;

use crate::config::{Edge, Trust};

/// How a request came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// Signed by our Worker: admitted already.
    EdgeSigned,
    /// From our zone at Cloudflare, past the Worker.
    Cloudflare,
    /// From anywhere.
    Direct,
}

impl Trusted {
    /// The word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdgeSigned => "edge-signed",
            Self::Cloudflare => "cloudflare",
            Self::Direct => "direct",
        }
    }
}

/// What a connection has proved.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Whether it showed a client certificate of our zone's authority.
    pub certified: bool,
    /// Whether it is encrypted.
    pub tls: bool,
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// The site wants a certificate that the connection does not have.
    NoCertificate,
    /// The site wants a signature.
    NoSignature,
    /// A signature is there and is not good.
    BadSignature(SignatureError),
    /// The signature is good and what it says can't be read.
    BadFacts,
}

impl Distrust {
    /// The word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCertificate => "no-certificate",
            Self::NoSignature => "no-signature",
            Self::BadSignature(why) => why.as_str(),
            Self::BadFacts => "bad-facts",
        }
    }
}

/// Decides. `now` is seconds since the Unix epoch; facts come with a signature only.
pub fn decide(
    peer: Peer,
    site: Trust,
    edge: Option<&Edge>,
    head: &impl Head,
    now: u64,
) -> Result<(Trusted, Option<EdgeFacts>), Distrust> {
    if site.needs_certificate() && !peer.certified {
        return Err(Distrust::NoCertificate);
    }
    // Without keys nobody signs for us, and a client's own signature is none of our business.
    let signed = edge.filter(|_| head.has(header::SIGNATURE_INPUT) || head.has(header::EDGE_FACTS));
    let Some(edge) = signed else {
        return match site {
            Trust::EdgeOnly => Err(Distrust::NoSignature),
            _ if peer.certified => Ok((Trusted::Cloudflare, None)),
            _ => Ok((Trusted::Direct, None)),
        };
    };
    let one = |name| head.single(name).ok_or(Distrust::BadSignature(SignatureError::Malformed));
    let facts = one(header::EDGE_FACTS)?;
    let (path, query) = match head.target().split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (head.target(), None),
    };
    let message = Message { method: head.method(), authority: head.authority(), path, query, facts };
    edge.keys
        .verify(&message, one(header::SIGNATURE_INPUT)?, one(header::SIGNATURE)?, now, &edge.window)
        .map_err(Distrust::BadSignature)?;
    let facts = EdgeFacts::parse(facts).map_err(|_| Distrust::BadFacts)?;
    Ok((Trusted::EdgeSigned, Some(facts)))
}
