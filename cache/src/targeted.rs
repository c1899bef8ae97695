//! Targeted cache control (RFC 9213): fields that speak to one kind of cache, as structured fields (RFC 9651).

use sfv::{BareItem, Dictionary, ListEntry, Parser};

use crate::{Control, Fields};

/// The targeted field that speaks to this cache.
pub const FIELD: &str = "cdn-cache-control";

/// What governs a response for this cache: its targeted field where that is valid and not empty, else Cache-Control. `true` where it is
/// the targeted field: then Expires says nothing, either (RFC 9213 section 2.2).
pub fn control(fields: &(impl Fields + ?Sized)) -> (Control, bool) {
    if fields.has(FIELD)
        && let Some(control) = parse(fields)
    {
        return (control, true);
    }
    (Control::of(fields), false)
}

fn parse(fields: &(impl Fields + ?Sized)) -> Option<Control> {
    let mut whole = Vec::new();
    for line in fields.values(FIELD) {
        if !whole.is_empty() {
            whole.extend_from_slice(b", ");
        }
        whole.extend_from_slice(line);
    }
    let members: Dictionary = Parser::new(&whole).parse().ok()?;
    if members.is_empty() {
        return None;
    }
    let mut control = Control::default();
    for (name, entry) in &members {
        match entry {
            ListEntry::Item(item) => match &item.bare_item {
                BareItem::Boolean(false) => {}
                BareItem::Boolean(true) => control.directive(name.as_str(), None),
                BareItem::Integer(number) => control.directive(name.as_str(), Some(&number.to_string())),
                BareItem::String(text) => control.directive(name.as_str(), Some(&format!("\"{}\"", text.as_str()))),
                BareItem::Token(text) => control.directive(name.as_str(), Some(text.as_str())),
                // A number that is none of seconds, and the rest: said, and not understood.
                _ => control.directive(name.as_str(), Some("")),
            },
            ListEntry::InnerList(list) => {
                let names: Vec<&str> = list
                    .items
                    .iter()
                    .filter_map(|item| match &item.bare_item {
                        BareItem::Token(name) => Some(name.as_str()),
                        BareItem::String(name) => Some(name.as_str()),
                        _ => None,
                    })
                    .collect();
                control.directive(name.as_str(), Some(&names.join(",")));
            }
        }
    }
    Some(control)
}

#[cfg(test)]
mod tests {
    use super::control;
    use proptest::prelude::*;

    fn of(lines: &[&str]) -> (Option<u64>, bool) {
        let mut fields = vec![("cache-control", "max-age=1")];
        fields.extend(lines.iter().map(|line| ("cdn-cache-control", *line)));
        let (control, targeted) = control(&fields[..]);
        (control.shared_lifetime(), targeted)
    }

    #[test]
    fn a_valid_one_replaces_and_an_invalid_one_is_ignored_whole() {
        assert_eq!(of(&["max-age=60"]), (Some(60), true));
        assert_eq!(of(&["max-age=60", "must-revalidate"]), (Some(60), true));
        assert_eq!(of(&["max-age=60;x=y, foo"]), (Some(60), true));
        assert_eq!(of(&["public"]), (None, true));
        for invalid in ["", " ", "max-age=60, &", "max-age=\"60", "MAX-AGE=60", "max-age=60,", "max-age = 60"] {
            assert_eq!(of(&[invalid]), (Some(1), false), "{invalid:?}");
        }
        for not_seconds in ["max-age=60.5", "max-age=-5", "max-age=a", "max-age", "max-age=:YQ==:"] {
            assert_eq!(of(&[not_seconds]), (Some(0), true), "{not_seconds:?}");
        }
        assert_eq!(of(&["max-age=10000, max-age=7"]), (Some(7), true));
    }

    #[test]
    fn what_it_forbids() {
        let (control, _) = control(&[("cdn-cache-control", "no-store, private=(\"a\" b), no-cache=?0")][..]);
        assert!(control.no_store && !control.private && !control.no_cache);
        assert_eq!(control.withheld.len(), 2);
    }

    proptest! {
        #[test]
        fn never_fails(bytes: Vec<u8>) {
            let _ = control(&[("cdn-cache-control", bytes)][..]);
        }
    }
}
