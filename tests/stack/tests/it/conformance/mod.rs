//! What the standards ask of a shared cache, case by case, end to end through both hosts of the edge: RFC 9111, the parts of RFC 9110 that a
//! cache answers by itself (conditional requests, ranges), RFC 5861, 8246, 9211, 9213 and 9875, and No-Vary-Search.
//!
//! A case is a name, the section of the standard, and steps. `cargo test -p stack --test it -- native::conformance::vary` runs an area.
//! Where the standard leaves a choice, the case says what this cache has chosen (`cache/README.md`).
//!
//! Time is told by `Age`, `Date` and `Last-Modified` rather than waited for.

mod play;
mod step;

/// The cases of an area. `on HOST: "reason"` where a runtime keeps one of the hosts from it.
macro_rules! conformance {
    ($($name:ident $section:literal $(on $host:ident: $why:literal)? => [$($step:expr),+ $(,)?];)+) => {
        pub(crate) const CASES: &[$crate::runner::Case] = &[$($crate::runner::Case {
            module: module_path!(),
            name: stringify!($name),
            hosts: cases!(@hosts $($host)?),
            run: |site| Box::pin(super::play::play(site, module_path!(), stringify!($name), $section, vec![$($step),+])),
        }),+];
    };
}

mod age;
mod cache_status;
mod conditional;
mod control_request;
mod control_response;
mod control_syntax;
mod credentials;
mod expires;
mod fields;
mod freshness;
mod groups;
mod heuristic;
mod invalidation;
mod method;
mod partial;
mod search;
mod stale;
mod status;
mod targeted;
mod validation;
mod vary;

/// All areas.
pub(crate) const AREAS: &[&[crate::runner::Case]] = &[
    age::CASES,
    cache_status::CASES,
    conditional::CASES,
    control_request::CASES,
    control_response::CASES,
    control_syntax::CASES,
    credentials::CASES,
    expires::CASES,
    fields::CASES,
    freshness::CASES,
    groups::CASES,
    heuristic::CASES,
    invalidation::CASES,
    method::CASES,
    partial::CASES,
    search::CASES,
    stale::CASES,
    status::CASES,
    targeted::CASES,
    validation::CASES,
    vary::CASES,
];
