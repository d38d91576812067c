//! `SetSubnets` and `SetIpAddressType`: more zones, and more families of addresses.

use std::{net::Ipv6Addr, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Context,
    addresses::{self, Taken},
    checks, find,
    load_balancer_output::{AvailabilityZone, availability_zones},
    subnet_mappings::{self, Asked, Network, SubnetMapping},
};
use crate::model::{Code, Family, Fault, IpAddressType, LoadBalancer, Protocol, State, Subnet, ZoneMapping};

/// `SetSubnets`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SetSubnetsInput {
    load_balancer_arn: String,
    #[serde(default)]
    subnets: Vec<String>,
    #[serde(default)]
    subnet_mappings: Vec<SubnetMapping>,
    ip_address_type: Option<String>,
    enable_prefix_for_ipv6_source_nat: Option<String>,
}

/// What `SetSubnets` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetSubnetsOutput {
    availability_zones: Vec<AvailabilityZone>,
    ip_address_type: &'static str,
}

/// `SetIpAddressType`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SetIpAddressTypeInput {
    load_balancer_arn: String,
    ip_address_type: String,
}

/// What `SetIpAddressType` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetIpAddressTypeOutput {
    ip_address_type: &'static str,
}

/// `SetSubnets`: the zones that the load balancer has and, with them, more.
///
/// # Errors
/// `LoadBalancerNotFound`, `SubnetNotFound`, `InvalidSubnet`, `AllocationIdNotFound`, `ResourceInUse`,
/// `ValidationError`; `InvalidConfigurationRequest` if a zone would go, get another subnet or another address.
pub fn set_subnets(
    state: &mut State,
    input: SetSubnetsInput,
    context: &Context<'_>,
) -> Result<SetSubnetsOutput, Fault> {
    let mut balancer = find::load_balancer(state, &input.load_balancer_arn)?.clone();
    source_nat(input.enable_prefix_for_ipv6_source_nat.as_deref())?;
    let wanted = input.ip_address_type.as_deref().map(ip_address_type).transpose()?;
    let asked = subnet_mappings::asked(input.subnets, input.subnet_mappings)?;
    let vpc = with_subnets(&balancer)?.to_owned();
    let (present, new): (Vec<Asked>, Vec<Asked>) =
        asked.into_iter().partition(|asked| balancer.zones.iter().any(|zone| zone.subnet == asked.subnet));
    all_present(&balancer, &present, &new, context)?;
    let to = wanted.unwrap_or(balancer.ip_address_type);
    let mut ipv6 = Vec::new();
    for asked in &present {
        unchanged(&balancer, asked, to)?;
        ipv6.extend(asked.ipv6.map(|address| (asked.subnet.as_str(), address)));
    }
    let changed = Arc::make_mut(&mut balancer);
    if to != changed.ip_address_type {
        change_type(changed, to, &ipv6, state, context)?;
    }
    if !new.is_empty() {
        let network = Network { scheme: changed.scheme, ip_address_type: to, present: Some((&vpc, &changed.zones)) };
        let (_, zones) = subnet_mappings::enable(&new, network, state, context, &mut addresses::at_random)?;
        changed.zones.extend(zones);
        changed.zones.sort_by(|one, other| one.zone.cmp(&other.zone));
    }
    let output = SetSubnetsOutput {
        availability_zones: availability_zones(changed, context),
        ip_address_type: changed.ip_address_type.as_str(),
    };
    state.load_balancers.insert(balancer.arn.clone(), balancer);
    Ok(output)
}

