//! The gateway behind the edge: TLS, trust, the native edge and shield cache, the way to the apps, health, and the signing
//! of object URLs.
//!
//! ```text
//! listen ▸ trust ▸ [edge, if not yet done] ▸ shield cache ▸ app
//!                                            ◂ hand-off → presigned redirect ◂
//! ```
//!
//! `main.rs` is the way in, [`run`](run::run) the order of events, `service.rs` what happens to a request.

pub mod access;
pub mod acme;
mod address;
pub mod admin;
mod assets;
pub mod body;
pub mod buckets;
pub mod chunk_log;
mod collapse;
mod compress;
pub mod config;
mod conversation;
mod cores;
pub mod cost;
pub mod drain;
mod endless;
mod expiry;
pub mod explain;
mod files;
mod filtering;
pub mod flights;
mod forwarded;
pub mod gateway;
mod hand_off;
pub mod handover;
mod head;
pub mod health;
mod limits;
mod listen;
pub mod metrics;
mod native;
pub mod orders;
mod panics;
pub mod ranges;
mod redirect;
pub mod run;
mod service;
mod service_manager;
pub mod sites;
pub mod storage;
pub mod store;
pub mod telemetry;
mod timing;
mod traces;
pub mod trust;
mod turnstile;
mod upgrade;
mod uploads;
mod upstream;
pub mod versions;
mod web;
mod webhooks;
mod websocket;
mod zone_cache;
