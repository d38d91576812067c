//! Zones added, and address types changed.

use serde_json::{Value, json};

use super::*;
use crate::{
    model::Arn,
    ops::testing::{self, World},
};

const SUBNETS: &str = "SetSubnets";
const TYPE: &str = "SetIpAddressType";

/// A load balancer with these mappings.
fn create(world: &mut World, scheme: &str, kind: &str, mappings: Value) -> Arn {
    let input = json!({"Name": "web", "Scheme": scheme, "IpAddressType": kind, "SubnetMappings": mappings});
    let made = world.call("CreateLoadBalancer", input);
    Arn::parse(made["LoadBalancers"][0]["LoadBalancerArn"].as_str().unwrap()).unwrap().0
}

fn subnets(arn: &Arn, subnets: &[&str]) -> Value {
    json!({"LoadBalancerArn": arn, "Subnets": subnets})
}

fn mappings(arn: &Arn, mappings: Value) -> Value {
    json!({"LoadBalancerArn": arn, "SubnetMappings": mappings})
}

fn kind(arn: &Arn, kind: &str) -> Value {
    json!({"LoadBalancerArn": arn, "IpAddressType": kind})
}

/// The answer names all zones, and those that were there keep their addresses.
#[test]
fn more_zones() {
    let mut world = World::new();
    let arn =
        create(&mut world, "internet-facing", "ipv4", json!([{"SubnetId": "subnet-b", "AllocationId": "eipalloc-1"}]));
    let c = json!({"SubnetId": "subnet-c"});
    let input =
        mappings(&arn, json!([{"SubnetId": "subnet-b"}, {"SubnetId": "subnet-a", "AllocationId": "eipalloc-2"}, c]));
    let output = world.call(SUBNETS, input);
    assert_eq!(output["IpAddressType"], "ipv4");
    let zones = output["AvailabilityZones"].as_array().unwrap();
    let addresses: Vec<&Value> = zones.iter().map(|zone| &zone["LoadBalancerAddresses"][0]).collect();
    assert_eq!(
        addresses[..2],
        [
            &json!({"IpAddress": "203.0.113.2", "AllocationId": "eipalloc-2"}),
            &json!({"IpAddress": "203.0.113.1", "AllocationId": "eipalloc-1"})
        ]
    );
    let zones: Vec<&Value> = zones.iter().map(|zone| &zone["SubnetId"]).collect();
    assert_eq!(zones, ["subnet-a", "subnet-b", "subnet-c"]);
    let told = world.call("DescribeLoadBalancers", json!({}));
    assert_eq!(told["LoadBalancers"][0]["AvailabilityZones"], output["AvailabilityZones"]);
    // The same again changes nothing, with or without addresses.
    let before = world.state.clone();
    world.call(SUBNETS, subnets(&arn, &["subnet-c", "subnet-b", "subnet-a"]));
    let same = json!([{"SubnetId": "subnet-b", "AllocationId": "eipalloc-1"}, {"SubnetId": "subnet-a"}, c]);
    world.call(SUBNETS, mappings(&arn, same));
    assert_eq!(world.state, before);
}

#[test]
fn zones_stay() {
    let mut world = World::new();
    let arn =
        create(&mut world, "internet-facing", "ipv4", json!([{"SubnetId": "subnet-a"}, {"SubnetId": "subnet-b"}]));
    let mut refused = |names: &[&str]| world.refused(Code::InvalidConfigurationRequest, SUBNETS, subnets(&arn, names));
    let why = refused(&["subnet-b", "subnet-c"]);
    assert!(why.contains("us-east-1a (subnet-a)") && !why.contains("us-east-1b"), "{why}");
    let why = refused(&["subnet-a2", "subnet-b"]);
    assert!(why.contains("can't become subnet-a2"), "{why}");
    refused(&["subnet-a", "subnet-b", "subnet-a2"]);
    refused(&["subnet-a", "subnet-b", "subnet-b"]);
    refused(&["subnet-x", "subnet-y"]);
    refused(&["subnet-a"]);
}

