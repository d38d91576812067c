//! Load balancers made, told and deleted.

use serde_json::{Value, json};

use super::*;
use crate::{
    model::Protocol,
    ops::testing::{self, World},
};

const CREATE: &str = "CreateLoadBalancer";
const DESCRIBE: &str = "DescribeLoadBalancers";

/// Input of `CreateLoadBalancer` with a name and a subnet, and these members.
fn input(members: Value) -> Value {
    let mut input = json!({"Name": "web", "Type": "network", "Subnets": ["subnet-a"]});
    for (name, value) in members.as_object().unwrap() {
        input[name] = value.clone();
    }
    input
}

/// The same with `SubnetMappings`.
fn mapped(members: Value) -> Value {
    let mut input = input(members);
    input.as_object_mut().unwrap().remove("Subnets");
    input
}

fn create(world: &mut World, input: Value) -> Value {
    world.call(CREATE, input)["LoadBalancers"][0].clone()
}

/// The only load balancer, as it is told now.
fn told(world: &mut World) -> Value {
    world.call(DESCRIBE, json!({}))["LoadBalancers"][0].clone()
}

fn addresses(balancer: &Value) -> Vec<Value> {
    let zones = balancer["AvailabilityZones"].as_array().unwrap();
    zones.iter().map(|zone| zone["LoadBalancerAddresses"][0].clone()).collect()
}

#[test]
fn defaults() {
    let mut world = World::new();
    let made = create(&mut world, json!({"Name": "my-load-balancer", "Subnets": ["subnet-b", "subnet-a"]}));
    let arn = made["LoadBalancerArn"].as_str().unwrap().to_owned();
    let prefix = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/my-load-balancer/";
    let id = arn.strip_prefix(prefix).unwrap();
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let addresses = addresses(&made);
    let expected = json!({
        "LoadBalancerArn": arn,
        "DNSName": format!("my-load-balancer-{id}.elb.us-east-1.amazonaws.com"),
        "CanonicalHostedZoneId": "ZNLB0000000000",
        "CreatedTime": "2026-11-21T12:00:00.123Z",
        "LoadBalancerName": "my-load-balancer",
        "Scheme": "internet-facing",
        "VpcId": "vpc-1",
        "State": {"Code": "provisioning"},
        "Type": "network",
        "AvailabilityZones": [
            {"ZoneName": "us-east-1a", "SubnetId": "subnet-a", "LoadBalancerAddresses": [addresses[0]]},
            {"ZoneName": "us-east-1b", "SubnetId": "subnet-b", "LoadBalancerAddresses": [addresses[1]]},
        ],
        "IpAddressType": "ipv4",
    });
    assert_eq!(made, expected);
    for (address, subnet) in addresses.iter().zip(["subnet-a", "subnet-b"]) {
        assert_eq!(address.as_object().unwrap().len(), 1);
        let address = address["IpAddress"].as_str().unwrap().parse().unwrap();
        assert!(super::addresses::is_usable(&world.inventory.subnets[subnet], address), "{address}");
    }
    let mut expected = expected;
    expected["State"]["Code"] = json!("active");
    assert_eq!(told(&mut world), expected);
}

#[test]
fn names() {
    let mut world = World::new();
    for name in ["-web", "web-", "internal-web", "a_b", &"a".repeat(33), ""] {
        world.refused(Code::ValidationError, CREATE, input(json!({"Name": name})));
    }
    for name in ["a", &"a".repeat(32), "internal"] {
        create(&mut world, input(json!({"Name": name})));
    }
}

#[test]
fn other_kinds() {
    let mut world = World::new();
    for kind in ["application", "gateway"] {
        world.refused(Code::InvalidConfigurationRequest, CREATE, input(json!({"Type": kind})));
    }
    let refused = [
        (Code::ValidationError, json!({"Type": "classic"})),
        (Code::ValidationError, json!({"Scheme": "public"})),
        (Code::ValidationError, json!({"IpAddressType": "ipv6"})),
        (Code::InvalidConfigurationRequest, json!({"IpAddressType": "dualstack-without-public-ipv4"})),
        (Code::InvalidConfigurationRequest, json!({"CustomerOwnedIpv4Pool": "ipv4pool-coip-1"})),
        (Code::InvalidConfigurationRequest, json!({"IpamPools": {"Ipv4IpamPoolId": "ipam-pool-1"}})),
        (Code::InvalidConfigurationRequest, json!({"EnablePrefixForIpv6SourceNat": "on"})),
        (Code::ValidationError, json!({"EnablePrefixForIpv6SourceNat": "maybe"})),
        (Code::ValidationError, json!({"Unknown": "x"})),
    ];
    for (code, members) in refused {
        world.refused(code, CREATE, input(members));
    }
    create(&mut world, input(json!({"EnablePrefixForIpv6SourceNat": "off", "IpamPools": {}})));
}

