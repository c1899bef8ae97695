//! All rules of a site, and what they say of a request: the operator's first, then which methods and sizes a route takes, then the managed
//! ones.

use std::borrow::Cow;

use cache::Fields;
use contract::Problem;

use super::indexed::{Begins, Indexed, Way};
use super::line::is_name;
use super::look::{Looked, Place, look};
use super::pattern::Pattern;
use super::rule::{Action, Asked, Rule, without_port};
use super::{Classes, Managed};
use crate::exchange::Exchange;

/// The rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The classes of managed rules that block on every site.
    pub block: Classes,
    /// Nothing is stopped, only noted.
    pub log_only: bool,
    /// What sites have of their own; the first that fits counts.
    pub sites: Indexed<OfSite>,
    /// The operator's rules; the first that matches counts.
    pub rules: Indexed<Rule>,
    /// What routes take; the first whose path fits counts.
    pub routes: Indexed<Route>,
}

/// What a site has of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfSite {
    /// Its hosts.
    pub hosts: Vec<Pattern>,
    /// The paths below which it is the site of its hosts; all, where there are none.
    pub paths: Vec<Box<str>>,
    /// What the paths begin with that managed rules leave alone.
    pub off: Vec<Box<str>>,
    /// Classes of managed rules that block here, too.
    pub block: Classes,
    /// What the paths begin with whose forms are looked at.
    pub forms: Vec<Box<str>>,
}

/// What a route takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// What logs call it.
    pub name: Box<str>,
    /// Its paths.
    pub paths: Vec<Pattern>,
    /// The methods that it takes; all, where there are none.
    pub methods: Vec<Box<str>>,
    /// Bytes that a body may have.
    pub size: Option<u64>,
}

/// By hosts, from their ends.
impl Begins for OfSite {
    fn ways(&self) -> Vec<Way> {
        vec![Pattern::way_of_hosts(&self.hosts)]
    }
}

/// By paths.
impl Begins for Route {
    fn ways(&self) -> Vec<Way> {
        Pattern::ways_of_paths(&self.paths)
    }
}

/// A rule that matched, and what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The rule's name.
    pub rule: Cow<'static, str>,
    /// What was done, as one stable word; `dry-run` where nothing was.
    pub action: &'static str,
    /// Where a managed rule found what it stops.
    pub place: Option<Place>,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Why, for whoever reads the answer.
    pub problem: Problem,
    /// The rule's name.
    pub rule: Cow<'static, str>,
    /// The status.
    pub status: u16,
    /// What the page says to do.
    pub page: Option<Box<str>>,
}

/// What becomes of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    #[default]
    Pass,
    /// It is refused.
    Block(Box<Block>),
    /// The visitor is to be asked for a check first; refused where there is none.
    Challenge(Box<Block>),
    /// It is sent to another path of the host.
    Redirect(Box<str>),
}

impl Outcome {
    /// Why a request does not go on, where a visitor can be challenged or not; `None` where nothing is wrong with it.
    #[must_use]
    pub fn problem(&self, challenges: bool) -> Option<Problem> {
        match self {
            Self::Pass | Self::Redirect(_) => None,
            Self::Challenge(_) if challenges => Some(Problem::ChallengeRequired),
            Self::Block(block) | Self::Challenge(block) => Some(block.problem),
        }
    }
}

/// What the rules say of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of it.
    pub outcome: Outcome,
    /// The limit that counts it.
    pub limit: Option<Box<str>>,
    /// It goes by the cache.
    pub bypass_cache: bool,
    /// The rules that matched, with the one that decided last.
    pub hits: Vec<Hit>,
}

/// Bytes of a form that is looked at, at most.
pub const LONGEST_FORM: u64 = 16 << 10;

