//! What a person or a program reads when something went wrong: one page, one JSON body, the same at both hosts.

use contract::{Problem, RequestId};

use crate::filter::Block;

/// A response made here: its fields and its body.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// Field lines, lower-case names.
    pub fields: Vec<(&'static str, &'static str)>,
    /// The body.
    pub body: String,
}

const PAGE: &str = include_str!("page.html");

/// What a page leads to, where it does not hold a challenge.
const AGAIN: &str = r#"<p><a href="">Try again</a> or <a href="/">go to the home page</a>.</p>"#;
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// The widget, and its script, as the vendor documents both. The form is sent as soon as the check is passed; the button is for where it is not.
const CHALLENGE: &str = include_str!("challenge.html");
/// Of our own script within it, by its hash, and of the vendor's. A test holds that it is the hash.
const CHALLENGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-l9+W0WWK2MbZ8sDFLYNtFE7T8qiaFQ/MUczpNUoRKpU=' https://challenges.cloudflare.com; frame-src https://challenges.cloudflare.com; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The reply to a problem. No part of it comes from the request but the id, which is hexadecimal digits.
#[must_use]
pub fn render(problem: Problem, id: RequestId, json: bool) -> Reply {
    reply(problem, id, json, None, None)
}

/// The reply to a request that a rule stops: it names the rule.
#[must_use]
pub fn blocked(block: &Block, id: RequestId, json: bool) -> Reply {
    reply(block.problem, id, json, Some(block), None)
}

/// The reply that asks for a challenge to be passed, by the rule that wants it where one does, and then leads `to` a path of this host.
#[must_use]
pub fn challenge(
    problem: Problem,
    block: Option<&Block>,
    site_key: &str,
    to: &str,
    id: RequestId,
    json: bool,
) -> Reply {
    reply(problem, id, json, block, Some((site_key, to)))
}

/// The status page where there is nobody behind us to make it: what we know ourselves. It asks again by itself.
#[must_use]
pub fn gone(problem: Problem, id: RequestId) -> Reply {
    let mut reply = reply(problem, id, false, None, None);
    reply.fields.push(("refresh", "30"));
    let status = problem.status().to_string();
    reply.body = reply
        .body
        .replace(&format!(">{status}<"), ">Issues Detected<")
        .replace(problem.title(), "Our server does not answer")
        .replace(
            problem.advice(),
            "This page comes from the network in front of it, which works. Pages that it has stored are still shown; everything else has to \
             wait. It looks again every 30 seconds.",
        );
    reply
}

fn reply(problem: Problem, id: RequestId, json: bool, block: Option<&Block>, challenge: Option<(&str, &str)>) -> Reply {
    let mut fields = vec![
        ("cache-control", "no-store"),
        ("content-type", if json { "application/json" } else { "text/html; charset=utf-8" }),
        ("x-content-type-options", "nosniff"),
    ];
    match problem {
        Problem::MethodNotAllowed => fields.push(("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")),
        Problem::RateLimited => fields.push(("retry-after", "10")),
        Problem::GatewayUnreachable
        | Problem::AppUnreachable
        | Problem::Overloaded
        | Problem::Draining
        | Problem::ChallengeUnavailable => {
            fields.push(("retry-after", "5"));
        }
        _ => {}
    }
    let body = if json {
        match block {
            // A rule's name needs no escapes.
            Some(block) => {
                problem.json(id).replace("\"request_id\"", &format!("\"rule\":\"{}\",\"request_id\"", block.rule))
            }
            None => problem.json(id),
        }
    } else {
        let policy = if challenge.is_some() { CHALLENGE_POLICY } else { POLICY };
        fields.push(("content-security-policy", policy));
        let (status, advice) = match block {
            Some(block) => (block.status, block.page.as_deref().map(escaped)),
            None => (problem.status(), None),
        };
        let rule = block.map(|block| format!("<dt>rule</dt><dd>{}</dd>", block.rule));
        let act =
            challenge.map(|(site_key, to)| CHALLENGE.replace("{site_key}", site_key).replace("{to}", &escaped(to)));
        PAGE.replace("{status}", &status.to_string())
            .replace("{title}", problem.title())
            .replace("{code}", problem.as_str())
            .replace("{rule}", &rule.unwrap_or_default())
            .replace("{id}", id.text().as_str())
            // Last, as visitors and operators may have written anything. Both are escaped.
            .replace("{act}", act.as_deref().unwrap_or(AGAIN))
            .replace("{advice}", advice.as_deref().unwrap_or(problem.advice()))
    };
    Reply { fields, body }
}

/// A text within HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::{blocked, gone, render};
    use crate::filter::Block;
    use contract::{Problem, RequestId};

    #[test]
    fn every_problem_fills_the_whole_page() {
        let id = RequestId::from_random([7; 16]);
        for problem in Problem::ALL {
            let page = render(problem, id, false).body;
            for slot in ["{status}", "{title}", "{advice}", "{code}", "{rule}", "{act}", "{id}"] {
                assert!(!page.contains(slot), "{problem:?} {slot}");
            }
            assert!(page.contains(&id.to_string()) && page.contains(problem.as_str()), "{problem:?}");
        }
    }

    #[test]
    fn where_the_gateway_is_gone_the_status_page_says_so() {
        for problem in [Problem::GatewayUnreachable, Problem::GatewayTimeout] {
            let reply = gone(problem, RequestId::from_random([7; 16]));
            assert!(reply.fields.contains(&("refresh", "30")) && reply.fields.contains(&("cache-control", "no-store")));
            for said in
                [">Issues Detected<", "<h1>Our server does not answer</h1>", "every 30 seconds.", problem.as_str()]
            {
                assert!(reply.body.contains(said), "{said}: {}", reply.body);
            }
            assert!(!reply.body.contains(problem.title()), "{}", reply.body);
        }
    }

    #[test]
    fn the_json_body() {
        insta::assert_snapshot!(
            render(Problem::GatewayUnreachable, RequestId::from_random([7; 16]), true).body,
            @r#"{"error":"The server cannot be reached.","code":"gateway-unreachable","request_id":"07070707070707070707070707070707"}"#
        );
    }
    #[test]
    fn a_blocked_request_reads_which_rule_it_was() {
        let page = Some("Ask <us> & \"wait\" {id}.".into());
        let block = Block { problem: Problem::Blocked, rule: "old-api".into(), status: 410, page };
        let id = RequestId::from_random([7; 16]);
        let html = blocked(&block, id, false).body;
        assert!(html.contains("<dt>rule</dt><dd>old-api</dd>") && html.contains(">410<"), "{html}");
        assert!(html.contains("<p>Ask &lt;us&gt; &amp; &quot;wait&quot; {id}.</p>"), "{html}");
        insta::assert_snapshot!(
            blocked(&block, id, true).body,
            @r#"{"error":"The request was stopped by a rule.","code":"blocked","rule":"old-api","request_id":"07070707070707070707070707070707"}"#
        );
    }
}
