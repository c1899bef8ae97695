//! The real gateway between scripted clients and scripted apps, so that every fault is exact.

mod activation;
mod admin;
mod api;
mod app;
mod balance;
mod collapse;
mod compress;
mod drain;
mod faults;
mod filter;
mod gateway;
mod goaway;
mod hold;
mod http2;
mod load;
mod messages;
mod own_faults;
mod parked;
mod process;
mod purge;
mod ranges;
mod rate;
mod reload;
mod sites;
mod unix;
mod websocket;
