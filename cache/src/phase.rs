//! What the cache did with a request, for logs, metrics and `Cache-Status` (RFC 9211) alike.

use core::fmt;

/// Why a request was not looked up, or its answer not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bypass {
    /// The method is neither GET nor HEAD.
    Method,
    /// The request carries `Authorization`.
    Authorization,
    /// The request asks for a range.
    Range,
    /// The request asks for another protocol.
    Upgrade,
    /// The request said `no-store`.
    NoStore,
}

impl Bypass {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Authorization => "authorization",
            Self::Range => "range",
            Self::Upgrade => "upgrade",
            Self::NoStore => "no-store",
        }
    }
}

/// What happened, as far as it is known when the response leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not looked up.
    Bypass(Bypass),
    /// Answered from the store; seconds of freshness left.
    Hit {
        /// Seconds the entry stays fresh.
        ttl: u64,
    },
    /// Nothing stored under the key.
    Miss {
        /// Whether the answer is being stored.
        stored: bool,
    },
    /// An entry was there and had gone stale.
    Expired {
        /// Whether the answer is being stored.
        stored: bool,
    },
    /// The client asked for a fresh answer.
    Reload {
        /// Whether the answer is being stored.
        stored: bool,
    },
}

impl Phase {
    /// One word, for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass(_) => "bypass",
            Self::Hit { .. } => "hit",
            Self::Miss { .. } => "miss",
            Self::Expired { .. } => "expired",
            Self::Reload { .. } => "reload",
        }
    }

    /// The same phase, knowing now whether the answer is stored.
    #[must_use]
    pub const fn storing(self, stored: bool) -> Self {
        match self {
            Self::Miss { .. } => Self::Miss { stored },
            Self::Expired { .. } => Self::Expired { stored },
            Self::Reload { .. } => Self::Reload { stored },
            other => other,
        }
    }

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
        let (fwd, stored) = match self.phase {
            Phase::Hit { ttl } => return write!(f, "; hit; ttl={ttl}"),
            Phase::Bypass(Bypass::Method) => ("method", false),
            Phase::Bypass(Bypass::NoStore) => ("request", false),
            Phase::Bypass(why) => return write!(f, "; fwd=bypass; detail={}", why.as_str()),
            Phase::Miss { stored } => ("uri-miss", stored),
            Phase::Expired { stored } => ("stale", stored),
            Phase::Reload { stored } => ("request", stored),
        };
        write!(f, "; fwd={fwd}")?;
        if stored { f.write_str("; stored") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bypass, Phase};

    #[test]
    fn says_what_happened_in_the_words_of_rfc_9211() {
        let said = |p: Phase| p.status("edge").to_string();
        assert_eq!(said(Phase::Hit { ttl: 7 }), "edge; hit; ttl=7");
        assert_eq!(said(Phase::Miss { stored: true }), "edge; fwd=uri-miss; stored");
        assert_eq!(said(Phase::Miss { stored: true }.storing(false)), "edge; fwd=uri-miss");
        assert_eq!(said(Phase::Expired { stored: false }), "edge; fwd=stale");
        assert_eq!(said(Phase::Bypass(Bypass::Method)), "edge; fwd=method");
        assert_eq!(said(Phase::Bypass(Bypass::Range)), "edge; fwd=bypass; detail=range");
    }
}
