//! What is uploaded as static assets: a copy of a folder, and the `_headers` file that makes Cloudflare send them as the gateway does
//! (`edge::assets` has the rule). Limits: Cloudflare's "Workers › Static assets" and "Headers" pages.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use edge::assets::{HASHED, PREFIX, SECURITY, UNHASHED, is_hashed};

use super::Error;

/// The most files in one version, on the free plan.
pub const MAX_FILES: usize = 20_000;

/// The largest file, in bytes.
pub const MAX_FILE_BYTES: u64 = 25 * 1024 * 1024;

/// The most rules in `_headers`; the runtime ignores further ones without a word.
pub const MAX_RULES: usize = 100;

/// What was published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assets {
    /// How many files.
    pub files: usize,
    /// Their size together, in bytes.
    pub bytes: u64,
}

/// Makes `to` the folder of assets: `from` copied to `to/static/`, with `to/_headers` beside it. Whatever was in `to` is gone. Hidden files, and
/// folders, stay behind: nobody means to publish `.git`. With no `from` there are no assets, and every path falls through to the app.
///
/// # Errors
/// [`Error::Limit`] names the file that breaks one of Cloudflare's limits; [`Error::File`] when a file can't be read or written.
pub fn publish(from: Option<&Path>, to: &Path) -> Result<Assets, Error> {
    let mut files = BTreeSet::new();
    if let Some(from) = from {
        walk(from, PathBuf::new(), &mut files)?;
    }
    let from = from.unwrap_or(Path::new(""));
    let mut published = Assets { files: files.len(), bytes: 0 };
    if files.len() > MAX_FILES {
        return Err(Error::Limit(format!(
            "{} holds {} files; Cloudflare takes {MAX_FILES}",
            from.display(),
            files.len()
        )));
    }
    let headers = headers_file(&files)?;
    // Beside the folder, then swapped, so that no reader meets half a copy.
    let fresh = to.with_extension(format!("new-{}", std::process::id()));
    let write = |path: &Path, result: io::Result<()>| result.map_err(|error| Error::file("write", path, error));
    for file in &files {
        let (source, target) = (from.join(file), fresh.join(&PREFIX[1..]).join(file));
        write(&target, target.parent().map_or(Ok(()), fs::create_dir_all))?;
        let bytes = fs::copy(&source, &target).map_err(|error| Error::file("copy", &source, error))?;
        if bytes > MAX_FILE_BYTES {
            let _ = fs::remove_dir_all(&fresh);
            let problem = format!("{} is {bytes} bytes; Cloudflare takes {MAX_FILE_BYTES} a file", source.display());
            return Err(Error::Limit(problem));
        }
        published.bytes += bytes;
    }
    write(&fresh, fs::create_dir_all(&fresh))?;
    write(&fresh, fs::write(fresh.join("_headers"), headers))?;
    if to.exists() {
        write(to, fs::remove_dir_all(to))?;
    }
    write(to, fs::rename(&fresh, to))?;
    Ok(published)
}

