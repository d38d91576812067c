//! Tests of listeners.

use serde_json::{Value, json};

use super::*;
use crate::{
    model::{Target, TargetId, TargetKey},
    ops::testing::{self, World, certificate},
};

const CREATE: &str = "CreateListener";
const MODIFY: &str = "ModifyListener";
const DESCRIBE: &str = "DescribeListeners";

/// A world with a load balancer and a target group.
fn world(protocol: Protocol) -> (World, Arn, Arn) {
    let mut world = World::new();
    let balancer = testing::load_balancer(&mut world.state, "web");
    let group = testing::target_group(&mut world.state, "web", protocol);
    (world, balancer, group)
}

/// A world with a listener at port 80.
fn with_listener(protocol: Protocol, group: Protocol) -> (World, Arn) {
    let (mut world, balancer, group) = world(group);
    let mut input = input(&balancer, protocol, 80, &group);
    if protocol == Protocol::Tls {
        input["Certificates"] = json!([{"CertificateArn": certificate(1)}]);
    }
    world.call(CREATE, input);
    let arn = world.state.listeners.keys().next().unwrap().clone();
    (world, arn)
}

fn forward(group: &Arn) -> Value {
    json!([{"Type": "forward", "TargetGroupArn": group}])
}

fn input(balancer: &Arn, protocol: Protocol, port: u16, group: &Arn) -> Value {
    json!({"LoadBalancerArn": balancer, "Protocol": protocol, "Port": port, "DefaultActions": forward(group)})
}

/// `base` with these members, in place of those that it has.
fn with(base: &Value, members: Value) -> Value {
    let mut input = base.clone();
    input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    input
}

fn without(base: &Value, member: &str) -> Value {
    let mut input = base.clone();
    input.as_object_mut().unwrap().remove(member).unwrap();
    input
}

fn group_of<'a>(state: &'a mut State, group: &Arn) -> &'a mut TargetGroup {
    Arc::make_mut(state.target_groups.get_mut(group).unwrap())
}

fn balancer_of<'a>(state: &'a mut State, balancer: &Arn) -> &'a mut LoadBalancer {
    Arc::make_mut(state.load_balancers.get_mut(balancer).unwrap())
}

#[test]
fn a_tcp_listener() {
    let (mut world, balancer, group) = world(Protocol::Tcp);
    let tags = json!([{"Key": "stage", "Value": "test"}]);
    let output = world.call(CREATE, with(&input(&balancer, Protocol::Tcp, 80, &group), json!({"Tags": tags})));
    let (arn, listener) = world.state.listeners.first_key_value().unwrap();
    assert!(arn.as_str().starts_with(&balancer.as_str().replace(":loadbalancer/", ":listener/")));
    assert_eq!(listener.default_rule, arn.rule(listener.default_rule.id()));
    assert_eq!(listener.tags["stage"], "test");
    let expected = json!({"Listeners": [{
        "ListenerArn": arn, "LoadBalancerArn": balancer, "Port": 80, "Protocol": "TCP",
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": group,
            "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": group}]}}],
    }]});
    assert_eq!(output, expected);
    let arn = arn.clone();
    assert_eq!(world.call(DESCRIBE, json!({"ListenerArns": [arn]})), expected);
    assert_eq!(world.call(DESCRIBE, json!({"LoadBalancerArn": balancer})), expected);
}

#[test]
fn a_tls_listener() {
    let (mut world, balancer, group) = world(Protocol::Tls);
    let tls = with(
        &input(&balancer, Protocol::Tls, 443, &group),
        json!({"Certificates": [{"CertificateArn": certificate(1)}]}),
    );
    let output = world.call(CREATE, tls.clone());
    let listener = &output["Listeners"][0];
    assert_eq!(listener["Certificates"], json!([{"CertificateArn": certificate(1)}]));
    assert_eq!(listener["SslPolicy"], json!("ELBSecurityPolicy-2016-08"));
    assert_eq!(listener.get("AlpnPolicy"), None);

    let policies = json!({"Port": 444, "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
        "AlpnPolicy": ["HTTP2Preferred"]});
    let output = world.call(CREATE, with(&tls, policies));
    let listener = &output["Listeners"][0];
    assert_eq!(listener["SslPolicy"], json!("ELBSecurityPolicy-TLS13-1-2-2021-06"));
    assert_eq!(listener["AlpnPolicy"], json!(["HTTP2Preferred"]));

    let output = world.call(CREATE, with(&tls, json!({"Port": 445, "AlpnPolicy": ["None"]})));
    assert_eq!(output["Listeners"][0].get("AlpnPolicy"), None);
}

