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
mod address;
pub mod admin;
mod assets;
pub mod body;
mod compress;
pub mod config;
mod conversation;
mod cores;
mod forwarded;
pub mod gateway;
pub mod health;
mod limits;
mod listen;
mod native;
pub mod run;
mod service;
pub mod sites;
pub mod storage;
pub mod store;
pub mod telemetry;
pub mod trust;
mod upstream;
mod websocket;
