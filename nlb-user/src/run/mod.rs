//! `nlb run`: the controller of a node, from its start to its end.
//!
//! `start` is the way up: nothing is touched before everything that can be wrong with the arguments, the files and
//! the machine has been looked at. [`serve`] is the loop, [`controller`] what it decides by.

pub mod addresses;
mod backend;
pub mod controller;
mod doors;
pub mod jobs;
mod notify;
mod plane;
pub mod serve;
mod start;
mod sweeper;
pub mod view;

use std::{
    collections::BTreeSet,
    io::IsTerminal as _,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use tracing::warn;
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{failure, output::print},
    control::Request,
    dataplane::{Dataplane, Inspect, Pins, XdpMode},
    manifest::{self, read_text},
    net::{Interface, Net, privileges},
    node::Node,
};

/// What the controller is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's settings.
    pub node: Node,
    /// The file they are from, if it was named.
    pub node_file: Option<PathBuf>,
    /// Whether packets are forwarded.
    pub dataplane: bool,
    /// Names of the interfaces to attach to; at least one if packets are forwarded.
    pub interfaces: Vec<String>,
    /// The file that is the desired state.
    pub apply: Option<PathBuf>,
    /// Where the program runs.
    pub mode: XdpMode,
    /// Whether what an earlier controller left is removed first.
    pub fresh: bool,
    /// Whether the data plane is removed at the end.
    pub detach_on_exit: bool,
}

/// Logs to standard error. `level` goes before `RUST_LOG`. A level alone is the controller's; its libraries only warn.
///
/// # Errors
/// If one of them cannot be understood.
pub fn start_logging(level: Option<&str>) -> Result<()> {
    let from_env = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let directives = level.map(str::to_owned).or(from_env).unwrap_or_else(|| "info".to_owned());
    let filter = match directives.contains(['=', ',']) {
        true => directives.clone(),
        false => format!("warn,nlb_user={directives}"),
    };
    let filter = EnvFilter::try_new(filter)
        .with_context(|| format!("cannot log at {directives:?}: give error, warn, info or debug"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    Ok(())
}

/// Runs the controller until it is told to stop.
///
/// # Errors
/// If it cannot start; nothing is left half done then.
pub fn run(options: Options) -> Result<()> {
    let desired = options.apply.as_deref().map(read_request).transpose()?;
    runtime()?.block_on(start::start(options, desired))
}

/// Removes everything that this node's controllers have left in the kernel, and gives its addresses up.
///
/// # Errors
/// If a controller is running, or something cannot be removed.
pub fn detach(node: &Node) -> Result<()> {
    privileges().map_err(|finding| anyhow::anyhow!("{finding}"))?;
    let pins = Pins::new(&node.bpffs);
    let _lock = pins.lock()?;
    if let Ok(inspect) = Inspect::open(&pins) {
        let addresses = inspect.actual()?.vips.into_keys().map(IpAddr::from).collect();
        runtime()?.block_on(async {
            let net = Net::open().await?;
            release(&net, &net.interfaces().await?, addresses).await;
            anyhow::Ok(())
        })?;
    }
    print(&(start::told(&Dataplane::remove(&pins)?) + "\n"))?;
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime; check the limits of threads and open files")
}

/// Reads a file that is to be the desired state, to know that it is one.
fn read_request(path: &Path) -> Result<Request> {
    let (text, file) = (read_text(path)?, path.display().to_string());
    manifest::read(&text, &file)?;
    Ok(Request::Apply { text, file, dry_run: false })
}

/// Gives addresses up, wherever they were claimed.
async fn release(net: &Net, interfaces: &[Interface], addresses: BTreeSet<IpAddr>) {
    for address in addresses {
        for interface in interfaces {
            if let Err(error) = net.release(interface.index, address).await {
                warn!("{address} stays on {}: {}", interface.name, failure::text(&error));
            }
        }
    }
}
