//! Bounds on what clients and apps may take of us: connections, bodies, requests in flight.

pub(crate) mod concurrency;
pub(crate) mod connections;
pub(crate) mod descriptors;
pub(crate) mod rate;
pub(crate) mod upload;
