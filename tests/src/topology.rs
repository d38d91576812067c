//! The network of the tests and of the demo: clients, the balancer and targets, joined by a switch.
//!
//! ```text
//!   client 0   client 1   ...      198.18.0.101, .102, ...    2001:db8::101, ::102, ...
//!       |          |
//!  =====+==========+=====+======   client side: VIPs from 198.18.0.10 and 2001:db8::10 on
//!                        |
//!                    balancer      .1 and ::1 on both sides; with two arms eth0 above and eth1 below,
//!                        |         with one arm only eth0, and the two sides are one
//!  =====+==========+=====+======   target side
//!       |          |
//!   target 0   target 1   ...      10.0.1.11, .12, ...        fd00:1::11, ::12, ...
//! ```
//!
//! Clients find VIPs as neighbours. The balancer is everybody's router, so targets answer through it: client addresses
//! can only be preserved if answers come back the way requests came.
//!
//! # What native XDP needs of veth
//!
//! - Checksums and segmentation are done where packets are made (`tx off`). Otherwise the sender leaves them to a
//!   device that does not exist: the program gets 64 KiB frames with half a checksum, its incremental update keeps them
//!   wrong, and a frame above the MTU is dropped when it is sent on.
//! - The same on the switch's ports: received segments may have been put together there, and have to be taken apart
//!   again, with real checksums, on their way to the balancer.
//! - The port that faces the balancer has `gro on`: a veth takes redirected frames from its other end only while it runs
//!   its receive queue by NAPI, which GRO or an XDP program starts. (For frames sent by `XDP_TX` only a program would
//!   do: without one `veth_xdp_flush` does not wake the queue. The balancer sends them by redirect on veth.)

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use anyhow::Result;

use crate::{
    netns::{Netns, Offload},
    wait_for,
};

/// How the balancer is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Arms {
    /// One interface: packets leave where they came in (`XDP_TX`).
    #[default]
    One,
    /// `eth0` to clients, `eth1` to targets: packets are redirected.
    Two,
}

/// What to build.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many clients; at most 100.
    pub clients: usize,
    /// How many targets; at most 200.
    pub targets: usize,
    /// How the balancer is connected.
    pub arms: Arms,
    /// With a prefix, namespaces are called `PREFIX-client-0` and so on, and people can enter them.
    pub prefix: Option<String>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { clients: 2, targets: 4, arms: Arms::One, prefix: None }
    }
}

/// A namespace with its addresses.
#[derive(Debug)]
pub struct Host {
    /// Its name: `client-0`, `target-3`, `balancer`.
    pub name: String,
    /// Where it is.
    pub ns: Netns,
    /// IPv4 address; of the balancer, its own on the target side.
    pub v4: Ipv4Addr,
    /// IPv6 address, likewise.
    pub v6: Ipv6Addr,
}

impl Host {
    /// The address of the same family as `like`.
    pub fn addr(&self, like: IpAddr) -> IpAddr {
        if like.is_ipv4() { self.v4.into() } else { self.v6.into() }
    }

    /// Both addresses.
    pub fn addrs(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

/// The network.
#[derive(Debug)]
pub struct Topology {
    /// Clients.
    pub clients: Vec<Host>,
    /// The balancer, with nothing running on it.
    pub balancer: Host,
    /// Targets.
    pub targets: Vec<Host>,
    /// The cables.
    pub switch: Netns,
    /// How the balancer is connected.
    pub arms: Arms,
}

/// The `n`-th virtual address: 198.18.0.10 and up. At most 90.
pub const fn vip4(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 0, 10 + n)
}

/// The `n`-th virtual address: 2001:db8::10 and up.
pub const fn vip6(n: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10 + n as u16)
}

/// Both `n`-th virtual addresses.
pub const fn vips(n: u8) -> [IpAddr; 2] {
    [IpAddr::V4(vip4(n)), IpAddr::V6(vip6(n))]
}

/// A side of the balancer: its bridge, and what all addresses on it begin with.
struct Side {
    bridge: &'static str,
    v4: [u8; 3],
    v6: [u16; 4],
}

const CLIENTS: Side = Side { bridge: "clients", v4: [198, 18, 0], v6: [0x2001, 0xdb8, 0, 0] };
const TARGETS: Side = Side { bridge: "targets", v4: [10, 0, 1], v6: [0xfd00, 1, 0, 0] };

impl Side {
    const fn v4(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(self.v4[0], self.v4[1], self.v4[2], host)
    }

    const fn v6(&self, host: u16) -> Ipv6Addr {
        Ipv6Addr::new(self.v6[0], self.v6[1], self.v6[2], self.v6[3], 0, 0, 0, host)
    }

    /// Lines for `ip -batch` that give an interface a host's addresses.
    fn addresses(&self, interface: &str, v4: Ipv4Addr, v6: Ipv6Addr) -> String {
        format!("addr add {v4}/24 dev {interface}\naddr add {v6}/64 dev {interface} nodad\n")
    }

    /// Lines for `ip -batch` that lead everywhere else through the balancer.
    fn default_route(&self) -> String {
        format!("route add default via {}\nroute add default via {}\n", self.v4(1), self.v6(1))
    }
}

impl Topology {
    /// The default network: one arm, two clients, four targets.
    pub fn new() -> Result<Self> {
        Self::build(&Plan::default())
    }

