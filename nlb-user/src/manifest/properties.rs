//! What holds for all states: what is exported says the same when it is applied, however the state came about.

use jiff::ToSpan as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    model::{Protocol, State, Target, TargetGroup, TargetType, ZoneMapping},
    ops::testing::{self, World},
};

/// What a file alone can ask for: addresses of its own, groups of both families and without a VPC, UDP beside TCP.
const BASE: &str = r#"{"load_balancers":[{"name":"file","addresses":["198.18.0.10","2001:db8::10"],"listeners":[
  {"protocol":"TCP","port":53,"target_group":"both","attributes":{"tcp.idle_timeout.seconds":"60"}},
  {"protocol":"UDP","port":53,"target_group":"udp"}]}],
"target_groups":[
  {"name":"both","protocol":"TCP","port":53,"target_type":"ip","targets":[{"id":"203.0.113.200"},{"id":"2001:db8::11","port":1}]},
  {"name":"udp","protocol":"UDP","port":53,"target_type":"ip","targets":[{"id":"192.168.3.1","availability_zone":"all"}]}]}"#;

/// Random choices that are the same each time.
struct Choices(u64);

impl Choices {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }

    fn one<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    /// One of these, or nothing.
    fn maybe(&mut self, all: &[Value]) -> Value {
        match self.below(2) {
            0 => Value::Null,
            _ => self.one(all),
        }
    }
}

const NAMES: [&str; 4] = ["a", "b", "c", "Web-1"];

fn arn<'a>(all: impl Iterator<Item = &'a str>, choices: &mut Choices) -> Value {
    let all: Vec<&str> = all.collect();
    if all.is_empty() { json!("none") } else { json!(choices.one(&all)) }
}

/// A target group that is not the file's.
fn group(state: &State, choices: &mut Choices) -> Option<TargetGroup> {
    let all: Vec<&TargetGroup> = state.target_groups.values().map(|it| &**it).filter(|it| it.vpc.is_some()).collect();
    (!all.is_empty()).then(|| choices.one(&all).clone())
}

fn balancer(state: &State, choices: &mut Choices) -> Value {
    let all = state.load_balancers.values().filter(|balancer| balancer.vpc.is_some());
    arn(all.map(|balancer| balancer.arn.as_str()), choices)
}

fn listener(state: &State, choices: &mut Choices) -> Value {
    arn(state.listeners.keys().map(|arn| arn.as_str()), choices)
}

