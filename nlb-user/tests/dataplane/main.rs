//! The data plane on a real kernel: each test in a network namespace and on a BPF file system of its own. Needs root;
//! without it, every test says that it is skipped.

#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

mod flows;
mod links;
mod maps;
mod sandbox;
mod start;
mod sweep;
