//! The signature base (RFC 9421 2.5): the bytes that are signed, handed out in parts so that nothing is put together.

use std::borrow::Cow;

use super::Message;

/// A component's name, and its value in two parts.
pub(super) type Component<'a> = (&'a str, [&'a str; 2]);

/// Writes a line for each component, then the one for the parameters.
pub(super) fn write<'a>(components: impl IntoIterator<Item = Component<'a>>, params: &str, mut sink: impl FnMut(&str)) {
    for (name, [head, tail]) in components {
        for part in ["\"", name, "\": ", head, tail, "\n"] {
            sink(part);
        }
    }
    sink("\"@signature-params\": ");
    sink(params);
}

impl Message<'_> {
    /// RFC 9421 2.2.3 and RFC 9110 4.2.3: a host's case does not matter.
    pub(super) fn lower_case_authority(&self) -> Cow<'_, str> {
        if self.authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.authority.to_ascii_lowercase().into()
        } else {
            self.authority.into()
        }
    }

    /// The covered components in their order, with the authority from [`lower_case_authority`](Self::lower_case_authority).
    pub(super) fn components<'a>(&'a self, authority: &'a str) -> [Component<'a>; 5] {
        let path = if self.path.is_empty() { "/" } else { self.path };
        [
            ("@method", [self.method, ""]),
            ("@authority", [authority, ""]),
            ("@path", [path, ""]),
            ("@query", ["?", self.query.unwrap_or_default()]),
            ("edge-facts", [self.facts, ""]),
        ]
    }

    /// Whether each value is printable ASCII. Were there a line break in one, two messages could have the same base. Verifying
    /// asks; signing need not, as a base with more lines than ours equals none that verifies.
    pub(super) fn is_one_line_each(&self) -> bool {
        [self.method, self.authority, self.path, self.query.unwrap_or_default(), self.facts]
            .iter()
            .all(|value| value.bytes().all(|byte| (0x20..0x7f).contains(&byte)))
    }
}
