//! Load balancers of a file: who they are, and their addresses in subnets.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::{
    apply::Apply,
    shape::{BalancerEntry, SubnetEntry},
    tree::Place,
};
use crate::{
    model::{Arn, Fault, IpAddressType, Listener, LoadBalancer, TargetId, ZoneMapping, new_id},
    ops::{
        addresses::{self, Taken},
        load_balancer_attributes, load_balancers, security_groups,
        subnet_mappings::{self, Asked, Network},
        target_quotas,
    },
};

impl Apply<'_> {
    pub fn balancers(&mut self) {
        let document = self.document;
        // First who they are and what they keep: what others keep is not to be had.
        let mut arns = Vec::with_capacity(document.balancers.len());
        for entry in &document.balancers {
            let old = self.old_balancers.get(entry.name.value.as_str()).copied();
            let balancer = self.identified(entry, old.map(|old| &**old));
            arns.push(balancer.arn.clone());
            self.next.load_balancers.insert(balancer.arn.clone(), Arc::new(balancer));
        }
        for (entry, arn) in document.balancers.iter().zip(&arns) {
            let old = self.old_balancers.get(entry.name.value.as_str()).copied();
            self.enable(entry, arn);
            self.settle(entry, arn, old);
        }
        self.protected();
        self.addresses_of_others();
    }

    /// A load balancer with the zones that it keeps.
    fn identified(&self, entry: &BalancerEntry, old: Option<&LoadBalancer>) -> LoadBalancer {
        let mut balancer = entry.built.clone();
        let Some(old) = old else {
            balancer.arn = Arn::load_balancer(self.context.account, &balancer.name, &new_id());
            balancer.created = self.context.now;
            return balancer;
        };
        balancer.arn = old.arn.clone();
        balancer.created = old.created;
        let entries = entry.subnets.iter().flat_map(|subnets| &subnets.value);
        balancer.zones = entries.filter_map(|entry| kept(entry, old, balancer.ip_address_type)).collect();
        balancer.vpc = old.vpc.clone().filter(|_| !balancer.zones.is_empty());
        balancer
    }

    /// Gives the load balancer the zones that it does not have, one after the other.
    fn enable(&mut self, entry: &BalancerEntry, arn: &Arn) {
        let Some(subnets) = &entry.subnets else { return };
        for SubnetEntry { at, asked } in &subnets.value {
            let Some(balancer) = self.next.load_balancers.get(arn) else { return };
            if let Some(zone) = balancer.zones.iter().position(|zone| zone.subnet == asked.subnet) {
                if balancer.ip_address_type == IpAddressType::Dualstack && balancer.zones[zone].ipv6.is_none() {
                    let ipv6 = self.ipv6(asked);
                    let ipv6 = self.hold(at, ipv6);
                    if let Some(balancer) = self.next.load_balancers.get_mut(arn) {
                        let zone = &mut Arc::make_mut(balancer).zones[zone];
                        (zone.ipv6, zone.static_ipv6) = (ipv6, asked.ipv6.is_some());
                    }
                }
                continue;
            }
            let present = balancer.vpc.as_deref().map(|vpc| (vpc, balancer.zones.as_slice()));
            let network = Network { scheme: balancer.scheme, ip_address_type: balancer.ip_address_type, present };
            let pick = &mut addresses::at_random;
            let enabled = subnet_mappings::enable(std::slice::from_ref(asked), network, &self.next, self.context, pick);
            if let Some((vpc, zones)) = self.hold(at, enabled)
                && let Some(balancer) = self.next.load_balancers.get_mut(arn)
            {
                let balancer = Arc::make_mut(balancer);
                balancer.vpc = Some(vpc);
                balancer.zones.extend(zones);
            }
        }
    }

    fn ipv6(&self, asked: &Asked) -> Result<std::net::Ipv6Addr, Fault> {
        let subnet = subnet_mappings::subnet(self.context.inventory, &asked.subnet)?;
        let taken = Taken::of(&[subnet], &self.next, self.context.inventory);
        subnet_mappings::ipv6(subnet, asked.ipv6, &taken, &mut addresses::at_random)
    }

    /// The rest of it, now that its zones are known. One that is as it was is the one that was.
    fn settle(&mut self, entry: &BalancerEntry, arn: &Arn, old: Option<&Arc<LoadBalancer>>) {
        let Some(mut balancer) = self.next.load_balancers.remove(arn) else { return };
        let changed = Arc::make_mut(&mut balancer);
        changed.zones.sort_by(|one, other| one.zone.cmp(&other.zone));
        changed.zonal_shift = old.and_then(|old| old.zonal_shift.clone()).filter(|shift| {
            let stays = old.is_some_and(|old| old.zones == changed.zones);
            stays || changed.has_zone(&shift.zone, &self.context.inventory.zone)
        });
        if old.is_none_or(|old| old.security_groups != changed.security_groups || old.vpc != changed.vpc) {
            for id in &entry.security_groups {
                let vpc = changed.vpc.as_deref();
                let checked = security_groups::checked(vec![id.value.clone()], vpc, self.context.inventory);
                self.hold(&id.at, checked);
            }
        }
        let kept = |key: &String, value: &String| old.is_some_and(|old| old.attributes.get(key) == Some(value));
        let mut wanted = changed.attributes.clone();
        wanted.retain(|key, value| !kept(key, value));
        let table = load_balancer_attributes::table(changed);
        let agreed = load_balancer_attributes::go_together(&table, changed, &wanted, &changed.attributes, self.context);
        self.hold(&entry.attributes_at, agreed);
        let balancer = match old {
            Some(old) if *old == balancer => Arc::clone(old),
            _ => balancer,
        };
        self.next.load_balancers.insert(arn.clone(), balancer);
    }

    /// What has deletion protection is not deleted by being left out.
    fn protected(&mut self) {
        let gone: Vec<&Arc<LoadBalancer>> =
            self.old.load_balancers.values().filter(|old| !self.next.load_balancers.contains_key(&old.arn)).collect();
        for old in gone {
            let at = &self.document.balancers_at;
            self.hold(at, load_balancers::check_deletion(old));
        }
    }

    /// Addresses of a file's own are not to be had twice, nor to be those of targets. What was let in by another way
    /// before is left to its operator.
    fn addresses_of_others(&mut self) {
        let was_own = |address: &IpAddr| self.old.load_balancers.values().any(|old| old.addresses.contains(address));
        let own: HashMap<IpAddr, (&Place, bool)> = self
            .document
            .balancers
            .iter()
            .flat_map(|entry| &entry.addresses)
            .map(|address| (address.value, (&address.at, was_own(&address.value))))
            .collect();
        if own.is_empty() {
            return;
        }
        for balancer in self.next.load_balancers.values().filter(|balancer| !balancer.zones.is_empty()) {
            let old = self.old.load_balancers.get(&balancer.arn);
            for address in balancer.all_addresses() {
                let known = || old.is_some_and(|old| old.all_addresses().any(|it| it == address));
                if let Some((at, _)) = own.get(&address).filter(|(_, was_own)| !(*was_own && known())) {
                    let text = format!(
                        "found {address}, which load balancer `{}` has: an address is unique over all load balancers",
                        balancer.name
                    );
                    self.problems.report((*at).clone(), text);
                }
            }
        }
        for group in &self.document.groups {
            let old = self.old_groups.get(group.name.value.as_str());
            for target in &group.targets.value {
                let TargetId::Ip(address) = target.key.value.id else { continue };
                let known = || old.is_some_and(|old| old.targets.contains_key(&target.key.value));
                if let Some((at, _)) = own.get(&address).filter(|(_, was_own)| !(*was_own && known())) {
                    let text = format!(
                        "found {address}, which is a load balancer's address ({}): a target is a host",
                        at.path
                    );
                    self.problems.report(target.key.at.clone(), text);
                }
            }
        }
    }

    /// How many there may be. Nobody is refused for what was there before.
    pub fn quotas(&mut self) {
        let document = self.document;
        for entry in &document.balancers {
            let Some(balancer) = self.next.load_balancer_named(&entry.name.value) else { continue };
            if self.serves_others(balancer) {
                let checked = target_quotas::check(&self.next, &balancer.arn, self.context);
                self.hold(&entry.at, checked);
            }
        }
        let quotas = self.context.quotas;
        let counts = [
            (
                "load balancers",
                &self.document.balancers_at,
                self.old.load_balancers.len(),
                self.next.load_balancers.len(),
                quotas.load_balancers,
            ),
            (
                "target groups",
                &self.document.groups_at,
                self.old.target_groups.len(),
                self.next.target_groups.len(),
                quotas.target_groups,
            ),
        ];
        for (what, at, before, after, most) in counts {
            if after > most as usize && after > before {
                let quota = what.replace(' ', "_");
                let text = format!("found {after} {what}: at most {most} are allowed (quota {quota})");
                self.problems.report(at.clone(), text);
            }
        }
    }
}

