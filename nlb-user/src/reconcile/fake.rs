//! Maps in memory, as strict as the data plane needs them to be: after each write they check that what is named exists.

use std::collections::{BTreeMap, BTreeSet};

use nlb_common::{
    Addr,
    layout::{Endpoint, Group, MAX_GROUPS, MAX_LISTENERS, MAX_ROWS, MAX_TARGETS, MAX_VIPS, Target, group_flag, state},
};

use super::{Actual, Maps, MapsError, Step};

/// The maps of a data plane that forwards nothing.
#[derive(Clone, Debug, Default)]
pub struct FakeMaps {
    /// What they hold, cleared groups excepted.
    pub actual: Actual,
    /// Maglev tables by group index.
    pub tables: BTreeMap<u32, Vec<u32>>,
    /// The targets that each table names.
    pub named: BTreeMap<u32, BTreeSet<u32>>,
    /// Endpoints whose flows were ended, in order.
    pub ended: Vec<Endpoint>,
    /// How often all flows were looked at for it.
    pub sweeps: usize,
    /// Rows that were set to zero, in order.
    pub cleared: Vec<u32>,
    /// Every write so far.
    pub writes: usize,
    /// Fail all writes from this one on, as if the process had died.
    pub dies_after: Option<usize>,
}

impl Maps for FakeMaps {
    fn read(&mut self) -> Result<Actual, MapsError> {
        Ok(self.actual.clone())
    }

    fn write(&mut self, step: &Step) -> Result<(), MapsError> {
        if self.dies_after.is_some_and(|last| self.writes >= last) {
            return Err(MapsError::new("cannot write", "the process has died"));
        }
        self.writes += 1;
        let actual = &mut self.actual;
        match step.clone() {
            Step::SetNode(node) => actual.node = node,
            Step::ClearRow(row) => {
                assert!(row > 0 && (row as usize) < MAX_ROWS);
                self.cleared.push(row);
            }
            Step::SetTarget(index, target) => {
                assert!((index as usize) < MAX_TARGETS && target.generation != 0, "{target:?}");
                self.set_target(index, target);
            }
            Step::SetBackend(endpoint, index) => {
                actual.backends.insert(endpoint, index);
            }
            Step::SetTable(group, table) => {
                assert!((group as usize) < MAX_GROUPS);
                self.named.insert(group, table.iter().copied().collect());
                self.tables.insert(group, table);
            }
            Step::SetGroup(index, group) => {
                assert!(group.flags & group_flag::IN_USE != 0);
                actual.groups.insert(index, group);
            }
            Step::SetVip(addr, vip) => {
                actual.vips.insert(addr, vip);
            }
            Step::SetListener(endpoint, listener) => {
                actual.listeners.insert(endpoint, listener);
            }
            Step::RemoveListener(endpoint) => assert!(actual.listeners.remove(&endpoint).is_some(), "{step:?}"),
            Step::EndFlows(endpoint) => self.ended.push(endpoint),
            Step::RemoveVip(addr) => assert!(actual.vips.remove(&addr).is_some(), "{step:?}"),
            Step::RemoveBackend(endpoint) => assert!(actual.backends.remove(&endpoint).is_some(), "{step:?}"),
            Step::ClearGroup(index) => assert!(actual.groups.remove(&index).is_some(), "{step:?}"),
        }
        Ok(())
    }

    fn end_flows(&mut self, endpoints: &BTreeSet<Endpoint>) -> Result<(), MapsError> {
        self.sweeps += 1;
        endpoints.iter().try_for_each(|endpoint| self.write(&Step::EndFlows(*endpoint)))
    }
}

impl FakeMaps {
    /// A record changes its owner only by a new generation, and an owner never its record.
    fn set_target(&mut self, index: u32, target: Target) {
        if let Some(old) = self.actual.targets.get(&index) {
            let same = (old.addr, old.port, old.group) == (target.addr, target.port, target.group);
            let revived = old.state == state::GONE && target.state != state::GONE;
            if same && !revived {
                assert_eq!(old.generation, target.generation, "{old:?} {target:?}");
            } else {
                assert_eq!(old.generation + 1, target.generation, "{old:?} {target:?}");
            }
        }
        self.actual.targets.insert(index, target);
    }

    /// What must hold after every single write.
    pub fn check(&self) {
        let Actual { vips, listeners, backends, groups, targets, .. } = &self.actual;
        assert!(vips.len() <= MAX_VIPS && listeners.len() <= MAX_LISTENERS && backends.len() <= MAX_TARGETS);
        for (endpoint, listener) in listeners {
            assert!(vips.contains_key(&endpoint.addr), "{endpoint:?} has no address");
            let group = groups.get(&listener.group).unwrap_or_else(|| panic!("{endpoint:?} names no group"));
            assert!(self.tables.contains_key(&listener.group), "{endpoint:?} names a group without table");
            assert_eq!(group.flags & group_flag::IPV6 == 0, endpoint.addr.is_v4(), "{endpoint:?} {group:?}");
        }
        for (index, named) in &self.named {
            assert!(named.is_empty() || groups.contains_key(index), "table {index} of no group");
            for target in named {
                let target = targets.get(target).expect("tables name targets that exist");
                assert_eq!((target.state, target.group), (state::SERVING, *index), "{target:?}");
            }
        }
        for (endpoint, index) in backends {
            let target = targets.get(index).expect("backends name targets that exist");
            assert_eq!((target.addr, target.port), (endpoint.addr, endpoint.port), "{endpoint:?}");
        }
        self.check_rows();
    }

    /// No two owners share a counters row.
    fn check_rows(&self) {
        let Actual { vips, listeners, targets, .. } = &self.actual;
        let targets = targets.values().filter(|target| target.state != state::GONE).map(|target| target.row);
        let rows =
            vips.values().map(|vip| vip.row).chain(listeners.values().map(|listener| listener.row)).chain(targets);
        let mut seen = BTreeSet::new();
        for row in rows {
            assert!(row != 0 && seen.insert(row), "row {row} has two owners");
        }
    }

    /// The index of the group of this name and family.
    pub fn group(&self, name: &str, v6: bool) -> Option<u32> {
        let is = |group: &Group| group.name.as_str() == name && (group.flags & group_flag::IPV6 != 0) == v6;
        self.actual.groups.iter().find(|(_, group)| is(group)).map(|(index, _)| *index)
    }

    /// The index and record of a target that is not gone.
    pub fn target(&self, group: &str, target: &str) -> Option<(u32, Target)> {
        let wanted: std::net::SocketAddr = target.parse().unwrap();
        let group = self.group(group, wanted.is_ipv6())?;
        let is = |record: &Target| {
            record.state != state::GONE
                && record.group == group
                && (record.addr, record.port.get()) == (Addr::from(wanted.ip()), wanted.port())
        };
        self.actual.targets.iter().find(|(_, record)| is(record)).map(|(index, record)| (*index, *record))
    }
}