/// One call of the API. Many are refused, as calls are.
fn call(world: &mut World, c: &mut Choices) {
    let state = world.state.clone();
    let tags =
        [json!([{"Key": "team", "Value": "web: 1 - x"}, {"Key": "yes", "Value": "off"}, {"Key": "7", "Value": ""}])];
    let (operation, input) = match c.below(16) {
        0 | 1 => ("CreateLoadBalancer", create_balancer(c)),
        2 | 3 => ("CreateTargetGroup", create_group(c)),
        4 | 5 => {
            let Some(group) = group(&state, c) else { return };
            let ids: &[&str] = match group.target_type {
                TargetType::Ip => &["10.0.1.11", "10.0.2.12", "192.168.1.1", "2001:db8:1:1::9", "2001:db8:1:2::9"],
                TargetType::Instance => &["i-a1", "i-a2", "i-b1", "i-x1"],
                TargetType::Alb => &[testing::ALB, testing::ALB_2],
            };
            let zone = c.maybe(&[json!("all"), json!("us-east-1b")]);
            let zone = if group.target_type == TargetType::Ip && c.below(3) == 0 { zone } else { Value::Null };
            let target =
                json!({"Id": c.one(ids), "Port": c.maybe(&[json!(80), json!(8080)]), "AvailabilityZone": zone});
            let there =
                group.targets.keys().map(|key| json!({"Id": key.id.to_string(), "Port": key.port})).collect::<Vec<_>>();
            match c.below(3) {
                0 if !there.is_empty() => {
                    ("DeregisterTargets", json!({"TargetGroupArn": group.arn, "Targets": [c.one(&there)]}))
                }
                _ => ("RegisterTargets", json!({"TargetGroupArn": group.arn, "Targets": [without_nulls(target)]})),
            }
        }
        6..=8 => {
            let Some(group) = group(&state, c) else { return };
            let fitting: Vec<Protocol> =
                Protocol::ALL.into_iter().filter(|it| it.of_groups().contains(&group.protocol)).collect();
            let protocol = c.one(&fitting);
            let mut input = json!({
                "LoadBalancerArn": balancer(&state, c),
                "Protocol": protocol.as_str(),
                "Port": 80 + c.below(5),
                "DefaultActions": [{"Type": "forward", "TargetGroupArn": group.arn}],
                "Tags": c.maybe(&tags),
            });
            if protocol == Protocol::Tls {
                input["Certificates"] = json!([{"CertificateArn": testing::certificate(1)}]);
                input["SslPolicy"] = c.maybe(&[json!("ELBSecurityPolicy-TLS13-1-2-2021-06")]);
                input["AlpnPolicy"] = c.maybe(&[json!(["HTTP2Only"]), json!(["None"])]);
            }
            ("CreateListener", input)
        }
        9 => {
            let tls = state.listeners.values().filter(|listener| listener.protocol == Protocol::Tls);
            let listener = arn(tls.map(|listener| listener.arn.as_str()), c);
            let certificates = json!([{"CertificateArn": testing::certificate(1 + c.below(3) as u32)}]);
            ("AddListenerCertificates", json!({"ListenerArn": listener, "Certificates": certificates}))
        }
        10 => {
            let attribute = json!({"Key": "tcp.idle_timeout.seconds", "Value": c.one(&["60", "350", "6000"])});
            ("ModifyListenerAttributes", json!({"ListenerArn": listener(&state, c), "Attributes": [attribute]}))
        }
        11 => {
            let all = [
                ("deregistration_delay.timeout_seconds", "0"),
                ("preserve_client_ip.enabled", "true"),
                ("preserve_client_ip.enabled", "false"),
                ("proxy_protocol_v2.enabled", "true"),
                ("stickiness.enabled", "true"),
                ("load_balancing.cross_zone.enabled", "true"),
                ("target_group_health.dns_failover.minimum_healthy_targets.count", "3"),
                ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "2"),
                ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "50"),
                ("target_health_state.unhealthy.connection_termination.enabled", "false"),
                ("target_health_state.unhealthy.draining_interval_seconds", "10"),
            ];
            let attributes: Vec<Value> = (0..=c.below(3))
                .map(|_| {
                    let (key, value) = c.one(&all);
                    json!({"Key": key, "Value": value})
                })
                .collect();
            (
                "ModifyTargetGroupAttributes",
                json!({"TargetGroupArn": group(&state, c).map(|it| it.arn), "Attributes": attributes}),
            )
        }
        12 => {
            let all = [
                ("deletion_protection.enabled", "true"),
                ("load_balancing.cross_zone.enabled", "true"),
                ("ipv6.deny_all_igw_traffic", "true"),
                ("access_logs.s3.bucket", "logs"),
                ("access_logs.s3.prefix", "a b"),
            ];
            let (key, value) = c.one(&all);
            let attributes = json!([{"Key": key, "Value": value}]);
            ("ModifyLoadBalancerAttributes", json!({"LoadBalancerArn": balancer(&state, c), "Attributes": attributes}))
        }
        13 => {
            let kind = c.one(&["ipv4", "dualstack"]);
            ("SetIpAddressType", json!({"LoadBalancerArn": balancer(&state, c), "IpAddressType": kind}))
        }
        14 => {
            let subnets = ["subnet-a", "subnet-b", "subnet-c"];
            ("SetSubnets", json!({"LoadBalancerArn": balancer(&state, c), "Subnets": subnets}))
        }
        _ => {
            let shift = json!({"LoadBalancerArn": balancer(&state, c), "AwayFrom": "us-east-1a", "ExpiresIn": "1h", "Comment": "x"});
            ("StartZonalShift", shift)
        }
    };
    let input = without_nulls(input);
    let _ = world.run(operation, input);
    world.now += 1.second();
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        value => value,
    }
}

