//! What is different between two texts of a configuration, for the log.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// Parts of the names of keys whose values are not shown. Secrets are in files of their own; this is for those that are not.
const HUSHED: [&str; 5] = ["key", "secret", "credential", "password", "token"];

/// Every key that differs, as in `limits.body: "1GiB" → "2GiB"`; a key that is missing on a side is `–` there.
#[must_use]
pub fn changes(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (flat(old), flat(new));
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    let shown = |key: &str, value: Option<&Value>| match value {
        None => "–".to_owned(),
        Some(_) if HUSHED.iter().any(|word| key.contains(word)) => "…".to_owned(),
        Some(value) => value.to_string(),
    };
    differing.map(|key| format!("{key}: {} → {}", shown(key, old.get(key)), shown(key, new.get(key)))).collect()
}

/// Each value under its whole name. Lists of tables, as of sites, are numbered; other lists are one value.
fn flat(text: &str) -> BTreeMap<String, Value> {
    fn add(all: &mut BTreeMap<String, Value>, key: String, value: Value) {
        match value {
            Value::Table(table) => {
                let prefix = if key.is_empty() { key } else { format!("{key}.") };
                table.into_iter().for_each(|(name, value)| add(all, format!("{prefix}{name}"), value));
            }
            Value::Array(list) if list.iter().any(Value::is_table) => {
                list.into_iter().enumerate().for_each(|(n, value)| add(all, format!("{key}[{n}]"), value));
            }
            value => drop(all.insert(key, value)),
        }
    }
    let mut all = BTreeMap::new();
    add(&mut all, String::new(), Value::Table(text.parse::<Table>().unwrap_or_default()));
    all
}

#[cfg(test)]
mod tests {
    use super::changes;

    #[test]
    fn each_key_that_differs_is_named() {
        let old = "limits.body = \"1GiB\"\nlisten.http = [\"127.0.0.1:1\"]\n[[site]]\nhosts = [\"a\"]\napp = \"127.0.0.1:2\"\n";
        let new = "listen.http = [\"127.0.0.1:1\", \"[::1]:1\"]\n[limits]\nbody = \"2GiB\"\n[[site]]\nhosts = [\"a\"]\n\
                   app = [{ address = \"127.0.0.1:2\", weight = 2 }]\n[edge]\nkeys_file = \"/a\"\n";
        assert_eq!(
            changes(old, new),
            [
                "edge.keys_file: – → …",
                "limits.body: \"1GiB\" → \"2GiB\"",
                "listen.http: [\"127.0.0.1:1\"] → [\"127.0.0.1:1\", \"[::1]:1\"]",
                "site[0].app: \"127.0.0.1:2\" → –",
                "site[0].app[0].address: – → \"127.0.0.1:2\"",
                "site[0].app[0].weight: – → 2",
            ]
        );
        assert_eq!(changes(old, old), [""; 0]);
        assert_eq!(changes("", "a.b = 1"), ["a.b: – → 1"]);
    }
}
