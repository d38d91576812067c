//! Registering and deregistering, and where targets are.

use jiff::ToSpan;
use serde_json::{Value, json};

use super::*;
use crate::{
    model::{Arn, Protocol},
    ops::{
        self,
        testing::{self, ALB, ALB_2, World},
    },
    store::Override,
};

/// A world with a group of this type, on port 80, in `vpc-1`.
fn world(target_type: TargetType) -> (World, Arn) {
    let mut world = World::new();
    let arn = testing::target_group(&mut world.state, "web", Protocol::Tcp);
    change(&mut world, &arn, |group| group.target_type = target_type);
    (world, arn)
}

fn change(world: &mut World, arn: &Arn, edit: impl Fn(&mut TargetGroup)) {
    edit(Arc::make_mut(world.state.target_groups.get_mut(arn).unwrap()));
}

/// Makes a listener use the group.
fn put_in_use(world: &mut World, arn: &Arn) {
    let balancer = testing::load_balancer(&mut world.state, "web");
    testing::listener(&mut world.state, &balancer, Protocol::Tcp, 80, arn);
}

fn input(arn: &Arn, targets: Value) -> Value {
    json!({"TargetGroupArn": arn, "Targets": targets})
}

fn register(world: &mut World, arn: &Arn, target: Value) -> Result<(), Code> {
    world.run("RegisterTargets", input(arn, json!([target]))).map(drop).map_err(|fault| fault.code)
}

/// All targets of a group: id, port, and whether it is draining.
fn all(world: &World, arn: &Arn) -> Vec<(String, u16, bool)> {
    let targets = &world.state.target_groups[arn].targets;
    targets.iter().map(|(key, target)| (key.id.to_string(), key.port, target.draining_until.is_some())).collect()
}

#[test]
fn instances() {
    let (mut world, arn) = world(TargetType::Instance);
    let targets = json!([{"Id": "i-a1"}, {"Id": "i-a1", "Port": 81}, {"Id": "i-b1", "Port": "65535"}, {"Id": "i-a1"}]);
    assert_eq!(world.call("RegisterTargets", input(&arn, targets)), json!({}));
    let expected = [("i-a1", 80), ("i-a1", 81), ("i-b1", 65535)];
    assert_eq!(all(&world, &arn), expected.map(|(id, port)| (id.to_owned(), port, false)));
    for id in ["i-none", "i-stopped", "i-terminated", "i-x1", "10.0.1.21", "i-", "", "I-a1", ALB] {
        assert_eq!(register(&mut world, &arn, json!({"Id": id})), Err(Code::InvalidTarget), "{id}");
    }
    for state in [InstanceState::Pending, InstanceState::Stopping, InstanceState::ShuttingDown] {
        world.inventory.instances.get_mut("i-a2").unwrap().state = state;
        assert_eq!(register(&mut world, &arn, json!({"Id": "i-a2"})), Err(Code::InvalidTarget), "{state:?}");
    }
    let zone = json!({"Id": "i-a3", "AvailabilityZone": "us-east-1a"});
    assert_eq!(register(&mut world, &arn, zone), Err(Code::ValidationError));
    assert_eq!(all(&world, &arn).len(), 3);
}

/// Guide, "Target type": the subnets of the VPC, and private addresses.
#[test]
fn addresses() {
    let (mut world, arn) = world(TargetType::Ip);
    let mut inside = world.inventory.subnets["subnet-a"].clone();
    inside.id = "subnet-public".into();
    inside.cidr = "198.51.100.0/25".parse().unwrap();
    world.inventory.subnets.insert(inside.id.clone(), inside);
    let good = [
        "10.0.1.21",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.168.0.0",
        "192.168.255.255",
        "198.51.100.127",
    ];
    for id in good {
        assert_eq!(register(&mut world, &arn, json!({"Id": id})), Ok(()), "{id}");
    }
    let bad = [
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.51.100.128",
        "203.0.113.1",
        "8.8.8.8",
        "0.0.0.0",
        "127.0.0.1",
        "169.254.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "2001:db8:1:1::5",
        "::ffff:10.0.1.21",
        "10.0.1",
        "10.0.1.021",
        "10.0.1.21:80",
        " 10.0.1.21",
        "web.example",
        "",
        "i-a1",
    ];
    for id in bad {
        assert_eq!(register(&mut world, &arn, json!({"Id": id})), Err(Code::InvalidTarget), "{id}");
    }
    // The subnets are those of the group's VPC.
    world.inventory.subnets.get_mut("subnet-public").unwrap().vpc = "vpc-2".into();
    assert_eq!(register(&mut world, &arn, json!({"Id": "198.51.100.1"})), Err(Code::InvalidTarget));
    assert_eq!(all(&world, &arn).len(), good.len());
}

