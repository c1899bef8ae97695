//! What the rules say of a request: the operator's, the routes', the managed ones, in that order.

use cache::{Fields, Plan};
use contract::{Country, Problem};
use edge::filter::{Block, Outcome, Rule, Ruleset, VERSION, Verdict};
use edge::{Exchange, Head, Visitor, pipeline};
use proptest::prelude::*;

struct Asked<'a> {
    method: &'a str,
    target: &'a str,
    fields: &'a [(&'a str, &'a str)],
}

impl Fields for Asked<'_> {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| (*name, value.as_bytes()))
    }
}

impl Head for Asked<'_> {
    fn method(&self) -> &str {
        self.method
    }
    fn authority(&self) -> &str {
        "Makenot.work:443"
    }
    fn secure(&self) -> bool {
        true
    }
    fn target(&self) -> &str {
        self.target
    }
}

const VISITOR: fn() -> Visitor =
    || Visitor { client: [203, 0, 113, 7].into(), country: Country::parse("DE"), asn: Some(64_496) };

fn ask_with(rules: &str, before: &[Rule], asked: &Asked<'_>, form: Option<&str>) -> (Verdict, Exchange) {
    let rules = Ruleset::parse(rules).unwrap_or_else(|error| panic!("{error}"));
    let mut exchange = pipeline::admit(asked, VISITOR(), [7; 16], 8192).expect("admitted");
    let verdict = pipeline::filter(&rules, before, &mut exchange, asked, form.map(str::as_bytes));
    assert_eq!(exchange.facts().ruleset, Some(VERSION));
    (verdict, exchange)
}

fn ask(rules: &str, method: &str, target: &str, fields: &[(&str, &str)]) -> Verdict {
    ask_with(rules, &[], &Asked { method, target, fields }, None).0
}

fn get(rules: &str, target: &str) -> Verdict {
    ask(rules, "GET", target, &[])
}

#[track_caller]
fn blocks(verdict: &Verdict) -> &Block {
    match &verdict.outcome {
        Outcome::Block(block) => block,
        other => panic!("{other:?} {:?}", verdict.hits),
    }
}

fn hits(verdict: &Verdict) -> Vec<(&str, &str)> {
    verdict.hits.iter().map(|hit| (&*hit.rule, hit.action)).collect()
}

#[test]
fn all_that_is_said_must_be_so_and_any_of_a_list() {
    for (when, fits) in [
        ("path=/a/*", true),
        ("path=/b,/a/b", true),
        ("path=/a", false),
        ("method=POST,GET", true),
        ("method=POST", false),
        ("host=makenot.work", true),
        ("host=*.makenot.work", false),
        ("country=FR,DE", true),
        ("country=FR", false),
        ("asn=64496", true),
        ("asn=1", false),
        ("address=203.0.113.0/24", true),
        ("address=203.0.112.0/24", false),
        ("agent=*badbot*", true),
        ("agent=badbot", false),
        ("field=x-a:1*,x-b:*", true),
        ("field=x-a:1*,x-c:*", false),
        ("query=q:a%20b", true),
        ("query=q:a", false),
        ("path=/a/* country=DE asn=64496 method=GET", true),
        ("path=/a/* country=DE asn=64497 method=GET", false),
        ("", true),
    ] {
        let fields = [("user-agent", "A BadBot/1"), ("x-a", "12"), ("x-b", "")];
        let verdict = ask(&format!("rule r block:403 {when}"), "GET", "/a/b?p=1&q=a+b", &fields);
        assert_eq!(matches!(verdict.outcome, Outcome::Block(_)), fits, "{when}");
    }
}

#[test]
fn the_first_that_matches_counts_and_a_dry_run_does_nothing() {
    let rules = "rule dry block:403 dry-run path=/a\nrule seen log path=/a\nrule never block:403 path=/*";
    let verdict = get(rules, "/a");
    assert_eq!((hits(&verdict), &verdict.outcome), (vec![("dry", "dry-run"), ("seen", "log")], &Outcome::Pass));
    let verdict = get(rules, "/b");
    assert_eq!((&*blocks(&verdict).rule, blocks(&verdict).status), ("never", 403));
    // What holds for a while is asked before.
    let while_ = Ruleset::parse("rule now block:429 address=203.0.113.7").unwrap().rules;
    let asked = Asked { method: "GET", target: "/a", fields: &[] };
    assert_eq!(&*blocks(&ask_with(rules, &while_, &asked, None).0).rule, "now");
}