#[test]
fn what_a_tls_listener_can_not_have() {
    let (mut world, balancer, group) = world(Protocol::Tls);
    let bare = input(&balancer, Protocol::Tls, 443, &group);
    let one = json!([{"CertificateArn": certificate(1)}]);
    let tls = with(&bare, json!({"Certificates": one}));
    let two = json!([{"CertificateArn": certificate(1)}, {"CertificateArn": certificate(2)}]);
    world.refused(Code::ValidationError, CREATE, bare.clone());
    for certificates in [
        json!([]),
        json!([{}]),
        json!([{"CertificateArn": certificate(1), "IsDefault": true}]),
        json!([{"CertificateArn": certificate(1), "IsDefault": false}]),
    ] {
        world.refused(Code::ValidationError, CREATE, with(&bare, json!({"Certificates": certificates})));
    }
    world.refused(Code::TooManyCertificates, CREATE, with(&bare, json!({"Certificates": two})));
    let unknown = json!([{"CertificateArn": certificate(41)}]);
    world.refused(Code::CertificateNotFound, CREATE, with(&bare, json!({"Certificates": unknown})));
    for policy in ["", "ELBSecurityPolicy-2016-09", "2016-08", "elbsecuritypolicy-2016-08"] {
        world.refused(Code::SslPolicyNotFound, CREATE, with(&tls, json!({"SslPolicy": policy})));
    }
    for policy in ["", "HTTP3", "none", "http2only"] {
        world.refused(Code::AlpnPolicyNotFound, CREATE, with(&tls, json!({"AlpnPolicy": [policy]})));
    }
    for policies in [json!([]), json!(["HTTP1Only", "HTTP2Only"])] {
        world.refused(Code::ValidationError, CREATE, with(&tls, json!({"AlpnPolicy": policies})));
    }
    assert_eq!(world.state.listeners.len(), 0);
}

#[test]
fn only_tls_listeners_have_tls_settings() {
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::TcpUdp] {
        let (mut world, balancer, group) = world(protocol);
        let base = input(&balancer, protocol, 80, &group);
        for members in [
            json!({"Certificates": [{"CertificateArn": certificate(1)}]}),
            json!({"SslPolicy": "ELBSecurityPolicy-2016-08"}),
            json!({"AlpnPolicy": ["None"]}),
        ] {
            world.refused(Code::InvalidConfigurationRequest, CREATE, with(&base, members.clone()));
            let arn = testing::listener(&mut world.state, &balancer, protocol, 80, &group);
            let input = with(&json!({"ListenerArn": arn}), members);
            world.refused(Code::InvalidConfigurationRequest, MODIFY, input);
            world.state.listeners.clear();
        }
    }
}

#[test]
fn mutual_tls_is_off() {
    let (mut world, balancer, group) = world(Protocol::Tcp);
    let base = input(&balancer, Protocol::Tcp, 80, &group);
    let mutual = |mutual: Value| json!({"MutualAuthentication": mutual});
    let refused = [
        (Code::InvalidConfigurationRequest, json!({"Mode": "verify", "TrustStoreArn": "x"})),
        (Code::InvalidConfigurationRequest, json!({"Mode": "passthrough"})),
        (Code::InvalidConfigurationRequest, json!({"Mode": "off", "TrustStoreArn": "x"})),
        (Code::InvalidConfigurationRequest, json!({"IgnoreClientCertificateExpiry": true})),
        (Code::InvalidConfigurationRequest, json!({"AdvertiseTrustStoreCaNames": "on"})),
        (Code::ValidationError, json!({"Mode": "on"})),
    ];
    for (code, members) in refused.clone() {
        world.refused(code, CREATE, with(&base, mutual(members)));
    }
    world.call(CREATE, with(&base, mutual(json!({"Mode": "off", "IgnoreClientCertificateExpiry": false}))));
    let arn = world.state.listeners.keys().next().unwrap().clone();
    for (code, members) in refused {
        world.refused(code, MODIFY, with(&json!({"ListenerArn": arn}), mutual(members)));
    }
    world.call(MODIFY, with(&json!({"ListenerArn": arn}), mutual(json!({"Mode": "off"}))));
}

