//! The corpora: how many attacks the managed rules stop, and how many harmless requests, where all classes block.
//!
//! `attacks.txt` and `harmless.txt` are what the rules are tuned by, `*-held.txt` what they are not.

mod corpus;
mod rules;

use corpus::{Case, attacks, harmless};
use edge::filter::{Class, Classes, Finding, Looked, Managed, look};
use proptest::prelude::*;

/// Attacks stopped, of a hundred, at least.
const STOPPED: usize = 60;
/// Harmless requests stopped, of a hundred, at most.
const WRONGLY: usize = 2;

/// What stops a request.
#[derive(Debug, PartialEq)]
enum Stop {
    /// The path rule, which comes first.
    PathRule,
    Filter(Finding),
}

fn judge(case: &Case) -> Option<Stop> {
    let Ok(target) = contract::Target::parse(&case.target, 8192) else { return Some(Stop::PathRule) };
    let fields: Vec<(&str, &str)> = case.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let looked = Looked {
        path: target.path(),
        query: target.query(),
        fields: &fields[..],
        form: case.form.as_deref().map(str::as_bytes),
    };
    look(&looked, Classes::ALL).map(Stop::Filter)
}

fn rate(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole as f64
}

fn stopped(name: &str, text: &str) {
    let cases = attacks(text);
    let mut all = (0, 0);
    println!("{name}");
    for class in Class::ALL {
        let of: Vec<&Case> = cases.iter().filter(|case| case.class == Some(class)).collect();
        let missed: Vec<&&Case> = of.iter().filter(|case| judge(case).is_none()).collect();
        let hit = of.len() - missed.len();
        println!("  {:10} {hit:4} of {:4}  {:5.1} %", class.as_str(), of.len(), rate(hit, of.len()));
        if std::env::var_os("MISSED").is_some() {
            missed.iter().for_each(|case| println!("    {case:?}"));
        }
        all = (all.0 + hit, all.1 + of.len());
    }
    println!("  {:10} {:4} of {:4}  {:5.1} %", "all", all.0, all.1, rate(all.0, all.1));
    assert!(all.0 * 100 >= STOPPED * all.1, "{name}: {} of {} attacks are stopped", all.0, all.1);
}

fn passed(name: &str, text: &str) {
    let cases = harmless(text);
    let wrong: Vec<_> = cases.iter().filter_map(|case| Some((case, judge(case)?))).collect();
    println!("{name}: {} of {} stopped, {:.2} %", wrong.len(), cases.len(), rate(wrong.len(), cases.len()));
    wrong.iter().for_each(|(case, stop)| println!("    {stop:?} {case:?}"));
    assert!(wrong.len() * 100 <= WRONGLY * cases.len(), "{name}: {} of {} are stopped", wrong.len(), cases.len());
}

#[test]
fn attacks_are_stopped() {
    stopped("attacks", include_str!("attacks.txt"));
}

#[test]
fn attacks_held_out_are_stopped() {
    stopped("attacks, held out", include_str!("attacks-held.txt"));
}

#[test]
fn harmless_requests_pass() {
    passed("harmless", include_str!("harmless.txt"));
}

#[test]
fn harmless_requests_held_out_pass() {
    passed("harmless, held out", include_str!("harmless-held.txt"));
}

#[test]
fn the_corpora_are_large_enough() {
    assert!(attacks(include_str!("attacks.txt")).len() >= 400);
    let harmless = [include_str!("harmless.txt"), include_str!("harmless-held.txt")].map(|text| harmless(text).len());
    assert!(harmless.iter().sum::<usize>() >= 500, "{harmless:?}");
}

/// Pieces that attacks are made of, in any order.
const PIECES: &str = r#"(' or |1=1|--|union select |/\*|\*/|;|\|\||&&|\$\(|`|<script|<svg|onload=|alert\(|javascript:|\{\{|\}\}|7\*7|\$\{jndi:|%0d%0a|%25|%u003c|&#x3c;|\.\./|http://|127\.|0x7f|\\u00|cat /|\PC){0,24}"#;

proptest! {
    /// Whatever comes: no panic, and the same verdict twice.
    #[test]
    fn judges_anything(path in PIECES, query in proptest::option::of(PIECES), agent in PIECES, cookie in PIECES, form in any::<Vec<u8>>()) {
        let fields = [("user-agent", agent.as_str()), ("cookie", cookie.as_str()), ("referer", cookie.as_str()), ("x-a", agent.as_str())];
        let looked = Looked { path: &path, query: query.as_deref(), fields: &fields[..], form: Some(&form) };
        prop_assert_eq!(look(&looked, Classes::ALL), look(&looked, Classes::ALL));
        // A finding that blocks is found whatever else there is.
        if let Some(found) = look(&looked, Classes::NONE) {
            prop_assert!(look(&looked, Classes::ALL).is_some(), "{found:?}");
        }
    }
}

#[test]
fn each_managed_rule_is_documented_and_no_other() {
    let page = include_str!("../../../docs/filter.md");
    let mut class = String::new();
    let rows = page.lines().filter_map(|line| {
        let [_, of, default, rule, stops, _] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            return None;
        };
        let rule = rule.strip_prefix('`')?.strip_suffix('`')?;
        if let Some(of) = of.strip_prefix('`').and_then(|of| of.strip_suffix('`')) {
            class = of.to_owned();
            let blocks = Class::parse(of).is_some_and(|class| Classes::DEFAULT.has(class));
            assert_eq!(default, if blocks { "blocks" } else { "logs" }, "{of}");
        }
        assert!(rule.starts_with(&class) && stops.ends_with('.'), "{line}");
        Some(rule)
    });
    let mut documented: Vec<&str> = rows.collect();
    let mut known = Managed::ALL.map(Managed::as_str);
    documented.sort_unstable();
    known.sort_unstable();
    assert_eq!(documented, known);
}
