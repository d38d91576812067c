//! `nlb explain`: which target a connection has or would get, and why.

use std::net::SocketAddr;

use anyhow::Result;
use clap::ValueEnum;
use nlb_common::{Addr, Be16, FlowKey, flow};

use super::{
    inspect,
    output::{Output, Show},
};
use crate::{
    explain::{Explanation, Question, explain},
    node::Node,
};

/// Arguments of `nlb explain`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Transport protocol
    #[arg(value_enum)]
    protocol: Protocol,
    /// The client: ADDR:PORT, IPv6 as [ADDR]:PORT
    #[arg(value_name = "CLIENT:PORT")]
    client: SocketAddr,
    /// The load balancer: ADDR:PORT
    #[arg(value_name = "VIP:PORT")]
    vip: SocketAddr,
    /// Sequence number of the SYN, on which the choice of a new connection's target depends
    #[arg(long, value_name = "N")]
    seq: Option<u32>,
}

/// Transport protocols.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Protocol {
    Tcp,
    Udp,
}

/// Explains.
///
/// # Errors
/// If there are no maps.
pub fn execute(args: Args, node: &Node, output: &Output) -> Result<()> {
    anyhow::ensure!(
        args.client.is_ipv4() == args.vip.is_ipv4(),
        "{} and {} are of different address families; give both as IPv4 or both as IPv6",
        args.client.ip(),
        args.vip.ip()
    );
    let proto = match args.protocol {
        Protocol::Tcp => flow::TCP,
        Protocol::Udp => flow::UDP,
    };
    let (src, dst) = (Addr::from(args.client.ip()), Addr::from(args.vip.ip()));
    let key = FlowKey::new(src, dst, Be16::new(args.client.port()), Be16::new(args.vip.port()), proto);
    output.show(&explain(&inspect::Maps::read(node)?, Question { key, seq: args.seq }))
}

impl Show for Explanation {
    fn text(&self) -> String {
        self.steps.iter().map(|step| format!("{:<9} {}\n", step.what, step.finding)).collect()
    }
}
