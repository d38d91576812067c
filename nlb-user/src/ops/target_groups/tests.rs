//! Making, describing, changing and deleting target groups.

use serde_json::{Value, json};

use super::*;
use crate::{
    model::{Target, TargetId, TargetKey},
    ops::testing::{self, World},
    store::Override,
};

/// The least that a new group needs, and `more`; `null` leaves a member out.
fn create(more: Value) -> Value {
    let mut input = json!({"Name": "web", "Protocol": "TCP", "Port": 80, "VpcId": "vpc-1"});
    for (member, value) in more.as_object().unwrap() {
        input[member] = value.clone();
    }
    input.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    input
}

fn one(output: &Value) -> &Value {
    let groups = output["TargetGroups"].as_array().unwrap();
    assert_eq!(groups.len(), 1, "{output}");
    &groups[0]
}

fn names(output: &Value) -> Vec<&str> {
    let groups = output["TargetGroups"].as_array().unwrap();
    groups.iter().map(|group| group["TargetGroupName"].as_str().unwrap()).collect()
}

#[test]
fn defaults() {
    let mut world = World::new();
    let output = world.call("CreateTargetGroup", create(json!({})));
    let group = one(&output);
    let arn = group["TargetGroupArn"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/"));
    let expected = json!({
        "TargetGroupArn": arn,
        "TargetGroupName": "web",
        "Protocol": "TCP",
        "Port": 80,
        "VpcId": "vpc-1",
        "HealthCheckProtocol": "TCP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckEnabled": true,
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 10,
        "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2,
        "LoadBalancerArns": [],
        "TargetType": "instance",
        "IpAddressType": "ipv4",
    });
    assert_eq!(*group, expected);
    assert_eq!(world.call("DescribeTargetGroups", json!({})), json!({"TargetGroups": [expected]}));
}

#[test]
fn all_settings() {
    let mut world = World::new();
    let input = json!({
        "TargetType": "ip",
        "Protocol": "TLS",
        "Port": "65535",
        "IpAddressType": "ipv6",
        "HealthCheckProtocol": "HTTPS",
        "HealthCheckPort": "8443",
        "HealthCheckEnabled": true,
        "HealthCheckPath": "/up",
        "HealthCheckIntervalSeconds": 300,
        "HealthCheckTimeoutSeconds": 120,
        "HealthyThresholdCount": 10,
        "UnhealthyThresholdCount": 3,
        "Matcher": {"HttpCode": "200,202"},
        "Tags": [{"Key": "team", "Value": "blue"}],
    });
    let output = world.call("CreateTargetGroup", create(input));
    let group = one(&output);
    let told = |member: &str| group[member].clone();
    assert_eq!(
        [told("TargetType"), told("Protocol"), told("Port"), told("IpAddressType")],
        [json!("ip"), json!("TLS"), json!(65535), json!("ipv6")]
    );
    assert_eq!(
        [told("HealthCheckProtocol"), told("HealthCheckPort"), told("HealthCheckPath"), told("Matcher")],
        [json!("HTTPS"), json!("8443"), json!("/up"), json!({"HttpCode": "200,202"})]
    );
    assert_eq!([told("HealthCheckIntervalSeconds"), told("HealthCheckTimeoutSeconds")], [json!(300), json!(120)]);
    assert_eq!([told("HealthyThresholdCount"), told("UnhealthyThresholdCount")], [json!(10), json!(3)]);
    let made = world.state.target_group_named("web").unwrap();
    assert_eq!(made.tags, BTreeMap::from([("team".to_owned(), "blue".to_owned())]));
    assert_eq!(made.created, "2026-11-21T12:00:00.123Z".parse().unwrap());
}

/// Guide, "Routing configuration" and "IP address type".
#[test]
fn what_goes_together() {
    let odd = Err(Code::InvalidConfigurationRequest);
    for protocol in Protocol::ALL {
        for (target_type, family, expected) in [
            ("instance", "ipv4", Ok(())),
            ("ip", "ipv4", Ok(())),
            ("alb", "ipv4", if protocol == Protocol::Tcp { Ok(()) } else { odd }),
            ("instance", "ipv6", odd),
            ("ip", "ipv6", if matches!(protocol, Protocol::Tcp | Protocol::Tls) { Ok(()) } else { odd }),
            ("alb", "ipv6", odd),
        ] {
            for health_check in ["TCP", "HTTP", "HTTPS"] {
                let input = json!({"Protocol": protocol, "TargetType": target_type, "IpAddressType": family,
                    "HealthCheckProtocol": health_check});
                let expected = if target_type == "alb" && health_check == "TCP" { odd } else { expected };
                let done = World::new().run("CreateTargetGroup", create(input.clone()));
                assert_eq!(done.map(drop).map_err(|fault| fault.code), expected, "{input}");
            }
        }
    }
    let mut world = World::new();
    let output = world.call("CreateTargetGroup", create(json!({"TargetType": "alb"})));
    assert_eq!(one(&output)["HealthCheckProtocol"], "HTTP");
    assert_eq!(one(&output)["HealthCheckTimeoutSeconds"], 6);
}

#[test]
fn refused_values() {
    let mut world = World::new();
    let bad = [
        json!({"Name": null}),
        json!({"Name": ""}),
        json!({"Name": "-web"}),
        json!({"Name": "a".repeat(33)}),
        json!({"Protocol": null}),
        json!({"Protocol": ""}),
        json!({"Protocol": "tcp"}),
        json!({"Protocol": "SCTP"}),
        json!({"Port": null}),
        json!({"Port": 0}),
        json!({"Port": 65536}),
        json!({"Port": -80}),
        json!({"Port": "http"}),
        json!({"VpcId": null}),
        json!({"VpcId": ""}),
        json!({"VpcId": "vpc-3"}),
        json!({"TargetType": "pod"}),
        json!({"TargetType": ""}),
        json!({"IpAddressType": "dualstack"}),
        json!({"HealthCheckProtocol": "UDP"}),
        json!({"HealthCheckIntervalSeconds": 4}),
        json!({"HealthCheckTimeoutSeconds": 1}),
        json!({"HealthyThresholdCount": 11}),
        json!({"UnhealthyThresholdCount": 1}),
        json!({"HealthCheckPort": "0"}),
        json!({"HealthCheckProtocol": "HTTP", "HealthCheckPath": "up"}),
        json!({"HealthCheckProtocol": "HTTP", "Matcher": {"HttpCode": "600"}}),
        json!({"HealthCheckProtocol": "HTTP", "Matcher": {"Code": "200"}}),
        json!({"Tags": []}),
        json!({"Tags": [{"Key": "aws:team", "Value": ""}]}),
        json!({"Targets": []}),
    ];
    for more in bad {
        world.refused(Code::ValidationError, "CreateTargetGroup", create(more));
    }
    let odd = [
        json!({"Protocol": "HTTP"}),
        json!({"Protocol": "HTTPS"}),
        json!({"Protocol": "GENEVE"}),
        json!({"Protocol": "QUIC"}),
        json!({"Protocol": "TCP_QUIC"}),
        json!({"TargetType": "lambda"}),
        json!({"HealthCheckEnabled": false}),
        json!({"HealthCheckPath": "/"}),
        json!({"Matcher": {"HttpCode": "200"}}),
        json!({"HealthCheckProtocol": "HTTP", "Matcher": {"GrpcCode": "12"}}),
        json!({"ProtocolVersion": "HTTP1"}),
        json!({"TargetControlPort": 80}),
    ];
    for more in odd {
        world.refused(Code::InvalidConfigurationRequest, "CreateTargetGroup", create(more));
    }
    let twice = json!({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]});
    world.refused(Code::DuplicateTagKeys, "CreateTargetGroup", create(twice));
    let many: Vec<Value> = (0..51).map(|number| json!({"Key": format!("k{number}"), "Value": ""})).collect();
    world.refused(Code::TooManyTags, "CreateTargetGroup", create(json!({"Tags": many})));
    assert!(world.state.target_groups.is_empty());
    for port in [1, 65535] {
        world.call("CreateTargetGroup", create(json!({"Name": format!("port-{port}"), "Port": port})));
    }
}