/// `SetIpAddressType`.
///
/// # Errors
/// `LoadBalancerNotFound`, `ValidationError`; `InvalidSubnet` if a subnet has no IPv6 addresses;
/// `InvalidConfigurationRequest` if listeners or target groups don't go with it.
pub fn set_ip_address_type(
    state: &mut State,
    input: SetIpAddressTypeInput,
    context: &Context<'_>,
) -> Result<SetIpAddressTypeOutput, Fault> {
    let mut balancer = find::load_balancer(state, &input.load_balancer_arn)?.clone();
    let to = ip_address_type(&input.ip_address_type)?;
    if to != balancer.ip_address_type {
        with_subnets(&balancer)?;
        change_type(Arc::make_mut(&mut balancer), to, &[], state, context)?;
        state.load_balancers.insert(balancer.arn.clone(), balancer);
    }
    Ok(SetIpAddressTypeOutput { ip_address_type: to.as_str() })
}

/// Reads `IpAddressType`.
///
/// # Errors
/// `ValidationError`; `InvalidConfigurationRequest` for the one that only other kinds of load balancers have.
pub fn ip_address_type(text: &str) -> Result<IpAddressType, Fault> {
    match text {
        "ipv4" => Ok(IpAddressType::Ipv4),
        "dualstack" => Ok(IpAddressType::Dualstack),
        "dualstack-without-public-ipv4" => Err(Fault::configuration(
            "IpAddressType is dualstack-without-public-ipv4, of other load balancers: allowed are ipv4, dualstack",
        )),
        other => Err(checks::not_one_of("IpAddressType", other, &["ipv4", "dualstack"])),
    }
}

/// Reads `EnablePrefixForIpv6SourceNat`, which can only be off.
///
/// # Errors
/// `ValidationError`, `InvalidConfigurationRequest`.
pub fn source_nat(text: Option<&str>) -> Result<(), Fault> {
    match text {
        None | Some("off") => Ok(()),
        Some("on") => Err(Fault::configuration(
            "EnablePrefixForIpv6SourceNat can't be on: dualstack load balancers have no UDP listeners, which it is for",
        )),
        Some(other) => Err(checks::not_one_of("EnablePrefixForIpv6SourceNat", other, &["on", "off"])),
    }
}

/// The VPC of a load balancer that has subnets.
fn with_subnets(balancer: &LoadBalancer) -> Result<&str, Fault> {
    balancer.vpc.as_deref().filter(|_| !balancer.zones.is_empty()).ok_or_else(|| {
        Fault::configuration(format!(
            "the load balancer {} has no subnets but addresses of its own, which a file names: change them there",
            balancer.name
        ))
    })
}

/// Refuses a call that leaves out a zone, or gives it another subnet.
fn all_present(balancer: &LoadBalancer, present: &[Asked], new: &[Asked], context: &Context<'_>) -> Result<(), Fault> {
    let named: Vec<&Subnet> =
        new.iter().map(|asked| subnet_mappings::subnet(context.inventory, &asked.subnet)).collect::<Result<_, _>>()?;
    let missing = |zone: &&ZoneMapping| !present.iter().any(|asked| asked.subnet == zone.subnet);
    let missing: Vec<&ZoneMapping> = balancer.zones.iter().filter(missing).collect();
    let moved = missing.iter().find_map(|zone| Some((zone, named.iter().find(|subnet| subnet.zone == zone.zone)?)));
    if let Some((zone, subnet)) = moved {
        return Err(Fault::configuration(format!(
            "the zone {} is enabled with the subnet {}, which can't become {}: name {} again",
            zone.zone, zone.subnet, subnet.id, zone.subnet
        )));
    }
    if !missing.is_empty() {
        let zones: Vec<String> = missing.iter().map(|zone| format!("{} ({})", zone.zone, zone.subnet)).collect();
        return Err(Fault::configuration(format!(
            "a zone can't be disabled: name the subnets of {} again, with those to add",
            zones.join(", ")
        )));
    }
    let mut seen = std::collections::BTreeSet::new();
    match present.iter().find(|asked| !seen.insert(&asked.subnet)) {
        Some(twice) => {
            Err(Fault::configuration(format!("the subnet {} stands twice: name one for each zone", twice.subnet)))
        }
        None => Ok(()),
    }
}

