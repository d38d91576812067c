//! The health of targets, as `DescribeTargetHealth` tells it (guide, "Target health status").

use std::{collections::HashSet, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{
    Context, find, load_balancers,
    targets::{self, Named},
};
use crate::{
    model::{Fault, InstanceState, Inventory, LoadBalancer, State, Target, TargetGroup, TargetId, TargetKey},
    store::Override,
};

/// What a caller can ask for beyond health; targets of Network Load Balancers have nothing of it.
const EXTRAS: [&str; 2] = ["AnomalyDetection", "All"];

/// `DescribeTargetHealth`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    target_group_arn: String,
    #[serde(default)]
    targets: Vec<Named>,
    #[serde(default)]
    include: Vec<String>,
}

/// The health of targets: in the order that the caller named them, or of all.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    target_health_descriptions: Vec<Described>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    target: ToldTarget,
    health_check_port: String,
    target_health: Health,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ToldTarget {
    id: String,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    availability_zone: Option<String>,
}

/// A target's state, and why it is not healthy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// `initial`, `healthy`, `unhealthy`, `unused` or `draining`.
    pub state: &'static str,
    /// A reason code; none if it is healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The reason for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Health {
    fn new(state: &'static str, reason: &'static str, description: impl Into<String>) -> Self {
        Self { state, reason: Some(reason), description: Some(description.into()) }
    }

    fn unused(reason: &'static str, description: impl Into<String>) -> Self {
        Self::new("unused", reason, description)
    }
}

/// `DescribeTargetHealth`. Targets that are not registered are unused, not refused.
///
/// # Errors
/// `TargetGroupNotFound`; `InvalidTarget` for what can be no target of the group, `ValidationError`.
pub fn describe(state: &State, input: Input, context: &Context<'_>) -> Result<Output, Fault> {
    let group = find::target_group(state, &input.target_group_arn)?;
    if let Some(other) = input.include.iter().find(|extra| !EXTRAS.contains(&extra.as_str())) {
        let other = other.escape_debug();
        return Err(Fault::validation(format!("Include has `{other}`: allowed are {}", EXTRAS.join(", "))));
    }
    let keys = match input.targets.as_slice() {
        [] => group.targets.keys().cloned().collect(),
        named => named.iter().map(|named| named.key(group)).collect::<Result<Vec<_>, Fault>>()?,
    };
    let view = View::new(state, group, context.inventory);
    let described = keys.into_iter().map(|key| view.described(key)).collect();
    Ok(Output { target_health_descriptions: described })
}

/// A target group, and what the health of its targets depends on.
pub struct View<'a> {
    state: &'a State,
    group: &'a TargetGroup,
    inventory: &'a Inventory,
    balancer: Option<&'a LoadBalancer>,
    /// Addresses of load balancers.
    taken: HashSet<IpAddr>,
}

impl<'a> View<'a> {
    /// Of this group.
    pub fn new(state: &'a State, group: &'a TargetGroup, inventory: &'a Inventory) -> Self {
        let balancer = state.load_balancer_of(&group.arn).map(|balancer| &**balancer);
        // One that a load balancer could not get is none of its.
        let conflicts = load_balancers::address_conflicts(state, inventory);
        let all =
            state.load_balancers.values().flat_map(|it| it.all_addresses().map(|address| (it.arn.clone(), address)));
        let taken = all.filter(|claim| !conflicts.contains_key(claim)).map(|(_, address)| address).collect();
        Self { state, group, inventory, balancer, taken }
    }

    /// A target's health.
    pub fn health(&self, key: &TargetKey) -> Health {
        let Some(target) = self.group.targets.get(key) else {
            return Health::unused("Target.NotRegistered", "The target is not registered with the target group");
        };
        if target.draining_until.is_some() {
            return Health::new(
                "draining",
                "Target.DeregistrationInProgress",
                "The target is being deregistered; its connections may go on until it is",
            );
        }
        self.unused(key, target).unwrap_or_else(|| match self.overridden(key) {
            Some(Override::Healthy) => Health { state: "healthy", reason: None, description: None },
            Some(Override::Unhealthy) => {
                Health::new("unhealthy", "Target.FailedHealthChecks", "The operator has marked the target as unhealthy")
            }
            None => Health::new(
                "initial",
                "Elb.InitialHealthChecking",
                "The first health checks of the target have not been completed",
            ),
        })
    }

    fn overridden(&self, key: &TargetKey) -> Option<Override> {
        self.state.overrides.get(&(self.group.arn.clone(), key.clone())).copied()
    }

    /// Why a registered target gets no traffic, if so.
    fn unused(&self, key: &TargetKey, target: &Target) -> Option<Health> {
        let Some(balancer) = self.balancer else {
            return Some(Health::unused("Target.NotInUse", "No listener forwards to the target group"));
        };
        if let Some(description) = self.invalid_state(key) {
            return Some(Health::unused("Target.InvalidState", description));
        }
        if let TargetId::Ip(address) = key.id
            && self.taken.contains(&address)
        {
            let description = "The address is one of a load balancer, and can't be a target";
            return Some(Health::unused("Target.IpUnusable", description));
        }
        let zone = targets::zone_of(self.group, key, target, self.inventory)?;
        let description = || format!("The target is in {zone}, which is not enabled for the load balancer");
        (!balancer.has_zone(&zone, &self.inventory.zone)).then(|| Health::unused("Target.NotInUse", description()))
    }

    /// Why what a target's name stands for can get no traffic, if so.
    fn invalid_state(&self, key: &TargetKey) -> Option<String> {
        match &key.id {
            TargetId::Instance(id) => match self.inventory.instances.get(id) {
                None => Some("The instance is not in the inventory any more".to_owned()),
                Some(instance) if instance.state == InstanceState::Running => None,
                Some(instance) => Some(format!("The instance is {}", targets::state_of(instance))),
            },
            TargetId::Alb(arn) => match self.inventory.application_load_balancers.get(arn) {
                None => Some("The Application Load Balancer is not in the inventory any more".to_owned()),
                Some(alb) if alb.ports.contains(&key.port) => None,
                Some(_) => Some(format!("The Application Load Balancer has no listener at port {}", key.port)),
            },
            TargetId::Ip(_) => None,
        }
    }

    fn described(&self, key: TargetKey) -> Described {
        let health_check_port = self.group.health_check.port.unwrap_or(key.port).to_string();
        let zone = |target: &Target| {
            let zone = targets::zone_of(self.group, &key, target, self.inventory);
            zone.unwrap_or_else(|| targets::ALL_ZONES.to_owned())
        };
        let availability_zone = match key.id {
            TargetId::Ip(_) => self.group.targets.get(&key).map(zone),
            TargetId::Instance(_) | TargetId::Alb(_) => None,
        };
        let target_health = self.health(&key);
        let target = ToldTarget { id: key.id.to_string(), port: key.port, availability_zone };
        Described { target, health_check_port, target_health }
    }
}

#[cfg(test)]
mod tests;
