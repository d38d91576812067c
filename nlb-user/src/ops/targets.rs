//! Targets: registering them, deregistering them, and where they are (guide, "Register targets with your target group").

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use ipnet::Ipv4Net;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{Context, Void, checks, find, target_group_attributes, target_quotas};
use crate::model::{
    Code, Family, Fault, Instance, InstanceState, Inventory, State, Subnet, Target, TargetGroup, TargetId, TargetKey,
    TargetType,
};

/// The zone of targets that the traffic of all zones goes to.
pub const ALL_ZONES: &str = "all";

/// Where IPv4 targets outside of the VPC can be (RFC 1918, RFC 6598).
const PRIVATE: [Ipv4Net; 4] = [
    Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
    Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10),
    Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
];

/// A target as a caller names it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Named {
    id: Option<String>,
    port: Option<i64>,
    availability_zone: Option<String>,
    quic_server_id: Option<String>,
}

/// `RegisterTargets` and `DeregisterTargets`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Input {
    target_group_arn: String,
    targets: Vec<Named>,
}

/// `RegisterTargets`: all or none. One that is registered stays as it is; one that is draining is as good as new.
///
/// # Errors
/// `TargetGroupNotFound`, `InvalidTarget`, `ValidationError`, `TooManyTargets`, `TooManyRegistrationsForTargetId`.
pub fn register(state: &mut State, input: Input, context: &Context<'_>) -> Result<Void, Fault> {
    let mut group = find::target_group(state, &input.target_group_arn)?.clone();
    not_empty(&input.targets)?;
    let mut any_new = false;
    for named in &input.targets {
        let zone = named.availability_zone.as_deref();
        let (key, target) = checked(&group, named.id()?, named.port, zone, context)?;
        if let Some(there) = group.targets.get(&key)
            && there.draining_until.is_none()
        {
            continue;
        }
        Arc::make_mut(&mut group).targets.insert(key, target);
        any_new = true;
    }
    if !any_new {
        return Ok(Void {});
    }
    target_quotas::check_group(&group, context)?;
    let arn = group.arn.clone();
    state.target_groups.insert(arn.clone(), group);
    if let Some(balancer) = state.load_balancer_of(&arn) {
        target_quotas::check(state, &balancer.arn, context)?;
    }
    Ok(Void {})
}

/// `DeregisterTargets`: all or none. Those of a group that gets traffic are draining first, unless its deregistration
/// delay is 0; one that is draining goes on as it is.
///
/// # Errors
/// `TargetGroupNotFound`, `InvalidTarget`, `ValidationError`.
pub fn deregister(state: &mut State, input: Input, context: &Context<'_>) -> Result<Void, Fault> {
    let mut group = find::target_group(state, &input.target_group_arn)?.clone();
    not_empty(&input.targets)?;
    let mut keys = Vec::with_capacity(input.targets.len());
    for named in &input.targets {
        let key = named.key(&group)?;
        if group.targets.contains_key(&key) {
            keys.push(key);
        } else if named.port.is_none() {
            elsewhere(&group, &key)?;
        }
    }
    let delay_s = target_group_attributes::deregistration_delay_s(&group);
    let drains = delay_s > 0 && state.load_balancer_of(&group.arn).is_some();
    let until = context.now + SignedDuration::from_secs(delay_s.into());
    let TargetGroup { arn, targets, .. } = Arc::make_mut(&mut group);
    for key in keys {
        match targets.get_mut(&key) {
            Some(target) if drains => _ = target.draining_until.get_or_insert(until),
            _ => _ = targets.remove(&key),
        }
        // The operator's word is on registered targets.
        state.overrides.remove(&(arn.clone(), key));
    }
    state.target_groups.insert(group.arn.clone(), group);
    Ok(Void {})
}

/// Lets targets go whose draining is over, and tells whether there were any.
pub(super) fn expire(state: &mut State, now: Timestamp) -> bool {
    let over = |target: &Target| target.draining_until.is_some_and(|until| until <= now);
    let mut any = false;
    for group in state.target_groups.values_mut().filter(|group| group.targets.values().any(over)) {
        Arc::make_mut(group).targets.retain(|_, target| !over(target));
        any = true;
    }
    any
}

impl Named {
    fn id(&self) -> Result<&str, Fault> {
        if self.quic_server_id.is_some() {
            return Err(Fault::configuration("QuicServerId is given: there are no QUIC target groups here"));
        }
        self.id.as_deref().ok_or_else(|| Fault::validation("a target has no Id"))
    }

    /// The target of this group that is meant, whether it is there or not.
    pub(super) fn key(&self, group: &TargetGroup) -> Result<TargetKey, Fault> {
        key(group, self.id()?, self.port)
    }
}

fn not_empty(targets: &[Named]) -> Result<(), Fault> {
    match targets.is_empty() {
        true => Err(Fault::validation("Targets is empty: name at least one target")),
        false => Ok(()),
    }
}

