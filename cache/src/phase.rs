//! What the cache did with a request, for logs, metrics and `Cache-Status` (RFC 9211) alike.

use core::fmt;

use crate::response::Refusal;

/// Why a request was not looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bypass {
    /// The method is neither GET nor HEAD.
    Method,
    /// The request asks for another protocol.
    Upgrade,
    /// The request said `no-store`.
    NoStore,
    /// The request has a body.
    Body,
    /// The request has a precondition that only the origin may evaluate.
    Precondition,
    /// A rule of the operator's says so.
    Rule,
}

impl Bypass {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Upgrade => "upgrade",
            Self::NoStore => "no-store",
            Self::Body => "body",
            Self::Precondition => "precondition",
            Self::Rule => "rule",
        }
    }
}

/// Why a stale answer was good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stale {
    /// `stale-while-revalidate`.
    WhileRevalidate,
    /// The client's `max-stale`.
    MaxStale,
    /// The origin failed.
    IfError,
    /// It was purged softly, and is being validated.
    Purged,
}

impl Stale {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WhileRevalidate => "stale-while-revalidate",
            Self::MaxStale => "max-stale",
            Self::IfError => "stale-if-error",
            Self::Purged => "purged",
        }
    }
}

/// Why a request went on to the origin (`fwd` of RFC 9211 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forwarded {
    /// Nothing is stored under the URL.
    UriMiss,
    /// Something is, and not for this request's values of the fields that it varies by.
    VaryMiss,
    /// Something is, and not for a request with these credentials.
    Miss,
    /// What is stored is stale.
    Stale,
    /// A part is stored, and more than that is asked for.
    Partial,
    /// The request wanted it.
    Request,
}

/// What happened, as far as it is known when the response leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not looked up.
    Bypass(Bypass),
    /// Answered from the store; seconds of freshness left.
    Hit {
        /// Seconds the entry stays fresh.
        ttl: i64,
    },
    /// Answered from the store, and whether it has been purged is not known: nobody could be asked.
    Unsure {
        /// Seconds the entry stays fresh.
        ttl: i64,
    },
    /// Answered from the store, stale.
    Stale {
        /// Seconds it stays fresh: mostly not above 0.
        ttl: i64,
        /// Why that was good enough.
        why: Stale,
    },
    /// The origin was asked.
    Forwarded {
        /// Why.
        why: Forwarded,
        /// The origin's status, where the answer has another: 304 where what is stored holds.
        status: Option<u16>,
        /// Whether the answer is being stored.
        stored: bool,
        /// Whether another request's answer served this one, too.
        collapsed: bool,
        /// Why it was not stored.
        refusal: Option<Refusal>,
    },
}

impl Phase {
    /// Whether the answer is, or may become, others' too.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        match self {
            Self::Bypass(_) => false,
            Self::Forwarded { stored, collapsed, .. } => stored || collapsed,
            Self::Hit { .. } | Self::Unsure { .. } | Self::Stale { .. } => true,
        }
    }

    /// Went on to the origin; nothing more is known yet.
    #[must_use]
    pub const fn forwarded(why: Forwarded) -> Self {
        Self::Forwarded { why, status: None, stored: false, collapsed: false, refusal: None }
    }

    /// One word, for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass(_) => "bypass",
            Self::Hit { .. } | Self::Unsure { .. } => "hit",
            Self::Stale { .. } => "stale",
            Self::Forwarded { status: Some(304), .. } => "validated",
            Self::Forwarded { collapsed: true, .. } => "collapsed",
            Self::Forwarded { why: Forwarded::Stale, .. } => "expired",
            Self::Forwarded { why: Forwarded::Request, .. } => "reload",
            Self::Forwarded { why: Forwarded::Partial, .. } => "partial",
            Self::Forwarded { .. } => "miss",
        }
    }

    /// Every word of [`Phase::as_str`].
    pub const WORDS: [&'static str; 9] =
        ["bypass", "hit", "stale", "validated", "collapsed", "expired", "reload", "partial", "miss"];

    /// This cache's member of `Cache-Status`, under the cache's `name` (a token).
    #[must_use]
    pub fn status<'a>(self, name: &'a str) -> impl fmt::Display + 'a {
        Status { name, phase: self }
    }
}

struct Status<'a> {
    name: &'a str,
    phase: Phase,
}

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match self.phase {
            Phase::Hit { ttl } => write!(f, "; hit; ttl={ttl}"),
            Phase::Unsure { ttl } => write!(f, "; hit; ttl={ttl}; detail=purge-unknown"),
            Phase::Stale { ttl, why } => write!(f, "; hit; ttl={ttl}; detail={}", why.as_str()),
            Phase::Bypass(Bypass::Method) => f.write_str("; fwd=method"),
            Phase::Bypass(Bypass::NoStore) => f.write_str("; fwd=request"),
            Phase::Bypass(why) => write!(f, "; fwd=bypass; detail={}", why.as_str()),
            Phase::Forwarded { why, status, stored, collapsed, refusal } => {
                f.write_str(match why {
                    Forwarded::UriMiss => "; fwd=uri-miss",
                    Forwarded::VaryMiss => "; fwd=vary-miss",
                    Forwarded::Miss => "; fwd=miss",
                    Forwarded::Stale => "; fwd=stale",
                    Forwarded::Partial => "; fwd=partial",
                    Forwarded::Request => "; fwd=request",
                })?;
                if let Some(status) = status {
                    write!(f, "; fwd-status={status}")?;
                }
                if stored {
                    f.write_str("; stored")?;
                }
                if collapsed {
                    f.write_str("; collapsed")?;
                }
                refusal.map_or(Ok(()), |why| write!(f, "; detail={}", why.as_str()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bypass, Forwarded, Phase, Stale};

    #[test]
    fn says_what_happened_in_the_words_of_rfc_9211() {
        let said = |p: Phase| p.status("edge").to_string();
        assert_eq!(said(Phase::Hit { ttl: 7 }), "edge; hit; ttl=7");
        assert_eq!(said(Phase::Unsure { ttl: 7 }), "edge; hit; ttl=7; detail=purge-unknown");
        let stale = Phase::Stale { ttl: -3, why: Stale::WhileRevalidate };
        assert_eq!(said(stale), "edge; hit; ttl=-3; detail=stale-while-revalidate");
        assert_eq!(said(Phase::forwarded(Forwarded::VaryMiss)), "edge; fwd=vary-miss");
        let validated = Phase::Forwarded {
            why: Forwarded::Stale,
            status: Some(304),
            stored: true,
            collapsed: false,
            refusal: None,
        };
        assert_eq!(said(validated), "edge; fwd=stale; fwd-status=304; stored");
        assert_eq!(said(Phase::Bypass(Bypass::Method)), "edge; fwd=method");
        assert_eq!(said(Phase::Bypass(Bypass::Body)), "edge; fwd=bypass; detail=body");
        let forwarded = [Forwarded::Request, Forwarded::Partial].map(Phase::forwarded);
        for phase in [stale, validated, Phase::Hit { ttl: 1 }].into_iter().chain(forwarded) {
            assert!(Phase::WORDS.contains(&phase.as_str()));
        }
    }
}