impl Ruleset {
    /// What the rules say; `before` are further rules, asked first. `form` is the body, where [`wants_form`](Self::wants_form) says so.
    pub fn judge<F: Fields + ?Sized>(
        &self,
        before: &[Rule],
        exchange: &Exchange,
        method: &str,
        fields: &F,
        form: Option<&[u8]>,
    ) -> Verdict {
        let asked = asked(exchange, method, fields);
        let mut verdict = Verdict::default();
        let stops =
            self.operators(self.concerned(before, &asked), &asked, &mut verdict) || self.route(&asked, &mut verdict);
        if !stops {
            self.managed(&asked, form, &mut verdict);
        }
        verdict
    }

    /// What these rules alone say, in place of its own.
    pub fn only<F: Fields + ?Sized>(&self, rules: &[Rule], exchange: &Exchange, method: &str, fields: &F) -> Verdict {
        let mut verdict = Verdict::default();
        self.operators(rules.iter(), &asked(exchange, method, fields), &mut verdict);
        verdict
    }

    /// What holds of a request that has been judged before, and passed: the limit that counts it, and whether it goes by the cache.
    pub fn again<F: Fields + ?Sized>(&self, before: &[Rule], exchange: &Exchange, method: &str, fields: &F) -> Verdict {
        let lasts = |rule: &Rule| matches!(rule.action, Action::Limit(_) | Action::BypassCache);
        let asked = asked(exchange, method, fields);
        if !self.concerned(before, &asked).any(lasts) {
            return Verdict::default();
        }
        let mut verdict = Verdict::default();
        self.operators(self.concerned(before, &asked), &asked, &mut verdict);
        Verdict { outcome: Outcome::Pass, hits: Vec::new(), ..verdict }
    }

    /// Whether a request's form is to be looked at: one that is small, and says how long it is.
    pub fn wants_form<F: Fields + ?Sized>(&self, exchange: &Exchange, method: &str, fields: &F) -> bool {
        let kind = || fields.single("content-type").unwrap_or_default();
        let length = || fields.single("content-length").and_then(|length| length.parse().ok()).unwrap_or(u64::MAX);
        let asked = asked(exchange, method, fields);
        method == "POST"
            && self.sites.iter().any(|site| !site.forms.is_empty())
            && self.of_site(&asked).is_some_and(|site| begins_with_any(asked.path, &site.forms))
            && kind().get(..33).is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
            && length() <= LONGEST_FORM
    }

    /// Bytes that a request's body may have, where its route says so.
    #[must_use]
    pub fn size(&self, path: &str) -> Option<u64> {
        self.route_of(path)?.size
    }

