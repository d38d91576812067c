//! What the maps must look like for this version, and how large they are.

use aya::util::nr_cpus;
use nlb_common::{
    Addr, Flow, FlowKey,
    layout::{
        Endpoint, Group, Listener, MAX_DEVICES, MAX_GROUPS, MAX_LISTENERS, MAX_ROWS, MAX_TARGETS, MAX_VIPS, Node,
        PORT_WORDS, Row, Target, Vip, map,
    },
    reason::COUNTERS,
};

/// `enum bpf_map_type`, those in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    /// Hash table.
    Hash = 1,
    /// Array.
    Array = 2,
    /// Array with a value for each processor.
    PerCpuArray = 6,
    /// Hash table that evicts.
    LruHash = 9,
    /// Array of maps.
    ArrayOfMaps = 12,
    /// Hash table of interfaces.
    DevMapHash = 25,
}

/// What a map must look like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Bytes of a key.
    pub key: usize,
    /// Bytes of a value.
    pub value: usize,
    /// Elements; `None` where `max_flows` says.
    pub entries: Option<usize>,
}

const fn shape<K, V>(name: &'static str, kind: Kind, entries: usize) -> Shape {
    Shape { name, kind, key: size_of::<K>(), value: size_of::<V>(), entries: Some(entries) }
}

const fn flows(name: &'static str, kind: Kind) -> Shape {
    Shape { entries: None, ..shape::<FlowKey, Flow>(name, kind, 0) }
}

/// All pinned maps.
pub const SHAPES: [Shape; map::ALL.len()] = [
    shape::<u32, Node>(map::NODE, Kind::Array, 1),
    shape::<Addr, Vip>(map::VIPS, Kind::Hash, MAX_VIPS),
    shape::<Endpoint, Listener>(map::LISTENERS, Kind::Hash, MAX_LISTENERS),
    shape::<Endpoint, u32>(map::BACKENDS, Kind::Hash, MAX_TARGETS),
    shape::<u32, Group>(map::GROUPS, Kind::Array, MAX_GROUPS),
    shape::<u32, u32>(map::TABLES, Kind::ArrayOfMaps, MAX_GROUPS),
    shape::<u32, Target>(map::TARGETS, Kind::Array, MAX_TARGETS),
    flows(map::HALF_OPEN, Kind::LruHash),
    flows(map::TCP_FLOWS, Kind::Hash),
    flows(map::UDP_FLOWS, Kind::LruHash),
    shape::<u32, u64>(map::COUNTERS, Kind::PerCpuArray, COUNTERS),
    shape::<u32, Row>(map::ROWS, Kind::PerCpuArray, MAX_ROWS),
    // An interface's index and a program's, which is none.
    shape::<u32, [u32; 2]>(map::DEVICES, Kind::DevMapHash, MAX_DEVICES),
    shape::<u32, u64>(map::PORTS, Kind::Array, PORT_WORDS),
];

/// Entries of the flow tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowEntries {
    /// Of established TCP flows.
    pub tcp: u32,
    /// Of half-open TCP flows.
    pub half_open: u32,
    /// Of UDP flows.
    pub udp: u32,
}

impl FlowEntries {
    /// For `max_flows` TCP and as many UDP flows, of two entries each. Half-open flows get a quarter of that, as a
    /// handshake is short against what follows it, and 4096 entries at least, so that small nodes stand a burst of SYNs.
    pub fn of(max_flows: u32) -> Self {
        let entries = max_flows.clamp(1, u32::MAX / 4) * 2;
        Self { tcp: entries, half_open: (entries / 4).max(4096), udp: entries }
    }

    /// The entries of the table of this name.
    pub fn named(&self, name: &str) -> u32 {
        match name {
            map::TCP_FLOWS => self.tcp,
            map::HALF_OPEN => self.half_open,
            _ => self.udp,
        }
    }
}

/// The memory in bytes that the maps will lock with this `max_flows`, within a few percent; Maglev tables and tables
/// of interfaces come on top, with a few MB at most.
pub fn memory_bytes(max_flows: u32) -> u64 {
    let cpus = nr_cpus().unwrap_or(1) as u64;
    let entries = FlowEntries::of(max_flows);
    let bytes = |shape: &Shape| {
        let entries = shape.entries.map_or_else(|| u64::from(entries.named(shape.name)), |entries| entries as u64);
        let (key, value) = (shape.key.next_multiple_of(8) as u64, shape.value.next_multiple_of(8) as u64);
        match shape.kind {
            // `struct htab_elem` is 48 bytes before its key, and a bucket 16 bytes, a power of two of them.
            Kind::Hash | Kind::LruHash => entries * (48 + key + value) + entries.next_power_of_two() * 16,
            Kind::PerCpuArray => entries * value * cpus,
            Kind::Array | Kind::ArrayOfMaps => entries * value,
            Kind::DevMapHash => entries * 8,
        }
    };
    SHAPES.iter().map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_map_has_a_shape() {
        assert_eq!(SHAPES.map(|shape| shape.name), map::ALL);
    }

    #[test]
    fn half_open_flows_get_a_quarter_and_never_too_few() {
        assert_eq!(FlowEntries::of(262_144), FlowEntries { tcp: 524_288, half_open: 131_072, udp: 524_288 });
        assert_eq!(FlowEntries::of(100), FlowEntries { tcp: 200, half_open: 4096, udp: 200 });
        assert_eq!(FlowEntries::of(u32::MAX).tcp, u32::MAX / 4 * 2);
    }
}