fn create_balancer(c: &mut Choices) -> Value {
    let mappings = [
        json!([{"SubnetId": "subnet-a", "AllocationId": c.one(&["eipalloc-1", "eipalloc-2"])}, {"SubnetId": "subnet-b"}]),
        json!([{"SubnetId": "subnet-b", "PrivateIPv4Address": format!("10.0.2.{}", 200 + c.below(3))}]),
        json!([{"SubnetId": "subnet-a2", "IPv6Address": "2001:db8:1:4::100"}, {"SubnetId": "subnet-c"}]),
        json!([{"SubnetId": "subnet-a2", "IPv6Address": "2001:db8:1:4::100"}]),
    ];
    let (subnets, mappings) = match c.below(2) {
        0 => (
            c.one(&[json!(["subnet-a"]), json!(["subnet-c", "subnet-a"]), json!(["subnet-x", "subnet-y"])]),
            Value::Null,
        ),
        _ => (Value::Null, c.one(&mappings)),
    };
    json!({
        "Name": c.one(&NAMES),
        "Subnets": subnets,
        "SubnetMappings": mappings,
        "Scheme": c.maybe(&[json!("internal"), json!("internet-facing")]),
        "IpAddressType": c.maybe(&[json!("dualstack")]),
        "SecurityGroups": c.maybe(&[json!(["sg-any"]), json!(["sg-2", "sg-1"])]),
        "Tags": c.maybe(&[json!([{"Key": "a: b", "Value": "- c"}])]),
    })
}

fn create_group(c: &mut Choices) -> Value {
    let kind = c.one(&["ip", "ip", "instance", "alb"]);
    let check = c.maybe(&[json!("HTTP"), json!("HTTPS"), json!("TCP")]);
    let http = check != json!("TCP") && !check.is_null();
    json!({
        "Name": c.one(&NAMES),
        "Protocol": c.one(&["TCP", "TCP", "TLS", "UDP", "TCP_UDP"]),
        "Port": c.one(&[80, 443, 8080]),
        "VpcId": c.one(&["vpc-1", "vpc-1", "vpc-2"]),
        "TargetType": kind,
        "IpAddressType": c.maybe(&[json!("ipv4"), json!("ipv6")]),
        "HealthCheckProtocol": check,
        "HealthCheckPort": c.maybe(&[json!("traffic-port"), json!("8080")]),
        "HealthCheckPath": if http { c.maybe(&[json!("/health?x=1#y"), json!("/")]) } else { Value::Null },
        "Matcher": if http { c.maybe(&[json!({"HttpCode": "200"}), json!({"HttpCode": "200-399"})]) } else { Value::Null },
        "HealthCheckIntervalSeconds": c.maybe(&[json!(30), json!(10)]),
        "HealthCheckTimeoutSeconds": c.maybe(&[json!(6), json!(10)]),
        "HealthyThresholdCount": c.maybe(&[json!(5), json!(2)]),
        "UnhealthyThresholdCount": c.maybe(&[json!(2), json!(10)]),
    })
}

/// A world that random calls were made in.
fn world(seed: u64, calls: usize) -> World {
    let mut world = World::new();
    let base = read(BASE, "lb.json").unwrap();
    world.state = apply(&base, &world.state, &world.context()).unwrap();
    let mut choices = Choices(seed);
    for _ in 0..calls {
        call(&mut world, &mut choices);
    }
    world
}

fn applied(text: &str, file: &str, state: &State, world: &World) -> Result<State, Invalid> {
    apply(&read(text, file)?, state, &world.context())
}

