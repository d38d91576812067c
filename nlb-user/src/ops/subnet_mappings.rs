//! The subnets that a caller names, and the zones with addresses that a load balancer gets from them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::Deserialize;

use super::{Context, addresses, addresses::Taken};
use crate::model::{Code, Fault, Inventory, IpAddressType, Scheme, State, Subnet, ZoneMapping};

/// Free addresses that a subnet needs where one is to be chosen (guide, "Availability Zones").
const FREE_NEEDED: u128 = 8;

/// A member of `SubnetMappings`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SubnetMapping {
    subnet_id: Option<String>,
    allocation_id: Option<String>,
    #[serde(rename = "PrivateIPv4Address")]
    private_ipv4_address: Option<String>,
    #[serde(rename = "IPv6Address")]
    ipv6_address: Option<String>,
    source_nat_ipv6_prefix: Option<String>,
}

/// A subnet and what a caller wants there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Asked {
    /// The subnet's id.
    pub subnet: String,
    /// An elastic address.
    pub allocation_id: Option<String>,
    /// A private address.
    pub private_ipv4: Option<Ipv4Addr>,
    /// An IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
}

impl Asked {
    /// What was asked for when this zone was enabled.
    pub fn of(zone: &ZoneMapping) -> Self {
        Self {
            subnet: zone.subnet.clone(),
            allocation_id: zone.allocation_id.clone(),
            private_ipv4: zone.private_ipv4.then_some(zone.ipv4),
            ipv6: zone.ipv6.filter(|_| zone.static_ipv6),
        }
    }
}

/// Reads `Subnets` and `SubnetMappings`, of which there must be one.
///
/// # Errors
/// `ValidationError`; `InvalidConfigurationRequest` for what this version does not do.
pub fn asked(subnets: Vec<String>, mappings: Vec<SubnetMapping>) -> Result<Vec<Asked>, Fault> {
    match (subnets.is_empty(), mappings.is_empty()) {
        (true, true) => Err(Fault::validation(
            "neither Subnets nor SubnetMappings names a subnet: name one for each zone to enable",
        )),
        (false, false) => Err(Fault::validation("both Subnets and SubnetMappings are given: give one of them")),
        (false, true) => Ok(subnets
            .into_iter()
            .map(|subnet| Asked { subnet, allocation_id: None, private_ipv4: None, ipv6: None })
            .collect()),
        (true, false) => mappings.into_iter().map(read).collect(),
    }
}

fn read(mapping: SubnetMapping) -> Result<Asked, Fault> {
    let subnet = mapping
        .subnet_id
        .ok_or_else(|| Fault::validation("a member of SubnetMappings has no SubnetId: name its subnet"))?;
    if mapping.source_nat_ipv6_prefix.is_some() {
        return Err(Fault::configuration(format!(
            "SourceNatIpv6Prefix for {subnet}: leave it out, it is for UDP listeners of dualstack load balancers"
        )));
    }
    let malformed = |name: &str, text: &str, family: &str| {
        Fault::validation(format!("{name} `{text}` of {subnet} is not an {family} address: write one of the subnet"))
    };
    let private_ipv4 = mapping
        .private_ipv4_address
        .map(|text| text.parse().map_err(|_| malformed("PrivateIPv4Address", &text, "IPv4")));
    let ipv6 = mapping.ipv6_address.map(|text| text.parse().map_err(|_| malformed("IPv6Address", &text, "IPv6")));
    let (private_ipv4, ipv6) = (private_ipv4.transpose()?, ipv6.transpose()?);
    Ok(Asked { subnet, allocation_id: mapping.allocation_id, private_ipv4, ipv6 })
}

/// What the zones to be enabled are for.
#[derive(Clone, Copy, Debug)]
pub struct Network<'a> {
    /// The load balancer's.
    pub scheme: Scheme,
    /// The load balancer's.
    pub ip_address_type: IpAddressType,
    /// The VPC and the zones that it has already.
    pub present: Option<(&'a str, &'a [ZoneMapping])>,
}