fn invalid(message: String) -> Fault {
    Fault::new(Code::InvalidTarget, message)
}

/// To deregister what is not there succeeds, as the API's reference says. But who names no port, and means a target
/// that has one of its own, is told so.
fn elsewhere(group: &TargetGroup, key: &TargetKey) -> Result<(), Fault> {
    let ports: Vec<String> =
        group.targets.keys().filter(|other| other.id == key.id).map(|other| other.port.to_string()).collect();
    if ports.is_empty() {
        return Ok(());
    }
    let (id, name, port, ports) = (&key.id, &group.name, key.port, ports.join(", "));
    Err(invalid(format!("{id} is not registered with {name} at port {port}, but at {ports}: name its Port")))
}

/// A target that a caller names, if it can be one of the group's; `port` and `zone` as given.
///
/// # Errors
/// `InvalidTarget` if it can't, `ValidationError` if its port or zone can't be.
pub fn checked(
    group: &TargetGroup,
    id: &str,
    port: Option<i64>,
    zone: Option<&str>,
    context: &Context<'_>,
) -> Result<(TargetKey, Target), Fault> {
    let key = key(group, id, port)?;
    let inventory = context.inventory;
    match &key.id {
        TargetId::Instance(id) => check_instance(group, id, inventory)?,
        TargetId::Ip(address) => check_address(group, *address, inventory)?,
        TargetId::Alb(arn) => check_alb(group, arn, inventory)?,
    }
    if let Some(zone) = zone {
        check_zone(group, &key, zone, inventory)?;
    }
    let target = Target { zone: zone.map(str::to_owned), registered: context.now, draining_until: None };
    Ok((key, target))
}

/// What a target is named by; only the form is looked at.
///
/// # Errors
/// `InvalidTarget` if it is of another form, `ValidationError` if its port can't be.
pub fn key(group: &TargetGroup, id: &str, port: Option<i64>) -> Result<TargetKey, Fault> {
    let port = match port {
        Some(port) => checks::within("the Port of a target", port, 1..=65535)? as u16,
        None => group.port,
    };
    let expected = |form: &str| {
        let kind = group.target_type.as_str();
        invalid(format!("`{}` is no target of a group of type {kind}: name {form}", id.escape_debug()))
    };
    let id = match group.target_type {
        TargetType::Instance => match id.strip_prefix("i-") {
            Some(rest) if !rest.is_empty() => TargetId::Instance(id.to_owned()),
            _ => return Err(expected("the id of an instance, which begins with i-")),
        },
        TargetType::Ip => TargetId::Ip(id.parse().map_err(|_| expected("an IP address"))?),
        TargetType::Alb if !id.starts_with("arn:") || !id.contains(":loadbalancer/app/") => {
            return Err(expected("the ARN of an Application Load Balancer"));
        }
        TargetType::Alb if port != group.port => {
            return Err(Fault::validation(format!(
                "the Port of a target is {port}: an Application Load Balancer gets its traffic at the port of the \
                 target group, {}",
                group.port
            )));
        }
        TargetType::Alb => TargetId::Alb(id.to_owned()),
    };
    Ok(TargetKey { id, port })
}

fn check_instance(group: &TargetGroup, id: &str, inventory: &Inventory) -> Result<(), Fault> {
    let Some(instance) = inventory.instances.get(id) else {
        return Err(invalid(format!("there is no instance {id} in the inventory: add it first")));
    };
    if instance.state != InstanceState::Running {
        let state = state_of(instance);
        return Err(invalid(format!("the instance {id} is {state}: only running instances can be registered")));
    }
    same_vpc(group, &format!("the instance {id}"), inventory.subnets.get(&instance.subnet))
}

fn check_alb(group: &TargetGroup, arn: &str, inventory: &Inventory) -> Result<(), Fault> {
    let Some(alb) = inventory.application_load_balancers.get(arn) else {
        return Err(invalid(format!("there is no Application Load Balancer {arn} in the inventory: add it first")));
    };
    if !alb.ports.contains(&group.port) {
        return Err(invalid(format!(
            "{arn} has no listener at port {}, the port of the target group {}: add one, or use a group with the port \
             of a listener",
            group.port, group.name
        )));
    }
    same_vpc(group, arn, inventory.subnets.get(&alb.subnet))
}

fn same_vpc(group: &TargetGroup, what: &str, subnet: Option<&Subnet>) -> Result<(), Fault> {
    let Some(vpc) = &group.vpc else { return Ok(()) };
    let found = match subnet {
        Some(subnet) if subnet.vpc == *vpc => return Ok(()),
        Some(subnet) => format!("is in {}", subnet.vpc),
        None => "is in no subnet of the inventory".to_owned(),
    };
    Err(invalid(format!("{what} {found}, and the targets of {} are in {vpc}: register it by its address", group.name)))
}