    /// The rules that a request's path and host let match.
    fn concerned<'a, F: ?Sized>(
        &'a self,
        before: &'a [Rule],
        asked: &Asked<'a, F>,
    ) -> impl Iterator<Item = &'a Rule> + use<'a, F> {
        let (host, path) = (asked.host, asked.path);
        before.iter().chain(self.rules.of(move |text| text.of(host, path)))
    }

    fn operators<'a, F: Fields + ?Sized>(
        &self,
        rules: impl Iterator<Item = &'a Rule>,
        asked: &Asked<'_, F>,
        verdict: &mut Verdict,
    ) -> bool {
        for rule in rules.filter(|rule| rule.when.matches(asked)) {
            if rule.action == Action::Challenge && (asked.cleared || self.leaves_alone(asked)) {
                // As if it did not match: those after it are asked.
                continue;
            }
            let dry = rule.dry_run || (self.log_only && rule.action != Action::Log);
            let action = if dry { "dry-run" } else { rule.action.as_str() };
            verdict.hits.push(Hit { rule: rule.name.to_string().into(), action, place: None });
            if dry {
                continue;
            }
            match &rule.action {
                Action::Block { status, page } => {
                    let rule = rule.name.to_string().into();
                    let block = Block { problem: Problem::Blocked, rule, status: *status, page: page.clone() };
                    verdict.outcome = Outcome::Block(block.into());
                    return true;
                }
                Action::Challenge => {
                    let (rule, problem) = (rule.name.to_string().into(), Problem::Blocked);
                    let block = Block { problem, rule, status: problem.status(), page: None };
                    verdict.outcome = Outcome::Challenge(block.into());
                    return true;
                }
                Action::Redirect(to) => {
                    verdict.outcome = Outcome::Redirect(to.clone());
                    return true;
                }
                Action::Limit(name) => verdict.limit = Some(name.clone()),
                Action::BypassCache => verdict.bypass_cache = true,
                Action::Log => {}
            }
            return false;
        }
        false
    }

    fn route_of(&self, path: &str) -> Option<&Route> {
        self.routes
            .of(|text| text.of("", path))
            .find(|route| route.paths.iter().any(|pattern| pattern.fits(path.as_bytes())))
    }

    fn route<F: Fields + ?Sized>(&self, asked: &Asked<'_, F>, verdict: &mut Verdict) -> bool {
        let Some(route) = self.route_of(asked.path) else { return false };
        let taken = route.methods.is_empty() || route.methods.iter().any(|method| **method == *asked.method);
        let length = || asked.fields.single("content-length").and_then(|length| length.parse::<u64>().ok());
        let problem = if !taken {
            Problem::MethodNotAllowed
        } else if route.size.is_some_and(|size| length().is_some_and(|length| length > size)) {
            Problem::BodyTooLarge
        } else {
            return false;
        };
        let rule: Cow<'static, str> = route.name.to_string().into();
        let action = if self.log_only { "dry-run" } else { "block" };
        verdict.hits.push(Hit { rule: rule.clone(), action, place: None });
        if !self.log_only {
            verdict.outcome = Outcome::Block(Box::new(Block { problem, rule, status: problem.status(), page: None }));
        }
        !self.log_only
    }

    fn of_site<F: ?Sized>(&self, asked: &Asked<'_, F>) -> Option<&OfSite> {
        self.sites.of(|text| text.of(asked.host, asked.path)).find(|site| {
            let host = || site.hosts.iter().any(|host| host.fits_any_case(asked.host.as_bytes()));
            (site.paths.is_empty() || begins_with_any(asked.path, &site.paths)) && host()
        })
    }

    /// Whether the site has it that managed rules do not look at it, nor others challenge it.
    fn leaves_alone<F: ?Sized>(&self, asked: &Asked<'_, F>) -> bool {
        self.of_site(asked).is_some_and(|site| begins_with_any(asked.path, &site.off))
    }

    fn managed<F: Fields + ?Sized>(&self, asked: &Asked<'_, F>, form: Option<&[u8]>, verdict: &mut Verdict) {
        if self.leaves_alone(asked) {
            return;
        }
        let site = self.of_site(asked);
        let block = site.map_or(self.block, |site| self.block.or(site.block));
        let looked = Looked { path: asked.path, query: asked.query, fields: asked.fields, form };
        let Some(found) = look(&looked, block) else { return };
        let stops = block.has(found.rule.class());
        let action = match (stops, self.log_only) {
            (true, true) => "dry-run",
            (true, false) => "block",
            (false, _) => "log",
        };
        let rule: Cow<'static, str> = Managed::as_str(found.rule).into();
        verdict.hits.push(Hit { rule: rule.clone(), action, place: Some(found.place) });
        if stops && !self.log_only {
            let problem = Problem::Blocked;
            verdict.outcome = Outcome::Block(Box::new(Block { problem, rule, status: problem.status(), page: None }));
        }
    }
}

fn asked<'a, F: ?Sized>(exchange: &'a Exchange, method: &'a str, fields: &'a F) -> Asked<'a, F> {
    Asked {
        method,
        host: without_port(&exchange.authority),
        path: exchange.target.path(),
        query: exchange.target.query(),
        fields,
        visitor: &exchange.visitor,
        cleared: exchange.cleared,
    }
}

/// Whether a path is one of these or lies below it.
fn begins_with_any(path: &str, beginnings: &[Box<str>]) -> bool {
    beginnings.iter().any(|begin| {
        path.strip_prefix(&**begin).is_some_and(|rest| begin.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
    })
}

/// Whether an operator's rule may be called so: no managed one is.
#[must_use]
pub fn is_own_name(name: &str) -> bool {
    is_name(name) && !Managed::ALL.iter().any(|managed| managed.as_str() == name)
}
