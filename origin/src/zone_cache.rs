//! Cloudflare's own cache of our zone, which lies under the Worker and holds what a Cache Rule lets it: what we purge is purged there, too.

use bytes::Bytes;
use cache::purge::Scope;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::config;
use crate::web::Client;

/// What one call names at most; the plans that are not Enterprise's allow that many.
const AT_ONCE: usize = 100;

/// Asks Cloudflare to purge.
pub(crate) struct ZoneCache {
    client: Client,
    url: String,
    token: HeaderValue,
}

impl ZoneCache {
    /// From the configuration; the error says which file is missing.
    pub(crate) fn new(config: &config::Cloudflare) -> Result<Self, String> {
        Ok(Self {
            client: Client::new(config.ca.as_deref())?,
            url: format!("{}/zones/{}/purge_cache", config.api, config.zone),
            token: config.token.bearer(),
        })
    }

    /// Has these purged, hard: it knows no soft ones. What of them may have been purged when an error says why the rest was not
    /// is not told.
    pub(crate) async fn purge(&self, scopes: &[Scope]) -> Result<(), String> {
        for order in orders(scopes) {
            self.order(&order).await?;
        }
        Ok(())
    }

    async fn order(&self, order: &Value) -> Result<(), String> {
        let request = Request::post(&self.url)
            .header(AUTHORIZATION, self.token.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Full::new(Bytes::from(order.to_string())))
            .map_err(|e| e.to_string())?;
        let answer = self.client.send(request).await.map_err(|e| format!("Cloudflare can't be asked: {e}"))?;
        let status = answer.status();
        let said: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        if status == StatusCode::OK && said["success"] == true {
            return Ok(());
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let after = after.map_or_else(String::new, |seconds| format!(", again after {seconds} s"));
            return Err(format!("Cloudflare takes no more for now (429{after}): it allows few calls a minute"));
        }
        let why = said["errors"][0]["message"].as_str().unwrap_or("it does not say why");
        Err(format!("Cloudflare says {status}: {why}"))
    }
}

/// The calls that it takes, in the words of `POST /zones/ID/purge_cache`. Prefixes there have no scheme; groups (RFC 9875) it does not know.
fn orders(scopes: &[Scope]) -> Vec<Value> {
    if scopes.contains(&Scope::All) {
        return vec![json!({ "purge_everything": true })];
    }
    let (mut files, mut prefixes, mut tags) = (Vec::new(), Vec::new(), Vec::new());
    for scope in scopes {
        match scope {
            Scope::Url(url) => files.push(&**url),
            Scope::Prefix(prefix) => prefixes.push(prefix.split_once("://").map_or(&**prefix, |(_, rest)| rest)),
            Scope::Tag(tag) => tags.push(&**tag),
            Scope::Group { .. } | Scope::All => {}
        }
    }
    [("files", files), ("prefixes", prefixes), ("tags", tags)]
        .iter()
        .flat_map(|(kind, names)| names.chunks(AT_ONCE).map(move |names| json!({ *kind: names })))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::orders;
    use cache::purge::Scope;
    use serde_json::json;

    #[test]
    fn calls_are_few_and_bounded() {
        let urls = (0..150).map(|n| Scope::Url(format!("https://a/{n}").into()));
        let mut scopes: Vec<Scope> = urls.collect();
        scopes.push(Scope::Prefix("https://a/blog/".into()));
        scopes.push(Scope::Tag("t".into()));
        scopes.push(Scope::Group { origin: "https://a".into(), name: "g".into() });
        let calls = orders(&scopes);
        assert_eq!(calls.len(), 4);
        assert_eq!(calls[0]["files"].as_array().map(Vec::len), Some(100));
        assert_eq!(calls[1]["files"][49], "https://a/149");
        assert_eq!(calls[2..], [json!({ "prefixes": ["a/blog/"] }), json!({ "tags": ["t"] })]);
        scopes.push(Scope::All);
        assert_eq!(orders(&scopes), [json!({ "purge_everything": true })]);
    }
}
