//! How many targets a load balancer may have.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::{
    model::Protocol,
    ops::testing::{self, ALB, World},
};

/// `count` targets at one address.
fn targets(address: &str, count: u16) -> Value {
    (1..=count).map(|port| json!({"Id": address, "Port": port})).collect()
}

fn register(arn: &Arn, targets: Value) -> Value {
    json!({"TargetGroupArn": arn, "Targets": targets})
}

/// A world, a load balancer, and a group for each of these ports.
fn world<const N: usize>(ports: [u16; N]) -> (World, Arn, [Arn; N]) {
    let mut world = World::new();
    let balancer = testing::load_balancer(&mut world.state, "web");
    let groups = ports.map(|port| {
        let group = testing::target_group(&mut world.state, &format!("group-{port}"), Protocol::Tcp);
        testing::listener(&mut world.state, &balancer, Protocol::Tcp, port, &group);
        group
    });
    (world, balancer, groups)
}

fn checked(world: &World, balancer: &Arn) -> Result<(), Code> {
    check(&world.state, balancer, &world.context()).map_err(|fault| fault.code)
}

#[test]
fn of_a_group() {
    let mut world = World::new();
    let group = testing::target_group(&mut world.state, "web", Protocol::Tcp);
    world.call("RegisterTargets", register(&group, targets("10.0.1.21", 1000)));
    let message = world.refused(Code::TooManyTargets, "RegisterTargets", register(&group, targets("10.0.1.22", 1)));
    assert!(message.contains("1001") && message.contains("1000"), "{message}");
    // Those that are there already are no more than they are.
    world.call("RegisterTargets", register(&group, targets("10.0.1.21", 1000)));
    world.call("DeregisterTargets", register(&group, targets("10.0.1.21", 1)));
    world.call("RegisterTargets", register(&group, targets("10.0.1.22", 1)));
    assert_eq!(world.state.target_groups[&group].targets.len(), 1000);
    // A quota that was lowered stands in the way of new targets only.
    world.quotas.targets_per_target_group = 10;
    world.call("RegisterTargets", register(&group, targets("10.0.1.22", 1)));
    world.refused(Code::TooManyTargets, "RegisterTargets", register(&group, targets("10.0.1.23", 1)));
}

/// Those that are draining have left.
#[test]
fn draining() {
    let (mut world, _, [group]) = world([80]);
    world.quotas.targets_per_target_group = 2;
    world.quotas.targets_per_load_balancer = 2;
    world.call("RegisterTargets", register(&group, targets("10.0.1.21", 2)));
    world.refused(Code::TooManyTargets, "RegisterTargets", register(&group, targets("10.0.1.22", 1)));
    world.call("DeregisterTargets", register(&group, targets("10.0.1.21", 1)));
    world.call("RegisterTargets", register(&group, targets("10.0.1.22", 1)));
    world.refused(Code::TooManyTargets, "RegisterTargets", register(&group, targets("10.0.1.21", 1)));
}

/// A target counts once for each of its groups; a group once, however many listeners use it.
#[test]
fn of_a_load_balancer() {
    let (mut world, balancer, [first, second]) = world([80, 81]);
    world.quotas.targets_per_load_balancer = 6;
    testing::listener(&mut world.state, &balancer, Protocol::Tcp, 82, &first);
    world.call("RegisterTargets", register(&first, targets("10.0.1.21", 3)));
    world.call("RegisterTargets", register(&second, targets("10.0.1.21", 3)));
    world.refused(Code::TooManyTargets, "RegisterTargets", register(&second, targets("10.0.2.21", 1)));
    // A group that is not in use is nobody's.
    let third = testing::target_group(&mut world.state, "third", Protocol::Tcp);
    world.call("RegisterTargets", register(&third, targets("10.0.2.21", 1)));
    assert_eq!(checked(&world, &balancer), Ok(()));
    testing::listener(&mut world.state, &balancer, Protocol::Tcp, 83, &third);
    assert_eq!(checked(&world, &balancer), Err(Code::TooManyTargets));
}

#[test]
fn of_a_zone() {
    let (mut world, _, [first, second]) = world([80, 81]);
    world.call("RegisterTargets", register(&first, targets("10.0.1.21", 500)));
    let message = world.refused(Code::TooManyTargets, "RegisterTargets", register(&second, targets("10.0.4.21", 1)));
    assert!(message.contains("in us-east-1a"), "{message}");
    world.call("RegisterTargets", register(&second, targets("10.0.2.21", 500)));
    world.refused(Code::TooManyTargets, "RegisterTargets", register(&second, targets("10.0.2.22", 1)));
    // All zones are none of them.
    world.call("RegisterTargets", register(&first, targets("192.168.0.1", 500)));
}

