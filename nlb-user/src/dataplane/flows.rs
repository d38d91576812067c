//! The flow tables as user space sees them: list, look up, end, remove.
//!
//! The program goes on meanwhile. Every connection has two entries, and each may come, go or change between two system
//! calls; what is done here holds up whatever happens in between.

use std::{collections::BTreeSet, io, ops::ControlFlow};

use nlb_common::{
    Flow, FlowKey, Reason,
    flow::{TCP, flag, phase},
    layout::{Endpoint, map},
};

use super::{Pins, bpf, error::MapIo, map::Map};

/// A flow table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// Established TCP connections.
    Tcp,
    /// TCP connections whose handshake is not complete.
    HalfOpen,
    /// UDP flows.
    Udp,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::HalfOpen, Self::Udp];

    /// Its name in tables and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::HalfOpen => "half_open",
            Self::Udp => "udp",
        }
    }
}

/// A flow: both of its entries.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FlowEntry {
    /// Where it is.
    pub table: Table,
    /// The tuple that its client's packets carry.
    pub key: FlowKey,
    /// The entry of its client's packets.
    pub client: Flow,
    /// The entry of its target's packets; `None` if it is missing, which the program repairs.
    pub target: Option<Flow>,
}

impl FlowEntry {
    /// When either side was last heard, in nanoseconds of [`super::now`]'s clock.
    pub fn stamp(&self) -> u64 {
        self.client.stamp.max(self.target.map_or(0, |target| target.stamp))
    }
}

/// The three flow tables.
#[derive(Debug)]
pub struct FlowTables {
    tcp: Map<FlowKey, Flow>,
    half_open: Map<FlowKey, Flow>,
    udp: Map<FlowKey, Flow>,
}

impl FlowTables {
    /// Opens the pinned tables. A thread that sweeps opens its own.
    ///
    /// # Errors
    /// If they are not there, or of another layout.
    pub fn open(pins: &Pins) -> Result<Self, MapIo> {
        Ok(Self {
            tcp: Map::open(pins, map::TCP_FLOWS)?,
            half_open: Map::open(pins, map::HALF_OPEN)?,
            udp: Map::open(pins, map::UDP_FLOWS)?,
        })
    }

    pub(super) const fn map(&self, table: Table) -> &Map<FlowKey, Flow> {
        match table {
            Table::Tcp => &self.tcp,
            Table::HalfOpen => &self.half_open,
            Table::Udp => &self.udp,
        }
    }

    /// How many flows `table` holds when it is full.
    pub const fn capacity(&self, table: Table) -> u32 {
        self.map(table).entries() / 2
    }

    /// Calls `each` with all entries, both of every flow.
    ///
    /// # Errors
    /// If a table can't be read.
    pub fn for_each(&self, mut each: impl FnMut(Table, &FlowKey, &Flow)) -> Result<(), MapIo> {
        Table::ALL.into_iter().try_for_each(|table| {
            self.map(table).for_each(|key, flow| {
                each(table, key, flow);
                ControlFlow::Continue(())
            })
        })
    }

