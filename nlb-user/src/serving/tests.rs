//! Tests of the model: what is accepted, what is refused and how, edits and differences.

use proptest::prelude::*;

use super::*;

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

/// The problems of a file, one a line.
fn problems(text: &str) -> String {
    read(text).expect_err(text).to_string()
}

#[test]
fn the_shape_is_read_and_written_back() {
    let config = read(GOOD).unwrap();
    let group = config.group("web").unwrap();
    assert!(group.preserve_client_ip);
    assert_eq!(config.load_balancers[0].listeners[0].idle_timeout_s, 350);
    assert_eq!(group.targets, ["10.0.1.11:8080".parse().unwrap()]);
    assert_eq!(read(&config.to_json()).unwrap(), config);
    let through_serde: Config = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
    assert_eq!(through_serde, config);
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
        (with("\"web\",\"addresses\"", "\"internal-a\",\"addresses\""), "can't begin with `internal-`"),
        (
            with("\"web\",\"addresses\"", "\"-a\",\"addresses\""),
            "load_balancers[0].name: found \"-a\": a name can't begin or end with a hyphen",
        ),
        (with("\"web\",\"addresses\"", "\"a-\",\"addresses\""), "can't begin or end with a hyphen"),
        (with("\"web\",\"addresses\"", "\"a_b\",\"addresses\""), "allowed are 1 to 32 letters, digits and hyphens"),
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
        (with("\"TCP\",\"port\":80,", "\"TLS\",\"port\":80,"), "TLS is not there yet"),
        (
            with("\"TCP\",\"port\":80,", "\"tcp\",\"port\":80,"),
            "found \"tcp\", allowed are \"TCP\", \"UDP\" and \"TCP_UDP\"",
        ),
        (with("\"TCP\",\"port\":80,", "\"UDP\",\"port\":80,"), "a UDP listener takes UDP and TCP_UDP groups"),
        (
            with(group, r#"{"name":"web","protocol":"UDP""#),
            "found \"web\", a UDP group: a TCP listener takes TCP and TCP_UDP groups",
        ),
        (
            with("\"target_group\":\"web\"", "\"target_group\":\"wob\""),
            "found \"wob\", which is no target group: there are `web`",
        ),
        (with("\"ip\"", "\"instance\""), "such targets are not there yet"),
        (with("\"ip\"", "\"alb\""), "such targets are not there yet"),
        (with("\"ip\"", "\"lambda\""), "found \"lambda\", allowed is \"ip\""),
        (with("\"10.0.1.11\"", "\"i-0123\""), "found \"i-0123\", allowed is an IPv4 or IPv6 address"),
        (
            with("\"10.0.1.11\"", "\"198.18.0.10\""),
            "target_groups[0].targets[0].id: found 198.18.0.10, which is a load balancer's address (load_balancers[0].addresses[0])",
        ),
        (with("\"10.0.1.11\"", "\"127.0.0.1\""), "this is a loopback address"),
        (
            with(r#"[{"id""#, r#"[{"id":"10.0.1.11"},{"id""#),
            "target_groups[0].targets[1]: found 10.0.1.11:8080, which stands at target_groups[0].targets[0] already",
        ),
        (
            with("\"targets\"", "\"weights\":[],\"targets\""),
            "target_groups[0].weights: found the unknown field \"weights\", allowed are `name`, `protocol`, `port`, `target_type`, `attributes`, `targets`",
        ),
        (
            with("\"name\":\"web\",\"add", "\"name\":\"web\",\"name\":\"b\",\"add"),
            "load_balancers[0].name: this field is given twice",
        ),
        (with("\"350\"", "350"), "found 350, allowed is a string: \"60\" to \"6000\""),
        (
            with("\"350\"", "\"59\""),
            "load_balancers[0].listeners[0].attributes[\"tcp.idle_timeout.seconds\"]: found \"59\", allowed are \"60\" to \"6000\"",
        ),
        (with("\"350\"", "\"6001\""), "allowed are \"60\" to \"6000\""),
        (with("\"350\"", "\" 350\""), "allowed are \"60\" to \"6000\""),
        (with("tcp.idle", "tcp.idel"), "found an unknown attribute, allowed are `tcp.idle_timeout.seconds`"),
        (with("\"true\"", "\"yes\""), "found \"yes\", allowed are \"true\", \"false\""),
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
fn attributes_of_groups() {
    let set = |key: &str, value: &str| with(r#""preserve_client_ip.enabled":"true""#, &format!("{key:?}:{value:?}"));
    let kept = [
        ("deregistration_delay.timeout_seconds", vec!["0", "300", "3600"]),
        ("deregistration_delay.connection_termination.enabled", vec!["false"]),
        ("load_balancing.cross_zone.enabled", vec!["true", "false", "use_load_balancer_configuration"]),
        ("proxy_protocol_v2.enabled", vec!["false"]),
        ("stickiness.enabled", vec!["false"]),
        ("stickiness.type", vec!["source_ip"]),
        ("target_group_health.dns_failover.minimum_healthy_targets.count", vec!["off"]),
        ("target_group_health.dns_failover.minimum_healthy_targets.percentage", vec!["off"]),
        ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", vec!["1", "7"]),
        ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", vec!["off", "1", "100"]),
    ];
    for (key, values) in kept {
        for value in values {
            let config = read(&set(key, value)).unwrap();
            assert_eq!(read(&config.to_json()).unwrap(), config, "{key} {value}");
        }
        assert!(problems(&set(key, "maybe")).contains(key), "{key}");
    }
    for (key, value, function) in [
        ("deregistration_delay.connection_termination.enabled", "true", "ending connections"),
        ("proxy_protocol_v2.enabled", "true", "PROXY protocol is not there yet"),
        ("stickiness.enabled", "true", "stickiness is not there yet"),
        ("target_group_health.dns_failover.minimum_healthy_targets.count", "2", "DNS failover is not there yet"),
        ("deregistration_delay.timeout_seconds", "3601", "allowed are \"0\" to \"3600\""),
        ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "0", "and \"off\""),
    ] {
        assert!(problems(&set(key, value)).contains(function), "{key}");
    }
    let udp = set("preserve_client_ip.enabled", "false").replace("\"TCP\"", "\"TCP_UDP\"");
    assert!(problems(&udp).contains("client IP preservation can't be disabled for TCP_UDP target groups"));
    assert!(problems(&udp).contains("this attribute is for TCP listeners, and this one is TCP_UDP"));
}

#[test]
fn thresholds() {
    let default = HealthThreshold::default();
    assert!(default.breached(0, 3) && !default.breached(1, 3) && !default.breached(0, 0));
    let both = HealthThreshold { count: 2, percentage: Some(50) };
    assert!(both.breached(1, 2) && both.breached(4, 10) && !both.breached(5, 10) && !both.breached(1, 1));
}

#[test]
fn all_problems_are_told_in_the_order_of_the_file() {
    let text = with("80,", "0,").replace("\"ip\"", "\"alb\"").replace("198.18.0.10", "::");
    let invalid = read(&text).unwrap_err();
    let paths: Vec<&str> = invalid.problems().iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        ["load_balancers[0].addresses[0]", "load_balancers[0].listeners[0].port", "target_groups[0].target_type"]
    );
    let flood = with(r#"[{"id":"10.0.1.11","port":8080}]"#, &format!("[{}1]", "1,".repeat(20_000)));
    let invalid = read(&flood).unwrap_err();
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
    assert!(problems(&long).len() < 300);
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
fn lower_idle_timeouts_for_tests_only() {
    let text = with("\"350\"", "\"1\"");
    assert!(read(&text).is_err());
    let config = Config::from_json(&text, "lb.json", &Limits { min_idle_s: 1 }).unwrap();
    assert_eq!(config.load_balancers[0].listeners[0].idle_timeout_s, 1);
}

#[test]
fn targets_come_and_go() {
    let config = read(GOOD).unwrap();
    let id = |text: &str| TargetId::parse("web", text).unwrap();
    let more = config.register(&id("[2001:db8::11]:80")).unwrap();
    assert!(more.has_target(&id("[2001:db8::11]:80")) && !config.has_target(&id("[2001:db8::11]:80")));
    assert_eq!(more.deregister(&id("[2001:db8::11]:80")).unwrap(), config);
    let refused = |result: Result<Config, EditError>| result.unwrap_err().to_string();
    assert_eq!(refused(config.register(&id("10.0.1.11:8080"))), "target 10.0.1.11:8080 is registered in `web` already");
    assert!(refused(config.register(&id("198.18.0.10:80"))).contains("an address of load balancer `web`"));
    assert!(refused(config.register(&id("127.0.0.1:80"))).contains("loopback"));
    let found = refused(config.deregister(&id("10.0.1.12:8080")));
    assert_eq!(found, "target 10.0.1.12:8080 is not registered in `web`: there are 10.0.1.11:8080");
    let other = TargetId::parse("wob", "10.0.1.12:80").unwrap();
    assert_eq!(refused(config.register(&other)), "there is no target group `wob`: there are web");
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

#[test]
fn differences() {
    let old = read(GOOD).unwrap();
    assert!(changes(&old, &old).is_empty());
    let text = with("\"true\"", "\"false\"").replace("10.0.1.11", "10.0.1.12").replace("\"350\"", "\"60\"");
    let text = text.replace(",\"2001:db8::10\"", "");
    let lines = |old: &Config, new: &Config| changes(old, new).iter().map(Change::to_string).collect::<Vec<_>>();
    assert_eq!(
        lines(&old, &read(&text).unwrap()),
        [
            "- address web 2001:db8::10",
            "~ listener web TCP:80: tcp.idle_timeout.seconds 350 -> 60",
            "~ target group web: preserve_client_ip.enabled true -> false",
            "- target web 10.0.1.11:8080",
            "+ target web 10.0.1.12:8080",
        ]
    );
    assert_eq!(
        lines(&Config::default(), &old),
        [
            "+ load balancer web",
            "+ address web 198.18.0.10",
            "+ address web 2001:db8::10",
            "+ listener web TCP:80 -> web",
            "+ target group web TCP:8080",
            "+ target web 10.0.1.11:8080",
        ]
    );
    assert!(lines(&old, &Config::default()).iter().all(|line| line.starts_with("- ")));
}

#[test]
fn warnings_say_who_serves_nobody() {
    let config = read(GOOD).unwrap();
    let warnings = config.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("has no IPv6 target"), "{warnings:?}");
    let config = Config { load_balancers: Vec::new(), ..config };
    assert_eq!(config.warnings(), ["target group `web` gets no traffic: no listener names it"]);
}

proptest! {
    /// Whatever a file holds, there is an answer, and a refusal stands on a line and column of the file.
    #[test]
    fn any_text_gets_an_answer(text in any::<String>()) {
        if let Err(invalid) = read(&text) {
            prop_assert!(!invalid.problems().is_empty());
        }
    }

    /// The same for files that nearly are good ones: bytes cut, repeated and exchanged.
    #[test]
    fn any_damage_gets_an_answer(
        edits in proptest::collection::vec((0..GOOD.len(), 0..40_usize, "[\\]\\[{}\",:0-9a-z\\\\ue\u{e4}\u{0}-]{0,12}"), 1..5)
    ) {
        let mut text = GOOD.to_owned();
        for (at, len, other) in edits {
            let at = at.min(text.len());
            let end = (at + len).min(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(end) {
                text.replace_range(at..end, &other);
            }
        }
        match read(&text) {
            Ok(config) => prop_assert_eq!(read(&config.to_json()).unwrap(), config),
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
