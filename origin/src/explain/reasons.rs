//! What each reason in the log means, which section of the configuration decides it, and where the documentation goes on.

use contract::Problem;

/// What is known of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What happened.
    pub what: &'static str,
    /// The keys or commands by which it is decided; empty where there are none.
    pub by: &'static str,
    /// A heading of docs/operations.md, as it is linked to.
    pub anchor: &'static str,
}

const fn reason(what: &'static str, by: &'static str, anchor: &'static str) -> Reason {
    Reason { what, by, anchor }
}

/// Of a problem's code, or of what a refused signature is logged with; `None` for others.
#[must_use]
pub fn of(code: &str) -> Option<Reason> {
    if let Some(problem) = Problem::ALL.into_iter().find(|problem| problem.as_str() == code) {
        return Some(of_problem(problem));
    }
    Some(match code {
        "no-certificate" => reason(
            "The connection did not show our zone's client certificate: it went past Cloudflare, or Authenticated Origin Pulls is off.",
            "site.trust, tls.client_ca",
            "403-edge-required",
        ),
        "no-signature" => reason(
            "The Worker has not signed the request, and the site is served through it only.",
            "site.trust",
            "403-edge-required",
        ),
        "bad-facts" => reason(
            "The signature holds and what it says can't be read: Worker and gateway are of versions that do not fit.",
            "edge.keys_file",
            "403-signature-refused",
        ),
        code if code.starts_with("signature-") => reason(
            "The request bears our edge's signature, and it does not hold.",
            "edge.keys_file, edge.window, edge.skew",
            "403-signature-refused",
        ),
        _ => return None,
    })
}

const fn of_problem(problem: Problem) -> Reason {
    match problem {
        Problem::BadRequest => reason(
            "The request was no valid HTTP, its host was not one host, or its body broke off.",
            "",
            "400-without-a-request-in-the-log",
        ),
        Problem::PathRefused => reason(
            "The path is written so that two programs could read it differently: an encoded slash, two leading slashes, something encoded twice.",
            "",
            "400-path-refused",
        ),
        Problem::NotFound => reason(
            "The address is one of ours, below /.edge/ or an upload route, and nothing is there.",
            "upload.NAME.path",
            "uploads-fail",
        ),
        Problem::MethodNotAllowed => {
            reason("TRACE and CONNECT are never taken; an upload route takes POST.", "", "uploads-fail")
        }
        Problem::RequestTimeout => {
            reason("The client sent its body too slowly.", "limits.body_rate", "uploads-that-break-off")
        }
        Problem::BodyTooLarge => reason(
            "The request's body is larger than allowed, by the site's limit or by what a route takes.",
            "limits.body, filter rules with a size, webhook.SENDER.body",
            "uploads-that-break-off",
        ),
        Problem::UriTooLong => reason("Path and query are longer than allowed.", "limits.target", "reading-the-log"),
        Problem::UnknownHost => reason("No site has this host.", "site.hosts", "421-unknown-host"),
        Problem::RateLimited => reason(
            "The client has asked more often than a limit allows. At the Worker it is the coarse limit of wrangler.toml.",
            "rate.NAME; [[ratelimits]] in wrangler.toml",
            "visitors-get-429",
        ),
        Problem::HeadersTooLarge => {
            reason("The request's header section is larger than allowed.", "limits.head", "reading-the-log")
        }
        Problem::EdgeRequired => reason("The site is not served on this way.", "site.trust", "403-edge-required"),
        Problem::SignatureRefused => {
            reason("The edge's signature does not hold.", "edge.keys_file", "403-signature-refused")
        }
        Problem::WebhookSignature => reason(
            "The delivery's signature does not hold.",
            "webhook.SENDER.secrets_file",
            "a-webhook-does-not-arrive",
        ),
        Problem::WebhookCredentials => reason(
            "The delivery's credentials are missing or wrong.",
            "webhook.SENDER.secrets_file",
            "a-webhook-does-not-arrive",
        ),
        Problem::WebhookAddress => reason(
            "The delivery comes from an address that is not its sender's.",
            "webhook.SENDER.addresses",
            "a-webhook-does-not-arrive",
        ),
        Problem::Internal => reason("A fault of ours: the log has an ERROR with the same id. Tell us.", "", "metrics"),
        Problem::GatewayUnreachable => reason("The Worker could not reach the gateway.", "", "502-gateway-unreachable"),
        Problem::GatewayTimeout => {
            reason("The gateway did not answer the Worker within 5 s.", "", "502-gateway-unreachable")
        }
        Problem::AppUnreachable => reason(
            "The app could not be connected to, or closed the connection before it answered.",
            "site.app, timeouts.connect, timeouts.hold",
            "502-app-unreachable",
        ),
        Problem::AppTimeout => {
            reason("The app accepted the request and did not answer in time.", "timeouts.answer", "502-app-unreachable")
        }
        Problem::AppInvalid => {
            reason("What the app answered is not HTTP.", "site.app, site.app_protocol", "502-app-unreachable")
        }
        Problem::HandoffRefused => reason(
            "The app handed off to a bucket that is not there, or to a key that may not be given out. The log's line before says which.",
            "bucket.ROLE",
            "502-app-unreachable",
        ),
        Problem::Overloaded => reason(
            "The app had as many requests as it can answer without getting slower, or too many waited for it.",
            "limits.in_flight, limits.held",
            "503-overloaded",
        ),
        Problem::Draining => {
            reason("The gateway was going down.", "timeouts.drain", "stopping-restarting-and-draining")
        }
        Problem::Maintenance => reason(
            "The site is closed for visitors.",
            "origin maintenance status, origin maintenance off",
            "the-site-must-be-closed",
        ),
        Problem::Blocked => reason("A rule of the filter stopped it.", "filter; origin blocks", "403-blocked"),
        Problem::ChallengeRequired => reason(
            "A rule of the filter wants a check first that a person's browser passes.",
            "filter, turnstile",
            "403-challenge-required-503-challenge-unavailable",
        ),
        Problem::ChallengeFailed => reason(
            "The check was not passed, or was passed for another host.",
            "turnstile.site_key, turnstile.secret_file",
            "403-challenge-required-503-challenge-unavailable",
        ),
        Problem::ChallengeUnavailable => reason(
            "Turnstile did not say whether the check was passed.",
            "turnstile.within",
            "403-challenge-required-503-challenge-unavailable",
        ),
        Problem::NotCached => reason(
            "The client wanted a stored answer or none (only-if-cached), and there is none.",
            "",
            "an-old-page-stays",
        ),
        Problem::Loop => reason(
            "The request has passed this gateway four times: an app's address leads back to it.",
            "site.app",
            "508-loop",
        ),
    }
}

