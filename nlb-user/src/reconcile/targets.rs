//! Target records: who is who, and in which state.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use nlb_common::{
    Addr, Be16,
    flow::Hop,
    layout::{Endpoint, MAX_TARGETS, Target as Record, state},
};

use super::{
    Actual, Inputs, Step,
    groups::WantedGroup,
    plan::PlanError,
    slots::{Owner, Rows, free_targets},
};
use crate::{
    serving::{Target, TargetId},
    store::Override,
};

/// The target records of the maps, sorted by group.
pub(super) struct Records<'a> {
    actual: &'a Actual,
    /// Records of groups that are in use and that are not gone.
    by_group: HashMap<u32, Vec<(u32, &'a Record)>>,
}

impl<'a> Records<'a> {
    /// Sorts them.
    pub fn of(actual: &'a Actual) -> Self {
        let mut by_group: HashMap<u32, Vec<(u32, &Record)>> = HashMap::new();
        for (index, record) in &actual.targets {
            if record.state != state::GONE && actual.groups.contains_key(&record.group) {
                by_group.entry(record.group).or_default().push((*index, record));
            }
        }
        Self { actual, by_group }
    }

    fn of_group(&self, group: u32) -> &[(u32, &'a Record)] {
        self.by_group.get(&group).map_or(&[], Vec::as_slice)
    }

    /// Whether a target that is not registered any more keeps the group from going.
    pub fn any_draining(&self, group: u32, registered: &[Target], live: Option<&HashSet<u32>>) -> bool {
        let left = |record: &Record| registered.binary_search(&target_of(record)).is_err();
        self.of_group(group).iter().any(|(index, record)| left(record) && leaving(*index, record, live) != state::GONE)
    }

    /// The rows of all that are not gone.
    pub fn kept_rows(&self) -> impl Iterator<Item = (Owner, u32)> + '_ {
        let there = self.actual.targets.iter().filter(|(_, record)| record.state != state::GONE);
        there.map(|(index, record)| (Owner::Target(*index), record.row))
    }
}

fn target_of(record: &Record) -> Target {
    Target { id: IpAddr::from(record.addr), port: record.port.get() }
}

/// The next state of a target that is not registered any more.
fn leaving(index: u32, record: &Record, live: Option<&HashSet<u32>>) -> u8 {
    match record.state {
        // Whether a flow uses it is known only from a sweep that began after it took no new ones.
        state::SERVING => state::DRAINING,
        state::DRAINING if live.is_none_or(|live| live.contains(&index)) => state::DRAINING,
        // The flows of an unhealthy target are being reset already.
        _ => state::GONE,
    }
}

/// All target records as they are to be.
pub(super) struct NextTargets<'a> {
    actual: &'a Actual,
    /// Every record that is in use before or after.
    records: BTreeMap<u32, Record>,
    /// Who is in each group's table, in the order of the groups.
    pub serving: Vec<Vec<(Target, u32)>>,
    /// Endpoints of targets and who has each.
    backends: BTreeMap<Endpoint, u32>,
}

/// Decides every record.
pub(super) fn next<'a>(
    inputs: &Inputs<'_>,
    records: &Records<'a>,
    groups: &[WantedGroup<'_>],
    rows: &mut Rows,
) -> Result<NextTargets<'a>, PlanError> {
    let actual = records.actual;
    let is_orphan = |record: &Record| !actual.groups.contains_key(&record.group);
    let mut free = free_targets(&actual.targets, is_orphan, inputs.live_targets);
    let unhealthy = inputs.overrides.iter().filter(|(_, word)| **word == Override::Unhealthy);
    let unhealthy: HashSet<&TargetId> = unhealthy.map(|(id, _)| id).collect();
    let mut next = NextTargets { actual, records: BTreeMap::new(), serving: Vec::new(), backends: BTreeMap::new() };
    let hop = |address: IpAddr, old: Hop| inputs.hops.get(&address).copied().unwrap_or(old);

    for group in groups {
        let mut known: HashMap<Target, (u32, &Record)> = HashMap::new();
        for (index, record) in records.of_group(group.index) {
            known.entry(target_of(record)).or_insert((*index, *record));
        }
        let down = |target: &&Target| {
            let Target { id: addr, port } = **target;
            !unhealthy.is_empty() && unhealthy.contains(&TargetId { group: group.config.name.clone(), addr, port })
        };
        let out: HashSet<&Target> = group.targets.iter().filter(down).collect();
        let fail_open = group.config.unhealthy_routing.breached(group.targets.len() - out.len(), group.targets.len());
        let mut serving = Vec::with_capacity(group.targets.len());
        for target in &group.targets {
            let (index, old) = match known.remove(target) {
                Some((index, record)) => (index, *record),
                None => {
                    let full = || capacity(groups, records);
                    let (index, generation) = free.next().ok_or_else(full)?;
                    (index, Record { generation, ..Record::default() })
                }
            };
            let state = if out.contains(target) && !fail_open { state::UNHEALTHY } else { state::SERVING };
            if state == state::SERVING {
                serving.push((*target, index));
            }
            let (addr, port, row) = (Addr::from(target.id), Be16::new(target.port), rows.of(Owner::Target(index))?);
            let record = Record { addr, port, state, group: group.index, row, hop: hop(target.id, old.hop), ..old };
            next.put(index, record, group);
        }
        // What is left in the group's records is not registered any more.
        for (index, record) in records.of_group(group.index) {
            if !next.records.contains_key(index) {
                let state = leaving(*index, record, inputs.live_targets);
                let hop = hop(IpAddr::from(record.addr), record.hop);
                next.put(*index, Record { state, hop, ..**record }, group);
            }
        }
        next.serving.push(serving);
    }
    // Of groups that are not wanted, or that never came to be.
    for (index, record) in &actual.targets {
        if record.state != state::GONE {
            next.records.entry(*index).or_insert(Record { state: state::GONE, ..*record });
        }
    }
    Ok(next)
}