impl Apply<'_> {
    /// Whether a load balancer, its listeners or their groups are not what they were.
    fn serves_others(&self, balancer: &Arc<LoadBalancer>) -> bool {
        let same = |listener: &Arc<Listener>| {
            let old = self.old.listeners.get(&listener.arn);
            let group = &listener.target_group;
            let (old_group, group) = (self.old.target_groups.get(group), self.next.target_groups.get(group));
            old.is_some_and(|old| Arc::ptr_eq(old, listener))
                && old_group.zip(group).is_some_and(|(old, new)| Arc::ptr_eq(old, new))
        };
        let old = self.old.load_balancers.get(&balancer.arn);
        !(old.is_some_and(|old| Arc::ptr_eq(old, balancer)) && self.next.listeners_of(&balancer.arn).all(same))
    }
}

/// The zone as it is, unless another IPv4 address is wanted there. An address that is no longer asked for by name stays
/// all the same; the IPv6 address comes and goes with the type.
fn kept(SubnetEntry { asked, .. }: &SubnetEntry, old: &LoadBalancer, to: IpAddressType) -> Option<ZoneMapping> {
    let mut zone = old.zones.iter().find(|zone| zone.subnet == asked.subnet)?.clone();
    if zone.allocation_id != asked.allocation_id || asked.private_ipv4.is_some_and(|wanted| wanted != zone.ipv4) {
        return None;
    }
    zone.private_ipv4 = asked.private_ipv4.is_some();
    if to == IpAddressType::Ipv4 || asked.ipv6.is_some_and(|wanted| zone.ipv6 != Some(wanted)) {
        zone.ipv6 = None;
    }
    zone.static_ipv6 = zone.ipv6.is_some() && asked.ipv6.is_some();
    Some(zone)
}
