//! The addresses of a subnet: which are free, and which one a load balancer gets.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use crate::model::{Inventory, State, Subnet, TargetId};

/// The first addresses of a subnet, which are its network, router and services: nobody else's.
const FIRST_RESERVED: u128 = 4;

/// Addresses of some subnets that something has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken(BTreeSet<IpAddr>);

impl Taken {
    /// What instances, Application Load Balancers, elastic addresses, targets and load balancers have in these
    /// subnets.
    pub fn of(subnets: &[&Subnet], state: &State, inventory: &Inventory) -> Self {
        let instances = inventory.instances.values().map(|instance| IpAddr::V4(instance.address));
        let applications = inventory.application_load_balancers.values().map(|application| application.address);
        let elastic = inventory.elastic_ips.values().map(|elastic| IpAddr::V4(elastic.address));
        let balancers = state.load_balancers.values().flat_map(|balancer| balancer.all_addresses());
        let targets =
            state.target_groups.values().flat_map(|group| group.targets.keys()).filter_map(|key| match key.id {
                TargetId::Ip(address) => Some(address),
                _ => None,
            });
        let all = instances.chain(applications).chain(elastic).chain(balancers).chain(targets);
        Self(all.filter(|address| subnets.iter().any(|subnet| subnet.holds(*address))).collect())
    }

    /// One more.
    pub fn add(&mut self, address: IpAddr) {
        self.0.insert(address);
    }

    /// How many IPv4 addresses of the subnet nothing has.
    pub fn free_ipv4(&self, subnet: &Subnet) -> u128 {
        usable_ipv4(subnet).map_or(0, |range| free(&range, self.ipv4(&range).len()))
    }

    /// A free IPv4 address, of which `pick` chooses one: it is given their number and answers with a smaller one.
    pub fn choose_ipv4(&self, subnet: &Subnet, pick: &mut dyn FnMut(u128) -> u128) -> Option<Ipv4Addr> {
        let range = usable_ipv4(subnet)?;
        let number = choose(&range, &self.ipv4(&range), pick)?;
        u32::try_from(number).ok().map(Ipv4Addr::from)
    }

    /// A free IPv6 address in the same way; `None` also if the subnet has no IPv6 addresses at all.
    pub fn choose_ipv6(&self, subnet: &Subnet, pick: &mut dyn FnMut(u128) -> u128) -> Option<Ipv6Addr> {
        let range = usable_ipv6(subnet)?;
        let taken: Vec<u128> = self.0.iter().filter_map(|address| ipv6(*address)).collect();
        choose(&range, &within(&range, taken), pick).map(Ipv6Addr::from)
    }

    fn ipv4(&self, range: &RangeInclusive<u128>) -> Vec<u128> {
        within(range, self.0.iter().filter_map(|address| ipv4(*address)).collect())
    }
}

/// Whether a caller may choose this address of the subnet: it is in it, and not one of the first four or the last.
pub fn is_usable(subnet: &Subnet, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => usable_ipv4(subnet).zip(ipv4(address)),
        IpAddr::V6(_) => usable_ipv6(subnet).zip(ipv6(address)),
    }
    .is_some_and(|(range, address)| range.contains(&address))
}

/// A number below `count`, at random.
///
/// # Panics
/// If the kernel has no random numbers, which it always has.
pub fn at_random(count: u128) -> u128 {
    #[expect(clippy::expect_used, reason = "getrandom(2) fails on no supported kernel")]
    let half = || u128::from(getrandom::u64().expect("getrandom(2)"));
    ((half() << 64) | half()) % count.max(1)
}

fn ipv4(address: IpAddr) -> Option<u128> {
    match address {
        IpAddr::V4(address) => Some(u32::from(address).into()),
        IpAddr::V6(_) => None,
    }
}

fn ipv6(address: IpAddr) -> Option<u128> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address.into()),
    }
}

fn usable_ipv4(subnet: &Subnet) -> Option<RangeInclusive<u128>> {
    usable(u32::from(subnet.cidr.network()).into(), u32::from(subnet.cidr.broadcast()).into())
}

fn usable_ipv6(subnet: &Subnet) -> Option<RangeInclusive<u128>> {
    let cidr = subnet.ipv6_cidr?;
    usable(cidr.network().into(), cidr.broadcast().into())
}

fn usable(first: u128, last: u128) -> Option<RangeInclusive<u128>> {
    let first = first.checked_add(FIRST_RESERVED)?;
    (first < last).then(|| first..=last - 1)
}

fn within(range: &RangeInclusive<u128>, taken: Vec<u128>) -> Vec<u128> {
    taken.into_iter().filter(|address| range.contains(address)).collect()
}

fn free(range: &RangeInclusive<u128>, taken: usize) -> u128 {
    range.end() - range.start() + 1 - taken as u128
}