#[test]
fn addresses_stay() {
    let mut world = World::new();
    let made = json!([{"SubnetId": "subnet-a", "PrivateIPv4Address": "10.0.1.10", "IPv6Address": "2001:db8:1:1::10"}]);
    let arn = create(&mut world, "internal", "dualstack", made);
    let call = |mapping: Value| mappings(&arn, json!([mapping]));
    for (member, value) in
        [("PrivateIPv4Address", "10.0.1.11"), ("IPv6Address", "2001:db8:1:1::11"), ("AllocationId", "eipalloc-1")]
    {
        world.refused(Code::InvalidConfigurationRequest, SUBNETS, call(json!({"SubnetId": "subnet-a", member: value})));
    }
    world.call(SUBNETS, call(json!({"SubnetId": "subnet-a", "PrivateIPv4Address": "10.0.1.10"})));
    world.call(SUBNETS, call(json!({"SubnetId": "subnet-a", "IPv6Address": "2001:db8:1:1::10"})));
}

#[test]
fn what_new_zones_are_checked_for() {
    let mut world = World::new();
    let arn = create(&mut world, "internet-facing", "dualstack", json!([{"SubnetId": "subnet-a"}]));
    let refused = [
        (Code::ValidationError, json!({"LoadBalancerArn": arn})),
        (Code::ValidationError, json!({"LoadBalancerArn": "web", "Subnets": ["subnet-a"]})),
        (
            Code::ValidationError,
            json!({"LoadBalancerArn": arn, "Subnets": ["subnet-a"], "SubnetMappings": [{"SubnetId": "subnet-a"}]}),
        ),
        (Code::LoadBalancerNotFound, json!({"LoadBalancerArn": format!("{arn}0"), "Subnets": ["subnet-a"]})),
        (Code::SubnetNotFound, subnets(&arn, &["subnet-a", "subnet-none"])),
        (Code::InvalidSubnet, subnets(&arn, &["subnet-a", "subnet-c"])),
        (Code::InvalidSubnet, subnets(&arn, &["subnet-a", "subnet-28"])),
        (Code::InvalidConfigurationRequest, subnets(&arn, &["subnet-a", "subnet-y"])),
        (
            Code::AllocationIdNotFound,
            mappings(
                &arn,
                json!([{"SubnetId": "subnet-a"}, {"SubnetId": "subnet-b", "AllocationId": "eipalloc-none"}]),
            ),
        ),
        (
            Code::InvalidConfigurationRequest,
            mappings(
                &arn,
                json!([{"SubnetId": "subnet-a"}, {"SubnetId": "subnet-b", "PrivateIPv4Address": "10.0.2.10"}]),
            ),
        ),
    ];
    for (code, input) in refused {
        world.refused(code, SUBNETS, input);
    }
    world.quotas.enis_per_vpc = 1;
    world.refused(Code::InvalidConfigurationRequest, SUBNETS, subnets(&arn, &["subnet-a", "subnet-b"]));
    world.quotas.enis_per_vpc = 2;
    let output = world.call(SUBNETS, subnets(&arn, &["subnet-a", "subnet-b"]));
    let address = &output["AvailabilityZones"][1]["LoadBalancerAddresses"][0]["IPv6Address"];
    assert!(address.as_str().unwrap().starts_with("2001:db8:1:2:"), "{address}");
}

/// `SetSubnets` can change the address type in the same call.
#[test]
fn subnets_and_type() {
    let mut world = World::new();
    let arn = create(&mut world, "internal", "ipv4", json!([{"SubnetId": "subnet-a"}]));
    let with = |kind: &str, address: Value| {
        let mut mapping = json!({"SubnetId": "subnet-a"});
        if !address.is_null() {
            mapping["IPv6Address"] = address;
        }
        json!({"LoadBalancerArn": arn, "IpAddressType": kind, "SubnetMappings": [mapping, {"SubnetId": "subnet-b"}]})
    };
    world.refused(Code::InvalidConfigurationRequest, SUBNETS, with("ipv4", json!("2001:db8:1:1::10")));
    world.refused(Code::ValidationError, SUBNETS, with("dualstack", json!("2001:db8:1:2::10")));
    world.refused(Code::ValidationError, SUBNETS, with("both", Value::Null));
    let output = world.call(SUBNETS, with("dualstack", json!("2001:db8:1:1::10")));
    assert_eq!(output["IpAddressType"], "dualstack");
    let zones = &output["AvailabilityZones"];
    assert_eq!(zones[0]["LoadBalancerAddresses"][0]["IPv6Address"], "2001:db8:1:1::10");
    assert!(zones[1]["LoadBalancerAddresses"][0]["IPv6Address"].is_string());
    let output = world.call(SUBNETS, with("ipv4", Value::Null));
    assert_eq!(output["AvailabilityZones"][0]["LoadBalancerAddresses"][0].get("IPv6Address"), None);
}

