//! Scenarios: those that come with the tool are sound, and what is wrong with one is said.

use std::time::Duration;

use load::scenario::Scenario;
use load::target::Target;

#[test]
fn every_shipped_scenario_is_sound_and_a_page_long() {
    for (name, text) in load::scenario::SHIPPED {
        let scenario = Scenario::parse(name, text).unwrap();
        assert!(text.lines().count() <= 80, "{name}: {} lines", text.lines().count());
        assert!(scenario.asks.ends_with('?') && scenario.plan.is_some(), "{name}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_what_would_be_right() {
    let good = "title = \"t\"\nasks = \"q\"\nphase = [{ name = \"p\", rate = 1, lasts = \"1s\" }]\nvisitor = [{ name = \"v\", share = 1, step = [{ route = \"r\", path = \"/\" }] }]\nbounds.requests = 9000\n";
    let cases = [
        ("lasts = \"1s\"", "lasts = \"1\"", "s.toml:3: `1` is no time: write one as in \"300ms\" or \"2m\""),
        ("rate = 1,", "rate = 0,", "s.toml: phase `p`: rate and to are requests a second, one of them above 0"),
        ("share = 1,", "share = 1, shares = 2,", "s.toml:4: unknown field `shares`"),
        ("path = \"/\"", "path = \"/{page}\"", "s.toml: visitor `v`, route `r`: {page} is not in [choose]"),
        ("path = \"/\"", "path = \"x\"", "s.toml: visitor `v`, route `r`: path `x` does not begin with /"),
        (
            "path = \"/\"",
            "path = \"/\", stays = \"events\"",
            "s.toml: visitor `v`, route `r`: stays and lasts go together",
        ),
        ("asks = \"q\"", "", "s.toml:1: missing field `asks`"),
        (
            "lasts = \"1s\"",
            "to = 5, lasts = \"1h\"",
            "s.toml: phase: all together are 10800 requests, which is more than bounds.requests (9000)",
        ),
    ];
    for (from, to, said) in cases {
        let error = Scenario::parse("s.toml", &good.replace(from, to)).unwrap_err();
        assert!(error.starts_with(said), "{error}\nwanted {said}");
    }
    let sound = Scenario::parse("s.toml", good).unwrap();
    // Also when it is made faster, or held longer, than it was written.
    assert!(sound.clone().scaled(9000.0, 1.0).is_ok() && sound.may_hold(9.0, Duration::from_secs(1000)).is_ok());
    assert!(sound.clone().scaled(9001.0, 1.0).unwrap_err().contains("bounds.requests (9000)"));
    // Nobody refuses a forged webhook: it is taken, and takes the app's time.
    let week = Scenario::open("steady-week").unwrap();
    assert!(week.objective("forged webhook").0 < week.bounds.timeout.0);
    let taken = week.clone().unverified();
    assert_eq!(taken.objective("forged webhook").0, week.bounds.timeout.0);
    assert_eq!(taken.objective("webhook"), week.objective("webhook"));
    // A scenario with faults at another rate and in less time, and never in more.
    let outage = Scenario::open("origin-outage").unwrap();
    for (lasts, faster) in [(11, 10.0), (110, 1.0), (1000, 1.0)] {
        let other = outage.within(3000.0, Duration::from_secs(lasts)).unwrap();
        assert_eq!((other.phase[0].rate, other.lasts().as_secs_f64()), (3000.0, 110.0 / faster));
        assert_eq!(other.fault[0].at.0.as_secs_f64(), 40.0 / faster);
    }
    assert!(sound.may_hold(9.1, Duration::from_secs(1000)).unwrap_err().contains("bounds.requests (9000)"));
    assert!(sound.may_hold(1.0, Duration::from_secs(3601)).unwrap_err().contains("bounds.lasts (1h)"));
    assert!(Scenario::open("no-such").unwrap_err().contains("launch-day"));
    let fault = good.to_owned() + "[[fault]]\ndoes = \"outage\"\nat = \"0s\"\nlasts = \"1s\"\n";
    let scenario = Scenario::parse("s.toml", &fault).unwrap();
    let missing = load::is_missing(&scenario, &Target::default(), false).unwrap();
    assert!(missing.contains("--stack") && missing.contains("fault.outage"), "{missing}");
    let signed = good.replace("path = \"/\"", "path = \"/\", fields = { authorization = \"Bearer {secret.hook}\" }");
    let scenario = Scenario::parse("s.toml", &signed).unwrap();
    for stack in [false, true] {
        let missing = load::is_missing(&scenario, &Target::default(), stack).unwrap();
        assert!(missing.contains("secrets = { hook = \"hook.key\" }"), "{missing}");
    }
    let target = Target { secrets: [("hook".to_owned(), "hook.key".into())].into(), ..Target::default() };
    assert_eq!(load::is_missing(&scenario, &target, false), None);
}
