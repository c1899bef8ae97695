//! Why a target is not served.

use std::fmt;

use crate::Problem;

/// Why a target is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// Over the limit, as sent or in the spelling that is served.
    TooLong,
    /// Does not begin with `/`: absolute form, authority form, `*`, or nonsense.
    NotOriginForm,
    /// A control character or a byte above ASCII, not encoded.
    RawByte,
    /// The path begins with `//`, which would read as a host.
    DoubleSlash,
    /// A segment is empty, `.` or `..` once its `;` parameters are dropped.
    HiddenDots,
    /// A `%` without two hexadecimal digits.
    BadEscape,
    /// `%00` to `%1f`, or `%7f`.
    EncodedControl,
    /// `%2f` or `%5c`.
    EncodedSlash,
    /// What it decodes to has an escape for a dot, slash, backslash, percent sign or control character.
    EncodedTwice,
    /// What it decodes to is not UTF-8.
    NotUtf8,
}

impl TargetError {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::TooLong,
        Self::NotOriginForm,
        Self::RawByte,
        Self::DoubleSlash,
        Self::HiddenDots,
        Self::BadEscape,
        Self::EncodedControl,
        Self::EncodedSlash,
        Self::EncodedTwice,
        Self::NotUtf8,
    ];

    /// A stable word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "target-too-long",
            Self::NotOriginForm => "target-not-origin-form",
            Self::RawByte => "target-raw-byte",
            Self::DoubleSlash => "path-double-slash",
            Self::HiddenDots => "path-hidden-dots",
            Self::BadEscape => "path-bad-escape",
            Self::EncodedControl => "path-encoded-control",
            Self::EncodedSlash => "path-encoded-slash",
            Self::EncodedTwice => "path-encoded-twice",
            Self::NotUtf8 => "path-not-utf8",
        }
    }

    /// What the client is told.
    pub const fn problem(self) -> Problem {
        match self {
            Self::TooLong => Problem::UriTooLong,
            Self::NotOriginForm | Self::RawByte => Problem::BadRequest,
            _ => Problem::PathRefused,
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the address is longer than this site allows",
            Self::NotOriginForm => "the request's target must begin with a slash",
            Self::RawByte => {
                "the address has a control character or a letter outside ASCII; it must be percent-encoded UTF-8"
            }
            Self::DoubleSlash => "the path begins with two slashes; it must begin with one",
            Self::HiddenDots => "the path has a segment that is empty or only dots before its `;`",
            Self::BadEscape => {
                "the path has a percent sign without two hexadecimal digits; a percent sign itself is %25"
            }
            Self::EncodedControl => "the path has an encoded control character",
            Self::EncodedSlash => "the path has an encoded slash or backslash (%2F or %5C)",
            Self::EncodedTwice => "the path is percent-encoded twice; it must be encoded once",
            Self::NotUtf8 => "the path's percent-encoded bytes are not UTF-8",
        })
    }
}

impl std::error::Error for TargetError {}
