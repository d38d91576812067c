//! `nlb flow`: list or end connections.

use std::{net::SocketAddr, str::FromStr};

use anyhow::Result;
use clap::Subcommand;
use nlb_common::{
    Flow, FlowKey, Reason,
    flow::{flag, phase},
};
use serde::Serialize;

use super::{
    inspect,
    output::{Output, Show, grouped, render, span, table},
};
use crate::{
    dataplane::{self, FlowTables},
    explain::{protocol, socket},
    node::Node,
};

/// What can be done with connections.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List connections
    List {
        /// Which connections
        #[command(flatten)]
        filter: Filter,
        /// Only say how many
        #[arg(long)]
        count: bool,
        /// Stop after so many
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// End connections: whoever speaks next on one gets a reset
    Delete {
        /// Which connections
        #[command(flatten)]
        filter: Filter,
        /// All of them
        #[arg(long, required_unless_present_any = ["client", "target"], conflicts_with_all = ["client", "target"])]
        all: bool,
    },
}

/// Which connections.
#[derive(clap::Args, Debug, Default)]
pub struct Filter {
    /// Only this client's
    #[arg(long, value_name = "ADDR[:PORT]")]
    client: Option<Peer>,
    /// Only this target's
    #[arg(long, value_name = "ADDR[:PORT]")]
    target: Option<Peer>,
}

/// An address, and perhaps a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Peer {
    addr: std::net::IpAddr,
    port: Option<u16>,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = text.parse::<SocketAddr>().map(|it| Self { addr: it.ip(), port: Some(it.port()) });
        whole
            .or_else(|_| text.trim_matches(['[', ']']).parse().map(|addr| Self { addr, port: None }))
            .map_err(|_| "expected an address such as 10.0.1.11, 10.0.1.11:8080, fd00::1 or [fd00::1]:8080".to_owned())
    }
}

impl Peer {
    fn is(&self, other: SocketAddr) -> bool {
        self.addr == other.ip() && self.port.is_none_or(|port| port == other.port())
    }
}

impl Filter {
    fn lets(&self, key: &FlowKey, flow: &Flow) -> bool {
        self.client.is_none_or(|client| client.is(socket(key.src, key.src_port)))
            && self.target.is_none_or(|target| target.is(socket(flow.dst, flow.dst_port)))
    }
}

/// Does it.
///
/// # Errors
/// If there are no maps.
pub fn execute(command: Command, node: &Node, output: &Output) -> Result<()> {
    let inspect = inspect::open(node)?;
    let flows = inspect.flows();
    match command {
        Command::List { filter, count: true, .. } => output.show(&Counted { flows: matching(flows, &filter)?.len() }),
        Command::List { filter, limit, .. } => {
            let found = matching(flows, &filter)?;
            let now = dataplane::now();
            let shown = found.iter().take(limit.unwrap_or(usize::MAX));
            let listed = shown.map(|(key, flow)| view(flows, key, flow, now)).collect();
            output.show(&Listed { total: found.len(), flows: listed })
        }
        Command::Delete { filter, .. } => {
            let mut ended = 0;
            for (key, flow) in matching(flows, &filter)? {
                if matches!(flow.phase, phase::OPEN | phase::OPENING) {
                    flows.end(&key, Reason::ResetTerminated)?;
                    ended += 1;
                }
            }
            output.show(&Ended { ended })
        }
    }
}

/// The client-side entries that pass the filter, in the order of their keys.
fn matching(flows: &FlowTables, filter: &Filter) -> Result<Vec<(FlowKey, Flow)>> {
    let mut found = Vec::new();
    flows.for_each(|_, key, flow| {
        if !flow.is(flag::FROM_TARGET) && filter.lets(key, flow) {
            found.push((*key, *flow));
        }
    })?;
    found.sort_by_key(|(key, _)| *key);
    // A table that changes while it is read may tell of an entry twice.
    found.dedup_by_key(|(key, _)| *key);
    Ok(found)
}

#[derive(Serialize)]
struct Counted {
    flows: usize,
}

impl Show for Counted {
    fn text(&self) -> String {
        format!("{}\n", self.flows)
    }
}

#[derive(Serialize)]
struct Ended {
    ended: usize,
}

impl Show for Ended {
    fn text(&self) -> String {
        match self.ended {
            1 => "ended 1 flow\n".to_owned(),
            n => format!("ended {n} flows\n"),
        }
    }
}

#[derive(Serialize)]
struct Listed {
    total: usize,
    flows: Vec<FlowReport>,
}

/// A connection, both directions.
#[derive(Serialize)]
struct FlowReport {
    protocol: &'static str,
    client: SocketAddr,
    vip: SocketAddr,
    target: SocketAddr,
    /// What the target sees in place of the client, if its address is translated.
    source: Option<SocketAddr>,
    state: String,
    idle_ns: u64,
    idle_timeout_s: u16,
    age_ns: u64,
    packets_from_client: u64,
    packets_from_target: u64,
    bytes_from_client: u64,
    bytes_from_target: u64,
}