proptest! {
    /// Applying what was exported changes nothing, whichever way it is written; and where there was nothing before, what
    /// was exported can be exported again.
    #[test]
    fn what_is_exported_says_the_same(seed in any::<u64>(), calls in 0..80_usize) {
        let world = world(seed, calls);
        let exported = export(&world.state);
        for (text, file) in [(to_json(&exported), "lb.json"), (to_yaml(&exported), "lb.yaml")] {
            let again = applied(&text, file, &world.state, &world);
            let again = again.map_err(|invalid| TestCaseError::fail(format!("{invalid}\n{text}")))?;
            prop_assert!(again == world.state, "{:#?}\n{text}", changes(&world.state, &again));
            prop_assert!(world.state.changes_to(&again).is_empty());
            prop_assert_eq!(changes(&world.state, &again), []);
            let fresh = applied(&text, file, &State::default(), &world);
            let fresh = fresh.map_err(|invalid| TestCaseError::fail(format!("{invalid}\n{text}")))?;
            prop_assert_eq!(export(&fresh), exported.clone());
        }
    }

    /// Any state can follow any other, but for what protects itself.
    #[test]
    fn any_state_can_follow_any_other(one in any::<u64>(), other in any::<u64>()) {
        let (mut one, other) = (world(one, 60), world(other, 60));
        let wanted = export(&other.state);
        for balancer in one.state.load_balancers.values_mut() {
            let balancer = std::sync::Arc::make_mut(balancer);
            balancer.attributes.remove("deletion_protection.enabled");
            balancer.zonal_shift = None;
        }
        let next = applied(&to_json(&wanted), "lb.json", &one.state, &one);
        let next = next.map_err(|invalid| TestCaseError::fail(invalid.to_string()))?;
        prop_assert_eq!(export(&next), wanted);
        let told = changes(&one.state, &next);
        prop_assert_eq!(told.is_empty(), export(&one.state) == export(&next));
    }
}

/// The worlds above are no desert: every kind of thing comes up.
#[test]
fn the_worlds_are_full_of_things() {
    let worlds: Vec<World> = (0..60).map(|seed| world(seed, 80)).collect();
    let count = |of: &dyn Fn(&State) -> usize| worlds.iter().map(|world| of(&world.state)).sum::<usize>();
    let zones = |of: &dyn Fn(&ZoneMapping) -> bool| {
        count(&|it| it.load_balancers.values().flat_map(|it| &it.zones).filter(|zone| of(zone)).count())
    };
    let targets = |of: &dyn Fn(&Target) -> bool| {
        count(&|it| it.target_groups.values().flat_map(|it| it.targets.values()).filter(|target| of(target)).count())
    };
    let groups = |of: &dyn Fn(&TargetGroup) -> bool| count(&|it| it.target_groups.values().filter(|it| of(it)).count());
    let found = [
        ("certificate lists", count(&|it| it.listeners.values().filter(|it| it.certificates.len() > 1).count())),
        ("listeners of the API", count(&|it| it.listeners.len()) - 2 * worlds.len()),
        ("tags", count(&|it| it.listeners.values().filter(|it| !it.tags.is_empty()).count())),
        ("zonal shifts", count(&|it| it.load_balancers.values().filter(|it| it.zonal_shift.is_some()).count())),
        ("chosen IPv6", zones(&|zone| zone.ipv6.is_some() && !zone.static_ipv6)),
        ("static IPv6", zones(&|zone| zone.static_ipv6)),
        ("elastic", zones(&|zone| zone.allocation_id.is_some())),
        ("private", zones(&|zone| zone.private_ipv4)),
        ("targets", targets(&|target| target.draining_until.is_none()) - 3 * worlds.len()),
        ("targets with a zone", targets(&|target| target.zone.is_some()) - worlds.len()),
        ("draining targets", targets(&|target| target.draining_until.is_some())),
        ("instances", groups(&|it| it.target_type == TargetType::Instance && !it.targets.is_empty())),
        ("Application Load Balancers", groups(&|it| it.target_type == TargetType::Alb && !it.targets.is_empty())),
        ("attributes", groups(&|it| it.attributes.len() > 1)),
        ("health checks", groups(&|it| it.health_check.matcher.as_deref() == Some("200"))),
    ];
    for (what, count) in found {
        assert!(count > 2, "{what}: {count}, {found:?}");
    }
}