/// That there are more targets than records, those that are leaving included.
fn capacity(groups: &[WantedGroup<'_>], records: &Records<'_>) -> PlanError {
    let registered: usize = groups.iter().map(|group| group.targets.len()).sum();
    let stay = |group: &WantedGroup<'_>, record: &Record| group.targets.binary_search(&target_of(record)).is_ok();
    let staying = |group: &WantedGroup<'_>| {
        records.of_group(group.index).iter().filter(|(_, record)| stay(group, record)).count()
    };
    let staying: usize = groups.iter().map(staying).sum();
    let there: usize = records.by_group.values().map(Vec::len).sum();
    let needed = registered + there - staying;
    let advice = "those that were removed count until their last flow ends: apply removals first, and the rest later";
    PlanError::Capacity { what: "targets (once for each group)", needed, max: MAX_TARGETS, advice }
}

impl NextTargets<'_> {
    fn put(&mut self, index: u32, record: Record, group: &WantedGroup<'_>) {
        self.records.insert(index, record);
        if record.state == state::GONE {
            return;
        }
        for &proto in group.config.protocol.numbers() {
            let endpoint = Endpoint::new(record.addr, record.port, proto);
            let has = self.actual.backends.get(&endpoint) == Some(&index);
            let first = self.backends.entry(endpoint).or_insert(index);
            if has || (*first > index && self.actual.backends.get(&endpoint) != Some(first)) {
                *first = index;
            }
        }
    }

    /// Before the tables: records that tables may name from now on, and those that no table names.
    pub fn before(&self) -> impl Iterator<Item = Step> + '_ {
        self.changed()
            .filter(|(_, new, old)| self.is_early(new, *old))
            .map(|(index, new, _)| Step::SetTarget(index, new))
    }

    /// After the tables: records that no table names any more.
    pub fn after(&self) -> impl Iterator<Item = Step> + '_ {
        let late = self.changed().filter(|(_, new, old)| !self.is_early(new, *old) && new.state != state::GONE);
        late.map(|(index, new, _)| Step::SetTarget(index, new))
    }

    /// At the end: records of targets that are gone, without their rows.
    pub fn gone(&self) -> impl Iterator<Item = Step> + '_ {
        let gone = self.changed().filter(|(_, new, _)| new.state == state::GONE);
        gone.map(|(index, new, _)| Step::SetTarget(index, Record { row: 0, ..new }))
    }

    fn is_early(&self, new: &Record, old: Option<&Record>) -> bool {
        new.state == state::SERVING || (new.state != state::GONE && old.is_none_or(|old| old.state != state::SERVING))
    }

    fn changed(&self) -> impl Iterator<Item = (u32, Record, Option<&Record>)> {
        let all = self.records.iter().map(|(index, new)| (*index, *new, self.actual.targets.get(index)));
        all.filter(|(_, new, old)| *old != Some(new))
    }

    /// Endpoints to write.
    pub fn backends_set(&self) -> impl Iterator<Item = Step> + '_ {
        let new = self.backends.iter().filter(|(endpoint, index)| self.actual.backends.get(endpoint) != Some(index));
        new.map(|(endpoint, index)| Step::SetBackend(*endpoint, *index))
    }

    /// Endpoints to forget.
    pub fn backends_removed(&self) -> impl Iterator<Item = Step> + '_ {
        let gone = self.actual.backends.keys().filter(|endpoint| !self.backends.contains_key(endpoint));
        gone.map(|endpoint| Step::RemoveBackend(*endpoint))
    }

    /// How many endpoints there are while old and new ones live together.
    pub fn backends_needed(&self) -> usize {
        self.backends.len()
            + self.actual.backends.keys().filter(|endpoint| !self.backends.contains_key(endpoint)).count()
    }
}