#[test]
fn what_else_a_rule_does() {
    assert_eq!(get("rule r redirect:/new path=/old", "/old").outcome, Outcome::Redirect("/new".into()));
    let asked = Asked { method: "GET", target: "/login", fields: &[] };
    let (verdict, mut exchange) = ask_with("rule r limit:sign-in path=/login", &[], &asked, None);
    assert_eq!((verdict.limit.as_deref(), exchange.limit.as_deref()), (Some("sign-in"), Some("sign-in")));
    let rules = Ruleset::parse("rule r limit:other path=/login").unwrap();
    pipeline::filtered(&rules, &[], &mut exchange, &asked);
    assert_eq!(exchange.limit.as_deref(), Some("other"));
    let asked = Asked { method: "GET", target: "/?preview=1", fields: &[] };
    let (verdict, exchange) = ask_with("rule r bypass-cache query=preview:*", &[], &asked, None);
    assert!(verdict.bypass_cache && matches!(exchange.plan, Plan::Pass(cache::Bypass::Rule)));
    let rules = Ruleset::parse("rule dry bypass-cache dry-run\nrule a log path=/a\nrule r bypass-cache").unwrap();
    let bypasses = |target| {
        let asked = Asked { method: "GET", target, fields: &[] };
        let mut exchange = pipeline::admit(&asked, VISITOR(), [7; 16], 99).unwrap();
        pipeline::filtered(&rules, &[], &mut exchange, &asked);
        matches!(exchange.plan, Plan::Pass(cache::Bypass::Rule))
    };
    assert!(!bypasses("/a") && bypasses("/b"));
}

#[test]
fn a_challenge_is_for_who_has_not_passed_one() {
    let rules = "site host=* off=/git/\nrule ask challenge path=/*\nrule then block:410 path=/b";
    let judge = |target: &str, cleared: bool| {
        let asked = Asked { method: "GET", target, fields: &[] };
        let mut exchange = pipeline::admit(&asked, VISITOR(), [7; 16], 99).unwrap();
        exchange.cleared = cleared;
        let rules = Ruleset::parse(rules).unwrap();
        let verdict = pipeline::filter(&rules, &[], &mut exchange, &asked, None);
        (
            hits(&verdict).iter().map(|hit| hit.0.to_owned()).collect::<Vec<_>>(),
            verdict.outcome,
            exchange.facts().cleared,
        )
    };
    let (rule, outcome, _) = judge("/a", false);
    assert!(rule == ["ask"] && matches!(&outcome, Outcome::Challenge(block) if &*block.rule == "ask"), "{outcome:?}");
    // One that has passed goes on to the next rule, and the gateway is told.
    assert_eq!(judge("/a", true), (vec![], Outcome::Pass, true));
    assert_eq!(judge("/b", true).0, ["then"]);
    assert_eq!(judge("/git/a", false), (vec![], Outcome::Pass, false));
    // The gateway judges by rules that stand what the Worker has let pass.
    let asked = Asked { method: "GET", target: "/git/a", fields: &[] };
    let mut exchange = pipeline::admit(&asked, VISITOR(), [7; 16], 99).unwrap();
    let all = Ruleset::parse(rules).unwrap();
    let standing = Ruleset::parse("rule now challenge").unwrap().rules;
    assert_eq!(pipeline::standing(&all, &standing, &mut exchange, &asked).outcome, Outcome::Pass);
    assert_ne!(pipeline::standing(None, &standing, &mut exchange, &asked).outcome, Outcome::Pass);
    let dry = ask("rule ask challenge dry-run", "GET", "/a", &[]);
    assert_eq!((hits(&dry), &dry.outcome), (vec![("ask", "dry-run")], &Outcome::Pass));
}

#[test]
fn a_route_takes_what_it_says() {
    let rules = "route up path=/up/* method=POST,PUT size=10\nroute rest path=/*";
    assert_eq!(blocks(&get(rules, "/up/x")).problem, Problem::MethodNotAllowed);
    assert_eq!(get(rules, "/x").outcome, Outcome::Pass);
    assert_eq!(ask(rules, "POST", "/up/x", &[("content-length", "10")]).outcome, Outcome::Pass);
    let verdict = ask(rules, "PUT", "/up/x", &[("content-length", "11")]);
    assert_eq!((blocks(&verdict).problem, &*blocks(&verdict).rule), (Problem::BodyTooLarge, "up"));
    let rules = Ruleset::parse(rules).unwrap();
    assert_eq!((rules.size("/up/x"), rules.size("/x")), (Some(10), None));
}

#[test]
fn managed_rules_block_where_a_site_says_so() {
    let rules = "filter block=probe,traversal\nsite host=makenot.work off=/git/ block=sqli\nsite host=* block=xss";
    assert_eq!(&*blocks(&get(rules, "/.env")).rule, "probe-dotfile");
    assert_eq!(blocks(&get(rules, "/?q=1'+or+'1'='1")).status, 403);
    assert_eq!(hits(&get(rules, "/?q=<script>alert(1)</script>")), [("xss-script", "log")]);
    assert_eq!(get(rules, "/git/x/raw/.env"), Verdict::default());
    assert_eq!(get(rules, "/.well-known/security.txt"), Verdict::default());
    // One that only logs hides none that blocks.
    assert_eq!(&*blocks(&get(rules, "/?a=<script>alert(1)</script>&q=1'+or+'1'='1")).rule, "sqli-condition");
    let dry = get(&rules.replace("filter", "filter log-only"), "/.env");
    assert_eq!((hits(&dry), &dry.outcome), (vec![("probe-dotfile", "dry-run")], &Outcome::Pass));
}

