//! Attributes of target groups: defaults, ranges, and what goes together.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::{
    model::{Arn, Code},
    ops::testing::{self, World},
};

/// A world with a group, and the group's ARN.
fn world(target_type: TargetType, protocol: Protocol) -> (World, Arn) {
    let mut world = World::new();
    let arn = testing::target_group(&mut world.state, "web", protocol);
    Arc::make_mut(world.state.target_groups.get_mut(&arn).unwrap()).target_type = target_type;
    (world, arn)
}

fn input(arn: &Arn, attributes: &[(&str, &str)]) -> Value {
    let given: Vec<Value> = attributes.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    json!({"TargetGroupArn": arn, "Attributes": given})
}

fn set_all(world: &mut World, arn: &Arn, attributes: &[(&str, &str)]) -> Result<Value, Fault> {
    world.run("ModifyTargetGroupAttributes", input(arn, attributes))
}

/// Attributes of an answer, by key.
fn told(output: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let attributes = output["Attributes"].as_array().unwrap();
    attributes.iter().map(|attribute| (text(&attribute["Key"]), text(&attribute["Value"]))).collect()
}

fn group<'a>(world: &'a World, arn: &Arn) -> &'a TargetGroup {
    &world.state.target_groups[arn]
}

#[test]
fn defaults() {
    let (mut world, arn) = world(TargetType::Ip, Protocol::Tcp);
    let output = world.call("DescribeTargetGroupAttributes", json!({"TargetGroupArn": arn}));
    let expected = [
        (DELAY, "300"),
        (DELAY_TERMINATES, "false"),
        (CROSS_ZONE, "use_load_balancer_configuration"),
        (PRESERVE_CLIENT_IP, "false"),
        (PROXY_PROTOCOL, "false"),
        (STICKINESS, "false"),
        (STICKINESS_TYPE, "source_ip"),
        (DNS_COUNT, "off"),
        (DNS_SHARE, "off"),
        (ROUTING_COUNT, "1"),
        (ROUTING_SHARE, "off"),
        (UNHEALTHY_TERMINATES, "true"),
        (UNHEALTHY_DRAINING, "0"),
    ];
    assert_eq!(told(&output), expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    assert!(group(&world, &arn).attributes.is_empty());
}

/// Guide, "Client IP preservation".
#[test]
fn client_ip_preservation() {
    let cases = [
        (TargetType::Ip, Protocol::Tcp, false),
        (TargetType::Ip, Protocol::Tls, false),
        (TargetType::Ip, Protocol::Udp, true),
        (TargetType::Ip, Protocol::TcpUdp, true),
        (TargetType::Instance, Protocol::Tcp, true),
        (TargetType::Instance, Protocol::Tls, true),
        (TargetType::Instance, Protocol::Udp, true),
        (TargetType::Instance, Protocol::TcpUdp, true),
        (TargetType::Alb, Protocol::Tcp, true),
    ];
    for (target_type, protocol, preserves) in cases {
        let (mut world, arn) = world(target_type, protocol);
        assert_eq!(preserves_client_ip(group(&world, &arn)), preserves, "{target_type:?} {protocol}");
        set_all(&mut world, &arn, &[(PRESERVE_CLIENT_IP, "true")]).unwrap();
        assert!(preserves_client_ip(group(&world, &arn)));
        let off = set_all(&mut world, &arn, &[(PRESERVE_CLIENT_IP, "false")]);
        let fixed = of_udp(protocol) || target_type == TargetType::Alb;
        let code = off.map(drop).map_err(|fault| fault.code);
        let expected = if fixed { Err(Code::InvalidConfigurationRequest) } else { Ok(()) };
        assert_eq!(code, expected, "{target_type:?} {protocol}");
        assert_eq!(preserves_client_ip(group(&world, &arn)), fixed);
    }
}

#[test]
fn values_at_both_edges() {
    let (mut world, arn) = world(TargetType::Ip, Protocol::Tcp);
    let good = [
        (DELAY, vec!["0", "3600"]),
        (DELAY_TERMINATES, vec!["true", "false"]),
        (CROSS_ZONE, vec!["true", "false", "use_load_balancer_configuration"]),
        (PRESERVE_CLIENT_IP, vec!["true", "false"]),
        (PROXY_PROTOCOL, vec!["true", "false"]),
        (STICKINESS, vec!["true", "false"]),
        (STICKINESS_TYPE, vec!["source_ip"]),
        (DNS_COUNT, vec!["1", "1000", "off"]),
        (DNS_SHARE, vec!["1", "100", "off"]),
        (ROUTING_COUNT, vec!["1000", "1"]),
        (ROUTING_SHARE, vec!["1", "100", "off"]),
        (UNHEALTHY_TERMINATES, vec!["true", "false"]),
        (UNHEALTHY_DRAINING, vec!["360000", "0"]),
    ];
    for (key, values) in &good {
        for value in values {
            let output = set_all(&mut world, &arn, &[(key, value)]).unwrap();
            assert_eq!(told(&output)[*key], *value, "{key}");
            assert_eq!(told(&output).len(), 13, "the answer is all attributes");
            let described = world.call("DescribeTargetGroupAttributes", json!({"TargetGroupArn": arn}));
            assert_eq!(described, output);
        }
    }
    let bad = [
        (DELAY, vec!["-1", "3601", "", "off", "1.5", "300s"]),
        (DELAY_TERMINATES, vec!["", "yes", "TRUE", "1"]),
        (CROSS_ZONE, vec!["", "off", "use_load_balancer"]),
        (PRESERVE_CLIENT_IP, vec!["on"]),
        (PROXY_PROTOCOL, vec!["v2"]),
        (STICKINESS, vec!["source_ip"]),
        (STICKINESS_TYPE, vec!["lb_cookie", "app_cookie", "source_ip_dest_ip", ""]),
        (DNS_COUNT, vec!["0", "1001", "-1", "OFF", ""]),
        (DNS_SHARE, vec!["0", "101", "50%", "none"]),
        (ROUTING_COUNT, vec!["0", "1001", "off", "99999999999"]),
        (ROUTING_SHARE, vec!["0", "101"]),
        (UNHEALTHY_TERMINATES, vec!["maybe"]),
        (UNHEALTHY_DRAINING, vec!["-1", "360001"]),
        ("slow_start.duration_seconds", vec!["30"]),
        ("tcp.idle_timeout.seconds", vec!["350"]),
        ("", vec![""]),
    ];
    let before = world.state.clone();
    for (key, values) in &bad {
        for value in values {
            assert_eq!(
                set_all(&mut world, &arn, &[(key, value)]).unwrap_err().code,
                Code::ValidationError,
                "{key} {value}"
            );
        }
    }
    assert_eq!(world.state, before);
}

/// The maximum number of targets is a quota, which the operator can move.
#[test]
fn counts_follow_the_quota() {
    let (mut world, arn) = world(TargetType::Ip, Protocol::Tcp);
    world.quotas.targets_per_target_group = 2000;
    for key in [DNS_COUNT, ROUTING_COUNT] {
        assert!(set_all(&mut world, &arn, &[(key, "2000")]).is_ok());
        assert_eq!(set_all(&mut world, &arn, &[(key, "2001")]).unwrap_err().code, Code::ValidationError);
    }
}

#[test]
fn what_does_not_go_together() {
    let odd = Code::InvalidConfigurationRequest;
    let refused = |protocol: Protocol, attributes: &[(&str, &str)]| {
        let (mut world, arn) = world(TargetType::Ip, protocol);
        let before = world.state.clone();
        assert_eq!(set_all(&mut world, &arn, attributes).unwrap_err().code, odd, "{protocol} {attributes:?}");
        assert_eq!(world.state, before);
    };
    let accepted = |attributes: &[(&str, &str)]| {
        let (mut world, arn) = world(TargetType::Ip, Protocol::Tcp);
        assert!(set_all(&mut world, &arn, attributes).is_ok(), "{attributes:?}");
    };
    refused(Protocol::Tls, &[(STICKINESS, "true")]);
    refused(Protocol::Udp, &[(UNHEALTHY_TERMINATES, "true")]);
    refused(Protocol::Tcp, &[(UNHEALTHY_DRAINING, "1")]);
    accepted(&[(UNHEALTHY_DRAINING, "1"), (UNHEALTHY_TERMINATES, "false")]);
    refused(Protocol::Tcp, &[(DNS_COUNT, "1"), (ROUTING_COUNT, "2")]);
    accepted(&[(DNS_COUNT, "2"), (ROUTING_COUNT, "2")]);
    accepted(&[(DNS_COUNT, "off"), (ROUTING_COUNT, "2")]);
    refused(Protocol::Tcp, &[(DNS_SHARE, "49"), (ROUTING_SHARE, "50")]);
    accepted(&[(DNS_SHARE, "50"), (ROUTING_SHARE, "50")]);
    accepted(&[(DNS_SHARE, "off"), (ROUTING_SHARE, "50")]);
    accepted(&[(DNS_SHARE, "50"), (ROUTING_SHARE, "off")]);
    // A number and a percentage can't be compared.
    accepted(&[(DNS_SHARE, "1"), (ROUTING_COUNT, "2")]);

    // With what was set before.
    let (mut world, arn) = world(TargetType::Ip, Protocol::Tcp);
    set_all(&mut world, &arn, &[(DNS_COUNT, "2")]).unwrap();
    assert_eq!(set_all(&mut world, &arn, &[(ROUTING_COUNT, "3")]).unwrap_err().code, odd);
    set_all(&mut world, &arn, &[(ROUTING_COUNT, "3"), (DNS_COUNT, "3")]).unwrap();
}

/// TCP target groups of TLS listeners have no sticky sessions either.
#[test]
fn stickiness_and_tls_listeners() {
    let (mut world, arn) = world(TargetType::Ip, Protocol::Tcp);
    let balancer = testing::load_balancer(&mut world.state, "web");
    let listener = testing::listener(&mut world.state, &balancer, Protocol::Tls, 443, &arn);
    let fault = set_all(&mut world, &arn, &[(STICKINESS, "true")]).unwrap_err();
    assert_eq!(fault.code, Code::InvalidConfigurationRequest);
    world.state.listeners.remove(&listener);
    set_all(&mut world, &arn, &[(STICKINESS, "true")]).unwrap();
    assert!(is_sticky(group(&world, &arn)));
}

#[test]
fn groups_of_an_application_load_balancer() {
    let (mut world, arn) = world(TargetType::Alb, Protocol::Tcp);
    let output = world.call("DescribeTargetGroupAttributes", json!({"TargetGroupArn": arn}));
    let told = told(&output);
    assert_eq!(told.len(), 10);
    for key in [PROXY_PROTOCOL, STICKINESS, STICKINESS_TYPE] {
        assert!(!told.contains_key(key));
        assert_eq!(set_all(&mut world, &arn, &[(key, "true")]).unwrap_err().code, Code::ValidationError);
    }
    assert!(!is_sticky(group(&world, &arn)) && !sends_proxy_header(group(&world, &arn)));
}

#[test]
fn refusals() {
    let (mut world, arn) = world(TargetType::Ip, Protocol::Tcp);
    let operation = "ModifyTargetGroupAttributes";
    world.refused(Code::ValidationError, operation, json!({"TargetGroupArn": arn}));
    world.refused(Code::ValidationError, operation, json!({"TargetGroupArn": arn, "Attributes": []}));
    world.refused(Code::ValidationError, operation, json!({"Attributes": [{"Key": DELAY, "Value": "1"}]}));
    world.refused(Code::ValidationError, operation, input(&arn, &[(DELAY, "1"), (DELAY, "2")]));
    for operation in [operation, "DescribeTargetGroupAttributes"] {
        let with = |arn: String| match operation {
            "ModifyTargetGroupAttributes" => {
                json!({"TargetGroupArn": arn, "Attributes": [{"Key": DELAY, "Value": "1"}]})
            }
            _ => json!({"TargetGroupArn": arn}),
        };
        world.refused(Code::TargetGroupNotFound, operation, with(format!("{arn}0")));
        world.refused(Code::ValidationError, operation, with("web".into()));
    }
    // All or none.
    world.refused(Code::ValidationError, operation, input(&arn, &[(DELAY, "1"), (STICKINESS, "x")]));
    assert_eq!(deregistration_delay_s(group(&world, &arn)), 300);
}

#[test]
fn what_they_mean() {
    let (mut world, arn) = world(TargetType::Ip, Protocol::Tcp);
    let balancer = testing::load_balancer(&mut world.state, "web");
    let cross_zone = |world: &World| super::cross_zone(group(world, &arn), &world.state.load_balancers[&balancer]);
    let plain = group(&world, &arn);
    assert_eq!((unhealthy_routing(plain), dns_failover(plain)), ((1, None), (None, None)));
    assert!(!terminates_deregistered(plain) && terminates_unhealthy(plain));
    assert!(!cross_zone(&world));
    Arc::make_mut(world.state.load_balancers.get_mut(&balancer).unwrap())
        .attributes
        .insert(CROSS_ZONE.into(), "true".into());
    assert!(cross_zone(&world));
    set_all(&mut world, &arn, &[(CROSS_ZONE, "false")]).unwrap();
    assert!(!cross_zone(&world));

    let attributes = [
        (DELAY, "0"),
        (DELAY_TERMINATES, "true"),
        (PROXY_PROTOCOL, "true"),
        (DNS_COUNT, "5"),
        (DNS_SHARE, "60"),
        (ROUTING_COUNT, "4"),
        (ROUTING_SHARE, "50"),
        (UNHEALTHY_TERMINATES, "false"),
        (UNHEALTHY_DRAINING, "90"),
    ];
    set_all(&mut world, &arn, &attributes).unwrap();
    let set = group(&world, &arn);
    assert_eq!((unhealthy_routing(set), dns_failover(set)), ((4, Some(50)), (Some(5), Some(60))));
    assert_eq!((deregistration_delay_s(set), unhealthy_draining_s(set)), (0, 90));
    assert!(terminates_deregistered(set) && !terminates_unhealthy(set) && sends_proxy_header(set));
}

/// As a file's attributes are set: one at a time, in the order of their keys.
#[test]
fn one_at_a_time() {
    let (world, arn) = world(TargetType::Ip, Protocol::Tcp);
    let mut made = group(&world, &arn).clone();
    let file = BTreeMap::from([
        (ROUTING_COUNT, "3"),
        (DNS_COUNT, "3"),
        (UNHEALTHY_DRAINING, "9"),
        (UNHEALTHY_TERMINATES, "false"),
        (DELAY, "060"),
    ]);
    for (key, value) in file {
        set(&mut made, key, value).unwrap();
    }
    assert_eq!(made.attributes[DELAY], "60");
    assert_eq!(set(&mut made, ROUTING_COUNT, "4").unwrap_err().code, Code::InvalidConfigurationRequest);
    assert_eq!(set(&mut made, DELAY, "x").unwrap_err().code, Code::ValidationError);
}
