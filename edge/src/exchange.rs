//! What the edge knows of a request once it has been admitted: made once, read by everything after it.

use std::net::IpAddr;

use cache::{Key, Plan};
use contract::{Country, EdgeFacts, Problem, RequestId, Target, Trace};

use crate::Spent;

/// Who asks, as the host has verified it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// The client's address.
    pub client: IpAddr,
    /// Its country, where known.
    pub country: Option<Country>,
    /// The number of its network, where known.
    pub asn: Option<u32>,
}

/// An admitted request, without its body.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its id, in every log line and answer.
    pub id: RequestId,
    /// The trace it belongs to.
    pub trace: Trace,
    /// What the systems before us say of that trace: as it goes on, where there is anything.
    pub tracestate: Option<Box<str>>,
    /// Who asks.
    pub visitor: Visitor,
    /// Whether the client speaks TLS, to us or to what stands before us.
    pub secure: bool,
    /// The host it asks for, lower-case.
    pub authority: Box<str>,
    /// Path and query after the one path rule: for cache key, signature and forwarding alike.
    pub target: Target<'static>,
    /// How the cache takes part.
    pub plan: Plan,
    /// Whether errors are said in JSON.
    pub json: bool,
    /// The version of the filter's rules that it has passed.
    pub ruleset: Option<u32>,
    /// The limit that a rule has count it.
    pub limit: Option<Box<str>>,
    /// Whether no rule need challenge it: it shows a clearance, or is none to be challenged.
    pub cleared: bool,
    /// Where its time goes.
    pub spent: Spent,
}

impl Exchange {
    /// The key under which its answer is stored.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::new(self.secure, &self.authority, self.target.as_str())
    }

    /// What the edge tells the gateway of it, under its signature.
    #[must_use]
    pub fn facts(&self) -> EdgeFacts {
        EdgeFacts {
            client: self.visitor.client,
            id: self.id,
            country: self.visitor.country,
            asn: self.visitor.asn,
            ruleset: self.ruleset,
            cleared: self.cleared,
        }
    }
}

/// A request that was not admitted: what is needed to say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub problem: Problem,
    /// The id under which it is logged.
    pub id: RequestId,
    /// Whether to say it in JSON.
    pub json: bool,
}
