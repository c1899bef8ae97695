//! What can go wrong on the way, each as one stable code: in logs, metrics and answers alike.
//!
//! The body for programs has the app's own shape, `{"error": "…"}`, with the code and the request's id beside it. Pages for
//! people are made by who answers, from [`title`](Problem::title) and [`advice`](Problem::advice).

use std::fmt;

use crate::RequestId;

/// Why a request got an answer of ours instead of the app's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Problem {
    /// The request is no valid HTTP.
    BadRequest,
    /// The path is written in a way that two programs could read differently ([`crate::target`]).
    PathRefused,
    /// There is nothing at this address.
    NotFound,
    /// The address exists, but not for this method.
    MethodNotAllowed,
    /// The client did not send its request in time.
    RequestTimeout,
    /// The request's body is over the site's limit.
    BodyTooLarge,
    /// The target is over the site's limit.
    UriTooLong,
    /// No site is configured for this host.
    UnknownHost,
    /// The client has asked too often.
    RateLimited,
    /// The request's fields are over the site's limit.
    HeadersTooLarge,
    /// The site is served through the edge only, and the request did not come from it.
    EdgeRequired,
    /// The edge's signature does not hold.
    SignatureRefused,
    /// A webhook's signature does not hold.
    WebhookSignature,
    /// A webhook's sender shows no credentials, or wrong ones.
    WebhookCredentials,
    /// A webhook comes from an address that is not its sender's.
    WebhookAddress,
    /// A fault of ours.
    Internal,
    /// The edge could not connect to the gateway.
    GatewayUnreachable,
    /// The gateway did not answer the edge in time.
    GatewayTimeout,
    /// The gateway could not connect to the app.
    AppUnreachable,
    /// The app did not answer the gateway in time.
    AppTimeout,
    /// The app answered what is not HTTP.
    AppInvalid,
    /// The app handed off to an unknown bucket or a refused key.
    HandoffRefused,
    /// There is more to do than can be done in time.
    Overloaded,
    /// The server is restarting.
    Draining,
    /// The operator is working on the site.
    Maintenance,
    /// A rule of the filter stops it.
    Blocked,
    /// A rule of the filter wants a check first that only a person's browser passes.
    ChallengeRequired,
    /// The check was not passed.
    ChallengeFailed,
    /// Whoever says whether the check was passed does not answer.
    ChallengeUnavailable,
    /// The client asked for a stored answer (`only-if-cached`) and there is none.
    NotCached,
    /// The request has passed us before, several times.
    Loop,
}

/// What people read when the app fails them, whichever way it did.
const APP_ADVICE: &str = "Try again in a moment; if it stays so, tell us the request id below.";

impl Problem {
    /// All of them.
    pub const ALL: [Self; 31] = [
        Self::BadRequest,
        Self::PathRefused,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::BodyTooLarge,
        Self::UriTooLong,
        Self::UnknownHost,
        Self::RateLimited,
        Self::HeadersTooLarge,
        Self::EdgeRequired,
        Self::SignatureRefused,
        Self::WebhookSignature,
        Self::WebhookCredentials,
        Self::WebhookAddress,
        Self::Internal,
        Self::GatewayUnreachable,
        Self::GatewayTimeout,
        Self::AppUnreachable,
        Self::AppTimeout,
        Self::AppInvalid,
        Self::HandoffRefused,
        Self::Overloaded,
        Self::Draining,
        Self::Maintenance,
        Self::Blocked,
        Self::ChallengeRequired,
        Self::ChallengeFailed,
        Self::ChallengeUnavailable,
        Self::NotCached,
        Self::Loop,
    ];

