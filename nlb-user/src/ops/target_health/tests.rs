//! Every state and reason of a target.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use crate::{
    model::{Arn, Code, Instance, InstanceState, Protocol, TargetGroup, TargetId, TargetKey, TargetType},
    ops::testing::{self, ALB, World},
    store::Override,
};

fn group<'a>(world: &'a mut World, arn: &Arn) -> &'a mut TargetGroup {
    Arc::make_mut(world.state.target_groups.get_mut(arn).unwrap())
}

/// A world, its load balancer in the zones a and b, and a group in use.
fn world(target_type: TargetType) -> (World, Arn, Arn) {
    let mut world = World::new();
    let balancer = testing::load_balancer(&mut world.state, "web");
    let arn = testing::target_group(&mut world.state, "web", Protocol::Tcp);
    group(&mut world, &arn).target_type = target_type;
    testing::listener(&mut world.state, &balancer, Protocol::Tcp, 80, &arn);
    (world, balancer, arn)
}

fn register(world: &mut World, arn: &Arn, targets: Value) {
    world.call("RegisterTargets", json!({"TargetGroupArn": arn, "Targets": targets}));
}

/// State and reason by target.
fn health(world: &mut World, arn: &Arn) -> BTreeMap<String, String> {
    let output = world.call("DescribeTargetHealth", json!({"TargetGroupArn": arn}));
    let told = |described: &Value| {
        let health = &described["TargetHealth"];
        let state = health["State"].as_str().unwrap();
        let text = match health.get("Reason") {
            Some(reason) => {
                assert!(health["Description"].as_str().is_some_and(|text| text.len() > 10), "{described}");
                format!("{state} {}", reason.as_str().unwrap())
            }
            None => {
                assert_eq!(health.get("Description"), None);
                state.to_owned()
            }
        };
        (described["Target"]["Id"].as_str().unwrap().to_owned(), text)
    };
    output["TargetHealthDescriptions"].as_array().unwrap().iter().map(told).collect()
}

fn expected(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(target, health)| ((*target).to_owned(), (*health).to_owned())).collect()
}

#[test]
fn addresses() {
    let (mut world, balancer, arn) = world(TargetType::Ip);
    let taken = world.state.load_balancers[&balancer].zones[0].ipv4.to_string();
    let ids = ["10.0.1.21", "10.0.3.21", "10.0.2.22", "192.168.0.1", &taken];
    let targets: Vec<Value> = ids.iter().map(|id| json!({"Id": id})).collect();
    register(&mut world, &arn, json!(targets));
    let outside = json!([{"Id": "192.168.0.2", "AvailabilityZone": "us-east-1c"}, {"Id": "192.168.0.3", "AvailabilityZone": "us-east-1b"}]);
    register(&mut world, &arn, outside);
    let initial = "initial Elb.InitialHealthChecking";
    let not_in_use = "unused Target.NotInUse";
    let all = [
        ("10.0.1.21", initial),
        ("10.0.3.21", not_in_use),
        ("10.0.2.22", initial),
        ("192.168.0.1", initial),
        (&taken, "unused Target.IpUnusable"),
        ("192.168.0.2", not_in_use),
        ("192.168.0.3", initial),
    ];
    assert_eq!(health(&mut world, &arn), expected(&all));

    world.call("DeregisterTargets", json!({"TargetGroupArn": arn, "Targets": [{"Id": "10.0.1.21"}]}));
    let text = health(&mut world, &arn).remove("10.0.1.21").unwrap();
    assert_eq!(text, "draining Target.DeregistrationInProgress");

    world.state.listeners.clear();
    let all = health(&mut world, &arn);
    assert_eq!(all.values().filter(|text| *text == not_in_use).count(), 6, "{all:?}");
}

#[test]
fn the_operators_word() {
    let (mut world, _, arn) = world(TargetType::Ip);
    register(&mut world, &arn, json!([{"Id": "10.0.1.21"}, {"Id": "10.0.1.22"}, {"Id": "10.0.3.21"}]));
    let key = |last: [u8; 4]| (arn.clone(), TargetKey { id: TargetId::Ip(last.into()), port: 80 });
    world.state.overrides.insert(key([10, 0, 1, 21]), Override::Healthy);
    world.state.overrides.insert(key([10, 0, 1, 22]), Override::Unhealthy);
    world.state.overrides.insert(key([10, 0, 3, 21]), Override::Healthy);
    let all = [
        ("10.0.1.21", "healthy"),
        ("10.0.1.22", "unhealthy Target.FailedHealthChecks"),
        ("10.0.3.21", "unused Target.NotInUse"),
    ];
    assert_eq!(health(&mut world, &arn), expected(&all));
}

