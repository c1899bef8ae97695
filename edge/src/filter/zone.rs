//! The coarse part of the managed rules in Cloudflare's rule language, for the zone's custom rules: they run before the Worker and spare its
//! quota. The free plan has five, of [`MOST_CHARACTERS`] each, without regular expressions; one is left to the operator.
//!
//! They are made of the same tables, and stop nothing that the filter would let pass.

use core::fmt::Write as _;

use super::{agent, probe};

/// Characters that an expression may have.
pub const MOST_CHARACTERS: usize = 4_096;

/// The dotfiles that are folders.
const FOLDERS: &[&str] = &[".aws", ".ssh", ".vscode", ".idea", ".docker", ".kube", ".circleci", ".terraform", ".gnupg"];

/// A custom rule that blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneRule {
    /// What it is.
    pub description: &'static str,
    /// What it matches.
    pub expression: String,
}

/// The rules; below the paths in `off` they match nothing.
#[must_use]
pub fn rules(off: &[&str]) -> Vec<ZoneRule> {
    let path = "lower(http.request.uri.path)";
    let any = |tests: Vec<String>| tests.join(" or ");
    let list = |names: &mut dyn Iterator<Item = String>| {
        names.fold(String::new(), |mut list, name| {
            let _ = write!(list, "{}\"{name}\"", if list.is_empty() { "" } else { " " });
            list
        })
    };
    let except = |tests: String| {
        let off = off.iter().fold(String::new(), |mut all, begin| {
            let _ = write!(all, "not starts_with(http.request.uri.path, \"{begin}\") and ");
            all
        });
        format!("{off}({tests})")
    };
    let hidden = probe::VCS.iter().filter(|name| name.starts_with('.')).chain(probe::DOTFILES);
    let at_root = list(&mut hidden.clone().map(|name| format!("/{name}")));
    let below = probe::VCS.iter().filter(|name| name.starts_with('.')).chain(FOLDERS);
    let mut tests: Vec<String> = vec![format!("{path} in {{{at_root}}}")];
    tests.extend(below.map(|name| format!("starts_with({path}, \"/{name}/\")")));
    let dotfiles = any(tests);

    let whole = probe::ADMIN.iter().filter(|name| !probe::ADMIN_BELOW.iter().any(|(known, _)| known == *name));
    let exact = list(
        &mut whole.clone().map(|name| format!("/{name}")).chain(["/wp-login.php", "/adminer.php"].map(Into::into)),
    );
    let mut tests = vec![format!("{path} in {{{exact}}}")];
    tests.extend(whole.map(|name| format!("starts_with({path}, \"/{name}/\")")));
    let below = probe::ADMIN_BELOW.iter().flat_map(|(name, below)| {
        below.iter().filter(|below| !below.is_empty()).map(move |below| format!("/{name}/{below}"))
    });
    tests.push(format!("{path} in {{{}}}", list(&mut below.into_iter())));
    let admin = any(tests);

    // What ends in a slash has no word around it that would mean something else.
    let holes = any(probe::EXPLOIT
        .iter()
        .map(|known| format!("starts_with({path}, \"{known}\")"))
        .filter(|test| test.ends_with("/\")"))
        .collect());
    let files = list(&mut probe::EXPLOIT.iter().filter(|known| !known.ends_with('/')).map(ToString::to_string));
    let exploit = format!("{path} in {{{files}}} or {holes}");

    let agents = any(agent::SCANNERS
        .iter()
        // As the filter: at the beginning of a word, of which the language knows nothing. These are none within others.
        .filter(|name| name.len() > 5)
        .map(|name| format!("lower(http.user_agent) contains \"{name}\""))
        .collect());
    let agents: Vec<String> = fitting(&agents);
    let agents = agents.join(" or ");
    vec![
        ZoneRule { description: "probe-dotfile, probe-vcs: what begins with a dot", expression: except(dotfiles) },
        ZoneRule { description: "probe-admin: panels of programs that are not here", expression: except(admin) },
        ZoneRule { description: "probe-exploit: addresses of known holes", expression: except(exploit) },
        ZoneRule { description: "agent-scanner: programs that call themselves attack tools", expression: agents },
    ]
}

/// As many alternatives as an expression takes.
fn fitting(tests: &str) -> Vec<String> {
    let mut left = MOST_CHARACTERS;
    tests
        .split(" or ")
        .map(ToOwned::to_owned)
        .take_while(|test| {
            let fits = left > test.len() + 4;
            left = left.saturating_sub(test.len() + 4);
            fits
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{MOST_CHARACTERS, rules};
    use crate::filter::{Class, agent, probe};

    /// The texts in an expression.
    fn quoted(expression: &str) -> impl Iterator<Item = &str> {
        expression.split('"').skip(1).step_by(2)
    }

    #[test]
    fn fit_the_free_plan_and_stop_only_what_the_filter_stops() {
        let all = rules(&["/git/"]);
        assert!(all.len() < 5);
        for rule in &all {
            assert!(rule.expression.len() <= MOST_CHARACTERS, "{}: {}", rule.description, rule.expression.len());
            assert_eq!(rule.expression.matches('(').count(), rule.expression.matches(')').count());
            let class = Class::parse(rule.description.split('-').next().unwrap_or_default()).expect("a class");
            for text in quoted(&rule.expression).filter(|text| *text != "/git/") {
                let path = if text.ends_with('/') { format!("{text}x") } else { text.to_owned() };
                let found = match class {
                    Class::Agent => agent::judge(text.as_bytes()),
                    _ => probe::judge(path.as_bytes()),
                };
                assert_eq!(found.map(|(found, _)| found.class()), Some(class), "{path}");
            }
        }
        assert!(all[0].expression.starts_with("not starts_with(http.request.uri.path, \"/git/\") and ("));
        assert!(rules(&[])[0].expression.starts_with('('));
    }
}