#[test]
fn subnets() {
    let mut world = World::new();
    let mapping = json!([{"SubnetId": "subnet-a"}]);
    let refused = [
        (Code::ValidationError, json!({"Subnets": []})),
        (Code::ValidationError, json!({"Subnets": ""})),
        (Code::ValidationError, json!({"Subnets": ["subnet-a"], "SubnetMappings": mapping})),
        (Code::ValidationError, json!({"Subnets": [], "SubnetMappings": [{}]})),
        (Code::SubnetNotFound, json!({"Subnets": ["subnet-a", "subnet-none"]})),
        (Code::InvalidConfigurationRequest, json!({"Subnets": ["subnet-a", "subnet-a2"]})),
        (Code::InvalidConfigurationRequest, json!({"Subnets": ["subnet-a", "subnet-a"]})),
        (Code::InvalidConfigurationRequest, json!({"Subnets": ["subnet-a", "subnet-y"]})),
        (Code::InvalidSubnet, json!({"Subnets": ["subnet-a", "subnet-c"], "IpAddressType": "dualstack"})),
        (Code::InvalidSecurityGroup, json!({"SecurityGroups": ["sg-none"]})),
        (Code::InvalidConfigurationRequest, json!({"SecurityGroups": ["sg-x"]})),
    ];
    for (code, members) in refused {
        world.refused(code, CREATE, input(members));
    }
    world.refused(Code::ValidationError, CREATE, json!({"Name": "web"}));
    world.refused(Code::ValidationError, CREATE, json!({"Subnets": ["subnet-a"]}));
    assert!(world.state.load_balancers.is_empty());
}

#[test]
fn elastic_addresses() {
    let mut world = World::new();
    let mappings = json!([
        {"SubnetId": "subnet-a", "AllocationId": "eipalloc-1"}, {"SubnetId": "subnet-b", "AllocationId": "eipalloc-2"}
    ]);
    let made = create(&mut world, mapped(json!({"SubnetMappings": mappings})));
    let expected = [
        json!({"IpAddress": "203.0.113.1", "AllocationId": "eipalloc-1"}),
        json!({"IpAddress": "203.0.113.2", "AllocationId": "eipalloc-2"}),
    ];
    assert_eq!(addresses(&made), expected);
    let other = |subnet: &str, allocation: &str, scheme: &str| {
        let mappings = json!([{"SubnetId": subnet, "AllocationId": allocation}]);
        mapped(json!({"Name": "other", "Scheme": scheme, "SubnetMappings": mappings}))
    };
    world.refused(Code::AllocationIdNotFound, CREATE, other("subnet-a", "eipalloc-none", "internet-facing"));
    world.refused(Code::ResourceInUse, CREATE, other("subnet-c", "eipalloc-2", "internet-facing"));
    world.refused(Code::InvalidConfigurationRequest, CREATE, other("subnet-a", "eipalloc-3", "internal"));
    let twice = json!([
        {"SubnetId": "subnet-a", "AllocationId": "eipalloc-3"}, {"SubnetId": "subnet-b", "AllocationId": "eipalloc-3"}
    ]);
    let input = mapped(json!({"Name": "other", "SubnetMappings": twice}));
    world.refused(Code::InvalidConfigurationRequest, CREATE, input);
    // A deleted load balancer gives its address back.
    world.call("DeleteLoadBalancer", json!({"LoadBalancerArn": made["LoadBalancerArn"]}));
    create(&mut world, other("subnet-c", "eipalloc-2", "internet-facing"));
}

