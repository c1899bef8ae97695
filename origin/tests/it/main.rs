//! The real gateway between scripted clients and scripted apps, so that every fault is exact.

mod app;
mod balance;
mod faults;
mod gateway;
mod hold;
mod messages;
mod sites;
