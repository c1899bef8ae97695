//! The parts of a zone, each compared by itself.

pub(crate) mod dns;
pub(crate) mod dnssec;
pub(crate) mod pulls;
pub(crate) mod routes;
pub(crate) mod rules;
pub(crate) mod settings;
pub(crate) mod single;