#[test]
fn private_addresses() {
    let mut world = World::new();
    let with = |scheme: &str, address: &str| {
        let mappings = json!([{"SubnetId": "subnet-28", "PrivateIPv4Address": address}]);
        mapped(json!({"Scheme": scheme, "SubnetMappings": mappings}))
    };
    world.refused(Code::InvalidConfigurationRequest, CREATE, with("internet-facing", "10.0.5.4"));
    for address in ["", "x", "2001:db8::4", "10.0.5", "10.0.5.4/32", "10.0.5.0", "10.0.5.3", "10.0.5.15", "10.0.5.16"] {
        world.refused(Code::ValidationError, CREATE, with("internal", address));
    }
    for address in ["10.0.5.4", "10.0.5.14"] {
        let made = create(&mut world, with("internal", address));
        assert_eq!(addresses(&made), [json!({"PrivateIPv4Address": address})]);
        world.call("DeleteLoadBalancer", json!({"LoadBalancerArn": made["LoadBalancerArn"]}));
    }
    let source_nat = json!([{"SubnetId": "subnet-a", "SourceNatIpv6Prefix": "auto_assigned"}]);
    world.refused(Code::InvalidConfigurationRequest, CREATE, mapped(json!({"SubnetMappings": source_nat})));
}

/// A chosen address of an internal load balancer is private as well.
#[test]
fn internal() {
    let mut world = World::new();
    let made = create(&mut world, input(json!({"Scheme": "internal"})));
    assert_eq!(made["Scheme"], "internal");
    let address = &addresses(&made)[0];
    assert_eq!(address.as_object().unwrap().keys().collect::<Vec<_>>(), ["PrivateIPv4Address"]);
}

