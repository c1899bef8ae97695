//! `[filter]`: the request filter, and the file of rules that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use contract::Country;
use edge::filter::line::{NAME, is_name, is_refusal, is_within_host};
use edge::filter::pattern::Pattern;
use edge::filter::ranges::Ranges;
use edge::filter::rule::{Action, Rule, When};
use edge::filter::ruleset::{OfSite, Route, is_own_name};
use edge::filter::{Class, Classes, Ruleset};
use serde::{Deserialize, Serialize};

use super::check::path_begins;
use super::site::{HostPattern, SiteSection};
use super::value::Size;
use super::{Fault, Rate, syntax};

/// Rules that one request may have to be held against one by one.
const MOST_TOGETHER: usize = 1_000;

/// `[filter]` as written.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FilterSection {
    pub(super) rules: Option<PathBuf>,
    pub(super) block: Vec<String>,
    pub(super) log_only: bool,
}

/// All rules: those of the file, and what the sites say; `None` without the section, which the sites' keys need.
pub(super) fn check(
    section: Option<&FilterSection>,
    sites: &[SiteSection],
    faults: &mut Vec<Fault>,
) -> Option<Ruleset> {
    let mut all: Vec<(Rank, OfSite)> = Vec::new();
    for (n, site) in sites.iter().enumerate() {
        let lists = [
            ("filter_off", &site.filter_off),
            ("filter_block", &site.filter_block),
            ("filter_forms", &site.filter_forms),
        ];
        if section.is_none() {
            for (key, _) in lists.iter().filter(|(_, list)| !list.is_empty()) {
                faults.push(Fault::new(
                    format!("site[{n}].{key}"),
                    "needs a [filter] section, which turns the filter on",
                ));
            }
            continue;
        }
        for (key, list) in [lists[0], lists[2]] {
            for (m, path) in list.iter().enumerate().filter(|(_, path)| *path != "/") {
                if let Err(what) = path_begins(path) {
                    faults.push(Fault::new(format!("site[{n}].{key}[{m}]"), what));
                }
            }
        }
        let block = classes(&format!("site[{n}].filter_block"), &site.filter_block, faults);
        let texts = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect::<Vec<Box<str>>>();
        // What is wrong with a host is said where sites are checked.
        for host in site.hosts.iter().filter_map(|host| HostPattern::parse(host).ok()) {
            let paths: Vec<Option<&String>> =
                if site.paths.is_empty() { vec![None] } else { site.paths.iter().map(Some).collect() };
            for path in paths {
                let own = OfSite {
                    hosts: vec![Pattern::new(&host.to_string())],
                    paths: path.iter().map(|path| path.as_str().into()).collect(),
                    off: texts(&site.filter_off),
                    block,
                    forms: texts(&site.filter_forms),
                };
                all.push((Rank::of(&host, path), own));
            }
        }
    }
    let section = section?;
    let mut rules = section.rules.as_deref().map(|path| file(path, faults)).unwrap_or_default();
    rules.block = Classes::DEFAULT.or(classes("filter.block", &section.block, faults));
    rules.log_only = section.log_only;
    // The first that fits counts: as sites are found, the exact name goes before the wildcard, and the longest of each before the others.
    all.sort_by(|(a, _), (b, _)| b.cmp(a));
    rules.sites = all.into_iter().map(|(_, site)| site).collect();
    Some(rules)
}

/// Marks the limits that rules name, all of which there must be.
pub(super) fn name_limits(rules: Option<&Ruleset>, rates: &mut [Rate], faults: &mut Vec<Fault>) {
    for rule in rules.iter().flat_map(|rules| rules.rules.iter()) {
        let Action::Limit(name) = &rule.action else { continue };
        match rates.iter_mut().find(|rate| *rate.name == **name) {
            Some(rate) => rate.by_rule = true,
            None => faults.push(Fault::new(
                "filter.rules",
                format!(
                    "rule `{}`: there is no limit `{name}`: add a section [rate.{name}] to the configuration",
                    rule.name
                ),
            )),
        }
    }
}

/// What makes one site of a host go before another.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    exact: bool,
    host: usize,
    path: usize,
}

