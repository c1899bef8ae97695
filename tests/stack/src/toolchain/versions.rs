//! The versions that Cargo.lock pins: a program that must match a crate is installed in the crate's version, written once, in Cargo.toml.

use std::path::Path;

use super::Error;

/// The version of `name` in Cargo.lock.
pub(super) fn locked(root: &Path, name: &str) -> Result<String, Error> {
    let path = root.join("Cargo.lock");
    let lock = std::fs::read_to_string(&path).map_err(|error| Error::file("read", &path, error))?;
    find(&lock, name).ok_or_else(|| {
        Error::content(&path, format!("has no package `{name}`; run `cargo update --workspace` to write it anew"))
    })
}

fn find(lock: &str, name: &str) -> Option<String> {
    let mut lines = lock.lines();
    let wanted = format!("name = \"{name}\"");
    lines.find(|line| *line == wanted)?;
    Some(lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::find;

    const LOCK: &str = "[[package]]\nname = \"wasm-bindgen-futures\"\nversion = \"0.4.80\"\n\n\
                        [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";

    #[test]
    fn names_match_whole() {
        assert_eq!(find(LOCK, "wasm-bindgen").as_deref(), Some("0.2.130"));
        assert_eq!(find(LOCK, "wasm-bindgen-futures").as_deref(), Some("0.4.80"));
        assert_eq!(find(LOCK, "wasm"), None);
    }
}
