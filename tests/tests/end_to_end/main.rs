//! Real clients and real servers in network namespaces, with the real `nlb` between them.
//!
//! Each test has a network of its own, and each ends by comparing what the balancer's interfaces received with what the
//! program has counted: no packet is lost silently.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says so by panicking")]

mod api;
mod bad_input;
mod bulk;
mod client_ip;
mod commands;
mod controller;
mod idle;
mod modes;
mod scale;
mod setup;
mod spread;
mod store;
mod unhealthy;
mod unintended;
