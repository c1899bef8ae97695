//! What a person or a program reads when something went wrong: one page, one JSON body, the same at both hosts.

use contract::{Problem, RequestId};

/// A response made here: its fields and its body.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// Field lines, lower-case names.
    pub fields: Vec<(&'static str, &'static str)>,
    /// The body.
    pub body: String,
}

const PAGE: &str = include_str!("page.html");

/// The reply to a problem. No part of it comes from the request but the id, which is hexadecimal digits.
#[must_use]
pub fn render(problem: Problem, id: RequestId, json: bool) -> Reply {
    let mut fields = vec![
        ("cache-control", "no-store"),
        ("content-type", if json { "application/json" } else { "text/html; charset=utf-8" }),
        ("x-content-type-options", "nosniff"),
    ];
    match problem {
        Problem::MethodNotAllowed => fields.push(("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")),
        Problem::RateLimited => fields.push(("retry-after", "10")),
        Problem::GatewayUnreachable | Problem::AppUnreachable | Problem::Overloaded | Problem::Draining => {
            fields.push(("retry-after", "5"));
        }
        _ => {}
    }
    let body = if json {
        problem.json(id)
    } else {
        fields
            .push(("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"));
        PAGE.replace("{status}", &problem.status().to_string())
            .replace("{title}", problem.title())
            .replace("{advice}", problem.advice())
            .replace("{code}", problem.as_str())
            .replace("{id}", id.text().as_str())
    };
    Reply { fields, body }
}

#[cfg(test)]
mod tests {
    use super::render;
    use contract::{Problem, RequestId};

    #[test]
    fn every_problem_fills_the_whole_page() {
        let id = RequestId::from_random([7; 16]);
        for problem in Problem::ALL {
            let page = render(problem, id, false).body;
            for slot in ["{status}", "{title}", "{advice}", "{code}", "{id}"] {
                assert!(!page.contains(slot), "{problem:?} {slot}");
            }
            assert!(page.contains(&id.to_string()) && page.contains(problem.as_str()), "{problem:?}");
        }
    }

    #[test]
    fn the_json_body() {
        insta::assert_snapshot!(
            render(Problem::GatewayUnreachable, RequestId::from_random([7; 16]), true).body,
            @r#"{"error":"The server cannot be reached.","code":"gateway-unreachable","request_id":"07070707070707070707070707070707"}"#
        );
    }
}