#[test]
fn malformed_input() {
    let (mut world, balancer, group) = world(Protocol::Tcp);
    let base = input(&balancer, Protocol::Tcp, 80, &group);
    for port in [1, 65535] {
        world.call(CREATE, with(&base, json!({"Port": port})));
    }
    world.state.listeners.clear();
    for port in [-1, 0, 65536] {
        world.refused(Code::ValidationError, CREATE, with(&base, json!({"Port": port})));
    }
    for member in ["LoadBalancerArn", "Protocol", "Port", "DefaultActions"] {
        let message = world.refused(Code::ValidationError, CREATE, without(&base, member));
        assert_eq!(message, format!("the parameter {member} is required"));
    }
    for members in [
        json!({"LoadBalancerArn": group}),
        json!({"LoadBalancerArn": "web"}),
        json!({"DefaultActions": []}),
        json!({"DefaultActions": [{"Type": "forward", "TargetGroupArn": balancer}]}),
        json!({"Protocol": "tcp"}),
        json!({"Protocol": ""}),
        json!({"Tags": []}),
        json!({"Nonsense": 1}),
    ] {
        world.refused(Code::ValidationError, CREATE, with(&base, members));
    }
    for protocol in NOT_HERE {
        world.refused(Code::UnsupportedProtocol, CREATE, with(&base, json!({"Protocol": protocol})));
    }
    let tags = json!([{"Key": "a"}, {"Key": "a"}]);
    world.refused(Code::DuplicateTagKeys, CREATE, with(&base, json!({"Tags": tags})));
    let actions = json!([{"Type": "redirect"}]);
    world.refused(Code::InvalidLoadBalancerAction, CREATE, with(&base, json!({"DefaultActions": actions})));
    let twice = json!([forward(&group)[0], forward(&group)[0]]);
    world.refused(Code::TooManyActions, CREATE, with(&base, json!({"DefaultActions": twice})));
    let gone = Arn::parse(&format!("{balancer}0")).unwrap().0;
    world.refused(Code::LoadBalancerNotFound, CREATE, with(&base, json!({"LoadBalancerArn": gone})));
    let gone = Arn::parse(&format!("{group}0")).unwrap().0;
    world.refused(Code::TargetGroupNotFound, CREATE, with(&base, json!({"DefaultActions": forward(&gone)})));
    assert_eq!(world.state.listeners.len(), 0);
}

/// The whole table of the guide, "Routing configuration".
#[test]
fn protocols_that_go_together() {
    use Protocol::{Tcp, TcpUdp, Tls, Udp};
    let good = [(Tcp, Tcp), (Tcp, TcpUdp), (Tls, Tcp), (Tls, Tls), (Udp, Udp), (Udp, TcpUdp), (TcpUdp, TcpUdp)];
    for listener in Protocol::ALL {
        for of_group in Protocol::ALL {
            let (mut world, balancer, group) = world(of_group);
            let mut input = input(&balancer, listener, 80, &group);
            if listener == Tls {
                input["Certificates"] = json!([{"CertificateArn": certificate(1)}]);
            }
            match good.contains(&(listener, of_group)) {
                true => drop(world.call(CREATE, input)),
                false => drop(world.refused(Code::IncompatibleProtocols, CREATE, input)),
            }
        }
    }
    let (mut world, balancer, group) = world(Tcp);
    group_of(&mut world.state, &group).target_type = TargetType::Alb;
    let tls = with(&input(&balancer, Tls, 443, &group), json!({"Certificates": [{"CertificateArn": certificate(1)}]}));
    world.refused(Code::IncompatibleProtocols, CREATE, tls);
    world.call(CREATE, input(&balancer, Tcp, 443, &group));
}

