//! A header section as it crosses between JavaScript and WASM: one string of alternating names and values, a line each.

use cache::{Fields, Meta};

use crate::FieldsMut;

/// Where a line's name and value stand in the text.
#[derive(Clone, Copy)]
struct Line {
    name: (usize, usize),
    value: (usize, usize),
    /// As JavaScript sent it; else it is ours.
    received: bool,
}

/// A header section in one string.
#[derive(Clone)]
pub(super) struct Lines {
    text: String,
    lines: Vec<Line>,
    /// The names of received lines that have been removed, a line each; `None` where nothing was received.
    removed: Option<String>,
}

impl Lines {
    /// From `name\nvalue\n…`, as `glue.js` packs it, from the byte `from` on.
    pub(super) fn unpack(text: String, from: usize) -> Self {
        let mut lines = Vec::with_capacity(24);
        let mut at = from;
        let mut name = None;
        for part in text.get(from..).unwrap_or_default().split_inclusive('\n') {
            let span = (at, at + part.len().saturating_sub(1));
            at += part.len();
            match name.take() {
                None => name = Some(span),
                Some(name) => lines.push(Line { name, value: span, received: true }),
            }
        }
        Self { text, lines, removed: Some(String::new()) }
    }

    fn push(&mut self, name: &str, value: &[u8]) {
        let Ok(value) = core::str::from_utf8(value) else { return };
        if !is_one_line(value) {
            return;
        }
        let start = self.text.len();
        self.text.push_str(name);
        let middle = self.text.len();
        self.text.push_str(value);
        self.lines.push(Line { name: (start, middle), value: (middle, self.text.len()), received: false });
    }

    fn at(&self, (start, end): (usize, usize)) -> &str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The lines whose names `keep` says, packed for `glue.js`, with room for more.
    pub(super) fn pack(&self, keep: impl Fn(&str) -> bool) -> String {
        let mut packed = String::with_capacity(self.text.len() + 512);
        for line in &self.lines {
            let name = self.at(line.name);
            if keep(name) {
                append(&mut packed, name, self.at(line.value));
            }
        }
        packed
    }

    /// What has become of the lines that were received: the names of those that are gone, a line each, and what is new, packed. `None`
    /// where none were received.
    pub(super) fn changes(&self) -> Option<(&str, String)> {
        let removed = self.removed.as_deref()?;
        let mut added = String::with_capacity(128);
        for line in self.lines.iter().filter(|line| !line.received) {
            append(&mut added, self.at(line.name), self.at(line.value));
        }
        Some((removed, added))
    }
}

/// Adds one line to a packed section. A value with a line feed can't be a header's, and is left out.
pub(super) fn add(packed: &mut String, name: &str, value: &str) {
    if is_one_line(value) {
        append(packed, name, value);
    }
}

fn is_one_line(value: &str) -> bool {
    !value.bytes().any(|byte| matches!(byte, b'\n' | b'\r' | 0))
}

fn append(packed: &mut String, name: &str, value: &str) {
    packed.push_str(name);
    packed.push('\n');
    packed.push_str(value);
    packed.push('\n');
}

impl Fields for Lines {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines.iter().map(|line| (self.at(line.name), self.at(line.value).as_bytes()))
    }
}

impl FieldsMut for Lines {
    fn empty() -> Self {
        Self { text: String::with_capacity(512), lines: Vec::with_capacity(16), removed: None }
    }

    fn of_meta(meta: &Meta) -> Self {
        let mut lines = Self::empty();
        for (name, value) in meta.iter() {
            lines.push(name, value);
        }
        lines
    }

    fn append(&mut self, name: &'static str, value: &[u8]) {
        self.push(name, value);
    }

    fn remove(&mut self, name: &str) {
        let (text, mut received) = (&self.text, false);
        self.lines.retain(|line| {
            let is_it = text.get(line.name.0..line.name.1) == Some(name);
            received |= is_it && line.received;
            !is_it
        });
        if let Some(removed) = self.removed.as_mut().filter(|_| received) {
            removed.push_str(name);
            removed.push('\n');
        }
    }
}
