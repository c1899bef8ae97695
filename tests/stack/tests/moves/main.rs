//! Moving in, growing and leaving: each a drill with the real programs, on machines that are network namespaces of this one.

mod app;
mod caddy;
mod client;
mod growing;
mod machine;
