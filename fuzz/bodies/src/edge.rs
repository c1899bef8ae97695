//! What the edge's filter reads: rules, orders, and requests.

use edge::filter::{Class, Classes, Looked, Ruleset, look};
use edge::standing::Standing;

use crate::{borrowed, section};

/// Lines of rules: what was read is written down so that it is read again.
pub(crate) fn rules(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(rules) = Ruleset::parse(text) {
        let said = rules.to_string();
        assert_eq!(Ruleset::parse(&said).as_ref(), Ok(&rules), "{said}");
    }
}

/// Standing orders: none is lost, whether it is understood or not.
pub(crate) fn standing(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let standing = Standing::new(1, text.lines());
    let said = standing.lines();
    let again = Standing::new(1, said.iter().map(|line| &**line));
    assert_eq!(again, standing, "{said:?}");
    assert!(!again.has_ended(0) || said.iter().any(|line| line.starts_with("until 0 ")));
}

/// A request, its path and query on the first line and fields on the others: the managed rules say the same of it twice, and what they
/// find without a class that blocks they find of it with all.
pub(crate) fn look_at(bytes: &[u8]) {
    let (first, rest) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()));
    let Ok(target) = std::str::from_utf8(first) else { return };
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let section = section(rest);
    let fields = borrowed(&section);
    let looked = Looked { path, query, fields: &fields[..], form: query.map(str::as_bytes) };
    let all = Class::ALL.into_iter().fold(Classes::NONE, Classes::with);
    let (noted, blocked) = (look(&looked, Classes::NONE), look(&looked, all));
    assert_eq!(noted, look(&looked, Classes::NONE));
    assert_eq!(noted.is_some(), blocked.is_some());
}