#[test]
fn ipv6_addresses() {
    let (mut world, arn) = world(TargetType::Ip);
    change(&mut world, &arn, |group| group.family = Family::Ipv6);
    for id in ["2001:db8:1:1::5", "2001:DB8:1:2:0:0:0:5", "2001:db8:9:2::5"] {
        assert_eq!(register(&mut world, &arn, json!({"Id": id})), Ok(()), "{id}");
    }
    for id in ["2001:db8:1:3::5", "10.0.1.21", "fe80::1", "::1", "::", "ff02::1", "::ffff:10.0.1.21", "fd00::1"] {
        assert_eq!(register(&mut world, &arn, json!({"Id": id})), Err(Code::InvalidTarget), "{id}");
    }
    let ids: Vec<String> = all(&world, &arn).into_iter().map(|(id, _, _)| id).collect();
    assert_eq!(ids, ["2001:db8:1:1::5", "2001:db8:1:2::5", "2001:db8:9:2::5"]);
}

/// A group of a file without VPC takes both families, and whatever can be reached.
#[test]
fn addresses_of_a_file() {
    let (mut world, arn) = world(TargetType::Ip);
    change(&mut world, &arn, |group| {
        group.family = Family::Any;
        group.vpc = None;
    });
    let group = world.state.target_groups[&arn].clone();
    let check = |id: &str| checked(&group, id, None, None, &world.context()).map(drop).map_err(|fault| fault.code);
    for id in ["203.0.113.1", "10.0.1.21", "2001:db8:ffff::1", "fd00::1"] {
        assert_eq!(check(id), Ok(()), "{id}");
    }
    for id in ["127.0.0.1", "::1", "224.0.0.1", "fe80::1", "0.0.0.0", "::ffff:10.0.1.21"] {
        assert_eq!(check(id), Err(Code::InvalidTarget), "{id}");
    }
}

#[test]
fn application_load_balancers() {
    let (mut world, arn) = world(TargetType::Alb);
    for id in [ALB_2, "i-a1", "10.0.2.40", "web", &ALB.replace("/web/", "/other/")] {
        assert_eq!(register(&mut world, &arn, json!({"Id": id})), Err(Code::InvalidTarget), "{id}");
    }
    assert_eq!(register(&mut world, &arn, json!({"Id": ALB, "Port": 443})), Err(Code::ValidationError));
    let zone = json!({"Id": ALB, "AvailabilityZone": "all"});
    assert_eq!(register(&mut world, &arn, zone), Err(Code::ValidationError));
    assert_eq!(register(&mut world, &arn, json!({"Id": ALB, "Port": 80})), Ok(()));
    change(&mut world, &arn, |group| group.port = 8080);
    assert_eq!(register(&mut world, &arn, json!({"Id": ALB})), Err(Code::InvalidTarget), "no such listener");
}

#[test]
fn zones() {
    let (mut world, arn) = world(TargetType::Ip);
    let cases = [
        ("10.0.1.21", None, Ok(Some("us-east-1a"))),
        ("10.0.2.21", Some("us-east-1b"), Ok(Some("us-east-1b"))),
        ("10.0.3.21", Some("us-east-1a"), Err(Code::ValidationError)),
        ("10.0.3.21", Some("all"), Err(Code::ValidationError)),
        ("192.168.0.1", None, Ok(None)),
        ("192.168.0.2", Some("all"), Ok(None)),
        ("192.168.0.3", Some("us-east-1c"), Ok(Some("us-east-1c"))),
        ("192.168.0.4", Some("us-east-1z"), Err(Code::ValidationError)),
        ("192.168.0.4", Some(""), Err(Code::ValidationError)),
        ("10.9.1.21", None, Ok(None)),
    ];
    for (id, zone, expected) in cases {
        let mut target = json!({"Id": id});
        if let Some(zone) = zone {
            target["AvailabilityZone"] = zone.into();
        }
        assert_eq!(register(&mut world, &arn, target), expected.map(drop), "{id} {zone:?}");
        let group = &world.state.target_groups[&arn];
        let key = TargetKey { id: TargetId::Ip(id.parse().unwrap()), port: 80 };
        if let (Ok(zone), Some(target)) = (expected, group.targets.get(&key)) {
            assert_eq!(zone_of(group, &key, target, &world.inventory).as_deref(), zone, "{id}");
        }
    }
}

