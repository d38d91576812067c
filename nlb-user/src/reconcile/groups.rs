//! Groups and their Maglev tables: one record for each address family of a target group.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use nlb_common::{
    hash::{self, Secret},
    layout::{Group, MAX_GROUPS, Name, group_flag},
    maglev,
};

use super::{
    Actual, Inputs, Step,
    addresses::Front,
    plan::{PlanError, name},
    targets::Records,
};
use crate::serving::{Target, TargetGroup};

/// A target group's part of one address family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct GroupKey {
    /// The target group.
    pub name: Name,
    /// Whether its targets are IPv6.
    pub v6: bool,
}

impl GroupKey {
    fn of(group: &Group) -> Self {
        Self { name: group.name, v6: group.flags & group_flag::IPV6 != 0 }
    }
}

/// A group that is to be there.
pub(super) struct WantedGroup<'a> {
    pub key: GroupKey,
    pub index: u32,
    pub config: &'a TargetGroup,
    /// Its record as it is.
    pub old: Option<&'a Group>,
    /// Registered targets of the family, sorted.
    pub targets: Vec<Target>,
}

/// All groups that are to be there: those with targets, those that listeners name, and those whose last targets are
/// still draining.
pub(super) fn wanted<'a>(
    inputs: &Inputs<'a>,
    actual: &'a Actual,
    front: &Front,
    records: &Records<'_>,
) -> Result<Vec<WantedGroup<'a>>, PlanError> {
    let mut known: BTreeMap<GroupKey, u32> = BTreeMap::new();
    for (index, group) in &actual.groups {
        known.entry(GroupKey::of(group)).or_insert(*index);
    }
    let named: BTreeSet<GroupKey> = front.listeners.values().map(|(key, _)| *key).collect();
    let mut parts = Vec::new();
    for config in &inputs.config.target_groups {
        for v6 in [false, true] {
            let key = GroupKey { name: name(&config.name)?, v6 };
            let mut targets: Vec<Target> = config.targets.iter().filter(|t| t.id.is_ipv6() == v6).copied().collect();
            targets.sort_unstable();
            let index = known.get(&key).copied();
            let draining = || index.is_some_and(|index| records.any_draining(index, &targets, inputs.live_targets));
            if !targets.is_empty() || named.contains(&key) || draining() {
                parts.push((key, index, config, targets));
            }
        }
    }
    // Groups that go are cleared last, so old and new ones need room together.
    let needed = actual.groups.len() + parts.iter().filter(|(_, index, ..)| index.is_none()).count();
    if needed > MAX_GROUPS {
        let what = "target groups (once for each address family, those to be removed too)";
        let advice = "remove what is not needed first, then apply again";
        return Err(PlanError::Capacity { what, needed, max: MAX_GROUPS, advice });
    }
    let mut free = (0..MAX_GROUPS as u32).filter(|index| !actual.groups.contains_key(index));
    let with_index = parts.into_iter().filter_map(|(key, index, config, targets)| {
        let index = index.or_else(|| free.next())?;
        Some(WantedGroup { key, index, config, old: actual.groups.get(&index), targets })
    });
    Ok(with_index.collect())
}

/// The steps of one group.
pub(super) struct GroupSteps {
    /// Before its targets: the record is there, and says that its table is not what it will be.
    pub before: Vec<Step>,
    /// After its targets: the table, and the record that vouches for it.
    pub after: Vec<Step>,
}

impl WantedGroup<'_> {
    /// The steps to a table of these targets (and their indices), sorted.
    pub fn steps(&self, serving: &[(Target, u32)]) -> GroupSteps {
        let slots = self.old.map_or(0, |old| old.slots).max(maglev::slots_for(serving.len()));
        let identities: Vec<String> = serving.iter().map(|(target, _)| identity(target)).collect();
        let fingerprint =
            fingerprint(slots, identities.iter().zip(serving).map(|(text, (_, index))| (text.as_str(), *index)));
        let preserve = if self.config.preserve_client_ip { group_flag::PRESERVE_CLIENT_IP } else { 0 };
        let family = if self.key.v6 { group_flag::IPV6 } else { 0 };
        let flags = group_flag::IN_USE | preserve | family;
        let group = Group { name: self.key.name, flags, slots, fingerprint, _room: [0; 2] };

        let mut steps = GroupSteps { before: Vec::new(), after: Vec::new() };
        if self.old == Some(&group) {
            return steps;
        }
        if self.old.is_none_or(|old| old.fingerprint != fingerprint) {
            match self.old {
                // A controller that dies here leaves a record that no table matches, so that its successor builds it.
                Some(old) if old.fingerprint != 0 => steps.before.push(unsettled(self.index, old)),
                Some(_) => {}
                None => steps.before.extend([Step::SetTable(self.index, Vec::new()), unsettled(self.index, &group)]),
            }
            let names: Vec<&[u8]> = identities.iter().map(String::as_bytes).collect();
            let table = maglev::build(&names, slots).into_iter().map(|position| serving[position as usize].1);
            steps.after.push(Step::SetTable(self.index, table.collect()));
        }
        steps.after.push(Step::SetGroup(self.index, group));
        steps
    }
}

/// The groups that are not wanted.
pub(super) fn leaving<'a>(actual: &'a Actual, wanted: &BTreeMap<GroupKey, u32>) -> Vec<(u32, &'a Group)> {
    let leaves = |index: &u32, group: &Group| wanted.get(&GroupKey::of(group)) != Some(index);
    let all = actual.groups.iter().map(|(index, group)| (*index, group));
    all.filter(|(index, group)| leaves(index, group)).collect()
}

/// Takes a group's table away.
pub(super) fn empty(index: u32, group: &Group) -> [Step; 2] {
    [unsettled(index, group), Step::SetTable(index, Vec::new())]
}

/// The record of a group whose table is about to change.
fn unsettled(index: u32, group: &Group) -> Step {
    Step::SetGroup(index, Group { fingerprint: 0, ..*group })
}

/// What a target is called in Maglev tables: its address and port, so that every node builds the same one.
fn identity(target: &Target) -> String {
    SocketAddr::new(target.id, target.port).to_string()
}

/// Names a table by what it is built from; never 0.
fn fingerprint<'t>(slots: u32, targets: impl Iterator<Item = (&'t str, u32)>) -> u64 {
    let mut bytes = slots.to_le_bytes().to_vec();
    for (identity, index) in targets {
        bytes.extend_from_slice(identity.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&index.to_le_bytes());
    }
    hash::bytes(Secret { k0: 3, k1: 0 }, &bytes).max(1)
}
