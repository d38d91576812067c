//! What kernel tests, the demo and the benchmarks share.
//!
//! From the bottom up: [`netns`] makes network namespaces, [`topology`] a whole network of them, [`server`] and
//! [`client`] talk across it, with frames of their own making by [`wire`], and [`nlb`] runs the real binary in the
//! middle, and [`aws`] speaks to its API. Apart from these, [`golden`] runs single packets ([`packet`]) through the program with no network at all.
//!
//! Everything here belongs to the process that made it and ends with it, however it ends.

pub mod aws;
pub mod client;
pub mod golden;
pub mod netns;
pub mod nlb;
pub mod packet;
pub mod server;
pub mod topology;
pub mod wire;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Fails, with a sentence that says what to do, unless the process is root.
pub fn require_root() -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    bail!("this makes network namespaces and loads BPF programs, which only root may do: `cargo xtask test` uses sudo")
}

/// Asks `done` again and again, for at most `limit`, until it says yes; fails with `what` was waited for.
pub fn wait_for(what: &str, limit: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !done()? {
        if start.elapsed() > limit {
            bail!("waited {limit:?} in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