/// The one of the free numbers of the range that `pick` chooses. `taken` are in order, and in the range.
fn choose(range: &RangeInclusive<u128>, taken: &[u128], pick: &mut dyn FnMut(u128) -> u128) -> Option<u128> {
    let free = free(range, taken.len());
    if free == 0 {
        return None;
    }
    let chosen = range.start() + pick(free).min(free - 1);
    // Each taken number at or before the chosen one moves it on by one.
    Some(taken.iter().fold(chosen, |chosen, taken| if *taken <= chosen { chosen + 1 } else { chosen }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Arn, Protocol, Target, TargetKey},
        ops::testing::{self, World},
    };

    fn subnet(cidr: &str, ipv6_cidr: Option<&str>) -> Subnet {
        Subnet {
            id: "subnet".into(),
            vpc: "vpc".into(),
            zone: "zone".into(),
            cidr: cidr.parse().unwrap(),
            ipv6_cidr: ipv6_cidr.map(|cidr| cidr.parse().unwrap()),
            interface: None,
        }
    }

    fn taken(addresses: &[&str]) -> Taken {
        Taken(addresses.iter().map(|address| address.parse().unwrap()).collect())
    }

    /// Every address that can be chosen, in order.
    fn all(subnet: &Subnet, taken: &Taken) -> Vec<String> {
        let choose = |number| taken.choose_ipv4(subnet, &mut |_| number).unwrap().to_string();
        (0..taken.free_ipv4(subnet)).map(choose).collect()
    }

    #[test]
    fn tiny_subnets() {
        let none = taken(&[]);
        let last_byte = |range: RangeInclusive<u8>| range.map(|byte| format!("10.0.0.{byte}")).collect::<Vec<_>>();
        assert_eq!(all(&subnet("10.0.0.0/28", None), &none), last_byte(4..=14));
        assert_eq!(all(&subnet("10.0.0.8/29", None), &none), last_byte(12..=14));
        for cidr in ["10.0.0.0/30", "10.0.0.0/31", "10.0.0.0/32"] {
            assert_eq!(none.free_ipv4(&subnet(cidr, None)), 0, "{cidr}");
            assert_eq!(none.choose_ipv4(&subnet(cidr, None), &mut |_| 0), None, "{cidr}");
        }
        assert_eq!(none.free_ipv4(&subnet("0.0.0.0/0", None)), (1 << 32) - 5);
    }

    #[test]
    fn taken_addresses_are_passed_over() {
        let subnet = subnet("10.0.0.0/28", None);
        // Reserved ones, and those of other subnets, don't count twice.
        let taken = taken(&["10.0.0.0", "10.0.0.1", "10.0.0.15", "10.0.1.4", "10.0.0.4", "10.0.0.5", "10.0.0.14"]);
        let expected: Vec<String> = (6..=13).map(|byte| format!("10.0.0.{byte}")).collect();
        assert_eq!(all(&subnet, &taken), expected);
    }

    #[test]
    fn full() {
        let subnet = subnet("10.0.0.8/29", None);
        let taken = taken(&["10.0.0.12", "10.0.0.13", "10.0.0.14"]);
        assert_eq!((taken.free_ipv4(&subnet), taken.choose_ipv4(&subnet, &mut |_| 0)), (0, None));
    }

    #[test]
    fn ipv6() {
        let subnet = subnet("10.0.0.0/28", Some("2001:db8::/64"));
        let taken = taken(&["2001:db8::4", "2001:db8::6", "10.0.0.5"]);
        let choose = |number| taken.choose_ipv6(&subnet, &mut |_| number).unwrap().to_string();
        assert_eq!([choose(0), choose(1), choose(2)], ["2001:db8::5", "2001:db8::7", "2001:db8::8"]);
        assert_eq!(choose(u128::MAX), "2001:db8::ffff:ffff:ffff:fffe");
        assert_eq!(taken.choose_ipv6(&self::subnet("10.0.0.0/28", None), &mut |_| 0), None);
        assert_eq!(taken.choose_ipv6(&self::subnet("10.0.0.0/28", Some("2001:db8::/128")), &mut |_| 0), None);
    }

    #[test]
    fn what_a_caller_may_choose() {
        let subnet = subnet("10.0.0.0/28", Some("2001:db8::/64"));
        let usable = |address: &str| is_usable(&subnet, address.parse().unwrap());
        for address in ["10.0.0.4", "10.0.0.14", "2001:db8::4", "2001:db8::ffff:ffff:ffff:fffe"] {
            assert!(usable(address), "{address}");
        }
        for address in ["10.0.0.0", "10.0.0.3", "10.0.0.15", "10.0.0.16", "2001:db8::3", "2001:db8:0:1::4"] {
            assert!(!usable(address), "{address}");
        }
    }

    #[test]
    fn who_has_addresses() {
        let mut world = World::new();
        let group = testing::target_group(&mut world.state, "web", Protocol::Tcp);
        add_target(&mut world.state, &group, "10.0.2.50");
        add_target(&mut world.state, &group, "192.168.0.1");
        testing::load_balancer(&mut world.state, "web");
        let subnet = &world.inventory.subnets["subnet-b"];
        let taken = Taken::of(&[subnet], &world.state, &world.inventory);
        // Two instances, an Application Load Balancer, a target and a load balancer.
        assert_eq!(taken, super::tests::taken(&["10.0.2.21", "10.0.2.22", "10.0.2.40", "10.0.2.50", "10.0.2.100"]));
        assert_eq!(taken.free_ipv4(subnet), 256 - 5 - 5);
    }

    fn add_target(state: &mut State, group: &Arn, address: &str) {
        let group = std::sync::Arc::make_mut(state.target_groups.get_mut(group).unwrap());
        let key = TargetKey { id: TargetId::Ip(address.parse().unwrap()), port: 80 };
        let target = Target { zone: None, registered: group.created, draining_until: None };
        group.targets.insert(key, target);
    }

    #[test]
    fn random_numbers_are_below_their_bound() {
        assert!((0..1000).all(|_| at_random(11) < 11));
        assert_eq!(at_random(1), 0);
    }
}