/// What the cache's word means.
#[must_use]
pub fn of_cache(word: &str) -> Option<&'static str> {
    Some(match word {
        "hit" => "It was answered from the cache, where it was fresh; nobody was asked.",
        "stale" => {
            "It was answered from the cache with an answer that had gone stale: it is freshened meanwhile, or the app failed and it stood in."
        }
        "validated" => "What was stored had gone stale; the app was asked whether it still holds, and said 304.",
        "collapsed" => "Another request for the same was under way, and its answer was used.",
        "partial" => "A part was stored, and the app was asked for the rest.",
        "miss" => "Nothing was stored, so the app was asked.",
        "expired" => "What was stored had gone stale, so the app was asked anew.",
        "reload" => "The client wanted a fresh answer (no-cache), so the app was asked.",
        "bypass" => {
            "The cache took no part: by the method, a body, Upgrade, no-store, If-Match, or a rule with bypass_cache."
        }
        "none" => "The cache was not asked.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::{of, of_cache};
    use contract::Problem;
    use contract::signature::SignatureError;

    /// A heading as it is linked to.
    fn slug(heading: &str) -> String {
        let kept = heading.to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    }

    #[test]
    fn every_reason_leads_to_a_heading_that_is_there() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
        let page = fs::read_to_string(page).expect("docs/operations.md");
        let headings: BTreeSet<String> = page
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|line| slug(line.trim_start_matches(['#', ' '])))
            .collect();
        let codes = Problem::ALL.map(Problem::as_str);
        for code in
            codes.into_iter().chain(["no-certificate", "no-signature", "bad-facts", SignatureError::Mismatch.as_str()])
        {
            let reason = of(code).unwrap_or_else(|| panic!("{code}"));
            assert!(headings.contains(reason.anchor), "{code}: #{} is not in {headings:?}", reason.anchor);
        }
        assert_eq!(of("what"), None);
    }

    #[test]
    fn every_word_of_the_cache_is_known() {
        for word in cache::Phase::WORDS.into_iter().chain(["none"]) {
            assert!(of_cache(word).is_some(), "{word}");
        }
    }
}
