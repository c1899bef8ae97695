//! What the success of an unsafe request makes invalid (RFC 9111 section 4.4).

use crate::{Fields, Key};

/// The keys of what an answer makes invalid: the target's own, and those that Location and Content-Location name in the same origin.
/// Only a success (2xx, 3xx) does.
pub fn keys(key: &Key, status: u16, fields: &(impl Fields + ?Sized)) -> Vec<Key> {
    if !(200..400).contains(&status) {
        return Vec::new();
    }
    let named = ["location", "content-location"].into_iter().filter_map(|name| key.sibling(fields.single(name)?));
    core::iter::once(key.clone()).chain(named).collect()
}

#[cfg(test)]
mod tests {
    use super::keys;
    use crate::Key;

    #[test]
    fn only_a_success_and_only_our_own() {
        let key = Key::new(true, "a", "/b");
        let fields = [("location", "/c"), ("content-location", "https://b/d")];
        let targets =
            |status| keys(&key, status, &fields[..]).iter().map(|k| k.target().to_owned()).collect::<Vec<_>>();
        assert_eq!(targets(201), ["/b", "/c"]);
        assert_eq!(targets(303), ["/b", "/c"]);
        assert!(targets(404).is_empty() && targets(500).is_empty());
    }
}