#[test]
fn dualstack_has_no_udp() {
    for protocol in Protocol::ALL {
        let (mut world, balancer, group) = world(protocol);
        testing::make_dualstack(&mut world.state, &balancer);
        let mut input = input(&balancer, protocol, 80, &group);
        if protocol == Protocol::Tls {
            input["Certificates"] = json!([{"CertificateArn": certificate(1)}]);
        }
        match protocol {
            Protocol::Tcp | Protocol::Tls => drop(world.call(CREATE, input)),
            Protocol::Udp | Protocol::TcpUdp => {
                world.refused(Code::InvalidConfigurationRequest, CREATE, input.clone());
                // A file names addresses of the operator's own.
                let balancer = balancer_of(&mut world.state, &balancer);
                balancer.zones.clear();
                balancer.addresses = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
                world.call(CREATE, input);
            }
        }
    }
}

#[test]
fn families() {
    let (mut world, balancer, group) = world(Protocol::Tcp);
    let base = input(&balancer, Protocol::Tcp, 80, &group);
    group_of(&mut world.state, &group).family = Family::Ipv6;
    world.refused(Code::InvalidConfigurationRequest, CREATE, base.clone());
    group_of(&mut world.state, &group).family = Family::Any;
    world.call(CREATE, base.clone());
    world.state.listeners.clear();
    group_of(&mut world.state, &group).family = Family::Ipv6;
    testing::make_dualstack(&mut world.state, &balancer);
    world.call(CREATE, base.clone());
    world.state.listeners.clear();
    let of_file = balancer_of(&mut world.state, &balancer);
    (of_file.ip_address_type, of_file.zones) = (IpAddressType::Ipv4, vec![]);
    of_file.addresses = vec!["192.0.2.1".parse().unwrap()];
    world.refused(Code::InvalidConfigurationRequest, CREATE, base.clone());
    balancer_of(&mut world.state, &balancer).addresses = vec!["2001:db8::1".parse().unwrap()];
    world.call(CREATE, base);
}

#[test]
fn one_vpc() {
    let (mut world, balancer, group) = world(Protocol::Tcp);
    let base = input(&balancer, Protocol::Tcp, 80, &group);
    group_of(&mut world.state, &group).vpc = Some("vpc-2".into());
    world.refused(Code::InvalidConfigurationRequest, CREATE, base.clone());
    for (of_balancer, of_group) in [(Some("vpc-1"), None), (None, Some("vpc-1")), (None, None)] {
        balancer_of(&mut world.state, &balancer).vpc = of_balancer.map(Into::into);
        group_of(&mut world.state, &group).vpc = of_group.map(Into::into);
        world.call(CREATE, base.clone());
        world.state.listeners.clear();
    }
}

#[test]
fn a_group_has_one_load_balancer() {
    let (mut world, balancer, group) = world(Protocol::Tcp);
    let other = testing::load_balancer(&mut world.state, "other");
    world.call(CREATE, input(&balancer, Protocol::Tcp, 80, &group));
    world.call(CREATE, input(&balancer, Protocol::Tcp, 81, &group));
    world.refused(Code::TargetGroupAssociationLimit, CREATE, input(&other, Protocol::Tcp, 80, &group));

    let own = testing::target_group(&mut world.state, "own", Protocol::Tcp);
    world.call(CREATE, input(&other, Protocol::Tcp, 80, &own));
    let listener = world.state.listeners_of(&other).next().unwrap().arn.clone();
    let to = |group: &Arn| json!({"ListenerArn": listener, "DefaultActions": forward(group)});
    world.refused(Code::TargetGroupAssociationLimit, MODIFY, to(&group));
    let free = testing::target_group(&mut world.state, "free", Protocol::Tcp);
    let output = world.call(MODIFY, to(&free));
    assert_eq!(output["Listeners"][0]["DefaultActions"][0]["TargetGroupArn"], json!(free));
    // Nobody uses it any more.
    world.call(CREATE, input(&balancer, Protocol::Tcp, 82, &own));
}

