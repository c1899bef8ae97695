//! The file's sections, as serde reads them, and with the defaults that serve.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use contract::signature::{Keys, Window};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::acme::AcmeSection;
use super::bucket::BucketSection;
use super::cloudflare::CloudflareSection;
use super::filter::FilterSection;
use super::headers::HeadersSection;
use super::health::HealthSection;
use super::log::LogSection;
use super::peer::Peer;
use super::probe::ProbeSection;
use super::rate::RateSection;
use super::site::SiteSection;
use super::timing::TimingSection;
use super::token::Token;
use super::traces::TracesSection;
use super::turnstile::TurnstileSection;
use super::upload::UploadSection;
use super::value::{AdminAddress, Size, Span};
use super::webhook::WebhookSection;

/// The whole file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) listen: ListenSection,
    pub(super) tls: Option<Tls>,
    pub(super) edge: Option<EdgeSection>,
    #[serde(default)]
    pub(super) acme: AcmeSection,
    pub(super) admin: Option<AdminSection>,
    pub(super) cloudflare: Option<CloudflareSection>,
    pub(super) peer: Option<Peer>,
    pub(super) state: Option<State>,
    pub(super) health: Option<HealthSection>,
    #[serde(default)]
    pub(super) probe: BTreeMap<String, ProbeSection>,
    pub(super) filter: Option<FilterSection>,
    pub(super) turnstile: Option<TurnstileSection>,
    pub(super) headers: Option<HeadersSection>,
    #[serde(default)]
    pub(super) cache: Cache,
    pub(super) compress: Option<Compress>,
    pub(super) log: Option<LogSection>,
    pub(super) traces: Option<TracesSection>,
    pub(super) timing: Option<TimingSection>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) timeouts: Timeouts,
    #[serde(default)]
    pub(super) rate: BTreeMap<String, RateSection>,
    #[serde(default)]
    pub(super) site: Vec<SiteSection>,
    #[serde(default)]
    pub(super) webhook: BTreeMap<String, WebhookSection>,
    #[serde(default)]
    pub(super) upload: BTreeMap<String, UploadSection>,
    #[serde(default)]
    pub(super) bucket: BTreeMap<String, BucketSection>,
    #[serde(default)]
    pub(super) storage: Storage,
}

/// `[listen]` as written.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenSection {
    pub(super) https: Option<Vec<SocketAddr>>,
    #[serde(default)]
    pub(super) http: Vec<SocketAddr>,
    #[serde(default)]
    pub(super) redirect: Vec<SocketAddr>,
    pub(super) unix: Option<PathBuf>,
    #[serde(default)]
    pub(super) balancers: Vec<String>,
    pub(super) cores: Option<usize>,
}

/// Where to listen.
#[derive(Clone, Debug)]
pub struct Listen {
    /// TLS. Default: `[::]:443` where `[tls]` is there.
    pub https: Vec<SocketAddr>,
    /// Clear text, loopback only. Default: none.
    pub http: Vec<SocketAddr>,
    /// Clear text, for redirects to https and a CA's challenges. Default: none.
    pub redirect: Vec<SocketAddr>,
    /// Clear text on a Unix socket. Default: none.
    pub unix: Option<PathBuf>,
    /// Who passes connections on to `https` and `redirect`, and says first for whom (PROXY protocol). Default: nobody.
    pub balancers: Vec<IpNet>,
    /// Cores that serve, 1 to 256. Default: all of the machine's.
    pub cores: usize,
}

/// `[tls]`: PEM files.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate and its chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority that signs our zone's client certificates.
    pub client_ca: Option<PathBuf>,
}

/// `[edge]` as written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EdgeSection {
    pub(super) keys_file: PathBuf,
    pub(super) window: Option<Span>,
    pub(super) skew: Option<Span>,
}

/// The edge's keys and how long its signatures last.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The keys of `keys_file`.
    pub keys: Keys,
    /// `window` (default 30 s) and `skew` (default 5 s).
    pub window: Window,
}

/// `[admin]` as written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminSection {
    pub(super) listen: AdminAddress,
    pub(super) token_file: Option<PathBuf>,
    pub(super) app_token_file: Option<PathBuf>,
    #[serde(default = "Admin::batch")]
    pub(super) batch: u32,
    #[serde(default = "Admin::body")]
    pub(super) body: Size,
}

/// The private listener.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it is: on loopback or a Unix socket, or anywhere with a token.
    pub listen: AdminAddress,
    /// What whoever asks must show.
    pub token: Option<Token>,
    /// What an app may show in its place, for files and nothing else.
    pub app_token: Option<Token>,
    /// Items in one request, at most: 1 to 10,000.
    pub batch: u32,
    /// Bytes of a request's body, at most: 1 KiB to 64 MiB.
    pub body: u64,
}

