//! The walk, step by step, over maps held in memory.

use std::collections::HashMap;

use super::*;
use nlb_common::layout::Name;

#[derive(Default)]
struct Maps {
    vips: HashMap<Addr, Vip>,
    listeners: HashMap<Endpoint, Listener>,
    groups: HashMap<u32, Group>,
    targets: HashMap<u32, Target>,
    tables: HashMap<u32, Vec<u32>>,
    flows: HashMap<FlowKey, Flow>,
    now: u64,
}

impl View for Maps {
    fn vip(&self, addr: &Addr) -> Option<Vip> {
        self.vips.get(addr).copied()
    }
    fn listener(&self, endpoint: &Endpoint) -> Option<Listener> {
        self.listeners.get(endpoint).copied()
    }
    fn group(&self, index: u32) -> Option<Group> {
        self.groups.get(&index).copied()
    }
    fn target(&self, index: u32) -> Option<Target> {
        self.targets.get(&index).copied()
    }
    fn table(&self, group: u32) -> Vec<u32> {
        self.tables.get(&group).cloned().unwrap_or_default()
    }
    fn flow(&self, key: &FlowKey) -> Option<Flow> {
        self.flows.get(key).copied()
    }
    fn is_port_in_use(&self, _: u16) -> bool {
        false
    }
    fn secret(&self) -> Secret {
        Secret { k0: 1, k1: 2 }
    }
    fn now(&self) -> u64 {
        self.now
    }
    fn interface(&self, index: u32) -> String {
        format!("eth{index}")
    }
}

fn addr(text: &str) -> Addr {
    Addr::from(text.parse::<IpAddr>().unwrap())
}

fn key(proto: u8) -> FlowKey {
    FlowKey::new(addr("198.18.1.1"), addr("198.18.0.10"), Be16::new(40000), Be16::new(80), proto)
}

fn target(host: &str) -> Target {
    Target {
        addr: addr(host),
        port: Be16::new(8080),
        state: state::SERVING,
        generation: 1,
        group: 5,
        hop: Hop { ifindex: 1, dst_mac: [2, 0, 0, 0, 0, 9], src_mac: [2, 0, 0, 0, 0, 1] },
        ..Target::default()
    }
}

/// One load balancer, one group of two targets, TCP and UDP on port 80.
fn maps() -> Maps {
    let name = Name::new("web").unwrap();
    let listener = Listener { group: 5, idle_s: 350, ..Listener::default() };
    let flags = group_flag::IN_USE | group_flag::PRESERVE_CLIENT_IP;
    Maps {
        vips: [(addr("198.18.0.10"), Vip { load_balancer: name, ..Vip::default() })].into(),
        listeners: [(endpoint(&key(6)), listener), (endpoint(&key(17)), listener)].into(),
        groups: [(5, Group { name, flags, slots: 4, ..Group::default() })].into(),
        targets: [(3, target("10.0.1.11")), (4, target("10.0.1.12"))].into(),
        tables: [(5, vec![3, 4, 3, 4])].into(),
        now: 1000 * flow::SECOND,
        ..Maps::default()
    }
}

fn lines(answer: &Explanation) -> Vec<String> {
    answer.steps.iter().map(|step| format!("{}: {}", step.what, step.finding)).collect()
}

fn asked(maps: &Maps, proto: u8, seq: Option<u32>) -> Explanation {
    explain(maps, Question { key: key(proto), seq })
}

fn verdict(answer: &Explanation) -> &str {
    &answer.steps.last().unwrap().finding
}

#[test]
fn a_new_connection_is_followed_to_its_target() {
    let maps = maps();
    let answer = asked(&maps, 6, Some(7));
    let hash = hash::flow(maps.secret(), &key(6), 7);
    let slot = hash % 4;
    let (index, host) = if slot.is_multiple_of(2) { (3, "10.0.1.11") } else { (4, "10.0.1.12") };
    assert_eq!(
        lines(&answer),
        [
            "vip: 198.18.0.10 is an address of load balancer web".to_owned(),
            "listener: TCP:80 -> target group web, idle timeout 350 s".to_owned(),
            "flow: none: a SYN opens one".to_owned(),
            format!("hash: {hash:#018x}, SipHash-1-3 of the tuple and sequence number 7"),
            format!("slot: {slot} of 4"),
            format!("target: {host}:8080 (record {index}, generation 1), serving"),
            format!("rewrite: 198.18.1.1:40000 -> {host}:8080 (client address preserved)"),
            "next hop: 02:00:00:00:00:09 on eth1, from 02:00:00:00:00:01".to_owned(),
            "verdict: new_flow: first packet of a flow, forwarded to the chosen target".to_owned(),
        ]
    );
    assert_eq!(answer.target, Some(format!("{host}:8080").parse().unwrap()));
}