#[test]
fn where_targets_are() {
    let (world, arn) = world(TargetType::Instance);
    let group = &world.state.target_groups[&arn];
    let target = Target { zone: None, registered: world.now, draining_until: None };
    let of = |id: TargetId| {
        let key = TargetKey { id, port: 80 };
        (zone_of(group, &key, &target, &world.inventory), address_of(&key, &world.inventory))
    };
    let at = |zone: &str, address: &str| (Some(format!("us-east-1{zone}")), Some(address.parse().unwrap()));
    assert_eq!(of(TargetId::Instance("i-b1".into())), at("b", "10.0.2.21"));
    assert_eq!(of(TargetId::Alb(ALB.into())), at("b", "10.0.2.40"));
    assert_eq!(of(TargetId::Ip([10, 0, 3, 9].into())), at("c", "10.0.3.9"));
    assert_eq!(of(TargetId::Instance("i-gone".into())), (None, None));
    assert_eq!(of(TargetId::Alb("gone".into())), (None, None));
}

#[test]
fn refusals() {
    let (mut world, arn) = world(TargetType::Ip);
    let before = world.state.clone();
    for operation in ["RegisterTargets", "DeregisterTargets"] {
        let good = json!([{"Id": "10.0.1.21"}]);
        let other = format!("{arn}0");
        world.refused(Code::TargetGroupNotFound, operation, json!({"TargetGroupArn": other, "Targets": good}));
        world.refused(Code::ValidationError, operation, json!({"TargetGroupArn": "web", "Targets": good}));
        world.refused(Code::ValidationError, operation, json!({"Targets": good}));
        world.refused(Code::ValidationError, operation, json!({"TargetGroupArn": arn}));
        world.refused(Code::ValidationError, operation, input(&arn, json!([])));
        world.refused(Code::ValidationError, operation, input(&arn, json!([{}])));
        world.refused(Code::ValidationError, operation, input(&arn, json!([{"Id": "10.0.1.21", "Zone": "a"}])));
        for port in [json!(0), json!(65536), json!(-1), json!("http")] {
            let target = json!([{"Id": "10.0.1.21", "Port": port}]);
            world.refused(Code::ValidationError, operation, input(&arn, target));
        }
        let quic = json!([{"Id": "10.0.1.21", "QuicServerId": "0x0123456789abcdef"}]);
        world.refused(Code::InvalidConfigurationRequest, operation, input(&arn, quic));
    }
    // All or none.
    let mixed = json!([{"Id": "10.0.1.21"}, {"Id": "8.8.8.8"}]);
    world.refused(Code::InvalidTarget, "RegisterTargets", input(&arn, mixed));
    assert_eq!(world.state, before);
    for port in [1, 65535] {
        assert_eq!(register(&mut world, &arn, json!({"Id": "10.0.1.21", "Port": port})), Ok(()));
    }
}

#[test]
fn registered_twice() {
    let (mut world, arn) = world(TargetType::Ip);
    put_in_use(&mut world, &arn);
    assert_eq!(register(&mut world, &arn, json!({"Id": "10.0.1.21"})), Ok(()));
    let before = world.state.clone();
    assert_eq!(register(&mut world, &arn, json!({"Id": "10.0.1.21", "Port": 80})), Ok(()));
    assert_eq!(world.state, before);
}

/// Draining ends when the delay is over, and not before; a second call does not begin it again.
#[test]
fn deregistration_with_a_delay() {
    let (mut world, arn) = world(TargetType::Ip);
    put_in_use(&mut world, &arn);
    let both = json!([{"Id": "10.0.1.21"}, {"Id": "10.0.1.22"}]);
    world.call("RegisterTargets", input(&arn, both));
    let key = TargetKey { id: TargetId::Ip([10, 0, 1, 21].into()), port: 80 };
    world.state.overrides.insert((arn.clone(), key.clone()), Override::Unhealthy);
    let start = world.now;
    let one = input(&arn, json!([{"Id": "10.0.1.21"}]));
    assert_eq!(world.call("DeregisterTargets", one.clone()), json!({}));
    let target = &world.state.target_groups[&arn].targets[&key];
    assert_eq!(target.draining_until, Some(start + 300.seconds()));
    assert!(world.state.overrides.is_empty(), "the operator's word goes with the target");
    world.now = start + 100.seconds();
    world.call("DeregisterTargets", one);
    let target = &world.state.target_groups[&arn].targets[&key];
    assert_eq!(target.draining_until, Some(start + 300.seconds()), "it goes on as it was");

    assert_eq!(ops::expire(&world.state, start + 299.seconds()), None);
    let next = ops::expire(&world.state, start + 300.seconds()).unwrap();
    assert_eq!(next.target_groups[&arn].targets.len(), 1);
    assert_eq!(ops::expire(&next, start + 400.seconds()), None);
}

