//! What a file says, in types, with the place of everything that can still turn out to be wrong.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::tree::{Place, Source};
use crate::model::{Family, HealthCheck, IpAddressType, Protocol, Scheme, TargetKey, TargetType};

/// A file that is well-formed: its values are of the right kinds and in their ranges, its names are unique, and what it
/// refers to within itself is there. Whether its resources can be had is for [`super::apply`] to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    pub(super) source: Source,
    /// Where the list of load balancers stands.
    pub(super) balancers_at: Place,
    pub(super) balancers: Vec<BalancerEntry>,
    pub(super) groups_at: Place,
    pub(super) groups: Vec<GroupEntry>,
}

/// A value and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Placed<T> {
    pub value: T,
    pub at: Place,
}

/// A load balancer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BalancerEntry {
    pub at: Place,
    pub name: Placed<String>,
    pub scheme: Scheme,
    pub addresses: Addresses,
    pub security_groups: Vec<Placed<String>>,
    pub attributes: Placed<BTreeMap<String, String>>,
    pub tags: BTreeMap<String, String>,
    pub listeners: Vec<ListenerEntry>,
}

/// Where a load balancer's addresses are from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Addresses {
    /// The operator's own.
    Own(Vec<Placed<IpAddr>>),
    /// Subnets of the inventory.
    Subnets { mappings: Placed<Vec<MappingEntry>>, ip_address_type: Placed<IpAddressType> },
}

/// A subnet and the address in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MappingEntry {
    pub at: Place,
    pub subnet: Placed<String>,
    pub allocation_id: Option<Placed<String>>,
    pub private_ipv4: Option<Placed<Ipv4Addr>>,
    pub ipv6: Option<Placed<Ipv6Addr>>,
}

/// A listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ListenerEntry {
    pub at: Place,
    pub protocol: Placed<Protocol>,
    pub port: Placed<u16>,
    pub target_group: Placed<String>,
    pub certificates: Placed<Vec<Placed<String>>>,
    pub ssl_policy: Option<Placed<String>>,
    pub alpn_policy: Option<Placed<String>>,
    pub attributes: Placed<BTreeMap<String, String>>,
    pub tags: BTreeMap<String, String>,
}

/// A target group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct GroupEntry {
    pub at: Place,
    pub name: Placed<String>,
    pub target_type: TargetType,
    pub protocol: Placed<Protocol>,
    pub port: u16,
    pub vpc: Option<Placed<String>>,
    pub family: Family,
    pub health_check: HealthCheck,
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    pub targets: Placed<Vec<TargetEntry>>,
}

/// A target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TargetEntry {
    pub at: Place,
    pub key: Placed<TargetKey>,
    pub zone: Option<Placed<String>>,
}