#[test]
fn twice_with_the_same_settings() {
    let mut world = World::new();
    let first = world.call("CreateTargetGroup", create(json!({"Tags": [{"Key": "a", "Value": "1"}]})));
    let again = [
        json!({}),
        json!({"Tags": [{"Key": "b", "Value": "2"}]}),
        json!({"TargetType": "instance", "IpAddressType": "ipv4", "HealthCheckProtocol": "TCP"}),
        json!({"HealthCheckIntervalSeconds": 30, "HealthCheckPort": "traffic-port", "Port": "80"}),
    ];
    for more in again {
        assert_eq!(world.call("CreateTargetGroup", create(more)), first);
    }
    assert_eq!(world.state.target_groups.len(), 1);
    let tags = &world.state.target_group_named("web").unwrap().tags;
    assert_eq!(tags.keys().collect::<Vec<_>>(), ["a"], "the tags of the first call stay");
    let other = [
        json!({"Port": 81}),
        json!({"Protocol": "TLS"}),
        json!({"TargetType": "ip"}),
        json!({"VpcId": "vpc-2"}),
        json!({"HealthCheckProtocol": "HTTP"}),
        json!({"HealthCheckPort": "80"}),
        json!({"UnhealthyThresholdCount": 3}),
    ];
    for more in other {
        world.refused(Code::DuplicateTargetGroupName, "CreateTargetGroup", create(more));
    }
    // Nobody changes case and gets the same group.
    world.call("CreateTargetGroup", create(json!({"Name": "Web"})));
    // Settings are compared as they are now.
    let arn = one(&first)["TargetGroupArn"].clone();
    world.call("ModifyTargetGroup", json!({"TargetGroupArn": arn, "HealthyThresholdCount": 3}));
    world.refused(Code::DuplicateTargetGroupName, "CreateTargetGroup", create(json!({})));
    world.call("CreateTargetGroup", create(json!({"HealthyThresholdCount": 3})));
}