/// Collects the files below `root/at`, relative to `root`, with `/` between the parts.
fn walk(root: &Path, at: PathBuf, files: &mut BTreeSet<String>) -> Result<(), Error> {
    let folder = root.join(&at);
    let failed = |error| Error::file("read", &folder, error);
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            return Err(Error::content(&path, "the name is not UTF-8, so no URL can name it; rename the file"));
        };
        if name.starts_with('.') {
            continue;
        }
        // Follows links, as the gateway does.
        let kind = fs::metadata(&path).map_err(|error| Error::file("read", &path, error))?;
        if kind.is_dir() {
            walk(root, at.join(name), files)?;
        } else if kind.is_file() {
            files.insert(at.join(name).to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// The `_headers` file for these files, named relative to `/static/`: security headers and `Cache-Control` for all, then a rule for each hashed
/// name that replaces the latter. A folder in which every name is hashed takes a single rule.
///
/// # Errors
/// [`Error::Limit`] over [`MAX_RULES`] rules; [`Error::Content`] for a hashed name that a rule can't hold.
pub fn headers_file(files: &BTreeSet<String>) -> Result<String, Error> {
    let all_hashed = !files.is_empty() && files.iter().all(|file| is_hashed(file));
    let mut text = format!("{PREFIX}*\n");
    for (name, value) in SECURITY {
        text += &format!("  {name}: {value}\n");
    }
    text += &format!("  cache-control: {}\n", if all_hashed { HASHED } else { UNHASHED });
    if all_hashed {
        return Ok(text);
    }
    let rules = hashed_rules(files);
    if rules.len() >= MAX_RULES {
        return Err(Error::Limit(format!(
            "{} rules are needed for hashed names in {PREFIX} and Cloudflare takes {MAX_RULES}: put the hashed files into a folder of \
             their own, with no other file in it, which takes one rule",
            rules.len() + 1
        )));
    }
    for rule in rules {
        // `*` begins a wildcard and `:` a placeholder; whatever a browser would encode could be matched in either form.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~-+@".contains(&byte);
        if !rule.trim_end_matches("/*").bytes().all(plain) {
            let problem = "a hashed name, and its folders', may hold only letters, digits and `. _ ~ - + @`; rename it";
            return Err(Error::content(Path::new(&format!("{PREFIX}{rule}")), problem));
        }
        // `!` takes back what the first rule set: without it the two values would be joined by a comma.
        text += &format!("{PREFIX}{rule}\n  ! cache-control\n  cache-control: {HASHED}\n");
    }
    Ok(text)
}

/// For each hashed file the outermost folder that holds hashed files only, as `folder/*`, or the file itself.
fn hashed_rules(files: &BTreeSet<String>) -> BTreeSet<String> {
    let folders = |file: &str| file.match_indices('/').map(|(end, _)| file[..end].to_owned()).collect::<Vec<_>>();
    let mixed: BTreeSet<String> = files.iter().filter(|file| !is_hashed(file)).flat_map(|file| folders(file)).collect();
    let hashed = files.iter().filter(|file| is_hashed(file));
    let rule = |file: &String| {
        let pure = folders(file).into_iter().find(|folder| !mixed.contains(folder));
        pure.map_or_else(|| file.clone(), |folder| format!("{folder}/*"))
    };
    hashed.map(rule).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::{Assets, MAX_FILE_BYTES, headers_file, publish};

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn only_hashed_names_are_immutable() {
        let text = headers_file(&names(&["a/site.3f2a9c1b.css", "a/site.css", "b/x.0123abcd.js", "b/c/y.0123abcd.js"]))
            .unwrap();
        insta::assert_snapshot!(text, @r"
        /static/*
          x-content-type-options: nosniff
          cross-origin-resource-policy: same-origin
          cache-control: public, max-age=0, must-revalidate
        /static/a/site.3f2a9c1b.css
          ! cache-control
          cache-control: public, max-age=31536000, immutable
        /static/b/*
          ! cache-control
          cache-control: public, max-age=31536000, immutable
        ");
        let rules =
            |files: &[&str]| headers_file(&names(files)).unwrap().lines().filter(|line| !line.starts_with(' ')).count();
        assert_eq!(rules(&[]), 1);
        assert_eq!(rules(&["site.css", "a/b.css"]), 1);
        assert_eq!(rules(&["site.3f2a9c1b.css", "a/b.3f2a9c1b.css"]), 1, "all are hashed");
    }

    #[test]
    fn the_limit_on_rules_is_an_error_not_a_silent_loss() {
        let hashed = |count: usize, folder: &str| {
            let mut files: BTreeSet<String> = (0..count).map(|n| format!("{folder}f{n}.3f2a9c1b.js")).collect();
            files.insert("site.css".to_owned());
            headers_file(&files).map_err(|error| error.to_string())
        };
        assert!(hashed(99, "").is_ok());
        let error = hashed(100, "").unwrap_err();
        assert!(error.starts_with("101 rules are needed") && error.contains("a folder of their own"), "{error}");
        assert!(hashed(5_000, "assets/").is_ok());
    }

    #[test]
    fn a_rule_says_what_it_means() {
        for name in ["a b.3f2a9c1b.js", "a*.3f2a9c1b.js", "a:b.3f2a9c1b.js", "ä.3f2a9c1b.js"] {
            let error = headers_file(&names(&[name, "x.css"])).unwrap_err().to_string();
            assert!(error.starts_with(&format!("/static/{name}: ")), "{error}");
        }
        assert!(headers_file(&names(&["a b.js", "x.css"])).is_ok(), "only hashed names need a rule");
    }

    #[test]
    fn publishing_replaces_the_folder() {
        let base = std::env::temp_dir().join(format!("stack-assets-{}", std::process::id()));
        let (from, to) = (base.join("from"), base.join("to"));
        fs::create_dir_all(from.join("img")).unwrap();
        fs::write(from.join("site.css"), "body{}").unwrap();
        fs::write(from.join("img/a.svg"), "<svg/>").unwrap();
        fs::write(from.join(".env"), "secret").unwrap();
        fs::create_dir_all(to.join("static/old")).unwrap();
        assert_eq!(publish(Some(&from), &to).unwrap(), Assets { files: 2, bytes: 12 });
        assert_eq!(fs::read_to_string(to.join("static/img/a.svg")).unwrap(), "<svg/>");
        assert!(to.join("_headers").is_file() && !to.join("static/.env").exists() && !to.join("static/old").exists());

        let large = from.join("large.bin");
        fs::File::create(&large).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        let error = publish(Some(&from), &to).unwrap_err().to_string();
        assert!(error.contains("large.bin is 26214401 bytes; Cloudflare takes 26214400 a file"), "{error}");
        fs::File::create(&large).unwrap().set_len(MAX_FILE_BYTES).unwrap();
        assert_eq!(publish(Some(&from), &to).unwrap().files, 3);

        assert_eq!(publish(None, &to).unwrap(), Assets::default());
        assert!(to.join("_headers").is_file() && !to.join("static").exists());
        assert!(publish(Some(&base.join("nowhere")), &to).unwrap_err().to_string().contains("nowhere"));
        fs::remove_dir_all(base).unwrap();
    }
}
