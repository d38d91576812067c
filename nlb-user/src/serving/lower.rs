//! From all resources to what this node serves of them.
//!
//! Pure. A node serves the addresses of its own zone; behind them the targets of that zone, or of all enabled zones
//! where cross-zone load balancing is on (guide, "Cross-zone load balancing").

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use super::{Config, HealthThreshold, Listener, LoadBalancer, Protocol, Target, TargetGroup, TargetId};
use crate::{
    model::{self, Arn, InstanceState, Inventory, State},
    ops::{listener_attributes, load_balancers, target_group_attributes as attributes, targets},
    store::Override,
};

/// What a node serves.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Served {
    /// Load balancers with their addresses of this node, and target groups with the targets that it forwards to.
    pub config: Config,
    /// The operator's word on those targets.
    pub overrides: BTreeMap<TargetId, Override>,
}

/// What the node of `inventory` serves of `state`.
pub fn lower(state: &State, inventory: &Inventory) -> Served {
    let conflicts = load_balancers::address_conflicts(state, inventory);
    // An address that a load balancer could not get is no load balancer's: who has it may go on as a target.
    let got =
        |balancer: &model::LoadBalancer, address: &IpAddr| !conflicts.contains_key(&(balancer.arn.clone(), *address));
    let mut served = Served::default();
    for balancer in state.load_balancers.values() {
        let own = own_addresses(balancer, inventory);
        let addresses: Vec<IpAddr> = own.filter(|address| got(balancer, address)).collect();
        if !addresses.is_empty() {
            let listeners = state.listeners_of(&balancer.arn).filter_map(|it| listener(it, state)).collect();
            served.config.load_balancers.push(LoadBalancer { name: balancer.name.clone(), addresses, listeners });
        }
    }
    let ours: BTreeSet<IpAddr> =
        state.load_balancers.values().flat_map(|it| it.all_addresses().filter(|address| got(it, address))).collect();
    let users: HashMap<&Arn, &model::LoadBalancer> = state
        .listeners
        .values()
        .filter_map(|it| Some((&it.target_group, &**state.load_balancers.get(&it.load_balancer)?)))
        .collect();
    for group in state.target_groups.values() {
        let Some(protocol) = protocol(group.protocol) else { continue };
        let zones = Zones::of(group, users.get(&group.arn).copied(), inventory);
        let mut members = BTreeSet::new();
        for (key, target) in &group.targets {
            let Some(id) = address(key, inventory).filter(|id| !ours.contains(id)) else { continue };
            if target.draining_until.is_some() || !zones.hold(targets::zone_of(group, key, target, inventory)) {
                continue;
            }
            members.insert(Target { id, port: key.port });
            if let Some(word) = state.overrides.get(&(group.arn.clone(), key.clone())) {
                served.overrides.insert(TargetId { group: group.name.clone(), addr: id, port: key.port }, *word);
            }
        }
        let (count, percentage) = attributes::unhealthy_routing(group);
        served.config.target_groups.push(TargetGroup {
            name: group.name.clone(),
            protocol,
            port: group.port,
            preserve_client_ip: attributes::preserves_client_ip(group),
            unhealthy_routing: HealthThreshold { count, percentage },
            targets: members.into_iter().collect(),
        });
    }
    served
}

/// A load balancer's addresses of this node's zone.
pub fn own_addresses<'a>(
    balancer: &'a model::LoadBalancer,
    inventory: &'a Inventory,
) -> impl Iterator<Item = IpAddr> + 'a {
    let zones = balancer.zones.iter().filter(|mapping| mapping.zone == inventory.zone);
    let zones = zones.flat_map(|it| std::iter::once(IpAddr::V4(it.ipv4)).chain(it.ipv6.map(IpAddr::V6)));
    zones.chain(balancer.addresses.iter().copied())
}

fn listener(listener: &model::Listener, state: &State) -> Option<Listener> {
    Some(Listener {
        protocol: protocol(listener.protocol)?,
        port: listener.port,
        target_group: state.target_groups.get(&listener.target_group)?.name.clone(),
        idle_timeout_s: listener_attributes::idle_timeout_s(listener),
    })
}

/// TLS has no data path yet: neither its listeners nor its groups are served.
const fn protocol(protocol: model::Protocol) -> Option<Protocol> {
    match protocol {
        model::Protocol::Tcp => Some(Protocol::Tcp),
        model::Protocol::Udp => Some(Protocol::Udp),
        model::Protocol::TcpUdp => Some(Protocol::TcpUdp),
        model::Protocol::Tls => None,
    }
}

/// Where a target is; `None` if it is an instance that does not run.
fn address(key: &model::TargetKey, inventory: &Inventory) -> Option<IpAddr> {
    if let model::TargetId::Instance(id) = &key.id
        && inventory.instances.get(id)?.state != InstanceState::Running
    {
        return None;
    }
    targets::address_of(key, inventory)
}

/// The zones whose targets a group forwards to from this node.
enum Zones {
    All,
    These(BTreeSet<String>),
}

impl Zones {
    /// A group that nobody uses keeps all targets: there may be connections from when it was used.
    fn of(group: &model::TargetGroup, user: Option<&model::LoadBalancer>, inventory: &Inventory) -> Self {
        let Some(balancer) = user else { return Self::All };
        let own = BTreeSet::from([inventory.zone.clone()]);
        match attributes::cross_zone(group, balancer) {
            true if balancer.zones.is_empty() => Self::All,
            true => Self::These(balancer.zones.iter().map(|mapping| mapping.zone.clone()).collect()),
            false => Self::These(own),
        }
    }

    fn hold(&self, zone: Option<String>) -> bool {
        match (self, zone) {
            (Self::All, _) | (_, None) => true,
            (Self::These(zones), Some(zone)) => zones.contains(&zone),
        }
    }
}