#[test]
fn quota() {
    let mut world = World::new();
    world.quotas.target_groups = 2;
    for name in ["a", "b"] {
        world.call("CreateTargetGroup", create(json!({"Name": name})));
    }
    world.refused(Code::TooManyTargetGroups, "CreateTargetGroup", create(json!({"Name": "c"})));
    world.call("CreateTargetGroup", create(json!({"Name": "b"})));
    world.refused(Code::DuplicateTargetGroupName, "CreateTargetGroup", create(json!({"Name": "b", "Port": 81})));
}

#[test]
fn describe_some() {
    let mut world = World::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| testing::target_group(&mut world.state, name, Protocol::Tcp));
    let balancer = testing::load_balancer(&mut world.state, "web");
    let idle = testing::load_balancer(&mut world.state, "idle");
    for (port, group) in [(80, &c), (81, &a), (82, &a)] {
        testing::listener(&mut world.state, &balancer, Protocol::Tcp, port, group);
    }
    let mut described = |input: Value| world.call("DescribeTargetGroups", input);
    assert_eq!(names(&described(json!({}))), ["a", "b", "c"]);
    assert_eq!(names(&described(json!({"Names": [], "TargetGroupArns": ""}))), ["a", "b", "c"]);
    assert_eq!(names(&described(json!({"Names": ["c", "a", "c"]}))), ["a", "c"]);
    assert_eq!(names(&described(json!({"TargetGroupArns": [b, a]}))), ["a", "b"]);
    assert_eq!(names(&described(json!({"LoadBalancerArn": idle}))), [""; 0]);
    let used = described(json!({"LoadBalancerArn": balancer}));
    assert_eq!(names(&used), ["a", "c"]);
    assert_eq!(used["TargetGroups"][0]["LoadBalancerArns"], json!([balancer]));
    assert_eq!(one(&described(json!({"Names": ["b"]})))["LoadBalancerArns"], json!([]));

    let first = described(json!({"Names": ["c", "a"], "PageSize": 1}));
    let second = described(json!({"Names": ["c", "a"], "PageSize": 1, "Marker": first["NextMarker"]}));
    assert_eq!([names(&first), names(&second)], [["a"], ["c"]]);
    assert_eq!(second.get("NextMarker"), None);

    let describe = "DescribeTargetGroups";
    let not_found = Code::TargetGroupNotFound;
    world.refused(not_found, describe, json!({"Names": ["a", "d"]}));
    world.refused(not_found, describe, json!({"Names": [""]}));
    world.refused(not_found, describe, json!({"TargetGroupArns": [a, format!("{a}0")]}));
    world.refused(Code::LoadBalancerNotFound, describe, json!({"LoadBalancerArn": format!("{balancer}0")}));
    let bad = [
        json!({"TargetGroupArns": ["a"]}),
        json!({"TargetGroupArns": [balancer]}),
        json!({"LoadBalancerArn": a}),
        json!({"LoadBalancerArn": ""}),
        json!({"Names": ["a"], "TargetGroupArns": [a]}),
        json!({"Names": ["a"], "LoadBalancerArn": balancer}),
        json!({"TargetGroupArns": [a], "LoadBalancerArn": balancer}),
        json!({"PageSize": 0}),
        json!({"PageSize": 401}),
        json!({"Marker": "x"}),
        json!({"Names": vec!["a"; 401]}),
        json!({"TargetGroupArns": vec![&a; 401]}),
    ];
    for input in bad {
        world.refused(Code::ValidationError, describe, input);
    }
    world.call(describe, json!({"Names": vec!["a"; 400]}));
}