    /// Builds a network.
    pub fn build(plan: &Plan) -> Result<Self> {
        let make = |name: &str| match &plan.prefix {
            Some(prefix) => Netns::named(&format!("{prefix}-{name}")),
            None => Netns::new(name),
        };
        let switch = make("switch")?;
        let two = plan.arms == Arms::Two;
        let target_bridge = if two { TARGETS.bridge } else { CLIENTS.bridge };
        let mut bridges = String::new();
        for bridge in if two { &[CLIENTS.bridge, TARGETS.bridge][..] } else { &[CLIENTS.bridge] } {
            writeln!(bridges, "link add {bridge} type bridge stp_state 0 mcast_snooping 0\nlink set {bridge} up")?;
        }
        switch.ip(&bridges)?;

        let host = |name: String, v4, v6| -> Result<Host> {
            let ns = make(&name)?;
            quick_addresses(&ns)?;
            Ok(Host { name, ns, v4, v6 })
        };
        let balancer = host("balancer".to_owned(), TARGETS.v4(1), TARGETS.v6(1))?;
        let clients = (0..plan.clients)
            .map(|n| host(format!("client-{n}"), CLIENTS.v4(101 + n as u8), CLIENTS.v6(0x101 + n as u16)))
            .collect::<Result<Vec<_>>>()?;
        let targets = (0..plan.targets)
            .map(|n| host(format!("target-{n}"), TARGETS.v4(11 + n as u8), TARGETS.v6(0x11 + n as u16)))
            .collect::<Result<Vec<_>>>()?;

        connect(&switch, CLIENTS.bridge, "to-balancer-0", &balancer.ns, "eth0")?;
        if two {
            connect(&switch, TARGETS.bridge, "to-balancer-1", &balancer.ns, "eth1")?;
        }
        let own = CLIENTS.addresses("eth0", CLIENTS.v4(1), CLIENTS.v6(1))
            + &TARGETS.addresses(if two { "eth1" } else { "eth0" }, balancer.v4, balancer.v6);
        balancer.ns.ip(&own)?;
        route_on(&balancer.ns, if two { &["eth0", "eth1"] } else { &["eth0"] })?;
        for (n, client) in clients.iter().enumerate() {
            connect(&switch, CLIENTS.bridge, &format!("to-client-{n}"), &client.ns, "eth0")?;
            client.ns.ip(&(CLIENTS.addresses("eth0", client.v4, client.v6) + &CLIENTS.default_route()))?;
        }
        for (n, target) in targets.iter().enumerate() {
            connect(&switch, target_bridge, &format!("to-target-{n}"), &target.ns, "eth0")?;
            target.ns.ip(&(TARGETS.addresses("eth0", target.v4, target.v6) + &TARGETS.default_route()))?;
        }
        Ok(Self { clients, balancer, targets, switch, arms: plan.arms })
    }

    /// The balancer's interfaces, as `--iface` takes them.
    pub const fn interfaces(&self) -> &'static str {
        match self.arms {
            Arms::One => "eth0",
            Arms::Two => "eth0,eth1",
        }
    }

    /// Leaves the namespaces on the machine. Only with a prefix.
    pub fn keep(&mut self) {
        let hosts = self.clients.iter_mut().chain(&mut self.targets).chain([&mut self.balancer]);
        hosts.for_each(|host| host.ns.keep());
        self.switch.keep();
    }
}

/// Joins a host to a bridge of the switch.
fn connect(switch: &Netns, bridge: &str, port: &str, host: &Netns, interface: &str) -> Result<()> {
    switch.ip(&format!(
        "link add {port} type veth peer name {interface} netns {}\nlink set {port} master {bridge} up",
        host.path().display()
    ))?;
    switch.offload(port, &[(Offload::TxChecksum, false), (Offload::Gro, true)])?;
    host.offload(interface, &[(Offload::TxChecksum, false)])?;
    host.ip(&format!("link set {interface} up"))
}

/// Makes IPv6 addresses usable at once: nobody else is here who could have them.
fn quick_addresses(ns: &Netns) -> Result<()> {
    for scope in ["all", "default"] {
        ns.sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "0")?;
        ns.sysctl(&format!("net/ipv6/conf/{scope}/accept_ra"), "0")?;
    }
    Ok(())
}

/// Makes the balancer a router, and one that takes part in duplicate address detection: claims are made by it.
fn route_on(ns: &Netns, interfaces: &[&str]) -> Result<()> {
    // Link-local addresses are to be usable at once, too; only then does detection begin.
    wait_for("addresses of the balancer", Duration::from_secs(5), || {
        let table = ns.run(|| std::fs::read_to_string("/proc/thread-self/net/if_inet6"))?;
        let settled = |line: &str| line.split_whitespace().nth(4).is_some_and(|flags| !is_tentative(flags));
        let own = |name: &&str| table.lines().any(|line| line.starts_with("fe80") && line.ends_with(name));
        Ok(table.lines().all(settled) && interfaces.iter().all(own))
    })?;
    ns.sysctl("net/ipv4/ip_forward", "1")?;
    ns.sysctl("net/ipv6/conf/all/forwarding", "1")?;
    for scope in ["all", "default"].iter().chain(interfaces) {
        ns.sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "1")?;
        // Packets whose next hop is not resolved yet go through the kernel, with a VIP as their source.
        ns.sysctl(&format!("net/ipv4/conf/{scope}/rp_filter"), "0")?;
        ns.sysctl(&format!("net/ipv4/conf/{scope}/accept_local"), "1")?;
        // The only router here is no worse than the hosts' own way.
        ns.sysctl(&format!("net/ipv4/conf/{scope}/send_redirects"), "0")?;
    }
    Ok(())
}

/// Whether the flags of an address, as /proc shows them, say that it can't be used yet (linux/if_addr.h).
fn is_tentative(flags: &str) -> bool {
    const TENTATIVE: u32 = 0x40;
    u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & TENTATIVE != 0)
}
