//! The network, the servers and the configuration of the demo.

use std::{net::IpAddr, path::Path};

use anyhow::Result;
use nlb_tests::{
    aws::API,
    netns::{BPFFS, BpfFs},
    nlb::{
        Options,
        inventory::{self, instance},
    },
    server::{Nginx, UdpServer},
    topology::{Arms, Plan, Topology, vip4, vip6},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{keeper, traffic::Way};

/// Port of the HTTP listeners.
pub const HTTP: u16 = 80;
/// Port of the UDP listener and of the targets' UDP servers.
pub const ECHO: u16 = 9000;
/// Port of the targets' HTTP servers.
const BACKEND: u16 = 8080;

/// A target group of all targets.
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// Its protocol.
    pub protocol: &'static str,
    /// Its targets' port.
    pub port: u16,
    /// How clients get there, and what its targets see of them.
    pub way: Way,
}

/// A load balancer of one address, and its listeners: protocol, port, target group.
pub struct Balancer {
    /// Its name.
    pub name: &'static str,
    /// Its family, and which of the addresses it has.
    pub way: Way,
    /// What it serves.
    pub listeners: &'static [(&'static str, u16, &'static str)],
}

const V4: Way = Way { v6: false, preserving: true };
const V6: Way = Way { v6: true, preserving: true };
const V4_TRANSLATED: Way = Way { v6: false, preserving: false };
const V6_TRANSLATED: Way = Way { v6: true, preserving: false };

/// The target groups: a group has one address family, and says whether its targets see clients' addresses.
pub const GROUPS: [Group; 5] = [
    Group { name: "web", protocol: "TCP", port: BACKEND, way: V4 },
    Group { name: "web-v6", protocol: "TCP", port: BACKEND, way: V6 },
    Group { name: "web-translated", protocol: "TCP", port: BACKEND, way: V4_TRANSLATED },
    Group { name: "web-translated-v6", protocol: "TCP", port: BACKEND, way: V6_TRANSLATED },
    Group { name: "echo", protocol: "UDP", port: ECHO, way: V4 },
];

/// The load balancers.
pub const BALANCERS: [Balancer; 4] = [
    Balancer { name: "demo", way: V4, listeners: &[("TCP", HTTP, "web"), ("UDP", ECHO, "echo")] },
    Balancer { name: "demo-v6", way: V6, listeners: &[("TCP", HTTP, "web-v6")] },
    Balancer { name: "demo-translated", way: V4_TRANSLATED, listeners: &[("TCP", HTTP, "web-translated")] },
    Balancer { name: "demo-translated-v6", way: V6_TRANSLATED, listeners: &[("TCP", HTTP, "web-translated-v6")] },
];

impl Group {
    /// Whether its targets are named by instance: those see their clients' addresses without being told to.
    pub const fn is_of_instances(&self) -> bool {
        self.way.preserving && !self.way.v6
    }

    /// What a target is called here.
    pub fn target(&self, network: &Topology, n: usize) -> String {
        match (self.is_of_instances(), self.way.v6) {
            (true, _) => instance(n),
            (false, true) => network.targets[n].v6.to_string(),
            (false, false) => network.targets[n].v4.to_string(),
        }
    }
}

/// Which of the virtual addresses of its family a way has.
pub fn number(way: Way) -> u8 {
    u8::from(!way.preserving)
}

/// The load balancer's address on a way.
pub fn address(way: Way) -> IpAddr {
    if way.v6 { vip6(number(way)).into() } else { vip4(number(way)).into() }
}

/// Everything but the load balancer. Goes when it is dropped, the servers first.
pub struct Scene {
    _servers: Vec<(Nginx, UdpServer)>,
    /// Clients, the balancer's namespace, targets.
    pub network: Topology,
    bpffs: Option<BpfFs>,
    _files: TempDir,
}

impl Scene {
    /// Builds it; with names that people can use if it is to be kept.
    pub fn build(keep: bool) -> Result<Self> {
        let prefix = keep.then(|| keeper::PREFIX.to_owned());
        let network = Topology::build(&Plan { arms: Arms::Two, prefix, ..Plan::default() })?;
        let files = tempfile::Builder::new().prefix(&format!("nlb-{}-", std::process::id())).tempdir()?;
        let bpffs = keep.then(|| BpfFs::mount(&keeper::bpffs())).transpose()?;
        let servers = network
            .targets
            .iter()
            .map(|target| Ok((Nginx::start(target, BACKEND, files.path())?, UdpServer::start(target, ECHO)?)));
        Ok(Self { _servers: servers.collect::<Result<_>>()?, network, bpffs, _files: files })
    }

    /// How to run the balancer here.
    pub fn options(&self, binary: &Path) -> Options {
        let bpffs = self.bpffs.as_ref().map_or(Path::new(BPFFS), BpfFs::path);
        Options {
            binary: Some(binary.to_owned()),
            bpffs: bpffs.join("nlb"),
            interfaces: self.network.interfaces().to_owned(),
            env: Vec::new(),
            inventory: inventory::toml(&self.network),
            args: vec!["--api".to_owned(), API.to_owned()],
            ..Options::default()
        }
    }

    /// A target as the command line names it, in each group.
    pub fn members(&self, target: usize) -> Vec<(&'static str, String)> {
        GROUPS.iter().map(|group| (group.name, group.target(&self.network, target))).collect()
    }

    /// The desired state as a file, for machines without the `aws` client.
    pub fn config(&self) -> Value {
        let balancer = |it: &Balancer| {
            let listener = |(protocol, port, group): &(&str, u16, &str)| json!({ "protocol": protocol, "port": port, "target_group": group });
            json!({
                "name": it.name, "addresses": [address(it.way)],
                "listeners": it.listeners.iter().map(listener).collect::<Vec<_>>(),
            })
        };
        let group = |it: &Group| {
            let targets = (0..self.network.targets.len()).map(|n| json!({ "id": it.target(&self.network, n) }));
            json!({
                "name": it.name, "protocol": it.protocol, "port": it.port,
                "target_type": if it.is_of_instances() { "instance" } else { "ip" },
                "attributes": { "preserve_client_ip.enabled": it.way.preserving.to_string() },
                "targets": targets.collect::<Vec<_>>(),
            })
        };
        json!({
            "load_balancers": BALANCERS.iter().map(balancer).collect::<Vec<_>>(),
            "target_groups": GROUPS.iter().map(group).collect::<Vec<_>>(),
        })
    }
}
