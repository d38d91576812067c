//! Tests of the plan, rule by rule.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt::Write as _,
    net::IpAddr,
    time::Instant,
};

use nlb_common::{
    flow::{Hop, TCP, UDP},
    hash::Secret,
    layout::{MAX_TARGETS, group_flag, state},
};

use super::{fake::FakeMaps, *};
use crate::{
    serving::{Config, Limits, TargetId},
    store::Override,
};

/// A node with maps in memory: what a controller knows, and what its data plane holds.
#[derive(Default)]
pub(super) struct Node {
    pub config: Config,
    pub overrides: BTreeMap<TargetId, Override>,
    pub hops: HashMap<IpAddr, Hop>,
    pub failed: BTreeSet<IpAddr>,
    pub live: Option<HashSet<u32>>,
    pub maps: FakeMaps,
}

impl Node {
    fn new(config: &str) -> Self {
        let mut node = Self::default();
        node.apply(config);
        node
    }

    pub fn plan(&mut self) -> Result<Vec<Step>, PlanError> {
        let actual = self.maps.read().unwrap();
        let secret = Secret { k0: 1, k1: 2 };
        let Self { config, overrides, hops, failed, live, .. } = self;
        plan(&Inputs { config, overrides, hops, failed, secret, live_targets: live.as_ref() }, &actual)
    }

    /// Plans, applies, checks after each step, and that nothing is left to do.
    pub fn reconcile(&mut self) -> Vec<Step> {
        let steps = self.plan().unwrap();
        for step in &steps {
            self.maps.write(step).unwrap();
            self.maps.check();
        }
        // A sweep from before the plan says nothing about targets that began to drain in it.
        self.live = None;
        assert_eq!(self.plan().unwrap(), [], "a second plan");
        steps
    }

    fn apply(&mut self, config: &str) -> Vec<Step> {
        self.config = Config::from_json(&json(config), "test", &Limits::default()).unwrap();
        self.reconcile()
    }

    fn set(&mut self, target: &str, word: Option<Override>) -> Vec<Step> {
        let id: TargetId = target.parse().unwrap();
        match word {
            Some(word) => self.overrides.insert(id, word),
            None => self.overrides.remove(&id),
        };
        self.reconcile()
    }

    fn state(&self, group: &str, target: &str) -> Option<u8> {
        self.maps.target(group, target).map(|(_, record)| record.state)
    }

    fn in_table(&self, group: &str, v6: bool) -> usize {
        self.maps.named[&self.maps.group(group, v6).unwrap()].len()
    }
}

