//! From what a file says to the state that it asks for: everything in it, and nothing else.
//!
//! What exists by name stays who it is: ARN, time, chosen addresses, targets that drain. What does not change is not
//! checked again, for the inventory may have changed since; it is shared with the old state.

use std::{collections::HashMap, sync::Arc};

use super::{
    problem::Invalid,
    shape::{Document, GroupEntry, TargetEntry},
    terms,
    tree::{Place, Problems},
};
use crate::{
    model::{Arn, Fault, LoadBalancer, State, Target, TargetGroup, TargetKey, new_id},
    ops::{Context, target_group_attributes, target_groups, target_quotas, targets},
};

/// The state that a file asks for, in place of `state`.
///
/// # Errors
/// With everything that is wrong with the file here: what it refers to and is not there, what does not go together,
/// and what is more than the quotas allow.
pub fn apply(document: &Document, state: &State, context: &Context<'_>) -> Result<State, Invalid> {
    let mut apply = Apply::new(document, state, context);
    apply.groups();
    apply.balancers();
    apply.listeners();
    apply.quotas();
    apply.next.forget_overrides();
    apply.problems.finish(&document.source, Some(apply.next))
}

pub(super) struct Apply<'a> {
    pub document: &'a Document,
    pub old: &'a State,
    pub next: State,
    pub context: &'a Context<'a>,
    pub problems: Problems,
    /// Those of the next state, by name.
    pub groups: HashMap<String, Arc<TargetGroup>>,
    /// Those of the old state, by name.
    pub old_groups: HashMap<&'a str, &'a Arc<TargetGroup>>,
    pub old_balancers: HashMap<&'a str, &'a Arc<LoadBalancer>>,
}

impl<'a> Apply<'a> {
    fn new(document: &'a Document, old: &'a State, context: &'a Context<'a>) -> Self {
        let next = State { overrides: old.overrides.clone(), inventory: old.inventory.clone(), ..State::default() };
        Self {
            document,
            old,
            next,
            context,
            problems: Problems::default(),
            groups: HashMap::new(),
            old_groups: old.target_groups.values().map(|group| (group.name.as_str(), group)).collect(),
            old_balancers: old.load_balancers.values().map(|balancer| (balancer.name.as_str(), balancer)).collect(),
        }
    }

    /// What a rule gives; what it says against it is a problem of what stands there.
    pub fn hold<T>(&mut self, at: &Place, ruled: Result<T, Fault>) -> Option<T> {
        ruled.map_err(|fault| self.problems.report(at.clone(), terms::translate(&fault))).ok()
    }

    fn groups(&mut self) {
        let used: std::collections::HashSet<&Arn> = self.old.listeners.values().map(|it| &it.target_group).collect();
        let document = self.document;
        for entry in &document.groups {
            let old = self.old_groups.get(entry.name.value.as_str()).copied();
            let group = self.group(entry, old.map(|group| &**group), old.is_some_and(|old| used.contains(&old.arn)));
            let group = match old {
                Some(old) if **old == group => Arc::clone(old),
                _ => Arc::new(group),
            };
            self.groups.insert(group.name.clone(), Arc::clone(&group));
            self.next.target_groups.insert(group.arn.clone(), group);
        }
    }

    fn group(&mut self, entry: &GroupEntry, old: Option<&TargetGroup>, used: bool) -> TargetGroup {
        let mut group = entry.built.clone();
        match old {
            Some(old) => {
                group.arn = old.arn.clone();
                group.created = old.created;
            }
            None => {
                group.arn = Arn::target_group(self.context.account, &group.name, &new_id());
                group.created = self.context.now;
            }
        }
        if let Some(vpc) = &entry.vpc
            && old.is_none_or(|old| old.vpc != group.vpc)
        {
            self.hold(&vpc.at, target_groups::check_vpc(&vpc.value, self.context));
        }
        for target in &entry.targets.value {
            if let Some((key, target)) = self.target(target, &group, old) {
                group.targets.insert(key, target);
            }
        }
        if old.is_none_or(|old| old.targets != group.targets) {
            self.hold(&entry.targets.at, target_quotas::check_group(&group, self.context));
        }
        let delay_s = target_group_attributes::deregistration_delay_s(&group);
        let leaving = old.filter(|old| old.target_type == group.target_type).into_iter().flat_map(|old| &old.targets);
        for (key, target) in leaving {
            let until = match target.draining_until {
                None if delay_s == 0 || !used => continue,
                None => self.context.now + jiff::SignedDuration::from_secs(delay_s.into()),
                Some(until) => until,
            };
            let draining = || Target { draining_until: Some(until), ..target.clone() };
            group.targets.entry(key.clone()).or_insert_with(draining);
        }
        group
    }

    /// A target, as it is registered already or new.
    fn target(
        &mut self,
        entry: &TargetEntry,
        group: &TargetGroup,
        old: Option<&TargetGroup>,
    ) -> Option<(TargetKey, Target)> {
        let key = &entry.key.value;
        let zone = entry.zone.as_ref().map(|zone| zone.value.as_str());
        let same = |old: &&TargetGroup| {
            old.vpc == group.vpc && old.family == group.family && (old.port == group.port || key.port != group.port)
        };
        let there = old.and_then(|old| old.targets.get(key)).filter(|there| there.draining_until.is_none());
        if let Some(there) = there.filter(|there| there.zone.as_deref() == zone && old.as_ref().is_some_and(same)) {
            return Some((key.clone(), there.clone()));
        }
        let checked = targets::checked(group, &key.id.to_string(), Some(key.port.into()), zone, self.context);
        let at = match (&checked, &entry.zone) {
            (Err(fault), Some(zone)) if fault.message.starts_with("AvailabilityZone") => &zone.at,
            _ => &entry.key.at,
        };
        let (key, target) = self.hold(at, checked)?;
        let registered = there.map_or(target.registered, |there| there.registered);
        Some((key, Target { registered, ..target }))
    }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
