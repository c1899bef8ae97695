//! `POST /purge`: what is stored of these is not to be served any more.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cache::purge::Scope;
use contract::Target;
use serde::{Deserialize, Serialize};

use crate::gateway::Gateway;
use crate::storage::{key, object_tag};

/// Scopes in one call.
const MOST: usize = 1_000;
/// Bytes of one of them.
const LONGEST: usize = 8 << 10;

/// What to purge.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wish {
    /// URLs, with all their variants.
    pub url: Vec<String>,
    /// What URLs begin with.
    pub prefix: Vec<String>,
    /// Tags (`Cache-Tag`, `Surrogate-Key`).
    pub tag: Vec<String>,
    /// Objects, as `ROLE/KEY`: every answer that a hand-off to one of them has given.
    pub object: Vec<String>,
    /// Everything.
    pub all: bool,
    /// Only mark it stale: whoever asks next is answered at once, and it is asked for anew.
    pub soft: bool,
}

/// What was done.
#[derive(Serialize)]
struct Done {
    /// The number of the last of these purges.
    sequence: u64,
    scopes: usize,
    /// Why Cloudflare's own cache of the zone was not purged.
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
}

impl Wish {
    /// What it means.
    ///
    /// # Errors
    /// What of it is wrong, and what would be right.
    pub fn scopes(&self) -> Result<Vec<Scope>, String> {
        let named = || self.url.iter().chain(&self.prefix).chain(&self.tag).chain(&self.object);
        let count = named().count() + usize::from(self.all);
        if count == 0 {
            return Err("nothing is named: give at least one of url, prefix, tag, object or all".to_owned());
        }
        if count > MOST {
            return Err(format!("{count} at once; {MOST} are the most, and all takes everything"));
        }
        if let Some(long) = named().find(|text| text.len() > LONGEST) {
            return Err(format!("`{}…` is over {LONGEST} bytes", long.chars().take(40).collect::<String>()));
        }
        if let Some(text) = named().find(|text| text.contains(char::is_control)) {
            return Err(format!("`{}` has control characters, which no URL and no tag has", text.escape_debug()));
        }
        let mut scopes = Vec::with_capacity(count);
        for text in &self.url {
            let (origin, target) = split(text)?;
            let target = Target::parse(target, LONGEST * 3).map_err(|e| format!("url `{text}`: {e}"))?;
            scopes.push(Scope::Url(format!("{origin}{}", target.as_str()).into()));
        }
        for text in &self.prefix {
            let (origin, target) = split(text)?;
            scopes.push(Scope::Prefix(format!("{origin}{target}").into()));
        }
        for text in &self.tag {
            let tag = text.trim();
            if tag.is_empty() || tag.contains([',', ' ']) {
                return Err(format!("tag `{text}`: a tag is one word without commas or spaces"));
            }
            scopes.push(Scope::Tag(tag.into()));
        }
        for text in &self.object {
            let (role, key) = object(text)?;
            scopes.push(Scope::Tag(object_tag(role, key).into()));
        }
        if self.all {
            scopes.push(Scope::All);
        }
        Ok(scopes)
    }

    /// What of it Cloudflare's own cache of the zone may hold: of hand-offs it knows nothing.
    fn of_the_zone(&self) -> Vec<Scope> {
        let rest = Self { object: Vec::new(), ..self.clone() };
        rest.scopes().unwrap_or_default()
    }
}

/// Role and key of an object.
fn object(text: &str) -> Result<(&str, &str), String> {
    let wrong = |what: &str| format!("object `{text}` {what}: write ROLE/KEY, as in user-files/users/1/tide.wav");
    let (role, key) = text.split_once('/').ok_or_else(|| wrong("has no slash"))?;
    match key::check(key) {
        Ok(()) if !role.is_empty() => Ok((role, key)),
        Ok(()) => Err(wrong("names no bucket")),
        Err(what) => Err(wrong(&format!("has a key that {what}"))),
    }
}

/// Origin and target of a URL, as they stand in the cache's keys.
fn split(text: &str) -> Result<(String, &str), String> {
    let wrong = || format!("`{text}`: write it with scheme and host, as in https://makenot.work/c/mira");
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let scheme = scheme.to_ascii_lowercase();
    let default = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return Err(wrong()),
    };
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let authority = authority.to_ascii_lowercase();
    let authority = authority.strip_suffix(default).unwrap_or(&authority);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if authority.is_empty() || !authority.bytes().all(plain) {
        return Err(wrong());
    }
    let target = match target {
        "" => "/",
        target if target.starts_with('/') => target,
        _ => return Err(wrong()),
    };
    Ok((format!("{scheme}://{authority}"), target))
}