#[test]
fn a_port_has_one_listener() {
    let (mut world, balancer, group) = world(Protocol::TcpUdp);
    let base = input(&balancer, Protocol::Tcp, 80, &group);
    let first = world.call(CREATE, with(&base, json!({"Tags": [{"Key": "a"}]})));
    assert_eq!(world.call(CREATE, base.clone()), first, "tags are no setting");
    world.refused(Code::DuplicateListener, CREATE, with(&base, json!({"Protocol": "UDP"})));
    world.refused(Code::DuplicateListener, CREATE, with(&base, json!({"Protocol": "TCP_UDP"})));
    let other = testing::target_group(&mut world.state, "other", Protocol::Tcp);
    world.refused(Code::DuplicateListener, CREATE, with(&base, json!({"DefaultActions": forward(&other)})));
    assert_eq!(world.state.listeners.len(), 1);
    let second = testing::load_balancer(&mut world.state, "second");
    world.call(CREATE, input(&second, Protocol::Tcp, 80, &other));
}

#[test]
fn the_same_tls_listener_again() {
    let (mut world, balancer, group) = world(Protocol::Tls);
    let tls = with(
        &input(&balancer, Protocol::Tls, 443, &group),
        json!({"Certificates": [{"CertificateArn": certificate(1)}]}),
    );
    let first = world.call(CREATE, tls.clone());
    let arn = &first["Listeners"][0]["ListenerArn"];
    let list = json!([{"CertificateArn": certificate(2)}]);
    world.call("AddListenerCertificates", json!({"ListenerArn": arn, "Certificates": list}));
    let same = with(&tls, json!({"SslPolicy": "ELBSecurityPolicy-2016-08", "AlpnPolicy": ["None"]}));
    assert_eq!(world.call(CREATE, same), first);
    for members in [
        json!({"Certificates": list}),
        json!({"SslPolicy": "ELBSecurityPolicy-2015-05"}),
        json!({"AlpnPolicy": ["HTTP1Only"]}),
    ] {
        world.refused(Code::DuplicateListener, CREATE, with(&tls, members));
    }
}

#[test]
fn the_quota() {
    let (mut world, balancer, group) = world(Protocol::Tcp);
    let base = input(&balancer, Protocol::Tcp, 1, &group);
    for port in 1..=50 {
        world.call(CREATE, with(&base, json!({"Port": port})));
    }
    world.refused(Code::TooManyListeners, CREATE, with(&base, json!({"Port": 51})));
    world.call(CREATE, base);
    let other = testing::load_balancer(&mut world.state, "other");
    let group = testing::target_group(&mut world.state, "other", Protocol::Tcp);
    world.call(CREATE, input(&other, Protocol::Tcp, 51, &group));
}

/// A group brings its targets with it.
#[test]
fn the_quota_of_targets() {
    let (mut world, balancer, group) = world(Protocol::Tcp);
    world.quotas.targets_per_load_balancer = 1;
    let fill = |world: &mut World, group: &Arn, count: u8| {
        for host in 1..=count {
            let id = TargetId::Ip([10, 0, 1, host].into());
            let target = Target { zone: None, registered: world.now, draining_until: None };
            group_of(&mut world.state, group).targets.insert(TargetKey { id, port: 80 }, target);
        }
    };
    let other = testing::target_group(&mut world.state, "other", Protocol::Tcp);
    fill(&mut world, &group, 1);
    fill(&mut world, &other, 2);
    world.refused(Code::TooManyTargets, CREATE, input(&balancer, Protocol::Tcp, 80, &other));
    assert_eq!(world.state.listeners.len(), 0);
    world.call(CREATE, input(&balancer, Protocol::Tcp, 80, &group));
    let arn = world.state.listeners.keys().next().unwrap().clone();
    world.refused(Code::TooManyTargets, MODIFY, json!({"ListenerArn": arn, "DefaultActions": forward(&other)}));
    assert_eq!(world.state.listeners[&arn].target_group, group);
    // A quota that was lowered since is no reason to refuse what brings no targets.
    world.quotas.targets_per_load_balancer = 0;
    world.call(MODIFY, json!({"ListenerArn": arn, "Port": 81}));
}

