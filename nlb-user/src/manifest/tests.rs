//! Tests of files: what is accepted, what is refused and how.

use proptest::prelude::*;

use super::*;
use crate::{
    model::{Family, HealthProtocol, State},
    ops::testing::{self, World},
};

const GOOD: &str = r#"{"load_balancers":[{"name":"web","addresses":["198.18.0.10","2001:db8::10"],
  "listeners":[{"protocol":"TCP","port":80,"target_group":"web","attributes":{"tcp.idle_timeout.seconds":"350"}}]}],
"target_groups":[{"name":"web","protocol":"TCP","port":8080,"target_type":"ip",
  "attributes":{"preserve_client_ip.enabled":"true"},
  "targets":[{"id":"10.0.1.11","port":8080}]}]}"#;

fn read_as(text: &str, file: &str) -> Result<State, Invalid> {
    let world = World::new();
    apply(&read(text, file)?, &world.state, &world.context())
}

fn state(text: &str) -> Result<State, Invalid> {
    read_as(text, "lb.json")
}

/// The good file, with one piece of text in place of another.
fn with(piece: &str, other: &str) -> String {
    assert!(GOOD.contains(piece), "{piece}");
    GOOD.replacen(piece, other, 1)
}

/// The problems of a file, one a line.
fn problems(text: &str) -> String {
    state(text).expect_err(text).to_string()
}

