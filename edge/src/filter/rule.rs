//! An operator's rule: what it matches, and what is done then.

use cache::Fields;
use contract::Country;

use super::decode;
use super::indexed::{Begins, Text, Way};
use super::pattern::Pattern;
use super::ranges::Ranges;
use crate::exchange::Visitor;

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What logs, metrics and the error page call it.
    pub name: Box<str>,
    /// What it matches.
    pub when: When,
    /// What is done then.
    pub action: Action,
    /// It is only noted; what comes after it is asked, too.
    pub dry_run: bool,
}

/// What a rule matches: all that is said of it, and of each list any. An empty one says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// The path, after the path rule.
    pub paths: Vec<Pattern>,
    /// Methods.
    pub methods: Vec<Box<str>>,
    /// The host, without its port.
    pub hosts: Vec<Pattern>,
    /// Countries; an unknown one is none of them.
    pub countries: Vec<Country>,
    /// Networks by number; an unknown one is none of them.
    pub asns: Vec<u32>,
    /// The client's address.
    pub addresses: Ranges,
    /// `User-Agent`.
    pub agents: Vec<Pattern>,
    /// Fields, by their lower-case name; all of them.
    pub fields: Vec<(Box<str>, Pattern)>,
    /// Parameters of the query, decoded, by name; all of them.
    pub query: Vec<(Box<str>, Pattern)>,
}

/// What is done with a request that a rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is refused.
    Block {
        /// With this status.
        status: u16,
        /// And this sentence on the page.
        page: Option<Box<str>>,
    },
    /// It goes on where the visitor has shown to be none of a program's ([`crate::challenge`]); who has not is asked to.
    Challenge,
    /// A limit of this name counts it.
    Limit(Box<str>),
    /// It is noted, and goes on; no later rule is asked.
    Log,
    /// It goes on by the cache.
    BypassCache,
    /// It is sent to another path of the host.
    Redirect(Box<str>),
}

impl Action {
    /// Its word in logs and metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Block { .. } => "block",
            Self::Challenge => "challenge",
            Self::Limit(_) => "limit",
            Self::Log => "log",
            Self::BypassCache => "bypass-cache",
            Self::Redirect(_) => "redirect",
        }
    }
}

/// A request, as rules look at it.
pub struct Asked<'a, F: ?Sized> {
    /// The method.
    pub method: &'a str,
    /// The host, lower-case, without its port.
    pub host: &'a str,
    /// The path.
    pub path: &'a str,
    /// The query.
    pub query: Option<&'a str>,
    /// The fields.
    pub fields: &'a F,
    /// Who asks.
    pub visitor: &'a Visitor,
    /// Whether no rule need challenge it.
    pub cleared: bool,
}

/// By paths or by hosts; a rule that names neither may match any request.
impl Begins for Rule {
    fn ways(&self) -> Vec<Way> {
        let When { paths, hosts, .. } = &self.when;
        let mut ways = Pattern::ways_of_paths(paths);
        if !hosts.is_empty() {
            ways.push(Pattern::way_of_hosts(hosts));
        }
        if ways.is_empty() {
            ways.push(vec![(Text::Path, String::new())]);
        }
        ways
    }
}

impl When {
    /// Whether a request is one of those.
    pub fn matches<F: Fields + ?Sized>(&self, asked: &Asked<'_, F>) -> bool {
        let any = |patterns: &[Pattern], text: &[u8]| patterns.iter().any(|pattern| pattern.fits_any_case(text));
        (self.paths.is_empty() || self.paths.iter().any(|path| path.fits(asked.path.as_bytes())))
            && (self.methods.is_empty() || self.methods.iter().any(|method| **method == *asked.method))
            && (self.hosts.is_empty() || any(&self.hosts, asked.host.as_bytes()))
            && (self.countries.is_empty()
                || asked.visitor.country.is_some_and(|country| self.countries.contains(&country)))
            && (self.asns.is_empty() || asked.visitor.asn.is_some_and(|asn| self.asns.contains(&asn)))
            && (self.addresses.is_empty() || self.addresses.has(asked.visitor.client))
            && (self.agents.is_empty()
                || any(&self.agents, asked.fields.values("user-agent").next().unwrap_or_default()))
            && self.fields.iter().all(|(name, value)| asked.fields.values(name).any(|is| value.fits_any_case(is)))
            && self.query.iter().all(|(name, value)| has_parameter(asked.query, name, value))
    }
}

fn has_parameter(query: Option<&str>, name: &str, value: &Pattern) -> bool {
    let mut decoded = Vec::new();
    query.unwrap_or_default().split('&').any(|pair| {
        let (is, sent) = pair.split_once('=').unwrap_or((pair, ""));
        decode::transport(is.as_bytes(), true, &mut decoded);
        decoded == name.as_bytes() && {
            decode::transport(sent.as_bytes(), true, &mut decoded);
            value.fits(&decoded)
        }
    })
}

/// The host of an authority.
pub(crate) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') && (!host.contains(':') || host.ends_with(']')) => host,
        _ => authority,
    }
}