fn view(flows: &FlowTables, key: &FlowKey, flow: &Flow, now: u64) -> FlowReport {
    // A target's entry that has gone leaves zeros: the data plane writes it again when it is needed.
    let pair = flows.get(&flow.pair(key.proto)).ok().flatten().map(|(_, pair)| pair).unwrap_or_default();
    FlowReport::new(key, flow, &pair, now)
}

impl FlowReport {
    fn new(key: &FlowKey, flow: &Flow, pair: &Flow, now: u64) -> Self {
        let state = match flow.phase {
            phase::ENDED => Reason::of_reset(flow.end).label().to_owned(),
            phase::CLOSED => "closed".to_owned(),
            phase::OPENING => "half-open".to_owned(),
            _ if flow.is(flag::FIN) || pair.is(flag::FIN) => "closing".to_owned(),
            _ => "open".to_owned(),
        };
        Self {
            protocol: protocol(key.proto),
            client: socket(key.src, key.src_port),
            vip: socket(key.dst, key.dst_port),
            target: socket(flow.dst, flow.dst_port),
            source: flow.is(flag::SNAT).then(|| socket(flow.src, flow.src_port)),
            state,
            idle_ns: now.saturating_sub(flow.stamp.max(pair.stamp)),
            idle_timeout_s: flow.idle_s,
            age_ns: now.saturating_sub(flow.created),
            packets_from_client: flow.packets,
            packets_from_target: pair.packets,
            bytes_from_client: flow.bytes,
            bytes_from_target: pair.bytes,
        }
    }
}

impl Show for Listed {
    fn text(&self) -> String {
        let mut table = table(["PROTO", "CLIENT", "VIP", "TARGET", "SNAT", "STATE", "IDLE", "PACKETS"]);
        for flow in &self.flows {
            table.add_row([
                flow.protocol.to_owned(),
                flow.client.to_string(),
                flow.vip.to_string(),
                flow.target.to_string(),
                flow.source.map(|source| source.port().to_string()).unwrap_or_default(),
                flow.state.clone(),
                span(flow.idle_ns),
                grouped(flow.packets_from_client + flow.packets_from_target),
            ]);
        }
        let rest = self.total - self.flows.len();
        match (self.total, rest) {
            (0, _) => "no flows\n".to_owned(),
            (_, 0) => render(&table),
            _ => render(&table) + &format!("and {} more\n", grouped(rest as u64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nlb_common::{Addr, Be16, flow::SECOND};

    fn peer(text: &str) -> Option<(String, Option<u16>)> {
        text.parse::<Peer>().ok().map(|peer| (peer.addr.to_string(), peer.port))
    }

    #[test]
    fn peers_with_and_without_port() {
        assert_eq!(peer("10.0.0.1"), Some(("10.0.0.1".into(), None)));
        assert_eq!(peer("10.0.0.1:80"), Some(("10.0.0.1".into(), Some(80))));
        assert_eq!(peer("fd00::1"), Some(("fd00::1".into(), None)));
        assert_eq!(peer("[fd00::1]"), Some(("fd00::1".into(), None)));
        assert_eq!(peer("[fd00::1]:80"), Some(("fd00::1".into(), Some(80))));
        assert_eq!(peer("web"), None);
    }

    fn flow() -> (FlowKey, Flow, Flow) {
        let (client, vip) = (Addr::v4([198, 18, 1, 1]), Addr::v4([198, 18, 0, 10]));
        let key = FlowKey::new(client, vip, Be16::new(40000), Be16::new(80), 6);
        let to = FlowKey {
            src: key.dst,
            src_port: Be16::new(2048),
            dst: Addr::v4([10, 0, 1, 11]),
            dst_port: Be16::new(8080),
            ..key
        };
        let counts = Flow { packets: 5, bytes: 1500, stamp: 90 * SECOND, idle_s: 350, ..Flow::rewriting(&key, &to) };
        let flow = Flow { flags: flag::SNAT, ..counts };
        let pair = Flow { packets: 4, bytes: 2500, stamp: 95 * SECOND, ..flow.derive_pair(&key) };
        (key, flow, pair)
    }

    #[test]
    fn a_flow_in_a_table() {
        let (key, flow, pair) = flow();
        let report = FlowReport::new(&key, &flow, &pair, 100 * SECOND);
        let listed = Listed { total: 3, flows: vec![report] };
        let expected = "\
PROTO  CLIENT            VIP             TARGET          SNAT  STATE  IDLE  PACKETS
TCP    198.18.1.1:40000  198.18.0.10:80  10.0.1.11:8080  2048  open   5.0s  9
and 2 more
";
        assert_eq!(listed.text(), expected);
        assert!(listed.text().lines().all(|line| line.len() <= 100), "{}", listed.text());
    }

    #[test]
    fn filters_look_at_both_ends() {
        let (key, flow, _) = flow();
        let lets = |client: Option<&str>, target: Option<&str>| {
            let parse = |text: Option<&str>| text.map(|text| text.parse().unwrap());
            Filter { client: parse(client), target: parse(target) }.lets(&key, &flow)
        };
        assert!(lets(None, None));
        assert!(lets(Some("198.18.1.1"), Some("10.0.1.11:8080")));
        assert!(!lets(Some("198.18.1.1:1"), None));
        assert!(!lets(None, Some("10.0.1.12")));
    }
}