impl Rank {
    fn of(host: &HostPattern, path: Option<&String>) -> Self {
        let path = path.map_or(0, String::len);
        let (exact, host) = match host {
            HostPattern::Exact(_) => (true, 0),
            HostPattern::Suffix(name) => (false, name.len()),
            HostPattern::Any => (false, 0),
        };
        Self { exact, host, path }
    }
}

fn classes(key: &str, names: &[String], faults: &mut Vec<Fault>) -> Classes {
    let mut all = Classes::NONE;
    for (n, name) in names.iter().enumerate() {
        match Class::parse(name) {
            Some(class) => all = all.with(class),
            None => {
                let known = Class::ALL.map(Class::as_str).join("`, `");
                faults.push(Fault::new(
                    format!("{key}[{n}]"),
                    format!("`{name}` is no class of rules: write one of `{known}`"),
                ));
            }
        }
    }
    all
}

/// The file of rules, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RulesFile {
    rule: Vec<RuleSection>,
    route: Vec<RouteSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSection {
    name: String,
    action: Word,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    path: Vec<String>,
    #[serde(default)]
    method: Vec<String>,
    #[serde(default)]
    host: Vec<String>,
    #[serde(default)]
    country: Vec<String>,
    #[serde(default)]
    asn: Vec<u32>,
    #[serde(default)]
    address: Vec<String>,
    #[serde(default)]
    user_agent: Vec<String>,
    #[serde(default)]
    header: BTreeMap<String, String>,
    #[serde(default)]
    query: BTreeMap<String, String>,
    status: Option<u16>,
    page: Option<String>,
    limit: Option<String>,
    to: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Block,
    Challenge,
    Limit,
    Log,
    BypassCache,
    Redirect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteSection {
    name: String,
    path: Vec<String>,
    #[serde(default)]
    method: Vec<String>,
    body: Option<Size>,
}

/// Reads a file of rules. Faults name it, and the rule.
fn file(path: &Path, faults: &mut Vec<Fault>) -> Ruleset {
    let said = path.display();
    let mut fault = |what: String| faults.push(Fault::new("filter.rules", format!("`{said}`: {what}")));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            fault(format!("cannot be read: {error}"));
            return Ruleset::default();
        }
    };
    let read = toml::Deserializer::parse(&text).map_err(|error| syntax(&error)).and_then(|document| {
        serde_path_to_error::deserialize::<_, RulesFile>(document)
            .map_err(|error| format!("{}: {}", error.path(), syntax(error.inner())))
    });
    let read = match read {
        Ok(read) => read,
        Err(what) => {
            fault(what);
            return Ruleset::default();
        }
    };
    let mut rules = Ruleset::default();
    let mut names = BTreeSet::new();
    for (n, section) in read.rule.into_iter().enumerate() {
        let key = format!("rule[{n}] `{}`", section.name);
        let mut wrong = |what: String| fault(format!("{key}: {what}"));
        name(&section.name, &mut names, &mut wrong);
        rules.rules.extend(rule(section, &mut wrong));
    }
    let together = rules.rules.together();
    if together > MOST_TOGETHER {
        fault(format!(
            "{together} rules can't be told apart by what their paths begin or end with, nor by their hosts, so each request would be held against all of them: {MOST_TOGETHER} are the most. Put what is treated alike, such as addresses, into the lists of one rule"
        ));
    }
    for (n, section) in read.route.into_iter().enumerate() {
        let key = format!("route[{n}] `{}`", section.name);
        let mut wrong = |what: String| fault(format!("{key}: {what}"));
        name(&section.name, &mut names, &mut wrong);
        if section.method.is_empty() && section.body.is_none() {
            wrong("says nothing: write method, the methods that it takes, or body, the size that it takes".to_owned());
        }
        rules.routes.push(Route {
            name: section.name.into(),
            paths: paths(&section.path, &mut wrong),
            methods: methods(section.method, &mut wrong),
            size: section.body.map(|size| size.0),
        });
    }
    rules
}

/// Reads one rule, written in JSON as in a file of rules.
///
/// # Errors
/// All that is wrong with it.
pub fn read_rule(json: serde_json::Value) -> Result<Rule, String> {
    let section: RuleSection =
        serde_path_to_error::deserialize(json).map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
    let mut faults = Vec::new();
    let mut wrong = |what| faults.push(what);
    name(&section.name, &mut BTreeSet::new(), &mut wrong);
    let rule = rule(section, &mut wrong);
    rule.filter(|_| faults.is_empty()).ok_or_else(|| faults.join("; "))
}

