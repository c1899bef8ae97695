//! The real gateway between scripted clients and scripted apps, so that every fault is exact.

mod app;
mod balance;
mod compress;
mod faults;
mod gateway;
mod hold;
mod http2;
mod messages;
mod sites;
mod websocket;
