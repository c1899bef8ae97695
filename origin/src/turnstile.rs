//! Cloudflare Turnstile, which says whether a token that a visitor brings from its widget is good (`siteverify`).

use std::net::IpAddr;

use bytes::Bytes;
use contract::Problem;
use edge::challenge::{Said, says_nothing};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::config;
use crate::web::Client;

/// Asks it.
pub(crate) struct Turnstile {
    client: Client,
    url: String,
    settings: config::Turnstile,
}

impl Turnstile {
    /// From the configuration; the error says which file is missing.
    pub(crate) fn new(settings: &config::Turnstile) -> Result<Self, String> {
        Ok(Self {
            client: Client::new(settings.ca.as_deref())?,
            url: format!("{}/siteverify", settings.api),
            settings: settings.clone(),
        })
    }

    /// The widget's site key.
    pub(crate) fn site_key(&self) -> &str {
        &self.settings.site_key
    }

    /// Seconds that a clearance holds.
    pub(crate) fn clearance(&self) -> u64 {
        self.settings.clearance.as_secs()
    }

    /// Has it say whether a token of this client's is good. Where it does not, the log says why.
    pub(crate) async fn verify(&self, token: &str, client: IpAddr) -> Result<Said, Problem> {
        self.ask(token, client).await.map_err(|error| {
            tracing::warn!(error, "Turnstile does not say whether a challenge was passed");
            Problem::ChallengeUnavailable
        })
    }

    async fn ask(&self, token: &str, client: IpAddr) -> Result<Said, String> {
        let question = json!({ "secret": self.settings.secret.text(), "response": token, "remoteip": client });
        let request = Request::post(&self.url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Full::new(Bytes::from(question.to_string())))
            .map_err(|e| e.to_string())?;
        let within = self.settings.within;
        let answer = tokio::time::timeout(within, self.client.send(request)).await;
        let answer = answer.map_err(|_| format!("no answer within {}", humantime::format_duration(within)))?;
        let answer = answer.map_err(|e| e.to_string())?;
        let said: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let success = said["success"].as_bool().ok_or_else(|| format!("it says {}, and no JSON", answer.status()))?;
        let codes = said["error-codes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        if let Some(code) = codes.into_iter().find(|code| says_nothing(code)) {
            return Err(format!("it says {code}"));
        }
        let text = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
        Ok(Said { success, hostname: text("hostname"), action: text("action") })
    }
}
