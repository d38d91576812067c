//! Who gets which index and which counters row.

use std::collections::{BTreeMap, HashMap, HashSet};

use nlb_common::{
    Addr,
    layout::{Endpoint, MAX_ROWS, MAX_TARGETS, Target, state},
};

use super::plan::PlanError;

/// Who owns a counters row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Owner {
    /// An address of a load balancer.
    Vip(Addr),
    /// A listener.
    Listener(Endpoint),
    /// The target of this index.
    Target(u32),
}

/// Counters rows: an owner keeps his, a new one gets the lowest that is free. Row 0 is the node's.
pub(super) struct Rows {
    used: Vec<bool>,
    kept: HashMap<Owner, u32>,
    /// All rows below are used.
    next: usize,
    /// Rows that got a new owner.
    pub taken: Vec<u32>,
}

impl Rows {
    /// With the rows of those who stay. A row that two claim stays with the first.
    pub fn keeping(owners: impl Iterator<Item = (Owner, u32)>) -> Self {
        let (mut used, mut kept) = (vec![false; MAX_ROWS], HashMap::new());
        used[0] = true;
        for (owner, row) in owners {
            if let Some(used @ false) = used.get_mut(row as usize) {
                *used = true;
                kept.insert(owner, row);
            }
        }
        Self { used, kept, next: 0, taken: Vec::new() }
    }

    /// The row of `owner`.
    pub fn of(&mut self, owner: Owner) -> Result<u32, PlanError> {
        if let Some(row) = self.kept.get(&owner) {
            return Ok(*row);
        }
        while self.used.get(self.next) == Some(&true) {
            self.next += 1;
        }
        let Some(used) = self.used.get_mut(self.next) else {
            let needed = self.kept.len() + self.taken.len() + 2;
            let advice = "remove what is not needed, then apply again";
            return Err(PlanError::Capacity { what: "counters rows", needed, max: MAX_ROWS, advice });
        };
        *used = true;
        self.taken.push(self.next as u32);
        Ok(self.next as u32)
    }
}

/// The indices of target records that a new target can have, and the generation it then has: those never used first,
/// so that late packets of old flows meet the record of their own target as long as possible.
pub(super) fn free_targets<'a>(
    actual: &'a BTreeMap<u32, Target>,
    is_orphan: impl Fn(&Target) -> bool + 'a,
    live: Option<&'a HashSet<u32>>,
) -> impl Iterator<Item = (u32, u32)> + 'a {
    let never = (0..MAX_TARGETS as u32).filter(|index| !actual.contains_key(index)).map(|index| (index, 1));
    let again = std::iter::once_with(move || {
        let is_live = |index: &u32| live.is_some_and(|live| live.contains(index));
        let free = actual.iter().filter(|(_, target)| target.state == state::GONE || is_orphan(target));
        let mut free: Vec<_> = free.map(|(index, target)| (is_live(index), target.generation, *index)).collect();
        free.sort_unstable();
        // Generation 0 marks a record that was never used.
        free.into_iter().map(|(_, generation, index)| (index, generation.wrapping_add(1).max(1)))
    });
    never.chain(again.flatten())
}
