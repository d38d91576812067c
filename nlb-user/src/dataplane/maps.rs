//! The pinned maps of the configuration: the real [`Maps`] that plans are applied to.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    ops::ControlFlow,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::maps::{Array, IterableMap as _, MapData};
use nlb_common::{
    Addr, Reason,
    layout::{
        Endpoint, Group, Listener, Node, RETURN, TABLE_FLAGS, Target, Vip, group_flag, map,
        table::{FIRST, SLOTS},
    },
};

use super::{
    Counters, FlowTables, Pins,
    counters::CounterMaps,
    error::{MapIo, io_error},
    map::Map,
    ports::PortSet,
};
use crate::reconcile::{Actual, Maps, MapsError, Step};

/// How many new tables are held open before they are swapped in: a process may have 1024 open files.
const TABLES_AT_ONCE: usize = 256;

/// All pinned maps, open.
#[derive(Debug)]
pub struct PinnedMaps {
    node: Map<u32, Node>,
    vips: Map<Addr, Vip>,
    listeners: Map<Endpoint, Listener>,
    backends: Map<Endpoint, u32>,
    groups: Map<u32, Group>,
    tables: Map<u32, u32>,
    targets: Map<u32, Target>,
    devices: Map<u32, [u32; 2]>,
    ports: Map<u32, u64>,
    counters: CounterMaps,
    flows: FlowTables,
}

impl PinnedMaps {
    /// Opens all of them, of a data plane that has been checked to be of this version.
    pub(super) fn open(pins: &Pins) -> Result<Self, MapIo> {
        Ok(Self {
            node: Map::open(pins, map::NODE)?,
            vips: Map::open(pins, map::VIPS)?,
            listeners: Map::open(pins, map::LISTENERS)?,
            backends: Map::open(pins, map::BACKENDS)?,
            groups: Map::open(pins, map::GROUPS)?,
            tables: Map::open(pins, map::TABLES)?,
            targets: Map::open(pins, map::TARGETS)?,
            devices: Map::open(pins, map::DEVICES)?,
            ports: Map::open(pins, map::PORTS)?,
            counters: CounterMaps::open(pins)?,
            flows: FlowTables::open(pins)?,
        })
    }

    /// The flow tables.
    pub const fn flows(&self) -> &FlowTables {
        &self.flows
    }

    /// The counters' maps.
    pub const fn counter_maps(&self) -> &CounterMaps {
        &self.counters
    }

    /// All reasons and events.
    ///
    /// # Errors
    /// If the map can't be read.
    pub fn counters(&self) -> Result<Counters, MapIo> {
        self.counters.counters()
    }

    /// Writes the node's own record.
    pub(super) fn set_node(&self, node: &Node) -> Result<(), MapIo> {
        self.node.put(&0, node)
    }

    /// The configuration that the maps hold.
    ///
    /// # Errors
    /// If a map can't be read.
    pub fn actual(&self) -> Result<Actual, MapIo> {
        let node = self.node.get(&0)?.unwrap_or_default();
        let mut groups: BTreeMap<u32, Group> = self.groups.all()?;
        groups.retain(|_, group| group.flags & group_flag::IN_USE != 0);
        let mut targets: BTreeMap<u32, Target> = self.targets.all()?;
        targets.retain(|_, target| target.generation != 0);
        let (vips, listeners, backends) = (self.vips.all()?, self.listeners.all()?, self.backends.all()?);
        Ok(Actual { node, vips, listeners, backends, groups, targets })
    }

    /// The Maglev table of the group with this index: the target's index of each slot. Empty if the group has no
    /// target, or is not there.
    ///
    /// # Errors
    /// If the map can't be read.
    pub fn table(&self, group: u32) -> Result<Vec<u32>, MapIo> {
        let error = |source| MapIo { map: map::TABLES, operation: "read", source };
        let Some(id) = self.tables.get(&group)? else { return Ok(Vec::new()) };
        let table = MapData::from_id(id).map_err(|source| error(io_error(source)))?;
        let table: Map<u32, u32> = Map::from_data(map::TABLES, table)?;
        let mut words = vec![0; table.entries() as usize];
        table.for_each(|index, word| {
            words[*index as usize] = *word;
            ControlFlow::Continue(())
        })?;
        let slots = words[SLOTS as usize] as usize;
        Ok(words.into_iter().skip(FIRST as usize).take(slots).collect())
    }

    /// Swaps in whole tables. An old one lives until the last packet that reads it is done; the kernel waits for that,
    /// since version 6.8 once for all tables that one call swaps.
    fn swap_tables(&self, tables: &[(u32, &[u32])]) -> Result<(), MapIo> {
        // The last one of a group counts.
        let tables: Vec<_> = tables.iter().copied().collect::<BTreeMap<_, _>>().into_iter().collect();
        for tables in tables.chunks(TABLES_AT_ONCE) {
            let mut swaps = Vec::new();
            for (group, slots) in tables {
                // Where there is no table, there is no target either: nothing to wait for.
                if !slots.is_empty() || self.tables.get(group)?.is_some() {
                    swaps.push((*group, make_table(slots)?));
                }
            }
            let groups: Vec<u32> = swaps.iter().map(|(group, _)| *group).collect();
            let fds: Vec<u32> = swaps.iter().map(|(_, table)| table.fd().as_raw_fd() as u32).collect();
            self.tables.put_all(&groups, &fds)?;
        }
        Ok(())
    }

    /// Lets the program send packets out of the interface with this index.
    ///
    /// # Errors
    /// If there is no such interface in the caller's network namespace, or the map is full.
    pub fn allow_egress(&self, ifindex: u32) -> Result<(), MapIo> {
        self.devices.put(&ifindex, &[ifindex, 0])
    }

