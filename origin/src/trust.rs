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

use contract::signature::{Message, SignatureError, speaks_for_the_edge};
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
    // Without keys nobody signs for us, and a client's own signature (a crawler's, say) is none of our business.
    let signed =
        edge.filter(|_| head.has(header::EDGE_FACTS) || head.values(header::SIGNATURE_INPUT).any(speaks_for_the_edge));
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

#[cfg(test)]
mod tests {
    use super::{Distrust, Peer, Trusted, decide};
    use crate::config::{Edge, Trust};
    use cache::Fields;
    use contract::signature::{Keys, Message, SignatureError, Window};
    use edge::Head;
    use std::net::Ipv4Addr;

    const NOW: u64 = 1_800_000_000;
    const FACTS: &str = r#"client="203.0.113.7", id="0123456789abcdef0123456789abcdef""#;

    struct Asked(Vec<(&'static str, String)>);

    impl Fields for Asked {
        fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
            self.0.iter().map(|(n, v)| (*n, v.as_bytes()))
        }
    }

    impl Head for Asked {
        fn method(&self) -> &str {
            "GET"
        }
        fn authority(&self) -> &str {
            "makenot.work"
        }
        fn secure(&self) -> bool {
            true
        }
        fn target(&self) -> &str {
            "/a?b"
        }
    }

    fn edge() -> Edge {
        let keys = Keys::parse("k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("a good key");
        Edge { keys, window: Window::default() }
    }

    /// A request signed for `path`; the pipeline's is `/a?b`.
    fn signed(path: &'static str) -> Asked {
        let message = Message { method: "GET", authority: "makenot.work", path, query: Some("b"), facts: FACTS };
        let fields = edge().keys.signing().sign(&message, NOW);
        Asked(vec![
            ("edge-facts", FACTS.to_owned()),
            ("signature-input", fields.input),
            ("signature", fields.signature),
        ])
    }

    fn trust(certified: bool, site: Trust, asked: &Asked) -> Result<Trusted, Distrust> {
        let peer = Peer { address: Ipv4Addr::LOCALHOST.into(), certified, tls: true };
        decide(peer, site, Some(&edge()), asked, NOW + 1).map(|(trusted, _)| trusted)
    }

    #[test]
    fn the_table_in_the_head_of_this_module() {
        use Trust::{Cloudflare, Direct, EdgeOnly};
        let (good, none, bad) = (signed("/a"), Asked(vec![]), signed("/b"));
        let no_certificate = Err(Distrust::NoCertificate);
        let mismatch = Err(Distrust::BadSignature(SignatureError::Mismatch));
        let rows = [
            (true, &good, [Ok(Trusted::EdgeSigned), Ok(Trusted::EdgeSigned), Ok(Trusted::EdgeSigned)]),
            (true, &none, [Err(Distrust::NoSignature), Ok(Trusted::Cloudflare), Ok(Trusted::Cloudflare)]),
            (false, &good, [no_certificate, no_certificate, Ok(Trusted::EdgeSigned)]),
            (false, &none, [no_certificate, no_certificate, Ok(Trusted::Direct)]),
            (true, &bad, [mismatch, mismatch, mismatch]),
            (false, &bad, [no_certificate, no_certificate, mismatch]),
        ];
        for (certified, asked, expected) in rows {
            for (site, expected) in [EdgeOnly, Cloudflare, Direct].into_iter().zip(expected) {
                assert_eq!(trust(certified, site, asked), expected, "{certified} {site:?} {:?}", asked.0);
            }
        }
    }

    #[test]
    fn a_part_of_a_signature_is_a_bad_one() {
        for missing in ["edge-facts", "signature-input", "signature"] {
            let mut asked = signed("/a");
            asked.0.retain(|(name, _)| *name != missing);
            // A lone Signature is a client's own, for the app; anything that speaks for the edge must be whole.
            assert!(matches!(trust(true, Trust::Cloudflare, &asked), Err(Distrust::BadSignature(_))), "{missing}");
            let mut twice = signed("/a");
            let again = twice.0.iter().find(|(name, _)| *name == missing).expect("is there").clone();
            twice.0.push(again);
            assert!(matches!(trust(true, Trust::Cloudflare, &twice), Err(Distrust::BadSignature(_))), "{missing}");
        }
    }

    #[test]
    fn a_clients_own_signature_is_not_the_edges() {
        let input = r#"sig1=("@authority");created=1;keyid="a-bot";tag="web-bot-auth""#;
        let own = Asked(vec![("signature-input", input.to_owned()), ("signature", "sig1=:YWJj:".to_owned())]);
        assert_eq!(trust(true, Trust::Cloudflare, &own), Ok(Trusted::Cloudflare));
        assert_eq!(trust(true, Trust::EdgeOnly, &own), Err(Distrust::NoSignature));
    }

    #[test]
    fn without_keys_a_signature_is_the_clients_own_affair() {
        let peer = Peer { address: Ipv4Addr::LOCALHOST.into(), certified: false, tls: true };
        let decided = decide(peer, Trust::Direct, None, &signed("/a"), NOW).expect("served");
        assert_eq!(decided, (Trusted::Direct, None));
    }
}
