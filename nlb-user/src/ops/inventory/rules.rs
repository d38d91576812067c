//! What an inventory can be: what stands in it, each for itself and together.

use std::{collections::BTreeMap, net::IpAddr};

use crate::model::{ApplicationLoadBalancer, Inventory, Subnet};

/// Everything that is wrong with an inventory, in sentences.
pub fn validate(inventory: &Inventory) -> Vec<String> {
    let mut problems = Vec::new();
    ids(inventory, &mut problems);
    subnets(inventory, &mut problems);
    addresses(inventory, &mut problems);
    inventory.application_load_balancers.values().for_each(|it| application_load_balancer(it, &mut problems));
    problems
}

fn ids(inventory: &Inventory, problems: &mut Vec<String>) {
    let plain = |id: &&String| {
        !(1..=255).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_graphic() && !b",\"'".contains(&byte))
    };
    let ids = inventory
        .subnets
        .keys()
        .chain(inventory.instances.keys())
        .chain(inventory.elastic_ips.keys())
        .chain(inventory.security_groups.keys())
        .chain(inventory.certificates.keys())
        .chain(inventory.application_load_balancers.keys());
    problems.extend(
        ids.filter(plain)
            .map(|id| format!("{id:?} is no id: allowed are 1 to 255 visible ASCII characters but comma and quotes")),
    );
}

fn subnets(inventory: &Inventory, problems: &mut Vec<String>) {
    let word = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=32).contains(&text.len()) && text.bytes().all(allowed)
    };
    let all: Vec<&Subnet> = inventory.subnets.values().collect();
    for (n, subnet) in all.iter().enumerate() {
        let Subnet { id, vpc, zone, cidr, ipv6_cidr, .. } = subnet;
        if !word(zone) {
            problems.push(format!("subnet {id}: zone {zone:?}: allowed are 1 to 32 characters of a-z, 0-9 and -"));
        }
        if vpc.is_empty() {
            problems.push(format!("subnet {id}: vpc is empty: any name will do"));
        }
        if cidr.addr() != cidr.network() {
            problems.push(format!("subnet {id}: cidr {cidr} has host bits: write {}", cidr.trunc()));
        }
        if !(8..=29).contains(&cidr.prefix_len()) {
            problems.push(format!("subnet {id}: cidr {cidr}: allowed are prefixes of 8 to 29 bits"));
        }
        if let Some(v6) = ipv6_cidr {
            if v6.addr() != v6.network() {
                problems.push(format!("subnet {id}: ipv6_cidr {v6} has host bits: write {}", v6.trunc()));
            }
            if !(16..=120).contains(&v6.prefix_len()) {
                problems.push(format!("subnet {id}: ipv6_cidr {v6}: allowed are prefixes of 16 to 120 bits"));
            }
        }
        for other in all.iter().take(n).filter(|other| other.vpc == *vpc) {
            let v4 = other.cidr.contains(cidr) || cidr.contains(&other.cidr);
            let v6 = other.ipv6_cidr.zip(*ipv6_cidr).is_some_and(|(a, b)| a.contains(&b) || b.contains(&a));
            if v4 || v6 {
                problems.push(format!("subnets {} and {id} of {vpc} overlap: give them ranges of their own", other.id));
            }
        }
    }
}

fn application_load_balancer(it: &ApplicationLoadBalancer, problems: &mut Vec<String>) {
    let ApplicationLoadBalancer { arn, ports, .. } = it;
    // Targets are told apart from other kinds by this.
    if !arn.starts_with("arn:") || !arn.contains(":loadbalancer/app/") {
        problems.push(format!(
            "{arn:?} is no ARN of an Application Load Balancer: as in \
             arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/app/NAME/ID"
        ));
    }
    if ports.contains(&0) {
        problems.push(format!("{arn}: it has port 0: allowed are 1 to 65535"));
    }
}

fn addresses(inventory: &Inventory, problems: &mut Vec<String>) {
    let mut seen: BTreeMap<(Option<&str>, IpAddr), &str> = BTreeMap::new();
    let instances = inventory.instances.values().map(|it| (&it.id, &it.subnet, it.address.into()));
    let proxies = inventory.application_load_balancers.values().map(|it| (&it.arn, &it.subnet, it.address));
    for (id, subnet, address) in instances.chain(proxies) {
        let Some(place) = inventory.subnets.get(subnet) else {
            problems.push(format!("{id}: there is no subnet {subnet} in the inventory"));
            continue;
        };
        if !place.holds(address) {
            problems.push(format!("{id}: {address} is not in subnet {subnet} ({})", place.cidr));
        }
        if let Some(first) = seen.insert((Some(&place.vpc), address), id) {
            problems.push(format!("{first} and {id} both have address {address}"));
        }
    }
    for elastic in inventory.elastic_ips.values() {
        if let Some(first) = seen.insert((None, elastic.address.into()), &elastic.allocation_id) {
            problems.push(format!("{first} and {} both have address {}", elastic.allocation_id, elastic.address));
        }
    }
}