#[test]
fn instances() {
    let (mut world, _, arn) = world(TargetType::Instance);
    register(&mut world, &arn, json!([{"Id": "i-a1"}, {"Id": "i-b1"}, {"Id": "i-c1"}]));
    let initial = "initial Elb.InitialHealthChecking";
    let all = [("i-a1", initial), ("i-b1", initial), ("i-c1", "unused Target.NotInUse")];
    assert_eq!(health(&mut world, &arn), expected(&all));
    for state in
        [InstanceState::Stopping, InstanceState::Stopped, InstanceState::ShuttingDown, InstanceState::Terminated]
    {
        let instance: &mut Instance = world.inventory.instances.get_mut("i-a1").unwrap();
        instance.state = state;
        assert_eq!(health(&mut world, &arn)["i-a1"], "unused Target.InvalidState", "{state:?}");
    }
    world.inventory.instances.remove("i-b1");
    assert_eq!(health(&mut world, &arn)["i-b1"], "unused Target.InvalidState");
}

#[test]
fn application_load_balancers() {
    let (mut world, _, arn) = world(TargetType::Alb);
    register(&mut world, &arn, json!([{"Id": ALB}]));
    assert_eq!(health(&mut world, &arn)[ALB], "initial Elb.InitialHealthChecking");
    world.inventory.application_load_balancers.get_mut(ALB).unwrap().ports = vec![443];
    assert_eq!(health(&mut world, &arn)[ALB], "unused Target.InvalidState");
    world.inventory.application_load_balancers.clear();
    assert_eq!(health(&mut world, &arn)[ALB], "unused Target.InvalidState");
}

/// In the caller's order, with the port that is checked and the zone of addresses.
#[test]
fn the_targets_named() {
    let (mut world, _, arn) = world(TargetType::Ip);
    register(&mut world, &arn, json!([{"Id": "10.0.1.21"}, {"Id": "10.0.1.21", "Port": 81}, {"Id": "192.168.0.1"}]));
    let named = json!([{"Id": "192.168.0.1"}, {"Id": "10.0.1.22"}, {"Id": "10.0.1.21", "Port": 81}]);
    let input = json!({"TargetGroupArn": arn, "Targets": named, "Include": ["All"]});
    let output = world.call("DescribeTargetHealth", input.clone());
    let described = output["TargetHealthDescriptions"].as_array().unwrap();
    let targets: Vec<&Value> = described.iter().map(|described| &described["Target"]).collect();
    let expected = [
        json!({"Id": "192.168.0.1", "Port": 80, "AvailabilityZone": "all"}),
        json!({"Id": "10.0.1.22", "Port": 80}),
        json!({"Id": "10.0.1.21", "Port": 81, "AvailabilityZone": "us-east-1a"}),
    ];
    assert_eq!(targets, expected.iter().collect::<Vec<_>>());
    let ports: Vec<&Value> = described.iter().map(|described| &described["HealthCheckPort"]).collect();
    assert_eq!(ports, ["80", "80", "81"]);
    assert_eq!(described[1]["TargetHealth"]["State"], "unused");
    assert_eq!(described[1]["TargetHealth"]["Reason"], "Target.NotRegistered");
    group(&mut world, &arn).health_check.port = Some(9000);
    let output = world.call("DescribeTargetHealth", input);
    assert_eq!(output["TargetHealthDescriptions"][2]["HealthCheckPort"], "9000");
}

#[test]
fn refusals() {
    let (mut world, _, arn) = world(TargetType::Ip);
    let describe = "DescribeTargetHealth";
    assert_eq!(world.call(describe, json!({"TargetGroupArn": arn})), json!({"TargetHealthDescriptions": []}));
    world.refused(Code::TargetGroupNotFound, describe, json!({"TargetGroupArn": format!("{arn}0")}));
    world.refused(Code::ValidationError, describe, json!({"TargetGroupArn": "web"}));
    world.refused(Code::ValidationError, describe, json!({}));
    world.refused(Code::ValidationError, describe, json!({"TargetGroupArn": arn, "Include": ["Everything"]}));
    let with = |target: Value| json!({"TargetGroupArn": arn, "Targets": [target]});
    world.refused(Code::InvalidTarget, describe, with(json!({"Id": "i-a1"})));
    world.refused(Code::ValidationError, describe, with(json!({"Id": "10.0.1.21", "Port": 0})));
    world.refused(Code::ValidationError, describe, with(json!({"Port": 80})));
}
