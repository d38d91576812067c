//! What a file says, in types, with the place of everything that can still turn out to be wrong.

use std::{collections::BTreeMap, net::IpAddr};

use super::tree::{Place, Source};
use crate::{
    model::{LoadBalancer, Protocol, TargetGroup, TargetKey},
    ops::subnet_mappings::Asked,
};

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
    /// All that the file says of it but its subnets; ARN and time are nobody's.
    pub built: LoadBalancer,
    /// Where the addresses of its own stand.
    pub addresses: Vec<Placed<IpAddr>>,
    /// Its subnets, if it has no addresses of its own.
    pub subnets: Option<Placed<Vec<SubnetEntry>>>,
    pub security_groups: Vec<Placed<String>>,
    pub attributes_at: Place,
    pub listeners: Vec<ListenerEntry>,
}

/// A subnet and what is wanted there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SubnetEntry {
    pub at: Place,
    pub asked: Asked,
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
    /// Their values, in the words of the file.
    pub attributes: BTreeMap<String, Placed<String>>,
    pub tags: BTreeMap<String, String>,
}

/// A target group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct GroupEntry {
    pub at: Place,
    pub name: Placed<String>,
    /// All that the file says of it but its targets; ARN and time are nobody's.
    pub built: TargetGroup,
    pub vpc: Option<Placed<String>>,
    pub targets: Placed<Vec<TargetEntry>>,
}

/// A target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TargetEntry {
    pub at: Place,
    pub key: Placed<TargetKey>,
    pub zone: Option<Placed<String>>,
}