/// Refuses another address in a zone that is enabled already. One that gets IPv6 only now may name its address.
fn unchanged(balancer: &LoadBalancer, asked: &Asked, to: IpAddressType) -> Result<(), Fault> {
    let Some(zone) = balancer.zones.iter().find(|zone| zone.subnet == asked.subnet) else { return Ok(()) };
    let refused = |name: &str, present: String| {
        Err(Fault::configuration(format!(
            "{name} of the zone {} can't be changed, it is {present}: name it, or leave it out",
            zone.zone
        )))
    };
    if asked.allocation_id.is_some() && asked.allocation_id != zone.allocation_id {
        return refused("AllocationId", zone.allocation_id.clone().unwrap_or_else(|| "none".to_owned()));
    }
    if asked.private_ipv4.is_some_and(|address| address != zone.ipv4) {
        return refused("PrivateIPv4Address", zone.ipv4.to_string());
    }
    match (asked.ipv6, zone.ipv6) {
        (Some(asked), Some(present)) if asked != present => refused("IPv6Address", present.to_string()),
        (Some(_), None) if to == IpAddressType::Ipv4 => Err(Fault::configuration(format!(
            "IPv6Address is for dualstack load balancers: leave it out for the zone {}",
            zone.zone
        ))),
        _ => Ok(()),
    }
}

/// Gives all zones an IPv6 address, or takes them away. `ipv6` are addresses that the caller names, by subnet.
fn change_type(
    balancer: &mut LoadBalancer,
    to: IpAddressType,
    ipv6: &[(&str, Ipv6Addr)],
    state: &State,
    context: &Context<'_>,
) -> Result<(), Fault> {
    fits_listeners(balancer, to, state)?;
    balancer.ip_address_type = to;
    if to == IpAddressType::Ipv4 {
        // The attribute is one of dualstack load balancers.
        balancer.attributes.remove(super::load_balancer_attributes::DENY_ALL_IGW_TRAFFIC);
        for zone in &mut balancer.zones {
            (zone.ipv6, zone.static_ipv6) = (None, false);
        }
        return Ok(());
    }
    for zone in &mut balancer.zones {
        let subnet = context.inventory.subnets.get(&zone.subnet).ok_or_else(|| {
            let sentence =
                format!("the subnet {} is no longer in the inventory: dualstack needs its ipv6_cidr", zone.subnet);
            Fault::new(Code::InvalidSubnet, sentence)
        })?;
        let asked = ipv6.iter().find(|(id, _)| *id == zone.subnet).map(|(_, address)| *address);
        let taken = Taken::of(&[subnet], state, context.inventory);
        zone.ipv6 = Some(subnet_mappings::ipv6(subnet, asked, &taken, &mut addresses::at_random)?);
        zone.static_ipv6 = asked.is_some();
    }
    Ok(())
}

/// Whether the listeners, and the groups they forward to, go with the type.
fn fits_listeners(balancer: &LoadBalancer, to: IpAddressType, state: &State) -> Result<(), Fault> {
    for listener in state.listeners_of(&balancer.arn) {
        let (protocol, port) = (listener.protocol, listener.port);
        let group = state.target_groups.get(&listener.target_group);
        match to {
            IpAddressType::Dualstack if matches!(protocol, Protocol::Udp | Protocol::TcpUdp) => {
                return Err(Fault::configuration(format!(
                    "dualstack load balancers have only TCP and TLS listeners, and {} has {protocol} on port {port}: \
                     delete that listener first",
                    balancer.name
                )));
            }
            IpAddressType::Ipv4 => {
                if let Some(group) = group.filter(|group| group.family == Family::Ipv6) {
                    return Err(Fault::configuration(format!(
                        "the target group {} of the listener on port {port} has IPv6 targets, which need dualstack: \
                         forward to another first",
                        group.name
                    )));
                }
            }
            IpAddressType::Dualstack => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