/// Each once and in order, and every page fast: the bound is generous, for a debug build on a busy machine.
#[test]
fn pages_of_3000_groups() {
    let mut world = World::new();
    let balancer = testing::load_balancer(&mut world.state, "web");
    for number in 0..3000_u16 {
        let group = testing::target_group(&mut world.state, &format!("group-{number:04}"), Protocol::Tcp);
        testing::listener(&mut world.state, &balancer, Protocol::Tcp, number + 1, &group);
    }
    let mut told = Vec::new();
    let mut fastest = std::time::Duration::MAX;
    let mut input = json!({"PageSize": 400});
    loop {
        let start = std::time::Instant::now();
        let output = world.call("DescribeTargetGroups", input.clone());
        fastest = fastest.min(start.elapsed());
        told.extend(names(&output).into_iter().map(str::to_owned));
        match output.get("NextMarker") {
            Some(marker) => input["Marker"] = marker.clone(),
            None => break,
        }
    }
    let expected: Vec<String> = (0..3000).map(|number| format!("group-{number:04}")).collect();
    assert_eq!(told, expected);
    eprintln!("a page of 400 in {fastest:?}");
    assert!(fastest < std::time::Duration::from_millis(200), "{fastest:?}");
    let all = world.call("DescribeTargetGroups", json!({}));
    assert_eq!(names(&all).len(), 400, "without PageSize");
}

#[test]
fn modify() {
    let mut world = World::new();
    let arn = one(&world.call("CreateTargetGroup", create(json!({}))))["TargetGroupArn"].clone();
    let with = |more: Value| {
        let mut input = more;
        input["TargetGroupArn"] = arn.clone();
        input
    };
    let http = with(json!({"HealthCheckProtocol": "HTTP", "HealthCheckPath": "/up", "HealthCheckPort": "81"}));
    let output = world.call("ModifyTargetGroup", http);
    let group = one(&output);
    assert_eq!((&group["HealthCheckProtocol"], &group["HealthCheckPath"]), (&json!("HTTP"), &json!("/up")));
    assert_eq!((&group["Matcher"]["HttpCode"], &group["HealthCheckPort"]), (&json!("200-399"), &json!("81")));
    assert_eq!(world.call("DescribeTargetGroups", json!({})), output);
    assert_eq!(world.call("ModifyTargetGroup", with(json!({}))), output);

    let before = world.state.clone();
    world.refused(Code::ValidationError, "ModifyTargetGroup", with(json!({"HealthyThresholdCount": 1})));
    world.refused(Code::ValidationError, "ModifyTargetGroup", with(json!({"Port": 81})));
    world.refused(Code::InvalidConfigurationRequest, "ModifyTargetGroup", with(json!({"HealthCheckEnabled": false})));
    let odd = json!({"HealthCheckProtocol": "TCP", "HealthCheckPath": "/"});
    world.refused(Code::InvalidConfigurationRequest, "ModifyTargetGroup", with(odd));
    world.refused(Code::ValidationError, "ModifyTargetGroup", json!({"HealthyThresholdCount": 2}));
    world.refused(Code::ValidationError, "ModifyTargetGroup", json!({"TargetGroupArn": "web"}));
    let other = format!("{}0", arn.as_str().unwrap());
    world.refused(Code::TargetGroupNotFound, "ModifyTargetGroup", json!({"TargetGroupArn": other}));
    assert_eq!(world.state, before);
}

