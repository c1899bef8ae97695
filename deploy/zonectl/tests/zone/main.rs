//! `zonectl` as its users run it, against a double of Cloudflare's API that refuses what the real one does (tests/deploy/src/cloudflare).

mod authority;
mod changes;
mod checklist;
mod domains;
mod export;
mod faults;
mod files;
mod leaving;
mod moving;
mod worker;
mod world;