/// At least 8 free addresses, unless an internal load balancer names its own.
#[test]
fn tiny_subnets() {
    let mut world = World::new();
    let mapping = |subnet: &str, member: &str, value: &str| json!([{"SubnetId": subnet, member: value}]);
    let elastic = |allocation: &str| mapping("subnet-29", "AllocationId", allocation);
    let internal = mapping("subnet-29", "PrivateIPv4Address", "10.0.5.36");
    world.refused(Code::InvalidSubnet, CREATE, input(json!({"Subnets": ["subnet-29"]})));
    world.refused(Code::InvalidSubnet, CREATE, input(json!({"Subnets": ["subnet-29"], "Scheme": "internal"})));
    world.refused(Code::InvalidSubnet, CREATE, mapped(json!({"SubnetMappings": elastic("eipalloc-1")})));
    create(&mut world, mapped(json!({"Name": "own", "Scheme": "internal", "SubnetMappings": internal})));
    // A /28 has 11: four load balancers take one each until 7 are left.
    let mut seen = BTreeSet::new();
    for name in ["one", "two", "three", "four"] {
        let made = create(&mut world, input(json!({"Name": name, "Subnets": ["subnet-28"]})));
        seen.insert(addresses(&made)[0]["IpAddress"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
    let why = world.refused(Code::InvalidSubnet, CREATE, input(json!({"Subnets": ["subnet-28"]})));
    assert!(why.contains("7 free addresses"), "{why}");
}

#[test]
fn dualstack() {
    let mut world = World::new();
    let made = create(&mut world, input(json!({"IpAddressType": "dualstack", "Subnets": ["subnet-a", "subnet-b"]})));
    assert_eq!(made["IpAddressType"], "dualstack");
    for (address, subnet) in addresses(&made).iter().zip(["subnet-a", "subnet-b"]) {
        let address = address["IPv6Address"].as_str().unwrap().parse().unwrap();
        assert!(super::addresses::is_usable(&world.inventory.subnets[subnet], address), "{address}");
    }
    let with = |kind: &str, address: &str| {
        let mappings = json!([{"SubnetId": "subnet-a", "IPv6Address": address}]);
        mapped(json!({"Name": "named", "IpAddressType": kind, "SubnetMappings": mappings}))
    };
    world.refused(Code::InvalidConfigurationRequest, CREATE, with("ipv4", "2001:db8:1:1::10"));
    for address in ["2001:db8:1:2::10", "2001:db8:1:1::3", "10.0.1.10", "x"] {
        world.refused(Code::ValidationError, CREATE, with("dualstack", address));
    }
    let made = create(&mut world, with("dualstack", "2001:DB8:1:1::10"));
    assert_eq!(addresses(&made)[0]["IPv6Address"], "2001:db8:1:1::10");
}

/// An address that something else has is found out when the load balancer is set up, not before.
#[test]
fn an_address_of_something_else() {
    let mut world = World::new();
    let mappings = json!([{"SubnetId": "subnet-b", "PrivateIPv4Address": "10.0.2.21"}]);
    let made = create(&mut world, mapped(json!({"Scheme": "internal", "SubnetMappings": mappings})));
    assert_eq!(made["State"], json!({"Code": "provisioning"}));
    let state = told(&mut world)["State"].clone();
    assert_eq!(state["Code"], "failed");
    assert!(state["Reason"].as_str().unwrap().contains("i-b1"), "{state}");
    world.inventory.instances.remove("i-b1");
    assert_eq!(told(&mut world)["State"], json!({"Code": "active"}));
}

#[test]
fn the_same_again() {
    let mut world = World::new();
    let groups = json!(["sg-1", "sg-2"]);
    let mappings = json!([
        {"SubnetId": "subnet-a", "PrivateIPv4Address": "10.0.1.10", "IPv6Address": "2001:db8:1:1::10"},
        {"SubnetId": "subnet-b"}
    ]);
    let members = json!({"Scheme": "internal", "IpAddressType": "dualstack", "SubnetMappings": mappings,
        "SecurityGroups": groups, "Tags": [{"Key": "a"}]});
    let made = create(&mut world, mapped(members.clone()));
    let before = world.state.clone();
    // The order of lists, and tags, make no difference; nor that the quota is used up.
    world.quotas.load_balancers = 1;
    let mut same = members.clone();
    same["SubnetMappings"].as_array_mut().unwrap().reverse();
    same["SecurityGroups"].as_array_mut().unwrap().reverse();
    same["Tags"] = json!([{"Key": "b"}]);
    let again = create(&mut world, mapped(same));
    assert_eq!(again["LoadBalancerArn"], made["LoadBalancerArn"]);
    assert_eq!(again["State"]["Code"], "active");
    assert_eq!(world.state, before);
    let others = [
        json!({"Scheme": "internet-facing", "SubnetMappings": [{"SubnetId": "subnet-a"}, {"SubnetId": "subnet-b"}]}),
        json!({"IpAddressType": "ipv4"}),
        json!({"SecurityGroups": ["sg-1"]}),
        json!({"SecurityGroups": []}),
        json!({"SubnetMappings": [mappings[0]]}),
        json!({"SubnetMappings": [mappings[0], mappings[1], {"SubnetId": "subnet-c"}]}),
        json!({"SubnetMappings": [mappings[0], mappings[0]]}),
        json!({"SubnetMappings": [{"SubnetId": "subnet-a"}, {"SubnetId": "subnet-b"}]}),
    ];
    for other in others {
        let mut different = members.clone();
        for (name, value) in other.as_object().unwrap() {
            different[name] = value.clone();
        }
        let why = world.refused(Code::DuplicateLoadBalancerName, CREATE, mapped(different));
        assert!(why.contains("web"), "{why}");
    }
}

#[test]
fn tags() {
    let mut world = World::new();
    let made = create(&mut world, input(json!({"Tags": [{"Key": "env", "Value": "prod"}]})));
    let arn = &made["LoadBalancerArn"];
    let output = world.call("DescribeTags", json!({"ResourceArns": [arn]}));
    let expected = json!([{"ResourceArn": arn, "Tags": [{"Key": "env", "Value": "prod"}]}]);
    assert_eq!(output["TagDescriptions"], expected);
    let twice = json!([{"Key": "a"}, {"Key": "a"}]);
    let many: Vec<Value> = (0..51).map(|number| json!({"Key": number.to_string()})).collect();
    for (code, tags) in [
        (Code::DuplicateTagKeys, twice),
        (Code::TooManyTags, json!(many)),
        (Code::ValidationError, json!([{"Key": "aws:x"}])),
        (Code::ValidationError, json!([])),
    ] {
        world.refused(code, CREATE, input(json!({"Name": "other", "Tags": tags})));
    }
}

#[test]
fn quotas() {
    let mut world = World::new();
    for number in 0..50 {
        create(&mut world, input(json!({"Name": format!("web-{number}")})));
    }
    world.refused(Code::TooManyLoadBalancers, CREATE, input(json!({})));
    world.quotas.load_balancers = 51;
    world.quotas.enis_per_vpc = 51;
    // Two zones are two addresses in the VPC; another VPC counts for itself.
    let two = json!({"Subnets": ["subnet-a", "subnet-b"]});
    world.refused(Code::InvalidConfigurationRequest, CREATE, input(two));
    create(&mut world, input(json!({"Subnets": ["subnet-x", "subnet-y"]})));
    world.call("DeleteLoadBalancer", json!({"LoadBalancerArn": world.state.load_balancer_named("web").unwrap().arn}));
    create(&mut world, input(json!({})));
}

#[test]
fn describe_some() {
    let mut world = World::new();
    let [one, two] = ["one", "two"].map(|name| testing::load_balancer(&mut world.state, name));
    let names = |output: &Value| -> Vec<String> {
        let all = output["LoadBalancers"].as_array().unwrap();
        all.iter().map(|balancer| balancer["LoadBalancerName"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&world.call(DESCRIBE, json!({}))), ["one", "two"]);
    assert_eq!(names(&world.call(DESCRIBE, json!({"Names": ["two"]}))), ["two"]);
    assert_eq!(names(&world.call(DESCRIBE, json!({"LoadBalancerArns": [one]}))), ["one"]);
    assert_eq!(names(&world.call(DESCRIBE, json!({"Names": ["two", "one", "two"]}))), ["one", "two"]);
    assert_eq!(names(&world.call(DESCRIBE, json!({"Names": "", "LoadBalancerArns": ""}))), ["one", "two"]);
    let page = world.call(DESCRIBE, json!({"LoadBalancerArns": [one, two], "PageSize": 1}));
    assert_eq!(names(&page), ["one"]);
    let input = json!({"LoadBalancerArns": [one, two], "PageSize": 1, "Marker": page["NextMarker"]});
    let page = world.call(DESCRIBE, input);
    assert_eq!((names(&page), page.get("NextMarker")), (vec!["two".to_owned()], None));

    world.refused(Code::LoadBalancerNotFound, DESCRIBE, json!({"Names": ["one", "none"]}));
    world.refused(Code::LoadBalancerNotFound, DESCRIBE, json!({"LoadBalancerArns": [format!("{one}0")]}));
    let too_many: Vec<String> = (0..21).map(|number| number.to_string()).collect();
    for input in [
        json!({"LoadBalancerArns": ["one"]}),
        json!({"LoadBalancerArns": [one], "Names": ["one"]}),
        json!({"LoadBalancerArns": vec![&one; 21]}),
        json!({"Names": too_many}),
        json!({"PageSize": 0}),
        json!({"PageSize": 401}),
        json!({"PageSize": "ten"}),
        json!({"Marker": "one"}),
    ] {
        world.refused(Code::ValidationError, DESCRIBE, input);
    }
    world.call(DESCRIBE, json!({"LoadBalancerArns": vec![&one; 20]}));
}

#[test]
fn a_thousand_in_pages() {
    let mut world = World::new();
    for number in 0..1000 {
        testing::load_balancer(&mut world.state, &format!("web-{number}"));
    }
    for (size, pages) in [(None, 3), (Some(400), 3), (Some(333), 4), (Some(100), 10)] {
        let mut input = json!({});
        if let Some(size) = size {
            input["PageSize"] = json!(size);
        }
        let (mut seen, mut count) = (Vec::new(), 0);
        loop {
            let output = world.call(DESCRIBE, input.clone());
            let page = output["LoadBalancers"].as_array().unwrap();
            seen.extend(page.iter().map(|balancer| balancer["LoadBalancerArn"].as_str().unwrap().to_owned()));
            count += 1;
            match output.get("NextMarker") {
                Some(next) => input["Marker"] = next.clone(),
                None => break,
            }
        }
        assert_eq!(count, pages, "{size:?}");
        assert!(seen.iter().eq(world.state.load_balancers.keys().map(Arn::as_str)), "{size:?}");
    }
}

#[test]
fn delete() {
    let mut world = World::new();
    let [one, two] = ["one", "two"].map(|name| testing::load_balancer(&mut world.state, name));
    let group = testing::target_group(&mut world.state, "targets", Protocol::Tcp);
    testing::listener(&mut world.state, &one, Protocol::Tcp, 80, &group);
    let kept = testing::listener(&mut world.state, &two, Protocol::Tcp, 80, &group);
    let input = json!({"LoadBalancerArn": one});
    assert_eq!(world.call("DeleteLoadBalancer", input.clone()), json!({}));
    assert!(world.state.load_balancers.keys().eq([&two]));
    assert!(world.state.listeners.keys().eq([&kept]));
    assert!(world.state.target_groups.contains_key(&group));
    // Deleted already, or never there.
    assert_eq!(world.call("DeleteLoadBalancer", input), json!({}));
    for arn in ["one", kept.as_str(), group.as_str()] {
        world.refused(Code::ValidationError, "DeleteLoadBalancer", json!({"LoadBalancerArn": arn}));
    }
}

#[test]
fn deletion_protection() {
    let mut world = World::new();
    let arn = testing::load_balancer(&mut world.state, "web");
    let set = |world: &mut World, value: &str| {
        let attributes = json!([{"Key": "deletion_protection.enabled", "Value": value}]);
        world.call("ModifyLoadBalancerAttributes", json!({"LoadBalancerArn": arn, "Attributes": attributes}));
    };
    set(&mut world, "true");
    let why = world.refused(Code::OperationNotPermitted, "DeleteLoadBalancer", json!({"LoadBalancerArn": arn}));
    assert!(why.contains("deletion_protection.enabled"), "{why}");
    set(&mut world, "false");
    world.call("DeleteLoadBalancer", json!({"LoadBalancerArn": arn}));
}

/// One of a file, with addresses of its own: they are told in the node's zone.
#[test]
fn of_a_file() {
    let mut world = World::new();
    let arn = testing::load_balancer(&mut world.state, "web");
    let balancer = Arc::make_mut(world.state.load_balancers.get_mut(&arn).unwrap());
    balancer.zones.clear();
    balancer.vpc = None;
    balancer.addresses = vec!["198.18.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    let told = told(&mut world);
    let addresses = json!([{"IpAddress": "198.18.0.1"}, {"IPv6Address": "2001:db8::1"}]);
    let expected = json!([{"ZoneName": "us-east-1a", "LoadBalancerAddresses": addresses}]);
    assert_eq!((&told["AvailabilityZones"], told.get("VpcId")), (&expected, None));
    world.refused(Code::DuplicateLoadBalancerName, CREATE, input(json!({})));
}

/// With all that the quotas allow, no call takes long. The bound is loose: it holds without optimisation, and next to
/// other tests.
#[test]
fn with_all_that_the_quotas_allow() {
    let mut world = World::new();
    for number in 0..50 {
        let balancer = testing::load_balancer(&mut world.state, &format!("web-{number}"));
        for port in 1..=50 {
            let group = testing::target_group(&mut world.state, &format!("group-{number}-{port}"), Protocol::Tcp);
            testing::listener(&mut world.state, &balancer, Protocol::Tcp, port, &group);
        }
    }
    for number in 0..500 {
        testing::target_group(&mut world.state, &format!("spare-{number}"), Protocol::Tcp);
    }
    world.quotas.load_balancers = 51;
    let arn = world.state.load_balancers.keys().next().unwrap().clone();
    let calls = [
        (DESCRIBE, json!({})),
        (CREATE, input(json!({}))),
        ("SetSubnets", json!({"LoadBalancerArn": arn, "Subnets": ["subnet-a", "subnet-b", "subnet-c"]})),
        ("AddTags", json!({"ResourceArns": [arn], "Tags": [{"Key": "a"}]})),
        ("DeleteLoadBalancer", json!({"LoadBalancerArn": arn})),
    ];
    for (operation, input) in calls {
        let start = std::time::Instant::now();
        world.call(operation, input);
        let took = start.elapsed();
        println!("{operation}: {took:?}");
        assert!(took.as_millis() < 500, "{operation} took {took:?}");
    }
}