    /// Status, code, title, advice.
    const fn row(self) -> (u16, &'static str, &'static str, &'static str) {
        match self {
            Self::BadRequest => (400, "bad-request", "The request is malformed", "Check the address and try again."),
            Self::PathRefused => (
                400,
                "path-refused",
                "The address is written in a way that is not accepted",
                "Check the address for stray slashes, dots, backslashes or percent signs.",
            ),
            Self::NotFound => (404, "not-found", "There is nothing at this address", "Check the address for a typo."),
            Self::MethodNotAllowed => (
                405,
                "method-not-allowed",
                "This address does not take this method",
                "Use a method that the Allow header names.",
            ),
            Self::RequestTimeout => (
                408,
                "request-timeout",
                "The request took too long to arrive",
                "Check your connection and send the request again.",
            ),
            Self::BodyTooLarge => (
                413,
                "body-too-large",
                "The request is too large",
                "Send less at once, or upload the file through its upload address.",
            ),
            Self::UriTooLong => (414, "uri-too-long", "The address is too long", "Shorten the address or its query."),
            Self::UnknownHost => (
                421,
                "unknown-host",
                "No site is served here under this name",
                "Check the host name; if the domain is yours, check that it is set up with us.",
            ),
            Self::RateLimited => {
                (429, "rate-limited", "That was too often in a short time", "Wait a little, then try again.")
            }
            Self::HeadersTooLarge => (
                431,
                "headers-too-large",
                "The request's headers are too large",
                "Clear the cookies of this site and try again.",
            ),
            Self::EdgeRequired => (
                403,
                "edge-required",
                "This site is not served directly",
                "Use the site's public name instead of the server's address.",
            ),
            Self::SignatureRefused => (
                403,
                "signature-refused",
                "The request's signature was refused",
                "Try again; if it stays so, tell us the request id below.",
            ),
            Self::WebhookSignature => (
                400,
                "webhook-signature",
                "The delivery's signature does not hold",
                "Check the signing secret and the clock.",
            ),
            Self::WebhookCredentials => {
                (401, "webhook-credentials", "The delivery's credentials are not right", "Check user and password.")
            }
            Self::WebhookAddress => {
                (403, "webhook-address", "The delivery comes from elsewhere", "Check which addresses its sender uses.")
            }
            Self::Internal => (500, "internal", "Something went wrong on our side", APP_ADVICE),
            Self::GatewayUnreachable => (502, "gateway-unreachable", "The server cannot be reached", APP_ADVICE),
            Self::GatewayTimeout => (504, "gateway-timeout", "The server did not answer in time", APP_ADVICE),
            Self::AppUnreachable => (502, "app-unreachable", "The site cannot be reached", APP_ADVICE),
            Self::AppTimeout => (504, "app-timeout", "The site did not answer in time", APP_ADVICE),
            Self::AppInvalid => (502, "app-invalid", "The site gave an answer that cannot be read", APP_ADVICE),
            Self::HandoffRefused => (502, "handoff-refused", "The file cannot be handed out", APP_ADVICE),
            Self::Overloaded => {
                (503, "overloaded", "The site has too much to do right now", "Try again in a few seconds.")
            }
            Self::Draining => (503, "draining", "The server is restarting", "Try again in a few seconds."),
            Self::Blocked => (
                403,
                "blocked",
                "The request was stopped by a rule",
                "It looks like an attack to us. If it is none, tell us the rule and the request id below.",
            ),
            Self::ChallengeRequired => (
                403,
                "challenge-required",
                "A short check before you go on",
                "It tells people from programs, and mostly passes by itself. Cookies and JavaScript must be on.",
            ),
            Self::ChallengeFailed => (
                403,
                "challenge-failed",
                "The check was not passed",
                "Here it is once more: wait for it to end before you continue.",
            ),
            Self::ChallengeUnavailable => (
                503,
                "challenge-unavailable",
                "The check cannot be made right now",
                "It is not your fault. Here it is once more: try again in a few seconds.",
            ),
            Self::Maintenance => (
                503,
                "maintenance",
                "We are working on the site",
                "It will be back soon. This page looks again by itself.",
            ),
            Self::Loop => (508, "loop", "The site's servers are set up in a circle", APP_ADVICE),
            Self::NotCached => {
                (504, "not-cached", "No stored answer is at hand", "Ask without Cache-Control: only-if-cached.")
            }
        }
    }

    /// The status of the answer.
    pub const fn status(self) -> u16 {
        self.row().0
    }

    /// The stable code, in kebab case.
    pub const fn as_str(self) -> &'static str {
        self.row().1
    }

    /// What happened, for people: a short sentence without its full stop.
    pub const fn title(self) -> &'static str {
        self.row().2
    }

    /// What to do, for people: one sentence. It may refer to the request id "below".
    pub const fn advice(self) -> &'static str {
        self.row().3
    }

    /// The body for programs.
    pub fn json(self, request_id: RequestId) -> String {
        // Nothing here needs escaping: our own words (a test holds them to it) and hexadecimal digits.
        let (_, code, title, _) = self.row();
        format!(r#"{{"error":"{title}.","code":"{code}","request_id":"{request_id}"}}"#)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_kebab() {
        let codes: BTreeSet<_> = Problem::ALL.iter().map(|problem| problem.as_str()).collect();
        assert_eq!(codes.len(), Problem::ALL.len());
        for code in codes {
            assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{code}");
        }
    }

    #[test]
    fn all_holds_each_in_the_order_of_the_enum() {
        for (place, problem) in Problem::ALL.iter().enumerate() {
            assert_eq!(*problem as usize, place);
        }
    }

    #[test]
    fn words_for_people_are_sentences() {
        for problem in Problem::ALL {
            assert!((400..600).contains(&problem.status()), "{problem}");
            assert!(problem.title().len() < 60 && !problem.title().ends_with('.'), "{problem}");
            assert!(problem.advice().ends_with('.'), "{problem}");
        }
    }

    #[test]
    fn json_is_the_apps_shape_with_code_and_id() {
        let id = RequestId::from_random([0xab; 16]);
        assert_eq!(
            Problem::UnknownHost.json(id),
            r#"{"error":"No site is served here under this name.","code":"unknown-host","request_id":"abababababababababababababababab"}"#
        );
        for problem in Problem::ALL {
            let body: serde_json::Value = serde_json::from_str(&problem.json(id)).unwrap();
            assert_eq!(body["error"], format!("{}.", problem.title()));
            assert_eq!(body["code"], problem.as_str());
            assert_eq!(body["request_id"], id.to_string());
            assert_eq!(body.as_object().unwrap().len(), 3);
        }
    }
}