/// The VPC, and a zone with addresses for each subnet, in the order of the zones' names. `pick` chooses addresses.
///
/// # Errors
/// `SubnetNotFound`, `InvalidSubnet`, `AllocationIdNotFound`, `ResourceInUse`, `ValidationError`,
/// `InvalidConfigurationRequest`.
pub fn enable(
    asked: &[Asked],
    network: Network<'_>,
    state: &State,
    context: &Context<'_>,
    pick: &mut dyn FnMut(u128) -> u128,
) -> Result<(String, Vec<ZoneMapping>), Fault> {
    for one in asked {
        goes_with(one, network)?;
    }
    let find = |one: &Asked| subnet(context.inventory, &one.subnet);
    let subnets: Vec<&Subnet> = asked.iter().map(find).collect::<Result<_, _>>()?;
    let present = network.present.map_or(&[] as &[ZoneMapping], |(_, zones)| zones);
    one_a_zone(
        present.iter().map(|zone| (&*zone.zone, &*zone.subnet)).chain(subnets.iter().map(|it| (&*it.zone, &*it.id))),
    )?;
    let vpc = one_vpc(network.present.map(|(vpc, _)| vpc), &subnets)?;
    within_quota(vpc, subnets.len(), state, context)?;
    let mut taken = Taken::of(&subnets, state, context.inventory);
    let mut zones: Vec<ZoneMapping> = Vec::with_capacity(asked.len());
    for (asked, subnet) in asked.iter().zip(subnets) {
        let elastic =
            asked.allocation_id.as_deref().map(|id| elastic(id, &zones, state, context.inventory)).transpose()?;
        let ipv4 = ipv4(subnet, asked.private_ipv4, elastic, network.scheme, &taken, pick)?;
        let ipv6 = match network.ip_address_type {
            IpAddressType::Ipv4 => None,
            IpAddressType::Dualstack => Some(ipv6(subnet, asked.ipv6, &taken, pick)?),
        };
        taken.add(ipv4.into());
        ipv6.into_iter().for_each(|address| taken.add(address.into()));
        zones.push(ZoneMapping {
            zone: subnet.zone.clone(),
            subnet: subnet.id.clone(),
            allocation_id: asked.allocation_id.clone(),
            ipv4,
            private_ipv4: asked.private_ipv4.is_some(),
            ipv6,
            static_ipv6: asked.ipv6.is_some(),
        });
    }
    each_once(present.iter().chain(&zones))?;
    zones.sort_by(|one, other| one.zone.cmp(&other.zone));
    Ok((vpc.to_owned(), zones))
}

/// The subnet of this id.
///
/// # Errors
/// `SubnetNotFound`.
pub fn subnet<'a>(inventory: &'a Inventory, id: &str) -> Result<&'a Subnet, Fault> {
    inventory.subnets.get(id).ok_or_else(|| {
        Fault::new(
            Code::SubnetNotFound,
            format!("there is no subnet {id} in the inventory: `nlb inventory list` tells them"),
        )
    })
}

/// The IPv6 address in a subnet: the one asked for, or a free one.
///
/// # Errors
/// `InvalidSubnet` if the subnet has none to give, `ValidationError` if the one asked for is not the subnet's.
pub fn ipv6(
    subnet: &Subnet,
    asked: Option<Ipv6Addr>,
    taken: &Taken,
    pick: &mut dyn FnMut(u128) -> u128,
) -> Result<Ipv6Addr, Fault> {
    let Some(cidr) = subnet.ipv6_cidr else {
        return Err(Fault::new(
            Code::InvalidSubnet,
            format!("the subnet {} has no IPv6 addresses (ipv6_cidr), which dualstack needs", subnet.id),
        ));
    };
    match asked {
        Some(address) if addresses::is_usable(subnet, address.into()) => Ok(address),
        Some(address) => Err(not_usable("IPv6Address", address.into(), subnet, &cidr.to_string())),
        None => taken.choose_ipv6(subnet, pick).ok_or_else(|| {
            Fault::new(Code::InvalidSubnet, format!("the subnet {} has no free IPv6 address", subnet.id))
        }),
    }
}

/// Whether an address can be asked for here.
///
/// # Errors
/// `InvalidConfigurationRequest`.
pub fn goes_with(asked: &Asked, network: Network<'_>) -> Result<(), Fault> {
    let Asked { subnet, .. } = asked;
    let refused = |why: &str| Err(Fault::configuration(format!("{why} (subnet {subnet})")));
    match network.scheme {
        Scheme::Internal if asked.allocation_id.is_some() => {
            refused("AllocationId is for internet-facing load balancers, and this one is internal: leave it out")
        }
        Scheme::InternetFacing if asked.private_ipv4.is_some() => {
            refused("PrivateIPv4Address is for internal load balancers, and this one is internet-facing: leave it out")
        }
        _ if asked.ipv6.is_some() && network.ip_address_type == IpAddressType::Ipv4 => refused(
            "IPv6Address is for dualstack load balancers, and this one is ipv4: leave it out, or ask for dualstack",
        ),
        _ => Ok(()),
    }
}

