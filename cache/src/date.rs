//! HTTP dates (RFC 9110 section 5.6.7) in the three forms that it allows.

use std::time::{Duration, UNIX_EPOCH};

use crate::Timestamp;

/// Reads a date; `None` for anything else, also for one before 1970.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim_matches([' ', '\t']);
    // The zone is GMT and nothing else, and says so where the form has one.
    let asctime = text.as_bytes().get(3) == Some(&b' ');
    if !asctime && !text.ends_with(" GMT") {
        return None;
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(Timestamp::from_secs(date.duration_since(UNIX_EPOCH).ok()?.as_secs()))
}

/// Writes a date in the form that is to be sent (IMF-fixdate).
#[must_use]
pub fn format(at: Timestamp) -> String {
    // Year 9999 is where the form ends.
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at.as_secs().min(253_402_300_799)))
}

#[cfg(test)]
mod tests {
    use super::{format, parse};
    use crate::Timestamp;
    use proptest::prelude::*;

    #[test]
    fn three_forms_and_no_other() {
        let then = Some(Timestamp::from_secs(784_111_777));
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse(text), then, "{text}");
        }
        for text in [
            "0",
            "-1",
            "",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37",
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1994 8:49:37 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(secs in 0u64..253_402_300_799) {
            prop_assert_eq!(parse(&format(Timestamp::from_secs(secs))), Some(Timestamp::from_secs(secs)));
        }

        #[test]
        fn never_fails(text: String) {
            let _ = parse(&text);
        }
    }
}
