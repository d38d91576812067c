//! The maps: their names, sizes, keys and values.
//!
//! The maps describe themselves: names are in them, so that the command line can read them with no controller alive,
//! and a new controller finds in them what the old one had done.

use crate::{Addr, Be16, flow::Hop, hash::Secret};

/// The version of everything in this file and of [`crate::Flow`]. A controller that meets another one in the pinned
/// maps refuses to touch them. Raise it with every change of a key, a value, a size or a meaning.
pub const LAYOUT_VERSION: u32 = 1;

/// Map names, as the program declares them and as they are pinned.
pub mod map {
    /// Array of one [`super::Node`].
    pub const NODE: &str = "NODE";
    /// Hash: [`crate::Addr`] -> [`super::Vip`].
    pub const VIPS: &str = "VIPS";
    /// Hash: [`super::Endpoint`] -> [`super::Listener`].
    pub const LISTENERS: &str = "LISTENERS";
    /// Hash: [`super::Endpoint`] of a target -> its index. Tells late packets of targets from unintended traffic.
    pub const BACKENDS: &str = "BACKENDS";
    /// Array: group index -> [`super::Group`].
    pub const GROUPS: &str = "GROUPS";
    /// Array of arrays: group index -> Maglev table, see [`super::table`].
    pub const TABLES: &str = "TABLES";
    /// Array: target index -> [`super::Target`].
    pub const TARGETS: &str = "TARGETS";
    /// LRU hash of TCP flows whose handshake is not complete: [`crate::FlowKey`] -> [`crate::Flow`].
    pub const HALF_OPEN: &str = "HALF_OPEN";
    /// Hash of established TCP flows.
    pub const TCP_FLOWS: &str = "TCP_FLOWS";
    /// LRU hash of UDP flows.
    pub const UDP_FLOWS: &str = "UDP_FLOWS";
    /// Per-CPU array: [`crate::Reason`] and [`crate::Event`] numbers -> count.
    pub const COUNTERS: &str = "COUNTERS";
    /// Per-CPU array: row number -> [`super::Row`].
    pub const ROWS: &str = "ROWS";
    /// Device map: interface index -> interface index. See [`super::RETURN`] for its other keys.
    pub const DEVICES: &str = "DEVICES";
    /// Array of bit words: source ports that the host uses itself, see [`super::PORT_WORDS`].
    pub const PORTS: &str = "PORTS_IN_USE";

    /// All of them.
    pub const ALL: [&str; 14] = [
        NODE, VIPS, LISTENERS, BACKENDS, GROUPS, TABLES, TARGETS, HALF_OPEN, TCP_FLOWS, UDP_FLOWS, COUNTERS, ROWS,
        DEVICES, PORTS,
    ];
}

/// The XDP program's name.
pub const PROGRAM: &str = "nlb_xdp";

/// How many virtual addresses a node can have.
pub const MAX_VIPS: usize = 4096;
/// How many listeners, each counted once per address.
pub const MAX_LISTENERS: usize = 16384;
/// How many groups, each counted once per address family in use.
pub const MAX_GROUPS: usize = 8192;
/// How many targets, each counted once per group.
pub const MAX_TARGETS: usize = 16384;
/// How many counters rows: one per virtual address, listener and target.
pub const MAX_ROWS: usize = MAX_VIPS + MAX_LISTENERS + MAX_TARGETS;
/// How many interfaces.
pub const MAX_DEVICES: usize = 256;
/// Set in a key of the device map: packets that came in by this interface go back through the map. Without such an
/// entry they go back by `XDP_TX`, which is right for hardware. A veth sends what it was given by `XDP_TX` only if its
/// other end runs an XDP program, too; what is redirected to it needs no more than GRO there (`veth_xdp_flush` and
/// `veth_xdp_xmit` in the kernel's drivers/net/veth.c).
pub const RETURN: u32 = 1 << 31;
/// Flow table entries before the controller sets their number (`max_flows`): two for each flow.
pub const DEFAULT_FLOW_ENTRIES: usize = 2 * 262_144;
/// 64-bit words of the bitmap of ports.
pub const PORT_WORDS: usize = 65536 / 64;
/// The first port that source translation may use; the last is 65535.
pub const FIRST_SNAT_PORT: u16 = 1024;

/// The `map_flags` of Maglev tables, outer template and all: sizes may differ (`BPF_F_INNER_MAP`, kernel 5.10).
pub const TABLE_FLAGS: u32 = 0x1000;

/// What a Maglev table holds, all of it swapped in one update of the outer map.
pub mod table {
    /// Index of the number of slots; 0 while the group has no target for new flows.
    pub const SLOTS: u32 = 0;
    /// Index of the first slot. A slot holds a target's index.
    pub const FIRST: u32 = 1;
}

