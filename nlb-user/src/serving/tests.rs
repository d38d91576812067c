//! Tests of what a node serves.

use super::{from_file::state, *};
use crate::manifest::Invalid;

const GOOD: &str = r#"{"load_balancers":[{"name":"web","addresses":["198.18.0.10","2001:db8::10"],
  "listeners":[{"protocol":"TCP","port":80,"target_group":"web","attributes":{"tcp.idle_timeout.seconds":"350"}}]}],
"target_groups":[{"name":"web","protocol":"TCP","port":8080,"target_type":"ip",
  "attributes":{"preserve_client_ip.enabled":"true"},
  "targets":[{"id":"10.0.1.11","port":8080}]}]}"#;

fn read(text: &str) -> Result<Config, Invalid> {
    Config::from_json(text, "lb.json", &Limits::default())
}

/// The good file, with one piece of text in place of another.
fn with(piece: &str, other: &str) -> String {
    assert!(GOOD.contains(piece), "{piece}");
    GOOD.replacen(piece, other, 1)
}

#[test]
fn defaults_are_the_reference_s() {
    let text = with(r#","attributes":{"tcp.idle_timeout.seconds":"350"}"#, "");
    let text =
        text.replace(r#""attributes":{"preserve_client_ip.enabled":"true"},"#, "").replace(r#","port":8080}]"#, "}]");
    let config = read(&text).unwrap();
    let group = config.group("web").unwrap();
    assert_eq!(config.load_balancers[0].listeners[0].idle_timeout_s, 350);
    assert!(!group.preserve_client_ip, "off for TCP groups of type ip");
    assert_eq!(group.targets[0].port, 8080, "the group's port");
    assert_eq!(group.unhealthy_routing, HealthThreshold { count: 1, percentage: None });
    for protocol in ["UDP", "TCP_UDP"] {
        let config = read(&text.replace("\"TCP\"", &format!("{protocol:?}"))).unwrap();
        assert!(config.group("web").unwrap().preserve_client_ip, "on for {protocol}");
    }
}

#[test]
fn thresholds() {
    let default = HealthThreshold::default();
    assert!(default.breached(0, 3) && !default.breached(1, 3) && !default.breached(0, 0));
    let both = HealthThreshold { count: 2, percentage: Some(50) };
    assert!(both.breached(1, 2) && both.breached(4, 10) && !both.breached(5, 10) && !both.breached(1, 1));
}

#[test]
fn lower_idle_timeouts_for_tests_only() {
    let text = with("\"350\"", "\"1\"");
    assert!(read(&text).is_err());
    let config = Config::from_json(&text, "lb.json", &Limits { min_idle_s: 1 }).unwrap();
    assert_eq!(config.load_balancers[0].listeners[0].idle_timeout_s, 1);
}

#[test]
fn target_names() {
    let id = TargetId::parse("web", "[2001:db8::1]:80").unwrap();
    assert_eq!(id.to_string(), "web/[2001:db8::1]:80");
    assert_eq!(id.to_string().parse(), Ok(id));
    for text in ["10.0.0.1", "10.0.0.1:0", "10.0.0.1:70000", "host:80", "2001:db8::1:80"] {
        assert!(TargetId::parse("web", text).is_err(), "{text}");
    }
}

fn warned(text: &str) -> Vec<String> {
    let state = state(text, "lb.json", &Limits::default()).unwrap();
    warnings(&state, &read(text).unwrap())
}

#[test]
fn warnings_say_who_serves_nobody() {
    let found = warned(GOOD);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("has no IPv6 target"), "{found:?}");
    let lonely = &GOOD[GOOD.find("\"target_groups\"").unwrap()..];
    let found = warned(&format!("{{\"load_balancers\":[],{lonely}"));
    assert_eq!(found, ["target group `web` gets no traffic: no listener names it"]);
}

#[test]
fn warnings_say_what_has_no_effect() {
    let good = with(",\"2001:db8::10\"", "");
    assert_eq!(warned(&good), [] as [&str; 0]);
    let cases = [
        ("proxy_protocol_v2.enabled", "true", "no header is sent yet"),
        ("stickiness.enabled", "true", "do not stick yet"),
        ("deregistration_delay.connection_termination.enabled", "true", "they are not ended yet"),
        ("target_health_state.unhealthy.connection_termination.enabled", "false", "they are still reset"),
        ("target_group_health.dns_failover.minimum_healthy_targets.count", "2", "there is none yet"),
    ];
    for (key, value, expected) in cases {
        let found = warned(&good.replace("\"preserve_client_ip.enabled\":\"true\"", &format!("{key:?}:{value:?}")));
        assert!(found.len() == 1 && found[0].contains(expected) && found[0].contains("`web`"), "{key}: {found:?}");
    }
    let logs = r#""attributes":{"access_logs.s3.enabled":"true","access_logs.s3.bucket":"b"},"listeners":"#;
    let found = warned(&good.replace("\"listeners\":", logs));
    assert_eq!(found, ["load balancer `web` has access logs enabled, but none are written yet"]);
}
