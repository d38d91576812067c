//! `nlb run`: the controller's arguments.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::{dataplane::XdpMode, node::Node, run};

/// Arguments of `nlb run`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The interfaces to attach to [default: those of the inventory's subnets in the node's zone]
    #[arg(long, value_name = "IF[,IF..]", value_delimiter = ',')]
    iface: Vec<String>,
    /// Serve the Elastic Load Balancing v2 API at this address; more than once for several [default: listen of [api]
    /// in node.toml]
    #[arg(long, value_name = "ADDR:PORT")]
    api: Vec<SocketAddr>,
    /// Serve API and commands only: no interface, no privileges, nothing is forwarded
    #[arg(long, conflicts_with_all = ["iface", "xdp_mode", "fresh", "detach", "detach_on_exit"])]
    no_dataplane: bool,
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

/// Runs the controller until it is told to stop. `node_file` is what SIGHUP reads again.
///
/// # Errors
/// If it cannot start, or if the data plane is taken from it.
pub fn execute(args: Args, mut node: Node, node_file: Option<PathBuf>, log: Option<&str>) -> Result<()> {
    if let Some(state) = args.state {
        node.state_dir = state;
    }
    run::start_logging(log)?;
    if args.detach {
        return run::detach(&node);
    }
    if !args.api.is_empty() {
        node.api.listen = args.api;
    }
    let dataplane = !args.no_dataplane;
    let interfaces = if args.iface.is_empty() { own_interfaces(&node) } else { args.iface };
    if dataplane && interfaces.is_empty() {
        bail!(
            "no interface to attach to: name them with --iface, or as `interface` of the subnets of zone {} in node.toml; \
             or serve the API alone with --no-dataplane",
            node.zone
        );
    }
    run::run(run::Options {
        node,
        node_file,
        dataplane,
        interfaces,
        apply: args.apply,
        mode: match args.xdp_mode {
            Mode::Native => XdpMode::Native,
            Mode::Generic => XdpMode::Generic,
        },
        fresh: args.fresh,
        detach_on_exit: args.detach_on_exit,
    })
}

/// The interfaces of the inventory's subnets in the node's own zone.
fn own_interfaces(node: &Node) -> Vec<String> {
    let inventory = node.inventory();
    let own = inventory.subnets.values().filter(|subnet| subnet.zone == node.zone);
    let names: BTreeSet<String> = own.filter_map(|subnet| subnet.interface.clone()).collect();
    names.into_iter().collect()
}