fn check_address(group: &TargetGroup, address: IpAddr, inventory: &Inventory) -> Result<(), Fault> {
    if let Some(why) = unusable(address) {
        return Err(invalid(format!("{address} is no target: {why}")));
    }
    let other = match (group.family, address) {
        (Family::Ipv4, IpAddr::V6(_)) => Some("IPv4"),
        (Family::Ipv6, IpAddr::V4(_)) => Some("IPv6"),
        _ => None,
    };
    if let Some(family) = other {
        return Err(invalid(format!("{address} is no {family} address: the targets of {} are", group.name)));
    }
    // A group of a file that names no VPC takes whatever the node can reach.
    let Some(vpc) = &group.vpc else { return Ok(()) };
    let (reachable, allowed) = match address {
        IpAddr::V4(v4) => (
            PRIVATE.iter().any(|net| net.contains(&v4)) || subnet_of(group, address, inventory).is_some(),
            format!("the subnets of {vpc}, 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12 and 192.168.0.0/16"),
        ),
        IpAddr::V6(_) => (inventory.subnet_of(address).is_some(), format!("the subnets of {vpc} and of other VPCs")),
    };
    match reachable {
        true => Ok(()),
        false => Err(invalid(format!("{address} is out of reach: allowed are addresses of {allowed}"))),
    }
}

/// Why nothing can be sent to an address, if so.
pub fn unusable(address: IpAddr) -> Option<&'static str> {
    let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    match address {
        _ if mapped => Some("it is an IPv4 address in IPv6 form"),
        _ if address.is_multicast() => Some("it is a multicast address"),
        _ if address.is_unspecified() => Some("it is the unspecified address"),
        _ if address.is_loopback() => Some("it is a loopback address"),
        _ if link_local => Some("it is a link-local address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("it is the broadcast address"),
        _ => None,
    }
}

/// The zone that a caller names: only targets outside of the VPC's subnets can choose.
fn check_zone(group: &TargetGroup, key: &TargetKey, zone: &str, inventory: &Inventory) -> Result<(), Fault> {
    let TargetId::Ip(address) = key.id else {
        return Err(Fault::validation(format!(
            "AvailabilityZone is given for {}: targets of type {} are in the zone of their subnet, leave it out",
            key.id,
            group.target_type.as_str()
        )));
    };
    if zone != ALL_ZONES && !inventory.zones().contains(zone) {
        let zones: Vec<&str> = inventory.zones().into_iter().collect();
        return Err(Fault::validation(format!(
            "AvailabilityZone is `{}`: allowed are {ALL_ZONES} and the zones of the inventory, {}",
            zone.escape_debug(),
            zones.join(", ")
        )));
    }
    match subnet_of(group, address, inventory) {
        Some(subnet) if subnet.zone != zone => Err(Fault::validation(format!(
            "AvailabilityZone is {zone}, and {address} is in {} of {}: leave the zone out",
            subnet.id, subnet.zone
        ))),
        _ => Ok(()),
    }
}

/// The subnet of the group's VPC that holds an address.
fn subnet_of<'a>(group: &TargetGroup, address: IpAddr, inventory: &'a Inventory) -> Option<&'a Subnet> {
    inventory
        .subnets
        .values()
        .find(|subnet| group.vpc.as_ref().is_none_or(|vpc| subnet.vpc == *vpc) && subnet.holds(address))
}

/// An instance's state in words.
pub(super) fn state_of(instance: &Instance) -> &'static str {
    match instance.state {
        InstanceState::Pending => "pending",
        InstanceState::Running => "running",
        InstanceState::Stopping => "stopping",
        InstanceState::Stopped => "stopped",
        InstanceState::ShuttingDown => "shutting down",
        InstanceState::Terminated => "terminated",
    }
}

/// The zone whose traffic goes to a target: the one that the caller named, or that of its subnet. `None`: all zones.
pub fn zone_of(group: &TargetGroup, key: &TargetKey, target: &Target, inventory: &Inventory) -> Option<String> {
    match &target.zone {
        Some(zone) if zone == ALL_ZONES => return None,
        Some(zone) => return Some(zone.clone()),
        None => {}
    }
    let subnet = match &key.id {
        TargetId::Instance(id) => inventory.instances.get(id).and_then(|it| inventory.subnets.get(&it.subnet)),
        TargetId::Ip(address) => subnet_of(group, *address, inventory),
        TargetId::Alb(arn) => {
            inventory.application_load_balancers.get(arn).and_then(|it| inventory.subnets.get(&it.subnet))
        }
    };
    subnet.map(|subnet| subnet.zone.clone())
}

/// Where a target is reached. `None`: it is not in the inventory any more.
pub fn address_of(key: &TargetKey, inventory: &Inventory) -> Option<IpAddr> {
    match &key.id {
        TargetId::Instance(id) => inventory.instances.get(id).map(|instance| instance.address.into()),
        TargetId::Ip(address) => Some(*address),
        TargetId::Alb(arn) => inventory.application_load_balancers.get(arn).map(|alb| alb.address),
    }
}

#[cfg(test)]
mod tests;