#[test]
fn modify_port_and_protocol() {
    let (mut world, balancer, group) = world(Protocol::TcpUdp);
    let arn = testing::listener(&mut world.state, &balancer, Protocol::Tcp, 80, &group);
    testing::listener(&mut world.state, &balancer, Protocol::Tcp, 81, &group);
    let before = world.call(DESCRIBE, json!({"ListenerArns": [arn]}));
    assert_eq!(world.call(MODIFY, json!({"ListenerArn": arn})), before);
    assert_eq!(world.call(MODIFY, json!({"ListenerArn": arn, "Port": 80, "Protocol": "TCP"})), before);
    world.refused(Code::DuplicateListener, MODIFY, json!({"ListenerArn": arn, "Port": 81}));
    world.refused(Code::DuplicateListener, MODIFY, json!({"ListenerArn": arn, "Port": 81, "Protocol": "UDP"}));
    for port in [0, 65536, -1] {
        world.refused(Code::ValidationError, MODIFY, json!({"ListenerArn": arn, "Port": port}));
    }
    world.refused(Code::UnsupportedProtocol, MODIFY, json!({"ListenerArn": arn, "Protocol": "HTTP"}));
    world.refused(Code::ValidationError, MODIFY, json!({"ListenerArn": arn, "Protocol": "IP"}));
    world.refused(Code::IncompatibleProtocols, MODIFY, json!({"ListenerArn": arn, "Protocol": "TLS"}));

    let output = world.call(MODIFY, json!({"ListenerArn": arn, "Port": 65535, "Protocol": "UDP"}));
    assert_eq!((&output["Listeners"][0]["Port"], &output["Listeners"][0]["Protocol"]), (&json!(65535), &json!("UDP")));
    assert_eq!(world.call(DESCRIBE, json!({"ListenerArns": [arn]})), output);

    testing::make_dualstack(&mut world.state, &balancer);
    world.call(MODIFY, json!({"ListenerArn": arn, "Protocol": "TCP"}));
    world.refused(Code::InvalidConfigurationRequest, MODIFY, json!({"ListenerArn": arn, "Protocol": "UDP"}));
}

/// A file can put UDP beside TCP: changing another setting of one of them is no reason to refuse.
#[test]
fn modify_where_a_file_put_two_at_a_port() {
    let (mut world, balancer, tcp) = world(Protocol::Tcp);
    let udp = testing::target_group(&mut world.state, "udp", Protocol::Udp);
    let other = testing::target_group(&mut world.state, "other", Protocol::Tcp);
    let arn = testing::listener(&mut world.state, &balancer, Protocol::Tcp, 53, &tcp);
    testing::listener(&mut world.state, &balancer, Protocol::Udp, 53, &udp);
    world.call(MODIFY, json!({"ListenerArn": arn, "Port": 53, "DefaultActions": forward(&other)}));
}

#[test]
fn modify_the_group() {
    let (mut world, arn) = with_listener(Protocol::Tcp, Protocol::Tcp);
    let to = |actions: Value| json!({"ListenerArn": arn, "DefaultActions": actions});
    let udp = testing::target_group(&mut world.state, "udp", Protocol::Udp);
    world.refused(Code::IncompatibleProtocols, MODIFY, to(forward(&udp)));
    let both = json!({"ListenerArn": arn, "Protocol": "UDP", "DefaultActions": forward(&udp)});
    world.call(MODIFY, both);
    assert_eq!(world.state.listeners[&arn].target_group, udp);

    let far = testing::target_group(&mut world.state, "far", Protocol::Udp);
    group_of(&mut world.state, &far).vpc = Some("vpc-2".into());
    world.refused(Code::InvalidConfigurationRequest, MODIFY, to(forward(&far)));
    world.refused(Code::ValidationError, MODIFY, to(json!([])));
    world.refused(Code::InvalidLoadBalancerAction, MODIFY, to(json!([{"Type": "fixed-response"}])));
    world.refused(Code::TooManyActions, MODIFY, to(json!([forward(&udp)[0], forward(&udp)[0]])));
    let gone = Arn::parse(&format!("{udp}0")).unwrap().0;
    world.refused(Code::TargetGroupNotFound, MODIFY, to(forward(&gone)));
}