/// The node's own record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Node {
    /// [`LAYOUT_VERSION`] of the program that made the maps. First, and never moved.
    pub layout: u32,
    /// Zero.
    pub _pad: u32,
    /// Key of the selection hash.
    pub secret: Secret,
}

plain!(Node: 24);

/// A name of the configuration, at most 32 bytes (guide, "Create a load balancer"), zero-padded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct Name(pub [u8; 32]);

plain!(Name: 32);

impl Name {
    /// From text; `None` if it is longer than 32 bytes.
    pub fn new(text: &str) -> Option<Self> {
        let mut name = Self::default();
        name.0.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(name)
    }

    /// The text, up to the padding.
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        core::str::from_utf8(&self.0[..len]).unwrap_or("?")
    }
}

impl core::fmt::Debug for Name {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_str().fmt(f)
    }
}

/// An address of a load balancer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Vip {
    /// The load balancer.
    pub load_balancer: Name,
    /// Counters row.
    pub row: u32,
    /// Zero.
    pub _pad: u32,
}

plain!(Vip: 40);

/// A transport address: the key of listeners and of targets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
#[repr(C)]
pub struct Endpoint {
    /// Address.
    pub addr: Addr,
    /// Port.
    pub port: Be16,
    /// [`crate::flow::TCP`] or [`crate::flow::UDP`].
    pub proto: u8,
    /// Zero.
    pub _pad: u8,
    /// Zero.
    pub _tail: u32,
}

plain!(Endpoint: 24);

impl Endpoint {
    /// From its parts.
    #[inline(always)]
    pub const fn new(addr: Addr, port: Be16, proto: u8) -> Self {
        Self { addr, port, proto, _pad: 0, _tail: 0 }
    }
}

/// What happens to new flows at an endpoint of a load balancer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Listener {
    /// Index of the target group of the endpoint's family.
    pub group: u32,
    /// Counters row.
    pub row: u32,
    /// Idle timeout of its flows in seconds.
    pub idle_s: u16,
    /// Zero.
    pub _pad: [u8; 6],
}

plain!(Listener: 16);

/// Bits of [`Group::flags`].
pub mod group_flag {
    /// Targets see the client's address (`preserve_client_ip.enabled`).
    pub const PRESERVE_CLIENT_IP: u32 = 1;
    /// The record is in use.
    pub const IN_USE: u32 = 2;
    /// Its targets are IPv6.
    pub const IPV6: u32 = 4;
}

/// One address family of a target group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Group {
    /// The target group.
    pub name: Name,
    /// Bits of [`group_flag`].
    pub flags: u32,
    /// Slots of the table in [`map::TABLES`].
    pub slots: u32,
    /// What the table was built from, hashed: equal fingerprints, equal tables.
    pub fingerprint: u64,
    /// Room for health thresholds and stickiness. Zero.
    pub _room: [u64; 2],
}

plain!(Group: 64);

/// What the data plane does with a target's flows.
pub mod state {
    /// The record is free or its target was removed: its flows are reset.
    pub const GONE: u8 = 0;
    /// New flows and old.
    pub const SERVING: u8 = 1;
    /// Old flows only: the target is being deregistered.
    pub const DRAINING: u8 = 2;
    /// None: its flows are reset.
    pub const UNHEALTHY: u8 = 3;
}

/// A target of one group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Target {
    /// Address.
    pub addr: Addr,
    /// Port.
    pub port: Be16,
    /// One of [`state`].
    pub state: u8,
    /// Zero.
    pub _pad: u8,
    /// Raised each time the record gets another target.
    pub generation: u32,
    /// Index of its group.
    pub group: u32,
    /// Counters row.
    pub row: u32,
    /// Where packets for it leave, kept fresh by the controller.
    pub hop: Hop,
    /// Room for health counters and MTU. Zero.
    pub _room: [u64; 2],
}

plain!(Target: 64);

/// Counters of a virtual address, a listener or a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Row {
    /// Packets forwarded, both directions.
    pub packets: u64,
    /// Bytes forwarded, IP headers included, both directions.
    pub bytes: u64,
    /// Flows begun: TCP connections established, UDP flows created.
    pub new_flows: u64,
    /// Resets from clients, forwarded.
    pub client_resets: u64,
    /// Resets from targets, forwarded.
    pub target_resets: u64,
    /// Resets the balancer sent.
    pub elb_resets: u64,
    /// Source ports that could not be found.
    pub port_allocation_errors: u64,
    /// Packets dropped.
    pub drops: u64,
}

plain!(Row: 64);

impl core::ops::AddAssign for Row {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.new_flows += other.new_flows;
        self.client_resets += other.client_resets;
        self.target_resets += other.target_resets;
        self.elb_resets += other.elb_resets;
        self.port_allocation_errors += other.port_allocation_errors;
        self.drops += other.drops;
    }
}
