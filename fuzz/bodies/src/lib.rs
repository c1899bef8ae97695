//! What each fuzz target does with its bytes: it reads them as what comes from outside, and holds what was read to what must be true of it.
//! libfuzzer calls these with bytes of its own (`fuzz/fuzz_targets/`), `cargo test` with the corpus (`fuzz/corpus/`).

mod cache;
mod contract;
mod edge;

/// What a target does with its bytes. It panics where it finds something.
pub type Body = fn(&[u8]);

/// The targets: a name, which is also that of the corpus's folder, and the body.
pub const TARGETS: &[(&str, Body)] = &[
    ("control", cache::control),
    ("date", cache::date),
    ("range", cache::range),
    ("vary", cache::vary),
    ("no_vary_search", cache::no_vary_search),
    ("meta", cache::meta),
    ("mark", cache::mark),
    ("storing", cache::storing),
    ("signature", contract::signature),
    ("target", contract::target),
    ("facts", contract::facts),
    ("news", contract::news),
    ("counts", contract::counts),
    ("traceparent", contract::traceparent),
    ("rules", edge::rules),
    ("standing", edge::standing),
    ("look", edge::look_at),
];

/// Runs a target's body.
///
/// # Panics
/// Where there is no such target; and where what was read breaks what must be true of it, which is a finding.
pub fn run(target: &str, bytes: &[u8]) {
    let (_, body) = TARGETS.iter().find(|(name, _)| *name == target).expect("one of the targets");
    body(bytes);
}

/// The bytes as a header section: `name:value`, a line each. Names are lower-case, as hosts hand them in.
fn section(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let line = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&line[..colon]).ok()?.to_ascii_lowercase();
        Some((name, line[colon + 1..].trim_ascii().to_vec()))
    };
    bytes.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// Borrowed, as the engine reads it.
fn borrowed(section: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    section.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
}