#[test]
fn forms_are_looked_at_where_a_site_says_so() {
    let rules = "site host=* block=sqli form=/login";
    let fields = [("content-type", "application/x-www-form-urlencoded; charset=utf-8"), ("content-length", "20")];
    let wants = |method, target, fields: &[(&str, &str)]| {
        let asked = Asked { method, target, fields };
        let exchange = pipeline::admit(&asked, VISITOR(), [7; 16], 99).unwrap();
        Ruleset::parse(rules).unwrap().wants_form(&exchange, method, &asked)
    };
    assert!(wants("POST", "/login", &fields) && wants("POST", "/login/x", &fields));
    assert!(
        !wants("POST", "/logins", &fields)
            && !wants("PUT", "/login", &fields)
            && !wants("POST", "/login", &fields[..1])
    );
    assert!(!wants("POST", "/login", &[fields[0], ("content-length", "16385")]));
    assert!(!wants("POST", "/login", &[("content-type", "application/json"), ("content-length", "20")]));
    let asked = Asked { method: "POST", target: "/login", fields: &fields };
    let verdict = ask_with(rules, &[], &asked, Some("user=admin'--&pass=x")).0;
    assert_eq!((&*blocks(&verdict).rule, verdict.hits[0].place.map(|p| p.as_str())), ("sqli-tail", Some("form")));
}

/// What the rules say by looking at each in turn, the first that matches first.
mod in_turn {
    use super::{Asked, VISITOR};
    use edge::filter::pattern::Pattern;
    use edge::filter::rule::Asked as Looked;
    use edge::filter::ruleset::{OfSite, Route};
    use edge::filter::{Rule, Ruleset};

    pub(super) fn rule<'a>(rules: &'a [Rule], asked: &Asked<'_>) -> Option<&'a Rule> {
        let (method, fields, visitor) = (asked.method, asked, &VISITOR());
        let (host, path) = ("makenot.work", asked.target);
        let looked = Looked { method, host, path, query: None, fields, visitor, cleared: false };
        rules.iter().find(|rule| rule.when.matches(&looked))
    }

    pub(super) fn route<'a>(rules: &'a Ruleset, path: &str) -> Option<&'a Route> {
        let fits = |pattern: &Pattern| pattern.fits(path.as_bytes());
        rules.routes.iter().find(|route| route.paths.iter().any(fits))
    }

    pub(super) fn site(rules: &Ruleset) -> Option<&OfSite> {
        rules.sites.iter().find(|site| site.hosts.iter().any(|host| host.fits_any_case(b"makenot.work")))
    }
}

proptest! {
    /// Of many rules only those are looked at whose path or host may fit; what is found is what looking at all finds.
    #[test]
    fn many_rules_say_what_each_in_turn_would(
        rules in prop::collection::vec(
            (prop::collection::vec("/?[ab*]{1,2}(/[ab*]{0,2}){0,2}", 0..3), prop::sample::select(vec![
                "", " method=POST", " agent=x", " host=Makenot.WORK", " host=*.work", " host=a.work", " host=makenot.*", " host=*enot*,a.work",
            ])),
            0..40,
        ),
        routes in prop::collection::vec("(/[ab*]{0,2}){1,3}", 0..20),
        sites in prop::collection::vec((prop::sample::select(vec!["*", "*.work", "Makenot.WORK", "makenot.*", "*enot*", "a.work", "*not.work"]), any::<bool>()), 0..20),
        target in "(/[ab]{1,2}){1,3}",
        post in any::<bool>(),
    ) {
        let mut text = String::new();
        for (n, (host, off)) in sites.iter().enumerate() {
            text += &format!("site host={host} off=/{n}{}\n", if *off { " form=/" } else { "" });
        }
        for (n, (paths, more)) in rules.iter().enumerate() {
            let paths = if paths.is_empty() { String::new() } else { format!(" path={}", paths.join(",")) };
            text += &format!("rule r{n} block:403{paths}{more}\n");
        }
        for (n, path) in routes.iter().enumerate() {
            text += &format!("route s{n} path={path} size={n}\n");
        }
        let read = Ruleset::parse(&text).unwrap();
        let fields = [("content-type", "application/x-www-form-urlencoded"), ("content-length", "0")];
        let asked = Asked { method: if post { "POST" } else { "GET" }, target: &target, fields: &fields };
        let mut exchange = pipeline::admit(&asked, VISITOR(), [7; 16], 8192).expect("admitted");
        let path = exchange.target.path().to_owned();
        let right = in_turn::rule(&read.rules, &Asked { target: &path, ..asked });
        prop_assert_eq!(read.size(&path), in_turn::route(&read, &path).and_then(|route| route.size));
        let form = post && in_turn::site(&read).is_some_and(|site| !site.forms.is_empty());
        prop_assert_eq!(read.wants_form(&exchange, asked.method, &asked), form);
        let verdict = pipeline::filter(&read, &[], &mut exchange, &asked, None);
        let rule = match &verdict.outcome {
            Outcome::Block(block) => Some(&*block.rule),
            _ => None,
        };
        prop_assert_eq!(rule, right.map(|rule| &*rule.name));
    }
}