    /// Calls `each` with all flows whose client's entry `wanted` accepts, until it breaks. The other entry is looked up
    /// for those alone.
    ///
    /// # Errors
    /// If a table can't be read.
    pub fn list(
        &self,
        mut wanted: impl FnMut(Table, &FlowKey, &Flow) -> bool,
        mut each: impl FnMut(FlowEntry) -> ControlFlow<()>,
    ) -> Result<(), MapIo> {
        for table in Table::ALL {
            let mut failed = None;
            let mut stopped = false;
            self.map(table).for_each(|key, flow| {
                if flow.is(flag::FROM_TARGET) || !wanted(table, key, flow) {
                    return ControlFlow::Continue(());
                }
                match self.partner(table, key, flow) {
                    Ok(target) => {
                        let next = each(FlowEntry { table, key: *key, client: *flow, target });
                        stopped = next.is_break();
                        next
                    }
                    Err(error) => {
                        failed = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })?;
            match failed {
                Some(error) => return Err(error),
                None if stopped => return Ok(()),
                None => {}
            }
        }
        Ok(())
    }

    /// The entry for packets with this tuple, as the program finds it.
    ///
    /// # Errors
    /// If a table can't be read.
    pub fn get(&self, key: &FlowKey) -> Result<Option<(Table, Flow)>, MapIo> {
        let tables: &[Table] = if key.proto == TCP { &[Table::Tcp, Table::HalfOpen] } else { &[Table::Udp] };
        for table in tables {
            if let Some(flow) = self.map(*table).get(key)? {
                return Ok(Some((*table, flow)));
            }
        }
        Ok(None)
    }

    /// The whole flow that packets with this tuple belong to, from whichever side.
    ///
    /// # Errors
    /// If a table can't be read.
    pub fn find(&self, key: &FlowKey) -> Result<Option<FlowEntry>, MapIo> {
        let Some((table, flow)) = self.get(key)? else { return Ok(None) };
        let partner = self.partner(table, key, &flow)?;
        Ok(match (flow.is(flag::FROM_TARGET), partner) {
            (false, target) => Some(FlowEntry { table, key: *key, client: flow, target }),
            (true, Some(client)) => Some(FlowEntry { table, key: flow.pair(key.proto), client, target: Some(flow) }),
            (true, None) => None,
        })
    }

    /// The other entry of the flow found under `key`: one that leads back here. A tuple that another flow has taken
    /// meanwhile leads elsewhere.
    pub(super) fn partner(&self, table: Table, key: &FlowKey, flow: &Flow) -> Result<Option<Flow>, MapIo> {
        let partner = self.map(table).get(&flow.pair(key.proto))?;
        Ok(partner.filter(|partner| {
            partner.pair(key.proto) == *key && partner.is(flag::FROM_TARGET) != flow.is(flag::FROM_TARGET)
        }))
    }

    /// Removes both entries of the flow with this tuple, from whichever side. Its next packet meets no flow. False if
    /// there is none.
    ///
    /// # Errors
    /// If a table can't be written.
    pub fn remove_pair(&self, key: &FlowKey) -> Result<bool, MapIo> {
        let Some((table, flow)) = self.get(key)? else { return Ok(false) };
        if self.partner(table, key, &flow)?.is_some() {
            self.map(table).remove(&flow.pair(key.proto))?;
        }
        self.map(table).remove(key)
    }

    /// Ends the flow with this tuple, from whichever side: its packets get a reset (UDP: are dropped, and the client's
    /// next one opens a new flow). False if there is none, or it has ended before.
    ///
    /// # Errors
    /// If a table can't be written.
    pub fn end(&self, key: &FlowKey, reason: Reason) -> Result<bool, MapIo> {
        let Some((table, flow)) = self.get(key)? else { return Ok(false) };
        if flow.phase == phase::ENDED {
            return Ok(false);
        }
        if let Some(partner) = self.partner(table, key, &flow)? {
            self.put_end(table, &flow.pair(key.proto), partner, reason)?;
        }
        self.put_end(table, key, flow, reason)
    }

    /// Writes the whole entry back, as there is no way to write a part. What the program does to it meanwhile is lost,
    /// and none of it matters: stamps and counts of the packets of these microseconds, of a flow that carries no more;
    /// a FIN or a handshake's progress, which its end makes void. An entry that is gone meanwhile stays gone.
    fn put_end(&self, table: Table, key: &FlowKey, flow: Flow, reason: Reason) -> Result<bool, MapIo> {
        let ended = Flow { phase: phase::ENDED, end: reason.number(), ..flow };
        let map = self.map(table);
        match map.put_if(key, &ended, bpf::EXIST) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(source) => Err(MapIo { map: map.name(), operation: "write", source }),
        }
    }

    /// Ends all flows that clients opened at one of these endpoints, half-open ones among them. Returns how many.
    ///
    /// # Errors
    /// If a table can't be read or written.
    pub fn end_all(&self, endpoints: &BTreeSet<Endpoint>, reason: Reason) -> Result<u64, MapIo> {
        let mut keys = Vec::new();
        self.for_each(|_, key, flow| {
            let there = endpoints.contains(&Endpoint::new(key.dst, key.dst_port, key.proto));
            if there && !flow.is(flag::FROM_TARGET) && flow.phase != phase::ENDED {
                keys.push(*key);
            }
        })?;
        keys.iter().try_fold(0, |count, key| Ok(count + u64::from(self.end(key, reason)?)))
    }

    /// Puts an entry back that [`super::map::Map::take`] took, unless there is one again.
    pub(super) fn put_back(&self, table: Table, key: &FlowKey, flow: &Flow) -> Result<(), MapIo> {
        let map = self.map(table);
        match map.put_if(key, flow, bpf::NO_EXIST) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                Err(MapIo { map: map.name(), operation: "write", source })
            }
            _ => Ok(()),
        }
    }
}
