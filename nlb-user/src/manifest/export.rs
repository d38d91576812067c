//! The way back: the state as a file that says the same.
//!
//! Names, subnets and settings are told; what a node finds by itself (ARNs, times, chosen addresses) is not, nor what
//! passes by itself: draining targets, zonal shifts, the operator's word on targets' health.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;
use serde_json::Value;

use crate::{
    model::{
        Family, HealthCheck, IpAddressType, Listener, LoadBalancer, Scheme, State, TargetGroup, TargetType, ZoneMapping,
    },
    ops::health_check::{self, Wanted},
};

/// The shape of the file.
#[derive(Serialize)]
struct File<'a> {
    load_balancers: Vec<BalancerShape<'a>>,
    target_groups: Vec<GroupShape<'a>>,
}

#[derive(Serialize)]
struct BalancerShape<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address_type: Option<&'static str>,
    #[serde(flatten)]
    addresses: AddressesShape<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    security_groups: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: &'a BTreeMap<String, String>,
    listeners: Vec<ListenerShape<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum AddressesShape<'a> {
    Addresses(&'a [IpAddr]),
    Subnets(Vec<&'a str>),
    SubnetMappings(Vec<MappingShape<'a>>),
}

#[derive(Serialize)]
struct MappingShape<'a> {
    subnet: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_ipv4_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv6_address: Option<IpAddr>,
}

#[derive(Serialize)]
struct ListenerShape<'a> {
    protocol: &'static str,
    port: u16,
    target_group: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    certificates: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    ssl_policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alpn_policy: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct GroupShape<'a> {
    name: &'a str,
    protocol: &'static str,
    port: u16,
    target_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address_type: Option<&'static str>,
    #[serde(skip_serializing_if = "HealthShape::is_default")]
    health_check: HealthShape<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: &'a BTreeMap<String, String>,
    targets: Vec<TargetShape<'a>>,
}

/// What differs from the defaults.
#[derive(Serialize, PartialEq, Default)]
struct HealthShape<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matcher: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_seconds: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthy_threshold: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unhealthy_threshold: Option<u8>,
}

#[derive(Serialize)]
struct TargetShape<'a> {
    id: String,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    availability_zone: Option<&'a str>,
}

/// The state in the shape of the file, in the order of names; [`super::apply`] makes the same state of it.
pub fn export(state: &State) -> Value {
    let mut balancers: Vec<&LoadBalancer> = state.load_balancers.values().map(|balancer| &**balancer).collect();
    balancers.sort_by(|one, other| one.name.cmp(&other.name));
    let mut groups: Vec<&TargetGroup> = state.target_groups.values().map(|group| &**group).collect();
    groups.sort_by(|one, other| one.name.cmp(&other.name));
    let file = File {
        load_balancers: balancers.into_iter().map(|it| balancer(it, state)).collect(),
        target_groups: groups.into_iter().map(group).collect(),
    };
    #[expect(clippy::expect_used, reason = "plain structs with text keys are always JSON")]
    let value = serde_json::to_value(file).expect("a file is JSON");
    value
}

fn balancer<'a>(balancer: &'a LoadBalancer, state: &'a State) -> BalancerShape<'a> {
    let mut listeners: Vec<&Listener> = state.listeners_of(&balancer.arn).map(|listener| &**listener).collect();
    listeners.sort_by_key(|listener| (listener.port, listener.protocol));
    BalancerShape {
        name: &balancer.name,
        scheme: (balancer.scheme != Scheme::default()).then(|| balancer.scheme.as_str()),
        ip_address_type: (balancer.addresses.is_empty() && balancer.ip_address_type != IpAddressType::default())
            .then(|| balancer.ip_address_type.as_str()),
        addresses: addresses(balancer),
        security_groups: &balancer.security_groups,
        attributes: &balancer.attributes,
        tags: &balancer.tags,
        listeners: listeners.into_iter().filter_map(|it| listener(it, state)).collect(),
    }
}

