//! Tests of files: what is accepted, what is refused and how.

use proptest::prelude::*;

use super::*;
use crate::{
    model::{Family, Protocol, Quotas, State, TargetType},
    ops::testing::World,
    serving::Limits,
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