#[test]
fn registered_while_draining() {
    let (mut world, arn) = world(TargetType::Ip);
    put_in_use(&mut world, &arn);
    let target = json!([{"Id": "192.168.0.1", "AvailabilityZone": "us-east-1a"}]);
    world.call("RegisterTargets", input(&arn, target.clone()));
    world.call("DeregisterTargets", input(&arn, target));
    assert_eq!(all(&world, &arn), [("192.168.0.1".to_owned(), 80, true)]);
    let now = world.now;
    world.call("RegisterTargets", input(&arn, json!([{"Id": "192.168.0.1"}])));
    let group = &world.state.target_groups[&arn];
    let expected = Target { zone: None, registered: now, draining_until: None };
    assert_eq!(group.targets.values().collect::<Vec<_>>(), [&expected]);
    assert_eq!(ops::expire(&world.state, now + 24.hours()), None);
}

#[test]
fn deregistration_at_once() {
    let gone = |delay: Option<&str>, in_use: bool| {
        let (mut world, arn) = world(TargetType::Ip);
        if in_use {
            put_in_use(&mut world, &arn);
        }
        if let Some(delay) = delay {
            let key = "deregistration_delay.timeout_seconds";
            change(&mut world, &arn, |group| {
                group.attributes.insert(key.into(), delay.into());
            });
        }
        world.call("RegisterTargets", input(&arn, json!([{"Id": "10.0.1.21"}])));
        let key = TargetKey { id: TargetId::Ip([10, 0, 1, 21].into()), port: 80 };
        world.state.overrides.insert((arn.clone(), key), Override::Healthy);
        world.call("DeregisterTargets", input(&arn, json!([{"Id": "10.0.1.21"}])));
        let gone = world.state.target_groups[&arn].targets.is_empty();
        assert!(world.state.overrides.is_empty(), "the operator's word goes with the target");
        gone
    };
    assert!(gone(Some("0"), true));
    assert!(gone(None, false), "nothing to drain in a group without traffic");
    assert!(!gone(Some("1"), true));
    assert!(!gone(None, true));
}

#[test]
fn which_target_is_deregistered() {
    let (mut world, arn) = world(TargetType::Instance);
    let targets =
        json!([{"Id": "i-a1"}, {"Id": "i-a1", "Port": 81}, {"Id": "i-a2", "Port": 81}, {"Id": "i-a2", "Port": 82}]);
    world.call("RegisterTargets", input(&arn, targets));
    let one = |target: Value| input(&arn, json!([target]));
    world.call("DeregisterTargets", one(json!({"Id": "i-a1"})));
    assert_eq!(all(&world, &arn).len(), 3);
    let refused =
        |world: &mut World, target: Value| world.refused(Code::InvalidTarget, "DeregisterTargets", one(target));
    assert!(refused(&mut world, json!({"Id": "i-a2"})).contains("81, 82"));
    refused(&mut world, json!({"Id": "i-a1"}));
    refused(&mut world, json!({"Id": "10.0.1.21"}));
    // What is not there is deregistered already.
    world.call("DeregisterTargets", one(json!({"Id": "i-a3"})));
    world.call("DeregisterTargets", one(json!({"Id": "i-a2", "Port": 83})));
    // All or none.
    let mixed = json!([{"Id": "i-a1", "Port": 81}, {"Id": "i-a2"}]);
    world.refused(Code::InvalidTarget, "DeregisterTargets", input(&arn, mixed));
    assert_eq!(all(&world, &arn).len(), 3);
    // What is not in the inventory any more, and stopped, can go; a zone is as good as none.
    world.inventory.instances.remove("i-a1");
    world.inventory.instances.get_mut("i-a2").unwrap().state = InstanceState::Stopped;
    let twice = json!([{"Id": "i-a1", "Port": 81}, {"Id": "i-a2", "Port": 81, "AvailabilityZone": "x"}, {"Id": "i-a1", "Port": 81}]);
    world.call("DeregisterTargets", input(&arn, twice));
    assert_eq!(all(&world, &arn), [("i-a2".to_owned(), 82, false)]);
}