fn addresses(balancer: &LoadBalancer) -> AddressesShape<'_> {
    let plain = |zone: &ZoneMapping| zone.allocation_id.is_none() && !zone.private_ipv4 && !zone.static_ipv6;
    match () {
        () if balancer.zones.is_empty() => AddressesShape::Addresses(&balancer.addresses),
        () if balancer.zones.iter().all(plain) => {
            AddressesShape::Subnets(balancer.zones.iter().map(|zone| zone.subnet.as_str()).collect())
        }
        () => AddressesShape::SubnetMappings(balancer.zones.iter().map(mapping).collect()),
    }
}

fn mapping(zone: &ZoneMapping) -> MappingShape<'_> {
    MappingShape {
        subnet: &zone.subnet,
        allocation_id: zone.allocation_id.as_deref(),
        private_ipv4_address: zone.private_ipv4.then_some(IpAddr::V4(zone.ipv4)),
        ipv6_address: zone.ipv6.filter(|_| zone.static_ipv6).map(IpAddr::V6),
    }
}

fn listener<'a>(listener: &'a Listener, state: &'a State) -> Option<ListenerShape<'a>> {
    Some(ListenerShape {
        protocol: listener.protocol.as_str(),
        port: listener.port,
        target_group: &state.target_groups.get(&listener.target_group)?.name,
        certificates: &listener.certificates,
        ssl_policy: listener.ssl_policy.as_deref(),
        alpn_policy: listener.alpn_policy.as_deref(),
        attributes: &listener.attributes,
        tags: &listener.tags,
    })
}

fn group(group: &TargetGroup) -> GroupShape<'_> {
    let family = match (group.target_type, group.family) {
        (TargetType::Ip, Family::Ipv4) => Some("ipv4"),
        (_, Family::Ipv6) => Some("ipv6"),
        _ => None,
    };
    let targets = group.targets.iter().filter(|(_, target)| target.draining_until.is_none());
    GroupShape {
        name: &group.name,
        protocol: group.protocol.as_str(),
        port: group.port,
        target_type: group.target_type.as_str(),
        vpc: group.vpc.as_deref(),
        ip_address_type: family,
        health_check: HealthShape::of(group),
        attributes: &group.attributes,
        tags: &group.tags,
        targets: targets
            .map(|(key, target)| TargetShape {
                id: key.id.to_string(),
                port: key.port,
                availability_zone: target.zone.as_deref(),
            })
            .collect(),
    }
}

impl<'a> HealthShape<'a> {
    fn of(group: &'a TargetGroup) -> Self {
        let HealthCheck { protocol, port, path, matcher, .. } = &group.health_check;
        let check = &group.health_check;
        let settled = |protocol: Option<String>| {
            health_check::settled(&Wanted { protocol, ..Wanted::default() }, group.target_type).ok()
        };
        let usual = settled(None);
        let default = settled(Some(protocol.to_string()));
        fn other<T: PartialEq>(it: T, default: Option<T>) -> Option<T> {
            (default.as_ref() != Some(&it)).then_some(it)
        }
        let default = default.as_ref();
        Self {
            protocol: usual.filter(|usual| usual.protocol != *protocol).map(|_| protocol.as_str()),
            port: *port,
            path: path.as_deref().filter(|path| default.and_then(|it| it.path.as_deref()) != Some(*path)),
            matcher: matcher.as_deref().filter(|it| default.and_then(|it| it.matcher.as_deref()) != Some(*it)),
            interval_seconds: other(check.interval_s, default.map(|it| it.interval_s)),
            timeout_seconds: other(check.timeout_s, default.map(|it| it.timeout_s)),
            healthy_threshold: other(check.healthy_threshold, default.map(|it| it.healthy_threshold)),
            unhealthy_threshold: other(check.unhealthy_threshold, default.map(|it| it.unhealthy_threshold)),
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
