//! Certificates of creators' own domains, end to end: the gateway, Pebble as the CA, an app that is asked, and clients that come
//! with names. Every test has all of its own.

mod app;
mod ca;
mod world;

mod caddy;
mod expiry;
mod faults;
mod first_use;
mod leaving;
mod limits;
mod port_80;
mod storage;
