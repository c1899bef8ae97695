use super::MOST_TOGETHER;
use crate::config::parse;

/// What is said of so many rules.
fn said(many: usize, one: impl Fn(usize) -> String) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rules.toml");
    let rules: String =
        (0..many).map(|n| format!("[[rule]]\nname = \"r{n}\"\naction = \"block\"\n{}\n", one(n))).collect();
    std::fs::write(&path, rules).expect("written");
    let text = format!(
        "listen.http = [\"127.0.0.1:1\"]\nfilter.rules = {path:?}\n[[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:2\"\n"
    );
    let faults = parse(&text).err().unwrap_or_default();
    faults.iter().map(|fault| format!("{}: {}", fault.key, fault.what)).collect()
}

#[test]
fn rules_that_nothing_tells_apart_are_bounded() {
    let by_address = |n: usize| format!("address = [\"10.0.{}.{}\"]", n / 256, n % 256);
    assert_eq!(said(MOST_TOGETHER, by_address), "");
    let told = said(MOST_TOGETHER + 1, by_address);
    assert!(told.contains("1001 rules can't be told apart") && told.contains("the lists of one rule"), "{told}");
    let alike = said(MOST_TOGETHER + 1, |_| "path = [\"/a/*\"]\nuser_agent = [\"x\"]".to_owned());
    assert!(alike.contains("1001 rules can't be told apart"), "{alike}");
}

#[test]
fn of_those_that_path_or_host_tells_apart_there_may_be_any_number() {
    for one in [
        |n: usize| format!("path = [\"/a/{n}\"]"),
        |n: usize| format!("path = [\"*/{n}.php\"]"),
        |n: usize| format!("host = [\"n{n}.example\"]"),
        |n: usize| format!("path = [\"/a/*\"]\nhost = [\"*.n{n}.example\"]"),
    ] {
        assert_eq!(said(3 * MOST_TOGETHER, one), "");
    }
}
