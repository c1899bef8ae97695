//! A response in the pipeline's hands: status, fields that can be changed, and a body that is never looked into.

use cache::{Fields, Meta};

/// A response whose fields are the host's own type and whose body is opaque.
#[derive(Debug)]
pub struct Answer<F, B> {
    /// The status code.
    pub status: u16,
    /// The header section.
    pub fields: F,
    /// The body.
    pub body: B,
}

/// Write access to a header section.
pub trait FieldsMut: Fields + Sized {
    /// An empty section.
    fn empty() -> Self;
    /// The section of a stored answer.
    fn of_meta(meta: &Meta) -> Self;
    /// Adds a line; `name` is lower-case. A value that can't stand in a header is left out.
    fn append(&mut self, name: &'static str, value: &[u8]);
    /// Removes every line of that name.
    fn remove(&mut self, name: &str);

    /// Puts one line in place of all of that name.
    fn set(&mut self, name: &'static str, value: &str) {
        self.remove(name);
        self.append(name, value.as_bytes());
    }
}