/// 3,000 targets in three groups, none of them in a zone.
#[test]
fn of_a_load_balancer_by_default() {
    let (mut world, _, groups) = world([80, 81, 82, 83]);
    for group in &groups[..3] {
        world.call("RegisterTargets", register(group, targets("192.168.0.1", 1000)));
    }
    world.refused(Code::TooManyTargets, "RegisterTargets", register(&groups[3], targets("192.168.0.1", 1)));
}

fn of_type_alb(world: &mut World, groups: &[Arn]) {
    for group in groups {
        Arc::make_mut(world.state.target_groups.get_mut(group).unwrap()).target_type = TargetType::Alb;
    }
}

/// 50 targets each, and 100 with cross-zone load balancing.
#[test]
fn application_load_balancers() {
    let (mut world, balancer, groups) = world([80, 81]);
    of_type_alb(&mut world, &groups[..1]);
    world.call("RegisterTargets", register(&groups[0], json!([{"Id": ALB}])));
    let set = |world: &mut World, most: u32| world.quotas.targets_per_zone_per_load_balancer = most;
    set(&mut world, 50);
    assert_eq!(checked(&world, &balancer), Ok(()));
    world.refused(Code::TooManyTargets, "RegisterTargets", register(&groups[1], targets("10.0.2.21", 1)));
    set(&mut world, 49);
    assert_eq!(checked(&world, &balancer), Err(Code::TooManyTargets));
    Arc::make_mut(world.state.load_balancers.get_mut(&balancer).unwrap())
        .attributes
        .insert("load_balancing.cross_zone.enabled".into(), "true".into());
    set(&mut world, 100);
    assert_eq!(checked(&world, &balancer), Ok(()));
    set(&mut world, 99);
    assert_eq!(checked(&world, &balancer), Err(Code::TooManyTargets));
    set(&mut world, 500);
    world.quotas.targets_per_load_balancer = 99;
    assert_eq!(checked(&world, &balancer), Err(Code::TooManyTargets));
    // The group's own word counts before the load balancer's.
    let word = |word: &str| {
        let attribute = json!({"Key": "load_balancing.cross_zone.enabled", "Value": word});
        json!({"TargetGroupArn": groups[0], "Attributes": [attribute]})
    };
    world.call("ModifyTargetGroupAttributes", word("false"));
    assert_eq!(checked(&world, &balancer), Ok(()));
    world.refused(Code::TooManyTargets, "ModifyTargetGroupAttributes", word("true"));
    assert_eq!(checked(&world, &balancer), Ok(()));
}

#[test]
fn one_application_load_balancer_a_group() {
    let (mut world, _, [group]) = world([80]);
    of_type_alb(&mut world, std::slice::from_ref(&group));
    let second = ALB.replace("/app/web/", "/app/second/");
    let mut alb = world.inventory.application_load_balancers[ALB].clone();
    alb.arn.clone_from(&second);
    world.inventory.application_load_balancers.insert(second.clone(), alb);
    let both = json!([{"Id": ALB}, {"Id": second}]);
    world.refused(Code::TooManyTargets, "RegisterTargets", register(&group, both));
    world.call("RegisterTargets", register(&group, json!([{"Id": ALB}])));
    world.call("RegisterTargets", register(&group, json!([{"Id": ALB}])));
    world.refused(Code::TooManyTargets, "RegisterTargets", register(&group, json!([{"Id": second}])));
    world.call("DeregisterTargets", register(&group, json!([{"Id": ALB}])));
    world.call("RegisterTargets", register(&group, json!([{"Id": second}])));
}

/// Guide, "Application Load Balancers as targets": of up to two load balancers.
#[test]
fn two_load_balancers_of_an_application_load_balancer() {
    let mut world = World::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| {
        let balancer = testing::load_balancer(&mut world.state, name);
        let group = testing::target_group(&mut world.state, name, Protocol::Tcp);
        testing::listener(&mut world.state, &balancer, Protocol::Tcp, 80, &group);
        (balancer, group)
    });
    of_type_alb(&mut world, &[a.1.clone(), b.1.clone(), c.1.clone()]);
    let alb = json!([{"Id": ALB}]);
    world.call("RegisterTargets", register(&a.1, alb.clone()));
    world.call("RegisterTargets", register(&b.1, alb.clone()));
    world.refused(Code::TooManyRegistrationsForTargetId, "RegisterTargets", register(&c.1, alb.clone()));
    // Not in use, it can be in any number of groups; but then none of them can be put in use.
    world.state.listeners.retain(|_, listener| listener.load_balancer != c.0);
    world.call("RegisterTargets", register(&c.1, alb));
    testing::listener(&mut world.state, &c.0, Protocol::Tcp, 80, &c.1);
    assert_eq!(checked(&world, &c.0), Err(Code::TooManyRegistrationsForTargetId));
}
