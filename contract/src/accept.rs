//! Whether an answer of our own is written for a program or for a person, by `Accept` (RFC 9110 12.5.1).
//!
//! Stricter than negotiation: `*/*` names nothing, and what sends it alone (curl, fetch, an SDK, an `<img>`) has more use for JSON
//! than for a page. Browsers name `text/html` when they navigate. So a page goes to who names it, and JSON to everyone else.

/// True for JSON: the path is under `/api/`, `Accept` does not name `text/html` (or only at `q=0`), or it likes JSON better.
/// An absent `Accept` is `None`; several lines of it are joined with commas by the caller.
pub fn wants_json(accept: Option<&str>, path: &str) -> bool {
    if path.starts_with("/api/") {
        return true;
    }
    let (html, json) = weights(accept);
    html == 0 || json > html
}

/// Whether `Accept` names JSON, and likes it better than a page: what sends `*/*` alone gets what everyone gets.
pub fn names_json(accept: Option<&str>) -> bool {
    let (html, json) = weights(accept);
    json > html
}

/// How much `Accept` likes `text/html` and JSON by their names.
fn weights(accept: Option<&str>) -> (u16, u16) {
    let (mut html, mut json) = (0, 0);
    for member in accept.unwrap_or_default().split(',') {
        let (range, parameters) = member.split_once(';').unwrap_or((member, ""));
        let range = range.trim();
        if range.eq_ignore_ascii_case("text/html") {
            html = html.max(weight(parameters));
        } else if is_json(range) {
            json = json.max(weight(parameters));
        }
    }
    (html, json)
}

/// `application/json`, or a type with its suffix (RFC 6839 3.1).
fn is_json(range: &str) -> bool {
    let Some((kind, subtype)) = range.split_once('/') else { return false };
    let suffix = subtype.rsplit_once('+').map_or(subtype, |(_, suffix)| suffix);
    kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json")
}

/// The weight in thousandths (RFC 9110 12.4.2): 1,000 where there is none, 0 where it is not a weight.
fn weight(parameters: &str) -> u16 {
    let q = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(q) = q else { return 1000 };
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return 0;
    }
    let thousandths = fraction.bytes().chain(*b"000").take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        "0" => thousandths,
        "1" if thousandths == 0 => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_to_who_names_it() {
        for accept in [
            "text/html",
            "TEXT/HTML;level=1",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
            "application/json;q=0.9, text/html",
            "application/json, text/html",
            "application/json;q=0.1, text/html;q=0.101",
            "*/*, text/html;q=0.001",
        ] {
            assert!(!wants_json(Some(accept), "/") && !names_json(Some(accept)), "{accept}");
        }
    }

    #[test]
    fn who_names_json() {
        for accept in
            ["application/json", "application/json, */*;q=0.1", "text/html;q=0.5, application/problem+json;q=0.6"]
        {
            assert!(names_json(Some(accept)), "{accept}");
        }
        for accept in ["", "*/*", "application/*", "image/avif,*/*;q=0.8", "application/json;q=0"] {
            assert!(!names_json(Some(accept)), "{accept}");
        }
        assert!(!names_json(None));
    }

    #[test]
    fn json_goes_to_everyone_else() {
        for accept in [
            "",
            "*/*",
            "text/*",
            "image/avif,*/*;q=0.8",
            "application/json",
            "text/html;q=0",
            "text/html;q=0.000, */*",
            "text/html;q=2",
            "text/html;q=1.001",
            "text/html;q=0.9999",
            "text/html;q=x",
            "text/html ; q=0.5 , application/json",
            "text/html;q=0.5, application/problem+json;q=0.6",
            "text/htmlx",
        ] {
            assert!(wants_json(Some(accept), "/"), "{accept}");
        }
        assert!(wants_json(None, "/"));
    }

    #[test]
    fn the_api_speaks_json() {
        assert!(wants_json(Some("text/html"), "/api/sync/status"));
        for path in ["/api", "/apis/", "/v1/api/", "/"] {
            assert!(!wants_json(Some("text/html"), path), "{path}");
        }
    }
}
