//! How load balancers are told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use super::{Context, load_balancer_state::StateCode, time};
use crate::model::{LoadBalancer as Model, Scheme};

/// There are no hosted zones: one id stands for the zone of all names.
const HOSTED_ZONE: &str = "ZNLB0000000000";

/// A load balancer as a caller is told it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LoadBalancer {
    load_balancer_arn: String,
    #[serde(rename = "DNSName")]
    dns_name: String,
    canonical_hosted_zone_id: &'static str,
    created_time: String,
    load_balancer_name: String,
    scheme: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc_id: Option<String>,
    state: State,
    r#type: &'static str,
    availability_zones: Vec<AvailabilityZone>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    security_groups: Vec<String>,
    ip_address_type: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    code: StateCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A zone of a load balancer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AvailabilityZone {
    zone_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subnet_id: Option<String>,
    load_balancer_addresses: Vec<LoadBalancerAddress>,
}

/// The addresses of a zone.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LoadBalancerAddress {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocation_id: Option<String>,
    #[serde(rename = "PrivateIPv4Address", skip_serializing_if = "Option::is_none")]
    private_ipv4_address: Option<Ipv4Addr>,
    #[serde(rename = "IPv6Address", skip_serializing_if = "Option::is_none")]
    ipv6_address: Option<Ipv6Addr>,
}

impl LoadBalancerAddress {
    fn new(scheme: Scheme, ipv4: Option<Ipv4Addr>, ipv6: Option<Ipv6Addr>, allocation_id: Option<String>) -> Self {
        let (ip_address, private_ipv4_address) = match scheme {
            Scheme::InternetFacing => (ipv4, None),
            Scheme::Internal => (None, ipv4),
        };
        Self { ip_address, allocation_id, private_ipv4_address, ipv6_address: ipv6 }
    }
}

impl LoadBalancer {
    /// As it stands: `state` is of [`super::load_balancer_state`].
    pub fn new(balancer: &Model, state: (StateCode, Option<String>), context: &Context<'_>) -> Self {
        Self {
            load_balancer_arn: balancer.arn.to_string(),
            dns_name: balancer.dns_name(&context.account.region),
            canonical_hosted_zone_id: HOSTED_ZONE,
            created_time: time(balancer.created),
            load_balancer_name: balancer.name.clone(),
            scheme: balancer.scheme.as_str(),
            vpc_id: balancer.vpc.clone(),
            state: State { code: state.0, reason: state.1 },
            r#type: "network",
            availability_zones: availability_zones(balancer, context),
            security_groups: balancer.security_groups.clone(),
            ip_address_type: balancer.ip_address_type.as_str(),
        }
    }
}

/// The zones of a load balancer. Addresses of a file's own choice are in the node's zone and in no subnet.
pub fn availability_zones(balancer: &Model, context: &Context<'_>) -> Vec<AvailabilityZone> {
    let zones = balancer.zones.iter().map(|zone| AvailabilityZone {
        zone_name: zone.zone.clone(),
        subnet_id: Some(zone.subnet.clone()),
        load_balancer_addresses: vec![LoadBalancerAddress::new(
            balancer.scheme,
            Some(zone.ipv4),
            zone.ipv6,
            zone.allocation_id.clone(),
        )],
    });
    let own = balancer.addresses.iter().map(|address| match address {
        IpAddr::V4(address) => LoadBalancerAddress::new(balancer.scheme, Some(*address), None, None),
        IpAddr::V6(address) => LoadBalancerAddress::new(balancer.scheme, None, Some(*address), None),
    });
    let own: Vec<LoadBalancerAddress> = own.collect();
    let own = (!own.is_empty()).then(|| AvailabilityZone {
        zone_name: context.inventory.zone.clone(),
        subnet_id: None,
        load_balancer_addresses: own,
    });
    zones.chain(own).collect()
}