#[test]
fn delete() {
    let mut world = World::new();
    let [arn, other] = ["web", "other"].map(|name| testing::target_group(&mut world.state, name, Protocol::Tcp));
    let balancer = testing::load_balancer(&mut world.state, "web");
    let listener = testing::listener(&mut world.state, &balancer, Protocol::Tcp, 80, &arn);
    let key = TargetKey { id: TargetId::Ip([10, 0, 1, 21].into()), port: 80 };
    let target = Target { zone: None, registered: world.now, draining_until: None };
    for group in [&arn, &other] {
        let group = Arc::make_mut(world.state.target_groups.get_mut(group).unwrap());
        group.targets.insert(key.clone(), target.clone());
        world.state.overrides.insert((group.arn.clone(), key.clone()), Override::Healthy);
    }
    let delete = json!({"TargetGroupArn": arn});
    let message = world.refused(Code::ResourceInUse, "DeleteTargetGroup", delete.clone());
    assert!(message.contains(listener.as_str()));
    world.state.listeners.clear();
    assert_eq!(world.call("DeleteTargetGroup", delete.clone()), json!({}));
    assert_eq!(world.state.target_groups.keys().collect::<Vec<_>>(), [&other]);
    assert_eq!(world.state.overrides.keys().collect::<Vec<_>>(), [&(other, key)]);
    assert_eq!(world.call("DeleteTargetGroup", delete), json!({}), "it is deleted already");
    world.refused(Code::ValidationError, "DeleteTargetGroup", json!({"TargetGroupArn": "web"}));
    world.refused(Code::ValidationError, "DeleteTargetGroup", json!({"TargetGroupArn": balancer}));
    world.refused(Code::ValidationError, "DeleteTargetGroup", json!({}));
}

/// A file may leave out what the API asks for.
#[test]
fn groups_of_a_file() {
    let world = World::new();
    let wanted = |target_type: Option<&str>, ip_address_type: Option<&str>, vpc: Option<&str>| Wanted {
        name: "web".into(),
        protocol: Some("TCP_UDP".into()),
        port: Some(80),
        target_type: target_type.map(Into::into),
        ip_address_type: ip_address_type.map(Into::into),
        vpc: vpc.map(Into::into),
        of_file: true,
        ..Wanted::default()
    };
    let made = checked(wanted(Some("ip"), None, None), &world.context()).unwrap();
    assert_eq!((made.family, made.vpc), (Family::Any, None));
    let made = checked(wanted(Some("ip"), Some("ipv4"), Some("vpc-1")), &world.context()).unwrap();
    assert_eq!((made.family, made.vpc.as_deref()), (Family::Ipv4, Some("vpc-1")));
    let made = checked(wanted(None, None, None), &world.context()).unwrap();
    assert_eq!(made.family, Family::Ipv4);
    let refused = |wanted: Wanted| checked(wanted, &world.context()).unwrap_err().code;
    assert_eq!(refused(wanted(Some("ip"), None, Some("vpc-3"))), Code::ValidationError);
    assert_eq!(refused(wanted(Some("ip"), Some("ipv6"), None)), Code::InvalidConfigurationRequest);
    assert_eq!(refused(Wanted { of_file: false, ..wanted(Some("ip"), None, None) }), Code::ValidationError);
}
