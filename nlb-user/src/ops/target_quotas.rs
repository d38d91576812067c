//! How many targets a load balancer may have (guide, "Quotas"): over all its target groups, and of them in each zone.
//!
//! A target counts once for each group that it is in, and so for each port; targets that are draining have left. One
//! that serves all zones is in none. An Application Load Balancer counts as many as the targets behind it are assumed
//! to be.

use std::collections::{BTreeMap, BTreeSet};

use super::{Context, target_group_attributes, targets};
use crate::model::{Arn, Code, Fault, State, TargetGroup, TargetId, TargetKey, TargetType};

/// What an Application Load Balancer counts, and what it counts with cross-zone load balancing on.
const OF_ALB: (u64, u64) = (50, 100);
/// How many load balancers an Application Load Balancer can be a target of.
const LOAD_BALANCERS_OF_ALB: usize = 2;

/// The targets of a group that are not draining.
pub fn registered(group: &TargetGroup) -> impl Iterator<Item = &TargetKey> {
    group.targets.iter().filter(|(_, target)| target.draining_until.is_none()).map(|(key, _)| key)
}

/// Whether a group has as many targets as it may have.
///
/// # Errors
/// `TooManyTargets`.
pub fn check_group(group: &TargetGroup, context: &Context<'_>) -> Result<(), Fault> {
    let most = match group.target_type {
        TargetType::Alb => crate::model::Quotas::TARGETS_PER_ALB_GROUP,
        TargetType::Instance | TargetType::Ip => context.quotas.targets_per_target_group as usize,
    };
    let count = registered(group).count();
    match count > most {
        false => Ok(()),
        true => {
            let kind = group.target_type.as_str();
            let sentence = format!(
                "the target group {} would have {count} targets: at most {most} are allowed in a group of type {kind}, \
                 deregister some first",
                group.name
            );
            Err(Fault::new(Code::TooManyTargets, sentence))
        }
    }
}

/// Whether a load balancer has as many targets as it may have, in the state as it would be.
///
/// # Errors
/// `TooManyTargets`; `TooManyRegistrationsForTargetId` for an Application Load Balancer that would be the target of
/// more than two load balancers.
pub fn check(state: &State, balancer: &Arn, context: &Context<'_>) -> Result<(), Fault> {
    let Some(balancer) = state.load_balancers.get(balancer) else { return Ok(()) };
    let mut total: u64 = 0;
    let mut by_zone: BTreeMap<String, u64> = BTreeMap::new();
    for group in groups_of(state, &balancer.arn) {
        let (alone, everywhere) = OF_ALB;
        let weight = match group.target_type {
            TargetType::Alb if target_group_attributes::cross_zone(group, balancer) => everywhere,
            TargetType::Alb => alone,
            TargetType::Instance | TargetType::Ip => 1,
        };
        for (key, target) in group.targets.iter().filter(|(_, target)| target.draining_until.is_none()) {
            total += weight;
            if let Some(zone) = targets::zone_of(group, key, target, context.inventory) {
                *by_zone.entry(zone).or_default() += weight;
            }
            if let TargetId::Alb(arn) = &key.id {
                check_alb(state, arn)?;
            }
        }
    }
    let within = |count: u64, most: u32, place: &str| match count > u64::from(most) {
        false => Ok(()),
        true => {
            let (alone, everywhere) = OF_ALB;
            let sentence = format!(
                "the load balancer {} would have {count} targets{place}: at most {most} are allowed. A target counts \
                 once for each of its target groups, an Application Load Balancer {alone} times, or {everywhere} with \
                 cross-zone load balancing",
                balancer.name
            );
            Err(Fault::new(Code::TooManyTargets, sentence))
        }
    };
    within(total, context.quotas.targets_per_load_balancer, "")?;
    for (zone, count) in by_zone {
        within(count, context.quotas.targets_per_zone_per_load_balancer, &format!(" in {zone}"))?;
    }
    Ok(())
}

/// The groups that a load balancer's listeners forward to, each once.
fn groups_of<'a>(state: &'a State, balancer: &'a Arn) -> impl Iterator<Item = &'a TargetGroup> {
    let arns: BTreeSet<&Arn> = state.listeners_of(balancer).map(|listener| &listener.target_group).collect();
    arns.into_iter().filter_map(|arn| state.target_groups.get(arn)).map(|group| &**group)
}

/// Whether an Application Load Balancer is the target of no more load balancers than it can be.
fn check_alb(state: &State, alb: &str) -> Result<(), Fault> {
    let id = TargetId::Alb(alb.to_owned());
    let groups: BTreeSet<&Arn> = state
        .target_groups
        .values()
        .filter(|group| group.target_type == TargetType::Alb && registered(group).any(|key| key.id == id))
        .map(|group| &group.arn)
        .collect();
    let users: BTreeSet<&Arn> = state
        .listeners
        .values()
        .filter(|listener| groups.contains(&listener.target_group))
        .map(|listener| &listener.load_balancer)
        .collect();
    match users.len() > LOAD_BALANCERS_OF_ALB {
        false => Ok(()),
        true => Err(Fault::new(
            Code::TooManyRegistrationsForTargetId,
            format!(
                "{alb} would be the target of {} load balancers: at most {LOAD_BALANCERS_OF_ALB} are allowed",
                users.len()
            ),
        )),
    }
}

#[cfg(test)]
mod tests;