    /// Makes packets that come in by the interface with this index and leave by it go through the device map, see
    /// [`RETURN`].
    ///
    /// # Errors
    /// As for [`Self::allow_egress`].
    pub fn return_by_redirect(&self, ifindex: u32) -> Result<(), MapIo> {
        self.devices.put(&(ifindex | RETURN), &[ifindex, 0])
    }

    /// Whether the program may send packets out of the interface with this index.
    ///
    /// # Errors
    /// If the map can't be read.
    pub fn allows_egress(&self, ifindex: u32) -> Result<bool, MapIo> {
        Ok(self.devices.get(&ifindex)?.is_some())
    }

    /// Says which source ports to keep clear of, see [`super::ports::in_use`].
    ///
    /// # Errors
    /// If the map can't be written.
    pub fn set_ports_in_use(&self, ports: &PortSet) -> Result<(), MapIo> {
        let words: Vec<u32> = (0..ports.len() as u32).collect();
        self.ports.put_all(&words, ports)
    }

    fn set_target(&self, index: u32, target: &Target) -> Result<(), MapIo> {
        let ifindex = target.hop.ifindex;
        if ifindex != 0
            && let Err(error) = self.allow_egress(ifindex)
        {
            // The interface went while the plan was made. Packets go to the kernel until the next hop is looked up
            // again, which the interface's going has brought about.
            tracing::warn!(ifindex, target = %target.addr, %error, "no way out to a target");
        }
        self.targets.put(&index, target)
    }

    fn clear_group(&self, index: u32) -> Result<(), MapIo> {
        self.groups.put(&index, &Group::default())?;
        self.tables.remove(&index).map(drop)
    }

    fn step(&self, step: &Step) -> Result<(), MapIo> {
        match step {
            Step::SetNode(node) => self.set_node(node),
            Step::ClearRow(row) => self.counters.clear_row(*row),
            Step::SetTarget(index, target) => self.set_target(*index, target),
            Step::SetBackend(endpoint, target) => self.backends.put(endpoint, target),
            Step::SetTable(group, slots) => self.swap_tables(&[(*group, slots)]),
            Step::SetGroup(index, group) => self.groups.put(index, group),
            Step::SetVip(addr, vip) => self.vips.put(addr, vip),
            Step::SetListener(endpoint, listener) => self.listeners.put(endpoint, listener),
            Step::RemoveListener(endpoint) => self.listeners.remove(endpoint).map(drop),
            Step::EndFlows(endpoint) => self.flows.end_all(&[*endpoint].into(), Reason::ResetTerminated).map(drop),
            Step::RemoveVip(addr) => self.vips.remove(addr).map(drop),
            Step::RemoveBackend(endpoint) => self.backends.remove(endpoint).map(drop),
            Step::ClearGroup(index) => self.clear_group(*index),
        }
    }
}

impl Maps for PinnedMaps {
    fn read(&mut self) -> Result<Actual, MapsError> {
        self.actual().map_err(|error| MapsError::new("cannot read what the data plane does", error))
    }

    fn write(&mut self, step: &Step) -> Result<(), MapsError> {
        self.step(step).map_err(|error| MapsError::new(failed(step), error))
    }

    fn end_flows(&mut self, endpoints: &BTreeSet<Endpoint>) -> Result<(), MapsError> {
        let ended = self.flows.end_all(endpoints, Reason::ResetTerminated).map(drop);
        ended.map_err(|error| MapsError::new("cannot end the flows of removed listeners", error))
    }

    fn set_tables(&mut self, tables: &[(u32, &[u32])]) -> Result<(), MapsError> {
        self.swap_tables(tables).map_err(|error| MapsError::new("cannot write the tables of target groups", error))
    }
}

/// A table of these slots, which no group has yet.
fn make_table(slots: &[u32]) -> Result<Map<u32, u32>, MapIo> {
    let words: Vec<u32> = iter::once(slots.len() as u32).chain(slots.iter().copied()).collect();
    let indices: Vec<u32> = (0..words.len() as u32).collect();
    let made = Array::<MapData, u32>::create(words.len() as u32, TABLE_FLAGS);
    let fd = made.map_err(io_error).and_then(|made| made.map().fd().as_fd().try_clone_to_owned());
    let data = fd.and_then(|fd| MapData::from_fd(fd).map_err(io_error));
    let data = data.map_err(|source| MapIo { map: map::TABLES, operation: "make a table for", source })?;
    let table = Map::from_data(map::TABLES, data)?;
    table.put_all(&indices, &words)?;
    Ok(table)
}

/// What the operator knows the step by.
fn failed(step: &Step) -> String {
    let at = |endpoint: &Endpoint| format!("{} port {}", endpoint.addr, endpoint.port.get());
    match step {
        Step::SetNode(_) => "cannot write the node's record".to_owned(),
        Step::ClearRow(row) => format!("cannot clear the counters in row {row}"),
        Step::SetTarget(_, target) => format!("cannot write target {} port {}", target.addr, target.port.get()),
        Step::SetBackend(endpoint, _) | Step::RemoveBackend(endpoint) => {
            format!("cannot change target {}", at(endpoint))
        }
        Step::SetTable(group, _) => format!("cannot write the table of group {group}"),
        Step::SetGroup(_, group) => format!("cannot write group {}", group.name.as_str()),
        Step::SetVip(addr, _) | Step::RemoveVip(addr) => format!("cannot change address {addr}"),
        Step::SetListener(endpoint, _) | Step::RemoveListener(endpoint) => {
            format!("cannot change listener {}", at(endpoint))
        }
        Step::EndFlows(endpoint) => format!("cannot end the flows of listener {}", at(endpoint)),
        Step::ClearGroup(group) => format!("cannot clear group {group}"),
    }
}
