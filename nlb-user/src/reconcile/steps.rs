//! What the maps hold, what can be done to them, and doing it.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::discriminant,
};

use nlb_common::{
    Addr,
    layout::{Endpoint, Group, Listener, Node, Target, Vip},
};

/// What the maps hold, but for the Maglev tables: a group's fingerprint stands for its table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Actual {
    /// The node's own record.
    pub node: Node,
    /// Addresses of load balancers.
    pub vips: BTreeMap<Addr, Vip>,
    /// Listeners, one for each address and IP protocol.
    pub listeners: BTreeMap<Endpoint, Listener>,
    /// Endpoints of targets and the index of a target that has each.
    pub backends: BTreeMap<Endpoint, u32>,
    /// Group records that are in use, by index.
    pub groups: BTreeMap<u32, Group>,
    /// Target records that were ever used (generation is not 0), by index.
    pub targets: BTreeMap<u32, Target>,
}

/// One write to the maps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Writes the node's own record.
    SetNode(Node),
    /// Sets the counters of this row to zero: it gets a new owner.
    ClearRow(u32),
    /// Writes the target record of this index.
    SetTarget(u32, Target),
    /// Says which target an endpoint is.
    SetBackend(Endpoint, u32),
    /// Swaps in a whole Maglev table: group index, and the target index of each slot; empty for no target.
    SetTable(u32, Vec<u32>),
    /// Writes the group record of this index.
    SetGroup(u32, Group),
    /// Writes an address of a load balancer.
    SetVip(Addr, Vip),
    /// Writes a listener.
    SetListener(Endpoint, Listener),
    /// Takes a listener away: no new flows.
    RemoveListener(Endpoint),
    /// Ends the flows that clients opened at this endpoint: phase `ENDED`, reason `ResetTerminated`.
    EndFlows(Endpoint),
    /// Takes an address away: its packets are the kernel's again.
    RemoveVip(Addr),
    /// Forgets an endpoint of targets.
    RemoveBackend(Endpoint),
    /// Zeroes the group record of this index.
    ClearGroup(u32),
}

/// A map that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct MapsError {
    /// What was tried, as a sentence: "cannot write the listener ...".
    pub doing: String,
    /// Why it failed.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl MapsError {
    /// That `doing` failed because of `source`.
    pub fn new(doing: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { doing: doing.into(), source: source.into() }
    }
}

/// The maps of a data plane.
pub trait Maps {
    /// All they hold.
    ///
    /// # Errors
    /// If a map can't be read.
    fn read(&mut self) -> Result<Actual, MapsError>;

    /// Does one step. Doing it a second time changes nothing.
    ///
    /// # Errors
    /// If a map can't be written; nothing of the step is done then.
    fn write(&mut self, step: &Step) -> Result<(), MapsError>;

    /// Does [`Step::EndFlows`] for several endpoints. Maps that have to look at every flow for it can do so once.
    ///
    /// # Errors
    /// If a map can't be read or written; some of the flows may have been ended then.
    fn end_flows(&mut self, endpoints: &BTreeSet<Endpoint>) -> Result<(), MapsError> {
        endpoints.iter().try_for_each(|endpoint| self.write(&Step::EndFlows(*endpoint)))
    }

    /// Does [`Step::SetTable`] for several groups. Maps that have to wait for packets under way can do so once.
    ///
    /// # Errors
    /// If a map can't be written; some of the tables may have been swapped in then.
    fn set_tables(&mut self, tables: &[(u32, &[u32])]) -> Result<(), MapsError> {
        tables.iter().try_for_each(|(group, slots)| self.write(&Step::SetTable(*group, slots.to_vec())))
    }
}

/// Does the steps in their order.
///
/// # Errors
/// At the first step that fails. The steps before it are done and leave the data plane whole; planning again from what
/// the maps hold then finishes the work.
pub fn apply(maps: &mut dyn Maps, steps: &[Step]) -> Result<(), MapsError> {
    let alike = |one: &Step, next: &Step| discriminant(one) == discriminant(next);
    steps.chunk_by(alike).try_for_each(|run| match run[0] {
        Step::EndFlows(_) => {
            let endpoint = |step: &Step| if let Step::EndFlows(endpoint) = step { Some(*endpoint) } else { None };
            maps.end_flows(&run.iter().filter_map(endpoint).collect())
        }
        Step::SetTable(..) => {
            let table = |step| match step {
                &Step::SetTable(group, ref slots) => Some((group, &slots[..])),
                _ => None,
            };
            maps.set_tables(&run.iter().filter_map(table).collect::<Vec<_>>())
        }
        _ => run.iter().try_for_each(|step| maps.write(step)),
    })
}
