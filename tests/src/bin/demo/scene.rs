//! The network, the servers and the configuration of the demo.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use anyhow::Result;
use nlb_tests::{
    netns::{BPFFS, BpfFs},
    nlb::Options,
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
/// The target group whose targets see clients' addresses.
pub const PRESERVING: &str = "web";
/// The one whose targets see the balancer's.
const TRANSLATING: &str = "web-translated";
/// That of the UDP servers.
const DATAGRAMS: &str = "echo";

/// The load balancer's address on a way.
pub fn address(way: Way) -> IpAddr {
    let n = u8::from(!way.preserving);
    if way.v6 { vip6(n).into() } else { vip4(n).into() }
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
            ..Options::default()
        }
    }

    /// A target as the command line names it, in each group and family that it is in.
    pub fn members(&self, target: usize) -> Vec<(&'static str, String)> {
        let groups = [(PRESERVING, BACKEND), (TRANSLATING, BACKEND), (DATAGRAMS, ECHO)];
        let addrs = self.network.targets[target].addrs();
        let members = groups
            .iter()
            .flat_map(|(group, port)| addrs.map(|addr| (*group, SocketAddr::new(addr, *port).to_string())));
        members.collect()
    }

    /// The desired state: two load balancers on the same servers, that differ in what the servers see of clients.
    pub fn config(&self) -> Value {
        let addresses = |preserving| [false, true].map(|v6| address(Way { v6, preserving }));
        let listener = |protocol: &str, port: u16, group: &str| json!({ "protocol": protocol, "port": port, "target_group": group });
        let group = |name: &str, protocol: &str, port: u16, preserving: bool| {
            let addrs = self.network.targets.iter().flat_map(|target| target.addrs());
            json!({
                "name": name, "protocol": protocol, "port": port, "target_type": "ip",
                "attributes": { "preserve_client_ip.enabled": preserving.to_string() },
                "targets": addrs.map(|addr| json!({ "id": addr, "port": port })).collect::<Vec<_>>(),
            })
        };
        json!({
            "load_balancers": [
                { "name": "demo", "addresses": addresses(true),
                  "listeners": [listener("TCP", HTTP, PRESERVING), listener("UDP", ECHO, DATAGRAMS)] },
                { "name": "demo-translated", "addresses": addresses(false),
                  "listeners": [listener("TCP", HTTP, TRANSLATING)] },
            ],
            "target_groups": [
                group(PRESERVING, "TCP", BACKEND, true),
                group(TRANSLATING, "TCP", BACKEND, false),
                group(DATAGRAMS, "UDP", ECHO, true),
            ],
        })
    }
}
