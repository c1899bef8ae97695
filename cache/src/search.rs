//! `No-Vary-Search` (draft-ietf-httpbis-no-vary-search): what of a query counts.

use sfv::{BareItem, Dictionary, ListEntry, Parser};

use crate::Fields;

/// Which parameters of a query count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `key-order`: their order does not.
    any_order: bool,
    /// The parameters named: they don't count, or, with `all`, they alone do.
    names: Vec<Box<str>>,
    /// `params`: none count, but those that `except` names.
    all: bool,
}

impl Rule {
    /// What an answer says; `None` where it says nothing, nothing valid, or that everything counts.
    pub fn of(fields: &(impl Fields + ?Sized)) -> Option<Self> {
        Self::parse(fields.single("no-vary-search")?)
    }

    /// From the field's value.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let members: Dictionary = Parser::new(value).parse().ok()?;
        let mut rule = Self { any_order: false, names: Vec::new(), all: false };
        let mut except = None;
        for (name, entry) in &members {
            match (name.as_str(), entry) {
                ("key-order", ListEntry::Item(item)) => match item.bare_item {
                    BareItem::Boolean(any) => rule.any_order = any,
                    _ => return None,
                },
                ("params", ListEntry::Item(item)) => match item.bare_item {
                    BareItem::Boolean(all) => rule.all = all,
                    _ => return None,
                },
                ("params", ListEntry::InnerList(list)) => rule.names = strings(&list.items)?,
                ("except", ListEntry::InnerList(list)) => except = Some(strings(&list.items)?),
                ("key-order" | "except", _) => return None,
                _ => {}
            }
        }
        if let Some(except) = except {
            if !rule.all {
                return None;
            }
            rule.names = except;
        }
        (rule.any_order || rule.all || !rule.names.is_empty()).then_some(rule)
    }

    /// The part of a query that counts, in one spelling.
    #[must_use]
    pub fn canonical(&self, query: Option<&str>) -> String {
        let mut pairs: Vec<&str> = query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .filter(|pair| {
                let name = decoded(pair.split('=').next().unwrap_or_default());
                self.names.iter().any(|known| **known == *name) == self.all
            })
            .collect();
        if self.any_order {
            // A stable sort by name: the order of one name's values still counts.
            pairs.sort_by_key(|pair| decoded(pair.split('=').next().unwrap_or_default()));
        }
        pairs.join("&")
    }
}

fn strings(items: &[sfv::Item]) -> Option<Vec<Box<str>>> {
    items
        .iter()
        .map(|item| match &item.bare_item {
            BareItem::String(name) => Some(name.as_str().into()),
            _ => None,
        })
        .collect()
}

/// A name as forms encode it: `+` is a space, `%xx` a byte.
fn decoded(name: &str) -> String {
    percent_encoding::percent_decode_str(&name.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::Rule;
    use proptest::prelude::*;

    fn canonical(rule: &str, query: &str) -> String {
        Rule::parse(rule).expect("valid").canonical(Some(query))
    }

    #[test]
    fn what_counts() {
        assert_eq!(canonical("key-order", "b=1&a=2&b=0"), "a=2&b=1&b=0");
        assert_eq!(canonical("params=(\"utm_source\" \"a b\")", "x=1&utm_source=n&a+b=2&a%20b=3&y"), "x=1&y");
        assert_eq!(canonical("params, except=(\"id\")", "x=1&id=7&y"), "id=7");
        assert_eq!(canonical("params", "x=1&%zz"), "");
        assert_eq!(Rule::parse("params").expect("valid").canonical(None), "");
    }

    #[test]
    fn what_is_no_rule() {
        for value in [
            "",
            "params=?0",
            "key-order=?0",
            "params=(1)",
            "params=\"a\"",
            "except=(\"a\")",
            "params, except",
            "key-order=1",
            "(",
        ] {
            assert_eq!(Rule::parse(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn canonical_is_final(rule in "key-order|params=\\(\"a\"\\)|params, except=\\(\"a\"\\)", query in "[a-c%&=+]{0,20}") {
            let once = canonical(&rule, &query);
            prop_assert_eq!(canonical(&rule, &once), once);
        }

        #[test]
        fn never_fails(value: String) {
            let _ = Rule::parse(&value);
        }
    }
}