#[test]
fn without_a_sequence_number_the_shares_are_told() {
    let answer = asked(&maps(), 6, None);
    assert!(
        lines(&answer)
            .contains(&"target: 10.0.1.11:8080 (record 3, generation 1), serving: 2 of 4 slots (50.0 %)".to_owned())
    );
    assert_eq!(verdict(&answer), "a SYN is forwarded to one of these targets");
}

#[test]
fn what_is_not_served_ends_where_the_program_ends_it() {
    let mut maps = maps();
    let question = |key| Question { key, seq: Some(1) };
    let elsewhere = FlowKey { dst: addr("198.18.0.99"), ..key(6) };
    assert!(verdict(&explain(&maps, question(elsewhere))).starts_with("pass_not_ours"));
    let other_port = FlowKey { dst_port: Be16::new(81), ..key(6) };
    assert!(verdict(&explain(&maps, question(other_port))).starts_with("drop_unintended"));
    maps.tables.clear();
    assert!(verdict(&asked(&maps, 6, Some(1))).starts_with("reset_no_target"));
    assert!(verdict(&asked(&maps, 17, None)).starts_with("drop_no_target"));
}

#[test]
fn targets_out_of_service_are_passed_over() {
    let mut maps = maps();
    maps.targets.get_mut(&3).unwrap().state = state::UNHEALTHY;
    for seq in 0..8 {
        assert_eq!(asked(&maps, 6, Some(seq)).target, Some("10.0.1.12:8080".parse().unwrap()));
    }
}

#[test]
fn a_client_that_is_the_target_is_translated() {
    let mut maps = maps();
    maps.targets.insert(3, Target { addr: key(17).src, ..target("10.0.1.11") });
    maps.tables.insert(5, vec![3; 4]);
    let answer = asked(&maps, 17, None);
    assert!(lines(&answer).iter().any(|line| line.starts_with("hairpin:")), "{answer:?}");
    let rewrite = answer.steps.iter().find(|step| step.what == "rewrite").unwrap();
    assert!(rewrite.finding.starts_with("198.18.0.10:") && rewrite.finding.ends_with("(source translated)"));
}

fn with_flow(proto: u8, change: impl Fn(&mut Flow)) -> Maps {
    let mut maps = maps();
    let to = FlowKey { dst: addr("10.0.1.11"), dst_port: Be16::new(8080), ..key(proto) };
    let mut flow = Flow { target: 3, generation: 1, idle_s: 350, stamp: maps.now, ..Flow::rewriting(&key(proto), &to) };
    change(&mut flow);
    let pair = Flow { stamp: flow.stamp, ..flow.derive_pair(&key(proto)) };
    maps.flows = [(key(proto), flow), (flow.pair(proto), pair)].into();
    maps
}

#[test]
fn a_known_flow_goes_where_it_went() {
    let answer = asked(&with_flow(6, |flow| flow.stamp -= 20 * flow::SECOND), 6, None);
    assert_eq!(lines(&answer)[2], "flow: found: open, idle for 20 s of 350");
    assert_eq!(answer.target, Some("10.0.1.11:8080".parse().unwrap()));
    assert!(verdict(&answer).starts_with("to_target"));
}

#[test]
fn a_known_flow_ends_as_the_program_ends_it() {
    let expired = asked(&with_flow(6, |flow| flow.stamp = 0), 6, None);
    assert!(verdict(&expired).starts_with("reset_idle"), "{expired:?}");
    let mut maps = with_flow(6, |_| ());
    maps.targets.get_mut(&3).unwrap().state = state::UNHEALTHY;
    assert!(verdict(&asked(&maps, 6, None)).starts_with("reset_unhealthy"));
    maps.targets.get_mut(&3).unwrap().generation = 2;
    assert!(verdict(&asked(&maps, 6, None)).starts_with("reset_target_gone"));
    let over = asked(&with_flow(17, |flow| flow.stamp = 0), 17, None);
    assert!(verdict(&over).starts_with("new_flow"), "{over:?}");
}
