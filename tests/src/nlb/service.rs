//! Configurations to apply.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use serde_json::{Value, json};

use crate::topology::Topology;

/// One load balancer and its target group, in the shape of lb.json. [`Self::json`] makes it.
#[derive(Clone, Debug)]
pub struct Service {
    /// Name of load balancer and target group.
    pub name: String,
    /// Virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// `TCP`, `UDP` or `TCP_UDP`.
    pub protocol: &'static str,
    /// Port of the listener.
    pub port: u16,
    /// Targets.
    pub targets: Vec<SocketAddr>,
    /// `preserve_client_ip.enabled`.
    pub preserve_client_ip: bool,
    /// `tcp.idle_timeout.seconds` of the listener, if not the default.
    pub idle_s: Option<u32>,
}

impl Service {
    /// A service at `addresses`, on all targets of the network, both families, at the same port.
    pub fn new(network: &Topology, name: &str, protocol: &'static str, addresses: &[IpAddr], port: u16) -> Self {
        let families = addresses.iter().map(IpAddr::is_ipv4).collect::<BTreeSet<_>>();
        let all = network.targets.iter().flat_map(|target| target.addrs());
        let targets = all.filter(|addr| families.contains(&addr.is_ipv4())).map(|addr| SocketAddr::new(addr, port));
        Self {
            name: name.to_owned(),
            addresses: addresses.to_vec(),
            protocol,
            port,
            targets: targets.collect(),
            preserve_client_ip: true,
            idle_s: None,
        }
    }

    /// With or without client IP preservation.
    pub const fn preserving(mut self, preserve: bool) -> Self {
        self.preserve_client_ip = preserve;
        self
    }

    /// With an idle timeout.
    pub const fn idle(mut self, seconds: u32) -> Self {
        self.idle_s = Some(seconds);
        self
    }

    /// The configuration file of these services.
    pub fn json(services: &[Self]) -> Value {
        json!({
            "load_balancers": services.iter().map(Self::load_balancer).collect::<Vec<_>>(),
            "target_groups": services.iter().map(Self::target_group).collect::<Vec<_>>(),
        })
    }

    fn load_balancer(&self) -> Value {
        let mut listener = json!({ "protocol": self.protocol, "port": self.port, "target_group": self.name });
        if let Some(idle) = self.idle_s {
            listener["attributes"] = json!({ "tcp.idle_timeout.seconds": idle.to_string() });
        }
        json!({ "name": self.name, "addresses": self.addresses, "listeners": [listener] })
    }

    fn target_group(&self) -> Value {
        let target = |addr: &SocketAddr| json!({ "id": addr.ip(), "port": addr.port() });
        json!({
            "name": self.name,
            "protocol": self.protocol,
            "port": self.port,
            "target_type": "ip",
            "attributes": { "preserve_client_ip.enabled": self.preserve_client_ip.to_string() },
            "targets": self.targets.iter().map(target).collect::<Vec<_>>(),
        })
    }
}