fn name(name: &str, names: &mut BTreeSet<String>, wrong: &mut impl FnMut(String)) {
    if !is_own_name(name) {
        wrong(format!("the name cannot be used: {NAME}, and none of a managed rule's"));
    } else if names.contains(name) {
        wrong("the name is another's already".to_owned());
    }
    names.insert(name.to_owned());
}

fn rule(section: RuleSection, wrong: &mut impl FnMut(String)) -> Option<Rule> {
    let action = action(&section, wrong)?;
    let countries = section.country.iter().filter_map(|code| {
        let country = Country::parse(code);
        if country.is_none() {
            wrong(format!(
                "`{code}` is no country: write the two upper-case letters of ISO 3166, as in \"DE\", or \"T1\" for Tor"
            ));
        }
        country
    });
    let countries = countries.collect();
    let addresses = Ranges::parse(section.address.iter().map(String::as_str));
    let when = When {
        paths: paths(&section.path, wrong),
        methods: methods(section.method, wrong),
        hosts: patterns(&section.host),
        countries,
        asns: section.asn,
        addresses: addresses.map_err(&mut *wrong).unwrap_or_default(),
        agents: patterns(&section.user_agent),
        fields: section
            .header
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase().into(), Pattern::new(value)))
            .collect(),
        query: section.query.iter().map(|(name, value)| (name.as_str().into(), Pattern::new(value))).collect(),
    };
    if when == When::default() && !matches!(action, Action::Log | Action::Limit(_)) {
        wrong("matches every request: say what it is about, or write path = [\"*\"] if you mean it".to_owned());
    }
    Some(Rule { name: section.name.into(), when, action, dry_run: section.dry_run })
}

fn action(section: &RuleSection, wrong: &mut impl FnMut(String)) -> Option<Action> {
    for (key, given, of) in [
        ("status", section.status.is_some(), Word::Block),
        ("page", section.page.is_some(), Word::Block),
        ("limit", section.limit.is_some(), Word::Limit),
        ("to", section.to.is_some(), Word::Redirect),
    ] {
        if given && section.action != of {
            wrong(format!("{key} belongs to another action"));
        }
    }
    Some(match section.action {
        Word::Block => {
            let status = section.status.unwrap_or(403);
            if !is_refusal(&status) {
                wrong(format!("status {status} refuses nothing: write one from 400 to 599"));
            }
            if section.page.as_ref().is_some_and(|page| page.len() > 500 || page.contains(char::is_control)) {
                wrong("page is one sentence of at most 500 bytes".to_owned());
            }
            Action::Block { status, page: section.page.as_deref().map(Into::into) }
        }
        Word::Challenge => Action::Challenge,
        Word::Limit => match section.limit.as_deref().filter(|limit| is_name(limit)) {
            Some(limit) => Action::Limit(limit.into()),
            None => {
                wrong(format!("limit is the name of a limit: {NAME}"));
                return None;
            }
        },
        Word::Log => Action::Log,
        Word::BypassCache => Action::BypassCache,
        Word::Redirect => match section.to.as_deref().filter(|to| is_within_host(to)) {
            Some(to) => Action::Redirect(to.into()),
            None => {
                wrong("to is where to send the client on the same host: write a path, as in \"/new\"".to_owned());
                return None;
            }
        },
    })
}

fn patterns(texts: &[String]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text)).collect()
}

fn paths(texts: &[String], wrong: &mut impl FnMut(String)) -> Vec<Pattern> {
    for text in texts.iter().filter(|text| !text.starts_with(['/', '*'])) {
        wrong(format!("`{text}` is no path: write one as in \"/api/*\", where * stands for anything"));
    }
    patterns(texts)
}

fn methods(texts: Vec<String>, wrong: &mut impl FnMut(String)) -> Vec<Box<str>> {
    for text in texts
        .iter()
        .filter(|text| text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-'))
    {
        wrong(format!("`{text}` is no method: write it in upper case, as in \"POST\""));
    }
    texts.into_iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests;