/// Lines `lb NAME ADDR,ADDR PROTOCOL:PORT:GROUP ...` and `tg NAME PROTOCOL TARGET ...` as JSON.
pub(super) fn json(text: &str) -> String {
    let (mut balancers, mut groups) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let (kind, name, third) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        if kind == "lb" {
            let addresses: Vec<String> = third.split(',').map(|address| format!("{address:?}")).collect();
            let listeners: Vec<String> = words
                .map(|word| {
                    let [protocol, port, group] = word.split(':').collect::<Vec<_>>()[..] else { panic!("{word}") };
                    format!(r#"{{"protocol":"{protocol}","port":{port},"target_group":"{group}"}}"#)
                })
                .collect();
            let (addresses, listeners) = (addresses.join(","), listeners.join(","));
            balancers.push(format!(r#"{{"name":"{name}","addresses":[{addresses}],"listeners":[{listeners}]}}"#));
        } else {
            let mut targets = String::new();
            for word in words {
                let target: std::net::SocketAddr = word.parse().unwrap();
                let comma = if targets.is_empty() { "" } else { "," };
                write!(targets, r#"{comma}{{"id":"{}","port":{}}}"#, target.ip(), target.port()).unwrap();
            }
            groups.push(format!(
                r#"{{"name":"{name}","protocol":"{third}","port":80,"target_type":"ip","targets":[{targets}]}}"#
            ));
        }
    }
    format!(r#"{{"load_balancers":[{}],"target_groups":[{}]}}"#, balancers.join(","), groups.join(","))
}

const WEB: &str = "lb web 198.18.0.10 TCP:80:web\n tg web TCP 10.0.0.1:80 10.0.0.2:80 10.0.0.3:80";

#[test]
fn from_nothing_to_everything_and_back() {
    let mut node = Node::new(
        "lb web 198.18.0.10,2001:db8::10 TCP:80:web TCP_UDP:53:dns
         tg web TCP 10.0.0.1:80 10.0.0.2:80 [2001:db8::1]:80
         tg dns TCP_UDP 10.0.0.1:53 [2001:db8::1]:53",
    );
    let actual = &node.maps.actual;
    assert_eq!((actual.vips.len(), actual.listeners.len()), (2, 6));
    assert_eq!((actual.groups.len(), actual.targets.len(), actual.backends.len()), (4, 5, 3 + 4));
    for (endpoint, listener) in &actual.listeners {
        assert_eq!(listener.idle_s, if endpoint.proto == UDP { 120 } else { 350 });
    }
    assert!(actual.targets.values().all(|target| target.generation == 1 && target.state == state::SERVING));
    assert_eq!((node.in_table("web", false), node.in_table("web", true)), (2, 1));
    let dns = &actual.groups[&node.maps.group("dns", false).unwrap()];
    assert_eq!(dns.flags, group_flag::IN_USE | group_flag::PRESERVE_CLIENT_IP);

    node.config = Config::default();
    node.reconcile();
    let actual = &node.maps.actual;
    assert!(
        actual.vips.is_empty() && actual.listeners.is_empty() && actual.groups.is_empty() && actual.backends.is_empty()
    );
    assert!(actual.targets.values().all(|target| target.state == state::GONE && target.row == 0));
    assert_eq!(node.maps.ended.len(), 6, "flows of removed listeners are ended");
    assert!(node.maps.tables.values().all(Vec::is_empty));
}

#[test]
fn a_new_controller_finds_its_way_from_the_maps_alone() {
    let node = Node::new(WEB);
    let mut other = Node { config: node.config.clone(), maps: node.maps.clone(), ..Node::default() };
    assert_eq!(other.plan().unwrap(), []);
}

#[test]
fn a_target_that_leaves_drains_until_no_flow_uses_it() {
    let mut node = Node::new(WEB);
    let (index, record) = node.maps.target("web", "10.0.0.2:80").unwrap();
    node.apply("lb web 198.18.0.10 TCP:80:web\n tg web TCP 10.0.0.1:80 10.0.0.3:80");
    assert_eq!(node.state("web", "10.0.0.2:80"), Some(state::DRAINING));
    assert_eq!(node.in_table("web", false), 2);
    assert_eq!(node.maps.actual.backends.len(), 3);

    node.live = Some(HashSet::from([index]));
    assert_eq!(node.reconcile(), []);
    node.live = Some(HashSet::new());
    node.reconcile();
    assert_eq!(node.maps.actual.targets[&index].state, state::GONE);
    assert_eq!(node.maps.actual.backends.len(), 2);

    // Back again, it is another target in another record: the old one's late packets are not its.
    node.apply(WEB);
    let (again, new) = node.maps.target("web", "10.0.0.2:80").unwrap();
    assert_ne!(again, index, "never-used records first");
    assert_eq!((new.generation, record.generation), (1, 1));
}

#[test]
fn a_sweep_from_before_the_target_left_does_not_count() {
    let mut node = Node::new(WEB);
    node.live = Some(HashSet::new());
    node.apply("lb web 198.18.0.10 TCP:80:web\n tg web TCP 10.0.0.1:80 10.0.0.3:80");
    assert_eq!(node.state("web", "10.0.0.2:80"), Some(state::DRAINING));
}

#[test]
fn a_draining_target_can_come_back() {
    let mut node = Node::new(WEB);
    let before = node.maps.target("web", "10.0.0.2:80").unwrap();
    node.apply("lb web 198.18.0.10 TCP:80:web\n tg web TCP 10.0.0.1:80 10.0.0.3:80");
    node.apply(WEB);
    assert_eq!(node.maps.target("web", "10.0.0.2:80").unwrap(), before);
}

#[test]
fn the_last_target_of_a_family_drains_too() {
    let mut node = Node::new("tg web TCP 10.0.0.1:80 [2001:db8::1]:80");
    node.apply("tg web TCP 10.0.0.1:80");
    assert_eq!(node.state("web", "[2001:db8::1]:80"), Some(state::DRAINING));
    assert!(node.maps.group("web", true).is_some());
    node.live = Some(HashSet::new());
    node.reconcile();
    assert!(node.maps.group("web", true).is_none());
}

#[test]
fn a_deleted_group_takes_its_targets_along() {
    let mut node = Node::new(&format!("{WEB}\n tg other TCP 10.0.0.1:80"));
    let (index, _) = node.maps.target("web", "10.0.0.2:80").unwrap();
    node.apply("tg other TCP 10.0.0.1:80");
    assert_eq!(node.maps.actual.targets[&index].state, state::GONE);
    assert_eq!(node.maps.group("web", false), None);
    assert_eq!(node.maps.ended.len(), 1);
    // The other group still has 10.0.0.1:80, so its late packets still are a target's.
    assert_eq!(node.maps.actual.backends.len(), 1);
}

#[test]
fn a_backend_stays_while_any_group_has_it_and_keeps_its_target() {
    let mut node = Node::new("tg a TCP 10.0.0.1:80\n tg b TCP 10.0.0.1:80");
    let (a, b) = (node.maps.target("a", "10.0.0.1:80").unwrap().0, node.maps.target("b", "10.0.0.1:80").unwrap().0);
    let holder = |node: &Node| *node.maps.actual.backends.values().next().unwrap();
    assert_eq!(holder(&node), a);
    node.apply("tg b TCP 10.0.0.1:80");
    assert_eq!(holder(&node), b);
    node.apply("tg a TCP 10.0.0.1:80\n tg b TCP 10.0.0.1:80");
    assert_eq!(holder(&node), b);
}

#[test]
fn unhealthy_targets_get_nothing_unless_all_are() {
    let mut node = Node::new(WEB);
    node.set("web/10.0.0.1:80", Some(Override::Unhealthy));
    assert_eq!(node.state("web", "10.0.0.1:80"), Some(state::UNHEALTHY));
    assert_eq!(node.in_table("web", false), 2);
    node.set("web/10.0.0.2:80", Some(Override::Unhealthy));
    assert_eq!(node.in_table("web", false), 1);
    node.set("web/10.0.0.3:80", Some(Override::Unhealthy));
    assert_eq!(node.in_table("web", false), 3, "fails open");
    assert!(node.maps.actual.targets.values().all(|target| target.state == state::SERVING));
    node.set("web/10.0.0.3:80", Some(Override::Healthy));
    assert_eq!(node.in_table("web", false), 1);
    node.set("web/10.0.0.1:80", None);
    assert_eq!(node.state("web", "10.0.0.1:80"), Some(state::SERVING));
    assert_eq!(node.set("web/10.9.9.9:80", Some(Override::Unhealthy)), [], "nobody's override");
}

#[test]
fn thresholds_of_the_group_open_it_earlier() {
    let mut node = Node::new(WEB);
    node.config.target_groups[0].unhealthy_routing.percentage = Some(50);
    node.set("web/10.0.0.1:80", Some(Override::Unhealthy));
    assert_eq!(node.in_table("web", false), 2);
    node.set("web/10.0.0.2:80", Some(Override::Unhealthy));
    assert_eq!(node.in_table("web", false), 3, "one of three is less than half");
}

#[test]
fn an_unhealthy_target_that_leaves_is_gone_at_once() {
    let mut node = Node::new(WEB);
    node.set("web/10.0.0.2:80", Some(Override::Unhealthy));
    let (index, _) = node.maps.target("web", "10.0.0.2:80").unwrap();
    node.apply("lb web 198.18.0.10 TCP:80:web\n tg web TCP 10.0.0.1:80 10.0.0.3:80");
    assert_eq!(node.maps.actual.targets[&index].state, state::GONE);
}

#[test]
fn a_lost_neighbour_keeps_its_last_address() {
    let mut node = Node::new(WEB);
    let hop = Hop { ifindex: 3, dst_mac: [2; 6], src_mac: [4; 6] };
    node.hops.insert("10.0.0.1".parse().unwrap(), hop);
    assert_eq!(node.reconcile().len(), 1);
    node.hops.clear();
    assert_eq!(node.reconcile(), []);
    assert_eq!(node.maps.target("web", "10.0.0.1:80").unwrap().1.hop, hop);
}

#[test]
fn addresses_of_somebody_else_are_not_served() {
    let mut node = Node::new("lb web 198.18.0.10,198.18.0.11 TCP:80:web\n tg web TCP 10.0.0.1:80");
    node.failed.insert("198.18.0.10".parse().unwrap());
    node.reconcile();
    assert_eq!((node.maps.actual.vips.len(), node.maps.actual.listeners.len()), (1, 1));
    node.failed.clear();
    node.reconcile();
    assert_eq!((node.maps.actual.vips.len(), node.maps.actual.listeners.len()), (2, 2));
}

#[test]
fn a_listener_on_a_family_without_targets_has_an_empty_table() {
    let node = Node::new("lb web 2001:db8::10 TCP:80:web\n tg web TCP 10.0.0.1:80");
    assert_eq!(node.in_table("web", true), 0);
}

#[test]
fn tables_change_only_with_what_they_are_built_from() {
    let tables = |steps: &[Step]| steps.iter().filter(|step| matches!(step, Step::SetTable(..))).count();
    let mut node = Node::new(WEB);
    node.config.target_groups[0].preserve_client_ip = true;
    let steps = node.reconcile();
    assert_eq!((tables(&steps), steps.len()), (0, 1), "a flag alone");
    let all: Vec<String> = (1..=30).map(|i| format!("10.0.0.{i}:80")).collect();
    node.apply(&format!("lb web 198.18.0.10 TCP:80:web\n tg web TCP {}", all.join(" ")));
    let group = node.maps.group("web", false).unwrap();
    let slots = node.maps.actual.groups[&group].slots;
    assert_eq!(slots as usize, node.maps.tables[&group].len());
    node.apply(WEB);
    assert_eq!(node.maps.actual.groups[&group].slots, slots, "sizes only grow: another size moves every flow");
    assert_eq!(node.maps.tables[&group].len(), slots as usize);
}

#[test]
fn protocols_have_their_own_listeners_and_backends() {
    let mut node = Node::new("lb a 198.18.0.1 TCP:53:a UDP:53:a\n tg a TCP_UDP 10.0.0.1:53");
    assert_eq!((node.maps.actual.listeners.len(), node.maps.actual.backends.len()), (2, 2));
    node.apply("lb a 198.18.0.1 TCP:53:a\n tg a TCP 10.0.0.1:53");
    assert_eq!((node.maps.actual.listeners.len(), node.maps.actual.backends.len()), (1, 1));
    assert!(node.maps.actual.backends.keys().all(|endpoint| endpoint.proto == TCP));
    assert_eq!(node.maps.ended.len(), 1);
}

#[test]
fn rows_are_stable_lowest_first_and_cleared_for_new_owners() {
    let mut node = Node::new("lb a 198.18.0.1 TCP:80:a\n tg a TCP 10.0.0.1:80");
    let kept = node.maps.actual.clone();
    node.apply("lb a 198.18.0.1 TCP:80:a TCP:81:a\n tg a TCP 10.0.0.1:80");
    assert_eq!(node.maps.cleared, [1, 2, 3, 4]);
    node.apply("lb a 198.18.0.1 TCP:80:a TCP:82:a\n tg a TCP 10.0.0.1:80");
    assert_eq!(node.maps.cleared, [1, 2, 3, 4, 4], "of the listener that left");
    for (endpoint, listener) in &kept.listeners {
        assert_eq!(node.maps.actual.listeners[endpoint].row, listener.row);
    }
    assert_eq!(node.maps.actual.targets, kept.targets);
}

#[test]
fn a_full_data_plane_takes_new_targets_once_the_old_ones_are_gone() {
    let text = |second: u8| -> String {
        let target = |i| format!("10.{second}.{}.{}:80", i / 250, i % 250 + 1);
        json(&format!("tg a{second} TCP {}", (0..MAX_TARGETS).map(target).collect::<Vec<_>>().join(" ")))
    };
    let mut node = Node::default();
    let mut apply = |text: &str| -> Result<(), PlanError> {
        node.config = Config::from_json(text, "test", &Limits::default()).unwrap();
        let steps = node.plan()?;
        super::apply(&mut node.maps, &steps).unwrap();
        node.maps.check();
        assert_eq!(node.plan()?, []);
        Ok(())
    };
    apply(&text(0)).unwrap();
    let error = apply(&text(1)).unwrap_err().to_string();
    let expected = "32768 targets (once for each group) are asked for, and the data plane holds 16384: ";
    assert!(error.starts_with(expected), "{error}");
    apply(&json("")).unwrap();
    apply(&text(1)).unwrap();
    assert!(node.maps.actual.targets.values().all(|target| target.generation == 2));
}

#[test]
fn generations_rise_when_records_are_taken_again() {
    let mut node = Node::new("tg a TCP 10.0.0.1:80");
    let record = node.maps.actual.targets.remove(&0).unwrap();
    // Every record was used before.
    for index in 0..MAX_TARGETS as u32 {
        let generation = if index == 7 { 3 } else { 9 };
        node.maps.actual.targets.insert(index, nlb_common::layout::Target { generation, state: state::GONE, ..record });
    }
    node.maps.actual.backends.clear();
    node.maps.tables.clear();
    node.maps.named.clear();
    node.maps.actual.groups.clear();
    node.reconcile();
    let (index, again) = node.maps.target("a", "10.0.0.1:80").unwrap();
    assert_eq!((index, again.generation), (7, 4), "the one used least");
}

#[test]
fn capacity_is_told_before_anything_is_written() {
    let mut node = Node::new(WEB);
    let listeners: Vec<String> = (1..=50).map(|port| format!("TCP:{port}:web")).collect();
    let addresses: Vec<String> = (0..400).map(|i| format!("198.18.{}.{}", i / 250, i % 250 + 1)).collect();
    let text = format!("lb web {} {}\n tg web TCP 10.0.0.1:80", addresses.join(","), listeners.join(" "));
    node.config = Config::from_json(&json(&text), "test", &Limits::default()).unwrap();
    let error = node.plan().unwrap_err().to_string();
    assert!(error.starts_with("20000 listeners are asked for, and the data plane holds 16384: "), "{error}");
}

#[test]
fn flows_of_many_listeners_end_in_one_go() {
    let mut node = Node::new("lb a 198.18.0.1,198.18.0.2 TCP:80:a TCP:81:a\n tg a TCP 10.0.0.1:80");
    node.config = Config::default();
    let steps = node.plan().unwrap();
    apply(&mut node.maps, &steps).unwrap();
    assert_eq!((node.maps.ended.len(), node.maps.sweeps), (4, 1));
}

#[test]
fn a_failed_write_stops_the_work() {
    let mut node = Node::new(WEB);
    node.maps.dies_after = Some(node.maps.writes + 2);
    node.config = Config::default();
    let steps = node.plan().unwrap();
    assert!(apply(&mut node.maps, &steps).is_err());
    assert_eq!(node.maps.ended.len(), 1);
}

#[test]
fn three_thousand_targets_in_fifty_listeners() {
    let listeners: Vec<String> = (1..=50).map(|i| format!("TCP:{i}:g{i}")).collect();
    let mut text = format!("lb big 198.18.0.1 {}\n", listeners.join(" "));
    for group in 1..=50 {
        let targets: Vec<String> = (1..=60).map(|i| format!("10.0.{group}.{i}:80")).collect();
        writeln!(text, "tg g{group} TCP {}", targets.join(" ")).unwrap();
    }
    let text = json(&text);
    let start = Instant::now();
    let config = Config::from_json(&text, "test", &Limits::default()).unwrap();
    let read = start.elapsed();
    let mut node = Node { config, ..Node::default() };
    let start = Instant::now();
    let steps = node.plan().unwrap();
    let first = start.elapsed();
    apply(&mut node.maps, &steps).unwrap();
    node.maps.check();
    let start = Instant::now();
    assert_eq!(node.plan().unwrap(), []);
    println!("read {read:?}, plan of {} steps {first:?}, plan of none {:?}", steps.len(), start.elapsed());
}