#[test]
fn every_rule_has_its_sentence_and_its_place() {
    let group = r#"{"name":"web","protocol":"TCP""#;
    let cases = [
        (
            with("80,", "70000,"),
            "lb.json:2:41: load_balancers[0].listeners[0].port: found 70000, allowed are 1 to 65535",
        ),
        (with("80,", "0,"), "found 0, allowed are 1 to 65535"),
        (with("80,", "80.5,"), "found 80.5, allowed are 1 to 65535"),
        (with("80,", "\"80\","), "found \"80\", allowed are 1 to 65535"),
        (with("80,", "null,"), "found null, allowed are 1 to 65535"),
        (
            with("\"port\":80,", ""),
            "lb.json:2:16: load_balancers[0].listeners[0]: the field `port` is missing: write \"port\": 80",
        ),
        (with("\"web\",\"addresses\"", "\"internal-a\",\"addresses\""), "begins with `internal-`, which is reserved"),
        (
            with("\"web\",\"addresses\"", "\"-a\",\"addresses\""),
            "load_balancers[0].name: the load balancer name `-a` has a hyphen at its end",
        ),
        (with("\"web\",\"addresses\"", "\"a-\",\"addresses\""), "has a hyphen at its end"),
        (with("\"web\",\"addresses\"", "\"a_b\",\"addresses\""), "has `_`: allowed are 1 to 32 letters"),
        (with("\"web\",\"addresses\"", "\"\",\"addresses\""), "allowed are 1 to 32 letters"),
        (with("\"web\",\"addresses\"", "\"\u{e4}\",\"addresses\""), "allowed are 1 to 32 letters"),
        (
            with("\"web\",\"addresses\"", &format!("\"{}\",\"addresses\"", "a".repeat(33))),
            "allowed are 1 to 32 letters",
        ),
        (with("198.18.0.10", "224.0.0.1"), "this is a multicast address"),
        (with("198.18.0.10", "127.0.0.1"), "this is a loopback address"),
        (with("198.18.0.10", "0.0.0.0"), "this is the unspecified address"),
        (with("198.18.0.10", "255.255.255.255"), "this is the broadcast address"),
        (with("198.18.0.10", "fe80::1"), "this is a link-local address"),
        (with("198.18.0.10", "::ffff:10.0.0.1"), "this is an IPv4 address in IPv6 form: write 10.0.0.1"),
        (with("198.18.0.10", "198.18.0.300"), "found \"198.18.0.300\", allowed is an IPv4 or IPv6 address"),
        (
            with("198.18.0.10", "2001:db8:0::10"),
            "load_balancers[0].addresses[1]: found 2001:db8::10, which stands at load_balancers[0].addresses[0] already",
        ),
        (with(r#""198.18.0.10","2001:db8::10""#, ""), "a load balancer needs at least one address"),
        (
            with("\"TCP\",\"port\":80,", "\"tcp\",\"port\":80,"),
            "found \"tcp\", allowed are \"TCP\", \"TLS\", \"UDP\" and \"TCP_UDP\"",
        ),
        (
            with("\"TCP\",\"port\":80,", "\"UDP\",\"port\":80,"),
            "a listener with the protocol UDP can't forward to web: the group has the protocol TCP, allowed is UDP or TCP_UDP",
        ),
        (
            with(group, r#"{"name":"web","protocol":"UDP""#),
            "a listener with the protocol TCP can't forward to web: the group has the protocol UDP",
        ),
        (
            with("\"target_group\":\"web\"", "\"target_group\":\"wob\""),
            "found \"wob\", which is no target group: there are `web`",
        ),
        (with("\"ip\"", "\"instance\""), "name the id of an instance, which begins with i-"),
        (with("\"ip\"", "\"alb\""), "name the ARN of an Application Load Balancer"),
        (with("\"ip\"", "\"lambda\""), "found \"lambda\", allowed are \"instance\", \"ip\" and \"alb\""),
        (with("\"10.0.1.11\"", "\"i-0123\""), "`i-0123` is no target of a group of type ip: name an IP address"),
        (
            with("\"10.0.1.11\"", "\"198.18.0.10\""),
            "target_groups[0].targets[0].id: found 198.18.0.10, which is a load balancer's address (load_balancers[0].addresses[0])",
        ),
        (with("\"10.0.1.11\"", "\"127.0.0.1\""), "127.0.0.1 is no target: it is a loopback address"),
        (
            with(r#"[{"id""#, r#"[{"id":"10.0.1.11"},{"id""#),
            "target_groups[0].targets[1]: found 10.0.1.11:8080, which stands at target_groups[0].targets[0] already",
        ),
        (
            with("\"targets\"", "\"weights\":[],\"targets\""),
            "target_groups[0].weights: found the unknown field \"weights\", allowed are `name`, `protocol`",
        ),
        (
            with("\"name\":\"web\",\"add", "\"name\":\"web\",\"name\":\"b\",\"add"),
            "load_balancers[0].name: this field is given twice",
        ),
        (with("\"350\"", "350"), "found 350, allowed is a string"),
        (
            with("\"350\"", "\"59\""),
            "load_balancers[0].listeners[0].attributes[\"tcp.idle_timeout.seconds\"]: the attribute tcp.idle_timeout.seconds is `59`: allowed are 60 to 6000",
        ),
        (with("\"350\"", "\"6001\""), "allowed are 60 to 6000"),
        (with("\"350\"", "\" 350\""), "allowed are 60 to 6000"),
        (
            with("tcp.idle", "tcp.idel"),
            "unknown attribute tcp.idel_timeout.seconds: there are tcp.idle_timeout.seconds",
        ),
        (with("\"true\"", "\"yes\""), "the attribute preserve_client_ip.enabled is `yes`: allowed are true, false"),
        (with("\"true\"", "true"), "found true, allowed is a string"),
        (with("{\"load_balancers\"", "{\"loadbalancers\""), "the field `load_balancers` is missing"),
    ];
    for (text, expected) in cases {
        let found = problems(&text);
        assert!(found.contains(expected), "{text}\n-- gives --\n{found}\n-- and not --\n{expected}");
    }
}

#[test]
fn whole_file_rules() {
    let text = with(
        r#""port":80,"target_group":"web""#,
        r#""port":80,"target_group":"web"},{"protocol":"TCP_UDP","port":80,"target_group":"web""#,
    );
    let found = problems(&text.replace("\"TCP\",\"port\":8080", "\"TCP_UDP\",\"port\":8080"));
    assert!(
        found.contains(
            "load_balancers[0].listeners[1]: found TCP_UDP on port 80, which load_balancers[0].listeners[0] has already"
        ),
        "{found}"
    );
    let second = r#"},{"name":"two","addresses":["198.18.0.11"],"listeners":[{"protocol":"TCP","port":80,"target_group":"web"}]}],
"target_groups""#;
    let found = problems(&with("}],\n\"target_groups\"", second));
    assert!(found.contains("load balancer `web` uses: a target group belongs to one load balancer"), "{found}");
    let found = problems(&with("}],\n\"target_groups\"", &second.replace("two", "web").replace("0.11", "0.10")));
    assert!(
        found.contains("load_balancers[1].name: found \"web\", which stands at load_balancers[0].name already"),
        "{found}"
    );
    assert!(
        found.contains("load_balancers[1].addresses[0]: found 198.18.0.10, which stands at load_balancers[0]"),
        "{found}"
    );
    let many: Vec<String> =
        (1..=51).map(|p| format!(r#"{{"protocol":"TCP","port":{p},"target_group":"web"}}"#)).collect();
    let start = GOOD.find("[{\"protocol\"").unwrap();
    let end = GOOD.find("]}],\n\"target_groups").unwrap();
    let text = format!("{}[{}{}", &GOOD[..start], many.join(","), &GOOD[end..]);
    assert!(problems(&text).contains("found 51 listeners, allowed are 50"));
}

#[test]
fn all_problems_are_told_in_the_order_of_the_file() {
    let text = with("80,", "0,").replace("\"ip\"", "\"alb\"").replace("198.18.0.10", "::");
    let invalid = state(&text).unwrap_err();
    let paths: Vec<&str> = invalid.problems().iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        ["load_balancers[0].addresses[0]", "load_balancers[0].listeners[0].port", "target_groups[0].targets[0].id"]
    );
    let flood = with(r#"[{"id":"10.0.1.11","port":8080}]"#, &format!("[{}1]", "1,".repeat(20_000)));
    let invalid = state(&flood).unwrap_err();
    assert_eq!(invalid.problems().len(), Invalid::SHOWN);
    assert!(invalid.to_string().ends_with("and 19901 more"), "{invalid}");
}

#[test]
fn absurd_files_get_a_sentence() {
    let cases: [(String, &str); 12] = [
        (String::new(), "lb.json:1:1: the file is empty"),
        (" \n\t".to_owned(), "the file is empty"),
        (format!("\u{feff}{GOOD}"), "byte order mark"),
        ("{\"a\":\"\0\"}".to_owned(), "lb.json:1:7: found a NUL byte"),
        ("{\"load_balancers\":\n  [}".to_owned(), "lb.json:2:4: not JSON: expected value"),
        ("{\"load_balancers\":[".to_owned(), "the file ends too early"),
        ("[".repeat(1_000_000), "not JSON"),
        (format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "nested deeper than 32 levels"),
        ("nul".to_owned(), "not JSON"),
        ("7".to_owned(), "found 7, allowed is an object"),
        (format!("{GOOD}x"), "not JSON: trailing characters"),
        (" ".repeat(MAX_BYTES as usize + 1) + "7", "larger than 16 MiB"),
    ];
    for (text, expected) in cases {
        let found = problems(&text);
        assert!(found.contains(expected), "{expected}: {found}");
    }
    let deep = with("[{\"id\"", &format!("{}{},{{\"id\"", "[".repeat(50_000), "]".repeat(50_000)));
    assert!(!problems(&deep.replacen("[[", "[ [", 1)).is_empty());
    let surrogate = with("\"10.0.1.11\"", r#""\ud800""#);
    assert!(problems(&surrogate).contains("target_groups[0].targets[0].id: not JSON"), "{}", problems(&surrogate));
    let long = with("\"10.0.1.11\"", &format!("\"{}\"", "\u{e4}\n".repeat(5000).replace('\n', "\\n")));
    assert!(problems(&long).len() < 500);
}

#[test]
fn files_that_are_no_text_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lb.json");
    assert!(read_text(&path).unwrap_err().to_string().contains("cannot read"));
    std::fs::write(&path, b"{\n\xff}").unwrap();
    assert!(read_text(&path).unwrap_err().to_string().contains("lb.json:2: found bytes that are not UTF-8"));
    std::fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    assert!(read_text(&path).unwrap_err().to_string().contains("larger than 16 MiB"));
    assert!(read_text(dir.path()).unwrap_err().to_string().contains("cannot read"));
    std::fs::write(&path, GOOD).unwrap();
    assert_eq!(read_text(&path).unwrap(), GOOD);
}

#[test]
fn todays_form_is_understood() {
    let state = state(GOOD).unwrap();
    let balancer = state.load_balancer_named("web").unwrap();
    let group = state.target_group_named("web").unwrap();
    assert_eq!(balancer.addresses, ["198.18.0.10", "2001:db8::10"].map(|it| it.parse::<std::net::IpAddr>().unwrap()));
    assert_eq!((&balancer.vpc, balancer.zones.len()), (&None, 0));
    assert_eq!((&group.vpc, group.family), (&None, Family::Any));
    assert_eq!(group.attributes["preserve_client_ip.enabled"], "true");
    assert_eq!(group.targets.keys().map(diff::target).collect::<Vec<_>>(), ["10.0.1.11:8080"]);
    let listener = state.listeners_of(&balancer.arn).next().unwrap();
    assert_eq!((listener.port, &listener.target_group), (80, &group.arn));
    assert_eq!(listener.attributes["tcp.idle_timeout.seconds"], "350");
}

/// What the README shows is what can be written.
#[test]
fn the_files_of_the_readme() {
    let readme = include_str!("../../../README.md");
    let block = |kind: &str| {
        let (_, rest) = readme.split_once(&format!("```{kind}\n")).unwrap();
        rest.split_once("```").unwrap().0
    };
    for (kind, file) in [("json", "lb.json"), ("yaml", "lb.yaml")] {
        let state = read_as(block(kind), file).unwrap_or_else(|invalid| panic!("{invalid}"));
        assert_eq!(state.target_groups.len(), 2, "{kind}");
    }
}

/// Everything that a file can say, once in each form.
const ALL: &str = r#"
load_balancers:
  - name: web
    scheme: internal
    ip_address_type: dualstack
    subnet_mappings:
      - subnet: subnet-a
        private_ipv4_address: 10.0.1.200
        ipv6_address: 2001:db8:1:1::200
      - {subnet: subnet-b}
    security_groups: [sg-1, sg-any]
    attributes:
      load_balancing.cross_zone.enabled: true
      deletion_protection.enabled: "false"
    tags: {team: web, "cost centre": 7}
    listeners:
      - protocol: TLS
        port: 443
        target_group: tls
        certificates:
          - arn:aws:acm:us-east-1:123456789012:certificate/1
          - arn:aws:acm:us-east-1:123456789012:certificate/2
        ssl_policy: ELBSecurityPolicy-TLS13-1-2-2021-06
        alpn_policy: HTTP2Preferred
        tags: {tier: front}
      - {protocol: TCP, port: 80, target_group: alb}
  - name: static
    subnet_mappings: [{subnet: subnet-a, allocation_id: eipalloc-1}]
    listeners: [{protocol: UDP, port: 53, target_group: instances}]
target_groups:
  - name: tls
    protocol: TLS
    port: 8443
    target_type: ip
    vpc: vpc-1
    ip_address_type: ipv6
    health_check:
      protocol: HTTP
      port: 8080
      path: /health
      matcher: 200-299
      interval_seconds: 10
      timeout_seconds: 5
      healthy_threshold: 3
      unhealthy_threshold: 3
    tags: &tags {team: web}
    targets: [{id: "2001:db8:1:1::11"}]
  - name: alb
    protocol: TCP
    port: 80
    target_type: alb
    vpc: vpc-1
    health_check: {port: traffic-port}
    tags: *tags
    targets: [{id: "ALB"}]
  - name: instances
    protocol: UDP
    port: 53
    target_type: instance
    vpc: vpc-1
    attributes: {deregistration_delay.timeout_seconds: 30, stickiness.enabled: true}
    targets: [{id: i-a1}, {id: i-b1, port: 5353}]
  - name: outside
    protocol: TCP
    port: 80
    target_type: ip
    targets: [{id: 192.168.1.1, availability_zone: us-east-1b}, {id: 192.168.1.2, availability_zone: all}]
"#;

fn all() -> String {
    ALL.replace("\"ALB\"", testing::ALB)
}

#[test]
fn everything_can_be_said() {
    let state = read_as(&all(), "lb.yaml").unwrap();
    let web = state.load_balancer_named("web").unwrap();
    assert_eq!(web.zones.len(), 2);
    assert_eq!(web.zones[0].ipv4.to_string(), "10.0.1.200");
    assert_eq!(web.zones[0].ipv6.unwrap().to_string(), "2001:db8:1:1::200");
    assert!(web.zones[1].ipv6.is_some() && !web.zones[1].private_ipv4);
    assert_eq!(web.attributes["load_balancing.cross_zone.enabled"], "true");
    assert_eq!(web.tags["cost centre"], "7");
    let listener = state.listeners_of(&web.arn).find(|it| it.port == 443).unwrap();
    assert_eq!(listener.certificates, [testing::certificate(1), testing::certificate(2)]);
    assert_eq!(listener.alpn_policy.as_deref(), Some("HTTP2Preferred"));
    let fixed = state.load_balancer_named("static").unwrap();
    assert_eq!(fixed.zones[0].ipv4.to_string(), "203.0.113.1");
    let tls = state.target_group_named("tls").unwrap();
    let check = &tls.health_check;
    assert_eq!((check.protocol, check.port, check.timeout_s), (HealthProtocol::Http, Some(8080), 5));
    assert_eq!((check.path.as_deref(), check.matcher.as_deref()), (Some("/health"), Some("200-299")));
    assert_eq!(tls.family, Family::Ipv6);
    let alb = state.target_group_named("alb").unwrap();
    assert_eq!((alb.health_check.protocol, alb.family), (HealthProtocol::Http, Family::Ipv4));
    let instances = state.target_group_named("instances").unwrap();
    let targets: Vec<String> = instances.targets.keys().map(diff::target).collect();
    assert_eq!(targets, ["i-a1:53", "i-b1:5353"]);
    let outside = state.target_group_named("outside").unwrap();
    let zones: Vec<_> = outside.targets.values().map(|target| target.zone.as_deref().unwrap()).collect();
    assert_eq!(zones, ["us-east-1b", "all"]);
}

const CERTIFICATES: &str = "        certificates:
          - arn:aws:acm:us-east-1:123456789012:certificate/1
          - arn:aws:acm:us-east-1:123456789012:certificate/2
";

/// The rules of the API, told in the words of a file where the value stands.
#[test]
fn rules_of_the_api() {
    let cases = [
        (
            "subnet: subnet-b",
            "subnet: subnet-q",
            "lb.yaml:10:9: load_balancers[0].subnet_mappings[1]: there is no subnet subnet-q",
        ),
        ("subnet: subnet-b", "subnet: subnet-a2", "subnet-a and subnet-a2 are both in the zone us-east-1a"),
        ("subnet: subnet-b", "subnet: subnet-y", "all of its subnets must be in one VPC"),
        ("subnet: subnet-b", "subnet: subnet-c", "has no IPv6 addresses"),
        ("10.0.1.200", "10.0.1.3", "private_ipv4_address 10.0.1.3 can't be had in the subnet subnet-a"),
        ("10.0.1.200", "10.0.1.300", "private_ipv4_address: found \"10.0.1.300\", allowed is an IPv4 address"),
        ("scheme: internal", "scheme: internet-facing", "private_ipv4_address is for internal load balancers"),
        ("type: dualstack", "type: ipv4", "ipv6_address is for dualstack load balancers"),
        ("type: dualstack", "type: ipv6", "found \"ipv6\", allowed are \"ipv4\" and \"dualstack\""),
        ("eipalloc-1", "eipalloc-9", "there is no elastic address eipalloc-9"),
        ("sg-any", "sg-x", "security_groups[1]: the security group sg-x is of the VPC vpc-2"),
        ("sg-any", "sg-q", "there is no security group sg-q"),
        ("sg-any", "sg-1", "security_groups[1]: found \"sg-1\", which stands at load_balancers[0].security_groups[0]"),
        ("enabled: true\n", "enabled: maybe\n", "the attribute load_balancing.cross_zone.enabled is `maybe`"),
        ("deletion_protection", "deletion_protektion", "unknown attribute deletion_protektion.enabled"),
        ("\"cost centre\"", "aws:cost", "tags[\"aws:cost\"]: the tag key `aws:cost` begins with `aws:`"),
        ("cost centre", "cost, centre", "allowed are letters, numbers"),
        ("certificate/2", "certificate/41", "certificates[1]: there is no certificate"),
        ("ELBSecurityPolicy-TLS13-1-2-2021-06", "ELBSecurityPolicy-1", "ssl_policy: "),
        ("HTTP2Preferred", "HTTP3", "alpn_policy: there is no ALPN policy HTTP3"),
        (CERTIFICATES, "", "a TLS listener needs a certificate"),
        ("protocol: UDP, port: 53, target", "protocol: TCP, port: 53, target", "can't forward to instances"),
        ("protocol: TLS\n        port", "protocol: TCP\n        port", "can't forward to tls"),
        ("port: 8443", "port: 65536", "found 65536, allowed are 1 to 65535"),
        ("vpc: vpc-1\n    ip", "vpc: vpc-9\n    ip", "target_groups[0].vpc: vpc is `vpc-9`"),
        ("type: ipv6", "type: ipv4", "2001:db8:1:1::11 is no IPv4 address"),
        ("protocol: HTTP", "protocol: FTP", "health_check.protocol: protocol is `FTP`"),
        ("port: 8080", "port: 0", "health_check.port: port is `0`"),
        ("/health", "health", "health_check.path: path is `health`"),
        ("200-299", "200-600", "health_check.matcher: matcher is `200-600`"),
        (
            "interval_seconds: 10",
            "interval_seconds: 4",
            "health_check.interval_seconds: interval_seconds is 4: allowed are 5 to 300",
        ),
        ("timeout_seconds: 5", "timeout_seconds: 11", "timeout_seconds is 11 and interval_seconds is 10"),
        ("healthy_threshold: 3", "healthy_threshold: 1", "health_check.healthy_threshold: healthy_threshold is 1"),
        ("timeout_seconds: 5", "timeout_seconds: fast", "found \"fast\", allowed are 0 to 65535"),
        ("protocol: TLS\n    port", "protocol: UDP\n    port", "IPv6 target groups have TCP or TLS only"),
        ("type: alb", "type: ip", "is no target of a group of type ip"),
        ("id: i-a1", "id: i-q", "target_groups[2].targets[0].id: there is no instance i-q"),
        ("id: i-a1", "id: i-stopped", "only running instances can be registered"),
        ("id: i-a1", "id: i-x1", "is in vpc-2"),
        ("stickiness.enabled: true", "preserve_client_ip.enabled: false", "it can't be disabled for UDP target groups"),
        ("zone: us-east-1b", "zone: us-east-1q", "availability_zone: availability_zone is `us-east-1q`"),
        ("192.168.1.2", "10.0.2.11", "10.0.2.11"),
    ];
    for (piece, other, expected) in cases {
        let text = all();
        assert!(text.contains(piece), "{piece}");
        let found = read_as(&text.replacen(piece, other, 1), "lb.yaml").map(drop);
        let found = found.map_err(|invalid| invalid.to_string());
        assert!(matches!(&found, Err(found) if found.contains(expected)), "{piece} -> {other}: {expected}\n{found:?}");
    }
}

#[test]
fn attributes_of_groups() {
    let set = |key: &str, value: &str| with(r#""preserve_client_ip.enabled":"true""#, &format!("{key:?}:{value:?}"));
    let kept = [
        ("deregistration_delay.timeout_seconds", vec!["0", "300", "3600"]),
        ("deregistration_delay.connection_termination.enabled", vec!["true", "false"]),
        ("load_balancing.cross_zone.enabled", vec!["true", "false", "use_load_balancer_configuration"]),
        ("proxy_protocol_v2.enabled", vec!["true", "false"]),
        ("stickiness.enabled", vec!["true", "false"]),
        ("stickiness.type", vec!["source_ip"]),
        ("target_group_health.dns_failover.minimum_healthy_targets.count", vec!["off", "2"]),
        ("target_group_health.dns_failover.minimum_healthy_targets.percentage", vec!["off", "50"]),
        ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", vec!["1", "7"]),
        ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", vec!["off", "1", "100"]),
    ];
    for (key, values) in kept {
        for value in values {
            let state = state(&set(key, value)).unwrap();
            assert_eq!(state.target_group_named("web").unwrap().attributes[key], value);
        }
        assert!(problems(&set(key, "maybe")).contains(key), "{key}");
    }
    for (key, value, expected) in [
        ("deregistration_delay.timeout_seconds", "3601", "allowed are 0 to 3600"),
        (
            "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
            "0",
            "allowed are off, 1 to",
        ),
    ] {
        assert!(problems(&set(key, value)).contains(expected), "{key}");
    }
    let udp = set("preserve_client_ip.enabled", "false").replace("\"TCP\"", "\"TCP_UDP\"");
    assert!(problems(&udp).contains("it can't be disabled for TCP_UDP target groups"), "{}", problems(&udp));
    let timeout = with("\"TCP\"", "\"TCP_UDP\"").replace("\"TCP\"", "\"TCP_UDP\"");
    assert!(problems(&timeout).contains("is for TCP listeners, and this is one of TCP_UDP"), "{}", problems(&timeout));
}

proptest! {
    /// Whatever a file holds, there is an answer.
    #[test]
    fn any_text_gets_an_answer(text in any::<String>()) {
        for file in ["lb.json", "lb.yaml"] {
            if let Err(invalid) = read_as(&text, file) {
                prop_assert!(!invalid.problems().is_empty());
            }
        }
    }

    /// The same for files that nearly are good ones: bytes cut, repeated and exchanged. A refusal stands on a line and
    /// column of the file.
    #[test]
    fn any_damage_gets_an_answer(
        yaml in any::<bool>(),
        edits in proptest::collection::vec((0..3000_usize, 0..40_usize, "[\\]\\[{}\",:0-9a-z\\\\ue\u{e4}\u{0}\n -]{0,12}"), 1..5)
    ) {
        let (mut text, file) = if yaml { (all(), "lb.yaml") } else { (GOOD.to_owned(), "lb.json") };
        for (at, len, other) in edits {
            let at = at % text.len();
            let end = (at + len).min(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(end) {
                text.replace_range(at..end, &other);
            }
        }
        match read_as(&text, file) {
            Ok(state) => prop_assert_eq!(export(&read_as(&to_json(&export(&state)), "lb.json").unwrap()), export(&state)),
            Err(invalid) => {
                let lines = text.split('\n').count();
                for problem in invalid.problems() {
                    prop_assert!(problem.line >= 1 && problem.line <= lines, "{problem}");
                    let line = text.split('\n').nth(problem.line - 1).unwrap();
                    prop_assert!(problem.column >= 1 && problem.column <= line.chars().count() + 1, "{problem}");
                }
            }
        }
    }
}
