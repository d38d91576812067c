//! `nlb run`: the controller's arguments.

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;

use crate::{dataplane::XdpMode, node::Node, run};

/// Arguments of `nlb run`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The interfaces to attach to
    #[arg(long, value_name = "IF[,IF..]", value_delimiter = ',', required_unless_present = "detach")]
    iface: Vec<String>,
    /// Where the desired state is stored [default: state_dir of node.toml]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The file that is the desired state: replaces the stored one, and is read again on SIGHUP
    #[arg(long, value_name = "FILE")]
    apply: Option<PathBuf>,
    /// Where the program runs: in the driver, or in the kernel's stack, which is slower
    #[arg(long, value_enum, default_value_t)]
    xdp_mode: Mode,
    /// Remove what an earlier controller left in the kernel, flows included, and start afresh
    #[arg(long, conflicts_with = "detach")]
    fresh: bool,
    /// Remove everything from the kernel, release the addresses, and exit
    #[arg(long, conflicts_with_all = ["apply", "detach_on_exit"])]
    detach: bool,
    /// Do that when told to stop, instead of leaving the data plane to forward
    #[arg(long)]
    detach_on_exit: bool,
}

/// Where the program runs.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Mode {
    /// In the driver
    #[default]
    Native,
    /// In the kernel's network stack
    Generic,
}

/// Runs the controller until it is told to stop.
///
/// # Errors
/// If it cannot start, or if the data plane is taken from it.
pub fn execute(args: Args, mut node: Node, log: Option<&str>) -> Result<()> {
    if let Some(state) = args.state {
        node.state_dir = state;
    }
    run::start_logging(log)?;
    if args.detach {
        return run::detach(&node);
    }
    run::run(run::Options {
        node,
        interfaces: args.iface,
        apply: args.apply,
        mode: match args.xdp_mode {
            Mode::Native => XdpMode::Native,
            Mode::Generic => XdpMode::Generic,
        },
        fresh: args.fresh,
        detach_on_exit: args.detach_on_exit,
    })
}