#[test]
fn modify_tls_settings() {
    let (mut world, arn) = with_listener(Protocol::Tls, Protocol::Tls);
    let change = |members: Value| with(&json!({"ListenerArn": arn}), members);
    let one = |number| json!([{"CertificateArn": certificate(number)}]);
    world.call("AddListenerCertificates", change(json!({"Certificates": one(2)})));

    world.call(MODIFY, change(json!({"SslPolicy": "ELBSecurityPolicy-FS-2018-06", "AlpnPolicy": ["HTTP1Only"]})));
    world.call(MODIFY, change(json!({"Certificates": one(3)})));
    let listener = &world.state.listeners[&arn];
    assert_eq!(listener.certificates, [certificate(3), certificate(2)]);
    assert_eq!(listener.ssl_policy.as_deref(), Some("ELBSecurityPolicy-FS-2018-06"));
    assert_eq!(listener.alpn_policy.as_deref(), Some("HTTP1Only"));
    // `None` takes the policy away; what is not named stays.
    world.call(MODIFY, change(json!({"AlpnPolicy": ["None"]})));
    let listener = &world.state.listeners[&arn];
    assert_eq!(listener.alpn_policy, None);
    assert_eq!(listener.ssl_policy.as_deref(), Some("ELBSecurityPolicy-FS-2018-06"));

    world.refused(Code::SslPolicyNotFound, MODIFY, change(json!({"SslPolicy": "x"})));
    world.refused(Code::AlpnPolicyNotFound, MODIFY, change(json!({"AlpnPolicy": ["x"]})));
    world.refused(Code::CertificateNotFound, MODIFY, change(json!({"Certificates": one(41)})));
    world.refused(Code::ValidationError, MODIFY, change(json!({"Certificates": []})));
    let two = json!([{"CertificateArn": certificate(1)}, {"CertificateArn": certificate(2)}]);
    world.refused(Code::TooManyCertificates, MODIFY, change(json!({"Certificates": two})));

    // A certificate that has left the inventory is no reason to refuse another change.
    world.inventory.certificates.clear();
    world.call(MODIFY, change(json!({"Port": 444})));
}

#[test]
fn from_tls_and_back() {
    let (mut world, arn) = with_listener(Protocol::Tls, Protocol::Tcp);
    let change = |members: Value| with(&json!({"ListenerArn": arn}), members);
    let one = |number| json!([{"CertificateArn": certificate(number)}]);
    world.call("AddListenerCertificates", change(json!({"Certificates": one(2)})));
    world.call(MODIFY, change(json!({"AlpnPolicy": ["HTTP2Only"]})));

    let output = world.call(MODIFY, change(json!({"Protocol": "TCP"})));
    for member in ["Certificates", "SslPolicy", "AlpnPolicy"] {
        assert_eq!(output["Listeners"][0].get(member), None, "{member}");
    }
    assert_eq!(TlsSettings::of(&world.state.listeners[&arn]), TlsSettings::default());

    let idle = json!([{"Key": "tcp.idle_timeout.seconds", "Value": "60"}]);
    world.call("ModifyListenerAttributes", change(json!({"Attributes": idle})));
    world.refused(Code::ValidationError, MODIFY, change(json!({"Protocol": "TLS"})));
    let output = world.call(MODIFY, change(json!({"Protocol": "TLS", "Certificates": one(3)})));
    assert_eq!(output["Listeners"][0]["SslPolicy"], json!("ELBSecurityPolicy-2016-08"));
    let listener = &world.state.listeners[&arn];
    assert_eq!(listener.certificates, [certificate(3)]);
    assert!(listener.attributes.is_empty(), "only TCP listeners have an idle timeout");
}

#[test]
fn delete() {
    let (mut world, arn) = with_listener(Protocol::Tcp, Protocol::Tcp);
    assert_eq!(world.call("DeleteListener", json!({"ListenerArn": arn})), json!({}));
    assert_eq!(world.state.listeners.len(), 0);
    assert_eq!(world.state.target_groups.len(), 1);
    for operation in ["DeleteListener", MODIFY] {
        world.refused(Code::ListenerNotFound, operation, json!({"ListenerArn": arn}));
        world.refused(Code::ValidationError, operation, json!({"ListenerArn": "web"}));
        world.refused(Code::ValidationError, operation, json!({}));
    }
}