#[test]
fn there_and_back() {
    let mut world = World::new();
    let arn = testing::load_balancer(&mut world.state, "web");
    let before = world.state.clone();
    assert_eq!(world.call(TYPE, kind(&arn, "dualstack")), json!({"IpAddressType": "dualstack"}));
    let balancer = world.state.load_balancers[&arn].clone();
    for zone in &balancer.zones {
        let subnet = &world.inventory.subnets[&zone.subnet];
        assert!(addresses::is_usable(subnet, zone.ipv6.unwrap().into()), "{zone:?}");
    }
    // Again: the addresses stay.
    world.call(TYPE, kind(&arn, "dualstack"));
    assert_eq!(world.state.load_balancers[&arn], balancer);
    assert_eq!(world.call(TYPE, kind(&arn, "ipv4")), json!({"IpAddressType": "ipv4"}));
    assert_eq!(world.state, before);
}

#[test]
fn types_that_dont_fit() {
    let mut world = World::new();
    let arn =
        create(&mut world, "internet-facing", "ipv4", json!([{"SubnetId": "subnet-a"}, {"SubnetId": "subnet-c"}]));
    world.refused(Code::InvalidSubnet, TYPE, kind(&arn, "dualstack"));
    world.refused(Code::ValidationError, TYPE, kind(&arn, "ipv6"));
    world.refused(Code::InvalidConfigurationRequest, TYPE, kind(&arn, "dualstack-without-public-ipv4"));
    world.refused(
        Code::LoadBalancerNotFound,
        TYPE,
        json!({"LoadBalancerArn": format!("{arn}0"), "IpAddressType": "ipv4"}),
    );
    world.refused(Code::ValidationError, TYPE, json!({"LoadBalancerArn": arn}));
}

#[test]
fn listeners_that_dont_fit() {
    for (protocol, fits) in
        [(Protocol::Tcp, true), (Protocol::Tls, true), (Protocol::Udp, false), (Protocol::TcpUdp, false)]
    {
        let mut world = World::new();
        let arn = testing::load_balancer(&mut world.state, "web");
        let group = testing::target_group(&mut world.state, "targets", protocol);
        testing::listener(&mut world.state, &arn, protocol, 80, &group);
        match fits {
            true => drop(world.call(TYPE, kind(&arn, "dualstack"))),
            false => drop(world.refused(Code::InvalidConfigurationRequest, TYPE, kind(&arn, "dualstack"))),
        }
    }
}

#[test]
fn groups_that_dont_fit() {
    let mut world = World::new();
    let arn = testing::load_balancer(&mut world.state, "web");
    testing::make_dualstack(&mut world.state, &arn);
    let group = testing::target_group(&mut world.state, "targets", Protocol::Tcp);
    Arc::make_mut(world.state.target_groups.get_mut(&group).unwrap()).family = Family::Ipv6;
    let listener = testing::listener(&mut world.state, &arn, Protocol::Tcp, 80, &group);
    let why = world.refused(Code::InvalidConfigurationRequest, TYPE, kind(&arn, "ipv4"));
    assert!(why.contains("targets"), "{why}");
    world.state.listeners.remove(&listener);
    world.call(TYPE, kind(&arn, "ipv4"));
}

/// Addresses of a file's own choice are the file's to change.
#[test]
fn of_a_file() {
    let mut world = World::new();
    let arn = testing::load_balancer(&mut world.state, "web");
    let balancer = Arc::make_mut(world.state.load_balancers.get_mut(&arn).unwrap());
    balancer.zones.clear();
    balancer.vpc = None;
    balancer.addresses = vec!["198.18.0.1".parse().unwrap()];
    world.refused(Code::InvalidConfigurationRequest, SUBNETS, subnets(&arn, &["subnet-a"]));
    world.refused(Code::InvalidConfigurationRequest, TYPE, kind(&arn, "dualstack"));
    world.call(TYPE, kind(&arn, "ipv4"));
}