/// Refuses two subnets of one zone. Pairs are (zone, subnet).
fn one_a_zone<'a>(subnets: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), Fault> {
    let mut seen = std::collections::BTreeMap::new();
    for (zone, subnet) in subnets {
        if let Some(other) = seen.insert(zone, subnet) {
            return Err(Fault::configuration(format!(
                "{other} and {subnet} are both in the zone {zone}: name one subnet for each zone"
            )));
        }
    }
    Ok(())
}

/// The VPC that all subnets are of.
fn one_vpc<'a>(present: Option<&'a str>, subnets: &[&'a Subnet]) -> Result<&'a str, Fault> {
    let first = present.or_else(|| subnets.first().map(|subnet| subnet.vpc.as_str())).unwrap_or_default();
    match subnets.iter().find(|subnet| subnet.vpc != first) {
        Some(other) => Err(Fault::configuration(format!(
            "the subnet {} is in the VPC {}, the load balancer in {first}: all of its subnets must be in one VPC",
            other.id, other.vpc
        ))),
        None => Ok(first),
    }
}

fn within_quota(vpc: &str, more: usize, state: &State, context: &Context<'_>) -> Result<(), Fault> {
    let most = context.quotas.enis_per_vpc as usize;
    let there = state.load_balancers.values().filter(|balancer| balancer.vpc.as_deref() == Some(vpc));
    let count = there.map(|balancer| balancer.zones.len()).sum::<usize>() + more;
    if count > most {
        return Err(Fault::configuration(format!(
            "load balancers would have {count} addresses in the VPC {vpc}, one for each zone of each: at most {most} \
             are allowed (quota enis_per_vpc)"
        )));
    }
    Ok(())
}

/// An elastic address that no load balancer has; `zones` are those of the one that wants it.
fn elastic(id: &str, zones: &[ZoneMapping], state: &State, inventory: &Inventory) -> Result<Ipv4Addr, Fault> {
    let elastic = inventory.elastic_ips.get(id).ok_or_else(|| {
        Fault::new(Code::AllocationIdNotFound, format!("there is no elastic address {id} in the inventory"))
    })?;
    let has = |zone: &ZoneMapping| zone.allocation_id.as_deref() == Some(id);
    if zones.iter().any(has) {
        return Err(Fault::configuration(format!(
            "AllocationId {id} stands twice: each zone needs an address of its own"
        )));
    }
    if let Some(user) = state.load_balancers.values().find(|balancer| balancer.zones.iter().any(has)) {
        return Err(Fault::new(
            Code::ResourceInUse,
            format!("the elastic address {id} is in use by the load balancer {}: choose another", user.name),
        ));
    }
    Ok(elastic.address)
}

/// The IPv4 address in a subnet: the one asked for, or a free one.
fn ipv4(
    subnet: &Subnet,
    private: Option<Ipv4Addr>,
    elastic: Option<Ipv4Addr>,
    scheme: Scheme,
    taken: &Taken,
    pick: &mut dyn FnMut(u128) -> u128,
) -> Result<Ipv4Addr, Fault> {
    if let Some(address) = private
        && !addresses::is_usable(subnet, address.into())
    {
        return Err(not_usable("PrivateIPv4Address", address.into(), subnet, &subnet.cidr.to_string()));
    }
    let free = taken.free_ipv4(subnet);
    let enough = free >= FREE_NEEDED;
    let too_few = || {
        let id = &subnet.id;
        let sentence = format!("the subnet {id} has {free} free addresses: at least {FREE_NEEDED} are needed");
        Fault::new(Code::InvalidSubnet, sentence)
    };
    if !enough && (scheme == Scheme::InternetFacing || private.is_none()) {
        return Err(too_few());
    }
    match private.or(elastic) {
        Some(address) => Ok(address),
        None => taken.choose_ipv4(subnet, pick).ok_or_else(too_few),
    }
}

fn not_usable(name: &str, address: IpAddr, subnet: &Subnet, cidr: &str) -> Fault {
    Fault::validation(format!(
        "{name} {address} can't be had in the subnet {}: choose one of {cidr}, but none of its first four and \
         not its last",
        subnet.id
    ))
}

/// Refuses an address in two zones, which subnets that overlap allow.
fn each_once<'a>(zones: impl Iterator<Item = &'a ZoneMapping>) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    let addresses = zones.flat_map(|zone| [Some(IpAddr::V4(zone.ipv4)), zone.ipv6.map(IpAddr::V6)]);
    match addresses.flatten().find(|address| !seen.insert(*address)) {
        Some(address) => Err(Fault::configuration(format!(
            "the address {address} would be that of two zones: each zone needs an address of its own"
        ))),
        None => Ok(()),
    }
}