impl Admin {
    fn batch() -> u32 {
        1_000
    }

    fn body() -> Size {
        Size(2 << 20)
    }
}

/// `[state]`: what outlives the process.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct State {
    /// The folder that it is kept in; made where it is not there.
    pub folder: PathBuf,
}

impl Default for State {
    fn default() -> Self {
        Self { folder: "/var/lib/origin".into() }
    }
}

/// `[cache]`: the native cache.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Bytes of all entries together.
    pub size: Size,
    /// Bytes of one entry's body; a larger answer is passed on without being stored.
    pub object: Size,
    /// How long a stored answer may stand in for an app that fails, after it has gone stale; an answer's own `stale-if-error` goes
    /// before.
    pub stale: Span,
}

impl Default for Cache {
    fn default() -> Self {
        Self { size: Size(128 << 20), object: Size(8 << 20), stale: Span(Duration::from_secs(7 * 86_400)) }
    }
}

/// `[compress]`: content codings for clients that do not come through Cloudflare.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compress {
    /// Bytes of a body from which on it is coded, where its length is known.
    pub least: Size,
}

impl Default for Compress {
    fn default() -> Self {
        Self { least: Size(1 << 10) }
    }
}

/// `[limits]`: what a client may send.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a request's header section, 8 KiB to 1 MiB; past it 431.
    pub head: Size,
    /// Bytes of path and query, 256 to 64 KiB; past it 414.
    pub target: Size,
    /// Bytes of a request's body, at least 1 KiB; past it 413.
    pub body: Size,
    /// Bytes a second that a client must send of its body, after 10 s of grace; slower gets 408.
    pub body_rate: Size,
    /// Open connections in all, at least 1; past it a new one is closed.
    pub connections: u32,
    /// Open connections from one address (or IPv6 /64) that did not come through Cloudflare, at least 1.
    pub connections_per_client: u32,
    /// Requests with one app at once, at least 32: the most to which the limit grows that follows the app's speed; past the
    /// limit 503.
    pub in_flight: u32,
    /// Requests held in all while their app accepts no connections, at least 1; past it 503.
    pub held: u32,
    /// Failures in a row after which one of several upstreams is ejected, at least 1.
    pub failures: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Size(64 << 10),
            target: Size(8 << 10),
            body: Size(1 << 30),
            body_rate: Size(512),
            connections: 20_000,
            connections_per_client: 1_000,
            in_flight: 2_000,
            held: 1_000,
            failures: 5,
        }
    }
}

/// `[timeouts]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For a TLS handshake.
    pub handshake: Span,
    /// For a request's head, from its connection or the answer before; past it the connection is closed.
    pub head: Span,
    /// For a connection to an app; past it 502.
    pub connect: Span,
    /// From the last byte of a request that could be sent to the head of the app's answer; past it 504.
    pub answer: Span,
    /// Between two bytes of the body of an app's answer; past it the answer is cut off.
    pub idle: Span,
    /// For a connection to an app that nobody uses; past it the connection is closed.
    pub idle_upstream: Span,
    /// For an app that accepts no connections to do so again; past it 502.
    pub hold: Span,
    /// For which one of several upstreams is ejected at first.
    pub ejected: Span,
    /// For requests in flight after SIGTERM, or after a new process has taken over.
    pub drain: Span,
}

impl Default for Timeouts {
    fn default() -> Self {
        let secs = |s| Span(Duration::from_secs(s));
        Self {
            handshake: secs(10),
            head: secs(30),
            connect: secs(3),
            answer: secs(60),
            idle: secs(600),
            // Shorter than what servers keep by default (Node's 5 s is the shortest in use).
            idle_upstream: secs(4),
            hold: secs(10),
            ejected: secs(10),
            drain: secs(30),
        }
    }
}

/// `[storage]`: our own calls to object storage. Clients' go there without us.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Calls at once, 1 to 256; a further one waits.
    pub at_once: u32,
    /// Calls a second, at least 1; a further one waits.
    pub rate: u32,
    /// For one try of a call.
    pub attempt: Span,
    /// For a call with all its tries and the pauses between them.
    pub within: Span,
}

impl Default for Storage {
    fn default() -> Self {
        // Hetzner allows an address 256 connections and 750 requests a second.
        let secs = |s| Span(Duration::from_secs(s));
        Self { at_once: 64, rate: 500, attempt: secs(10), within: secs(30) }
    }
}