pub(super) async fn purge(State(gateway): State<Arc<Gateway>>, body: Bytes) -> Response {
    let wish: Result<Wish, String> =
        serde_json::from_slice(&body).map_err(|e| format!("the body is no such JSON: {e}"));
    let known = |role: &str| gateway.config.buckets.iter().any(|bucket| bucket.role == role);
    let wish = wish.and_then(|wish| {
        let scopes = wish.scopes()?;
        // A slip here would leave an object reachable that somebody takes for revoked.
        match wish.object.iter().filter_map(|object| object.split_once('/')).find(|(role, _)| !known(role)) {
            Some((role, _)) => Err(format!("there is no bucket `{role}`: it would be [bucket.{role}]")),
            None => Ok((wish, scopes)),
        }
    });
    match wish {
        Ok((wish, scopes)) => {
            let soft = wish.soft;
            let sequence = gateway.orders.purge(&scopes, soft);
            let named: Vec<String> = scopes.iter().take(20).map(shown).collect();
            tracing::info!(scopes = scopes.len(), soft, sequence, what = named.join(" "), "purged");
            if let Err(error) = gateway.orders.keep().await {
                tracing::error!(%error, "a purge is in force, but may not outlive this process");
            }
            let zone = match &gateway.zone_cache {
                Some(zone) => zone.purge(&wish.of_the_zone()).await.err(),
                None => None,
            };
            if let Some(why) = &zone {
                tracing::error!(sequence, why, "Cloudflare's cache of the zone was not purged");
            }
            Json(Done { sequence, scopes: scopes.len(), zone }).into_response()
        }
        Err(error) => {
            let said = serde_json::json!({ "error": error, "code": "purge-refused" });
            (StatusCode::BAD_REQUEST, Json(said)).into_response()
        }
    }
}

fn shown(scope: &Scope) -> String {
    match scope {
        Scope::Url(text) => format!("url:{text}"),
        Scope::Prefix(text) => format!("prefix:{text}"),
        Scope::Tag(text) => format!("tag:{text}"),
        Scope::Group { origin, name } => format!("group:{origin} {name}"),
        Scope::All => "all".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Wish;
    use cache::purge::Scope;

    fn url(text: &str) -> Result<Vec<Scope>, String> {
        Wish { url: vec![text.to_owned()], ..Wish::default() }.scopes()
    }

    #[test]
    fn urls_become_keys() {
        for (text, key) in [
            ("https://Makenot.Work/c/../a?b", "https://makenot.work/a?b"),
            ("HTTPS://makenot.work:443", "https://makenot.work/"),
            ("http://a:8080/%41", "http://a:8080/%41"),
        ] {
            assert_eq!(url(text), Ok(vec![Scope::Url(key.into())]), "{text}");
        }
        let prefix = Wish { prefix: vec!["https://A/x%".to_owned()], ..Wish::default() };
        assert_eq!(prefix.scopes(), Ok(vec![Scope::Prefix("https://a/x%".into())]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for text in ["/a", "ftp://a/b", "https:///b", "https://a b/", "https://a?b", "https://u@a/"] {
            let error = url(text).expect_err(text);
            assert!(error.contains(text) && error.contains("https://makenot.work/"), "{error}");
        }
        assert!(url("https://a/%2f").expect_err("refused by the path rule").contains("%2f"));
        let lines = Wish { prefix: vec!["https://a/\nhard 9 all".to_owned()], ..Wish::default() };
        assert!(lines.scopes().expect_err("two lines").contains("control characters"));
        assert!(Wish::default().scopes().expect_err("nothing").contains("at least one"));
        let tags = |tag: &str, n| Wish { tag: vec![tag.to_owned(); n], ..Wish::default() }.scopes();
        assert!(tags("a,b", 1).is_err() && tags("a", 1_001).is_err() && tags(&"a".repeat(9_000), 1).is_err());
        assert_eq!(tags("a", 1_000).map(|all| all.len()), Ok(1_000));
    }

    #[test]
    fn objects_become_tags_that_the_zone_does_not_know() {
        let wish = |object: &str| Wish { object: vec![object.to_owned()], ..Wish::default() };
        let named = wish("user-files/users/1/F\u{fc}nf Fenster.txt");
        match named.scopes().expect("an object").as_slice() {
            [Scope::Tag(said)] => assert!(said.starts_with("object:") && said.len() == 39, "{said}"),
            other => panic!("{other:?}"),
        }
        assert_ne!(wish("a/b/c").scopes(), wish("a/b/d").scopes());
        assert_ne!(wish("a-b/c").scopes(), wish("a/b/c").scopes());
        assert!(named.of_the_zone().is_empty());
        let both = Wish { all: true, ..named };
        assert_eq!(both.of_the_zone(), [Scope::All]);
        for bad in ["a", "/a", "a/", "a//b", "a/../b", "a/b\0"] {
            let error = wish(bad).scopes().expect_err(bad);
            assert!(error.contains("ROLE/KEY") || error.contains("control characters"), "{error}");
        }
    }
}
