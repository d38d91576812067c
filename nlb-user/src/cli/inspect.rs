//! What reading commands see: the pinned maps, with a controller or without.

use anyhow::{Context as _, Result};
use nlb_common::{
    Addr, Flow, FlowKey,
    hash::Secret,
    layout::{Endpoint, Group, Listener, Target, Vip},
};

use crate::{
    dataplane::{
        self, Inspect, Pins,
        ports::{self, PortSet},
    },
    explain::View,
    node::Node,
    reconcile::Actual,
};

/// Opens the node's pinned maps.
///
/// # Errors
/// If there are none, or they are of another layout, or may not be read.
pub fn open(node: &Node) -> Result<Inspect> {
    Ok(Inspect::open(&Pins::new(&node.bpffs))?)
}

/// The maps, as `nlb explain` asks for them.
pub struct Maps {
    inspect: Inspect,
    actual: Actual,
    ports: PortSet,
}

impl Maps {
    /// Reads what is configured now; flows and tables are read when they are asked for.
    ///
    /// # Errors
    /// As [`open`].
    pub fn read(node: &Node) -> Result<Self> {
        let inspect = open(node)?;
        let actual = inspect.actual()?;
        let ports = ports::in_use().context("cannot read the host's own sockets in /proc/net")?;
        Ok(Self { inspect, actual, ports })
    }
}

impl View for Maps {
    fn vip(&self, addr: &Addr) -> Option<Vip> {
        self.actual.vips.get(addr).copied()
    }

    fn listener(&self, endpoint: &Endpoint) -> Option<Listener> {
        self.actual.listeners.get(endpoint).copied()
    }

    fn group(&self, index: u32) -> Option<Group> {
        self.actual.groups.get(&index).copied()
    }

    fn target(&self, index: u32) -> Option<Target> {
        self.actual.targets.get(&index).copied()
    }

    fn table(&self, group: u32) -> Vec<u32> {
        self.inspect.table(group).unwrap_or_default()
    }

    fn flow(&self, key: &FlowKey) -> Option<Flow> {
        self.inspect.flows().get(key).ok().flatten().map(|(_, flow)| flow)
    }

    fn is_port_in_use(&self, port: u16) -> bool {
        ports::contains(&self.ports, port)
    }

    fn secret(&self) -> Secret {
        self.actual.node.secret
    }

    fn now(&self) -> u64 {
        dataplane::now()
    }

    fn interface(&self, index: u32) -> String {
        interface_name(index)
    }
}

/// An interface's name, or `#7` if it has gone or is in another namespace.
pub fn interface_name(index: u32) -> String {
    let name = nix::net::if_::if_indextoname(index).ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| format!("#{index}"))
}