#[test]
fn describe() {
    let (mut world, balancer, group) = world(Protocol::Tcp);
    let other = testing::load_balancer(&mut world.state, "other");
    let mut arns: Vec<Arn> =
        (1..=3).map(|port| testing::listener(&mut world.state, &balancer, Protocol::Tcp, port, &group)).collect();
    let of_other = testing::listener(&mut world.state, &other, Protocol::Tcp, 1, &group);
    arns.sort();
    let told = |output: &Value| -> Vec<String> {
        let listeners = output["Listeners"].as_array().unwrap();
        listeners.iter().map(|listener| listener["ListenerArn"].as_str().unwrap().to_owned()).collect()
    };
    let names: Vec<&str> = arns.iter().map(Arn::as_str).collect();
    assert_eq!(told(&world.call(DESCRIBE, json!({"LoadBalancerArn": balancer}))), names);
    let by_arn = json!({"ListenerArns": [arns[2], arns[0], arns[2]]});
    assert_eq!(told(&world.call(DESCRIBE, by_arn)), [names[0], names[2]]);
    let empty = testing::load_balancer(&mut world.state, "empty");
    assert_eq!(world.call(DESCRIBE, json!({"LoadBalancerArn": empty})), json!({"Listeners": []}));

    let page = json!({"LoadBalancerArn": balancer, "PageSize": 2});
    let first = world.call(DESCRIBE, page.clone());
    assert_eq!(told(&first), names[..2]);
    let second = world.call(DESCRIBE, with(&page, json!({"Marker": first["NextMarker"]})));
    assert_eq!(told(&second), names[2..]);
    assert_eq!(second.get("NextMarker"), None);

    let many: Vec<&Arn> = vec![&of_other; 401];
    for input in [
        json!({}),
        json!({"ListenerArns": []}),
        json!({"ListenerArns": many}),
        json!({"LoadBalancerArn": balancer, "ListenerArns": [of_other]}),
        json!({"LoadBalancerArn": of_other}),
        json!({"ListenerArns": [balancer]}),
        json!({"LoadBalancerArn": balancer, "PageSize": 0}),
        json!({"LoadBalancerArn": balancer, "PageSize": 401}),
        json!({"LoadBalancerArn": balancer, "Marker": "x"}),
    ] {
        world.refused(Code::ValidationError, DESCRIBE, input);
    }
    let gone = Arn::parse(&format!("{balancer}0")).unwrap().0;
    world.refused(Code::LoadBalancerNotFound, DESCRIBE, json!({"LoadBalancerArn": gone}));
    world.refused(Code::ListenerNotFound, DESCRIBE, json!({"ListenerArns": [of_other, balancer.listener("0")]}));
}

/// What a file uses: it names the certificate list at once.
#[test]
fn checked_for_a_file() {
    let (mut world, balancer, group) = world(Protocol::Tcp);
    world.quotas.certificates_per_load_balancer = 2;
    let state = world.state.clone();
    let (balancer, group) = (&state.load_balancers[&balancer], &state.target_groups[&group]);
    let context = world.context();
    let check = |protocol, numbers: &[u32]| {
        let certificates = numbers.iter().copied().map(certificate).collect();
        let tls = TlsSettings { certificates, ..TlsSettings::default() };
        checked(&state, balancer, group, protocol, 443, tls, &context)
    };
    let tls = check(Protocol::Tls, &[1, 2, 1, 2]).unwrap();
    assert_eq!(
        tls.certificates,
        [1, 2, 1].map(certificate),
        "the default one may be on the list, each stands there once"
    );
    assert_eq!(tls.ssl_policy.as_deref(), Some("ELBSecurityPolicy-2016-08"));
    assert_eq!(check(Protocol::Tls, &[1, 2, 3, 4]).unwrap_err().code, Code::TooManyCertificates);
    assert_eq!(check(Protocol::Tls, &[1, 41]).unwrap_err().code, Code::CertificateNotFound);
    assert_eq!(check(Protocol::Tls, &[]).unwrap_err().code, Code::ValidationError);
    assert_eq!(check(Protocol::Tcp, &[]), Ok(TlsSettings::default()));
    assert_eq!(check(Protocol::Tcp, &[1]).unwrap_err().code, Code::InvalidConfigurationRequest);
}
