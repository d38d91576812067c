//! Whatever an operator does, and whenever the controller dies: the data plane is whole after every single write, and
//! the work ends.

use std::collections::{BTreeMap, HashSet};

use nlb_common::{
    Addr,
    flow::Hop,
    layout::{Name, Target, state},
};
use proptest::{collection::vec, prelude::*};

use super::{
    tests::{Node, json},
    *,
};
use crate::{
    serving::{Config, Limits},
    store::Override,
};

/// Something that happens to a node.
#[derive(Clone, Debug)]
enum Event {
    /// A file is applied.
    Apply(String),
    /// The operator's word on a target.
    Override(u8, u8, Option<Override>),
    /// A neighbour is resolved or lost.
    Hop(u8, Option<u32>),
    /// An address turns out to be somebody else's, or no more.
    Failed(u8, bool),
    /// A sweep finds flows for targets with this bit of their index.
    Sweep(u8),
}

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "TCP_UDP"];

/// Files with up to three groups and two load balancers, over few names, so that things come, go and come back.
fn file() -> impl Strategy<Value = String> {
    let group = (0..3_usize, vec(any::<bool>(), 12));
    let balancer = (1..8_u8, vec((0..3_usize, 1..4_u8, 0..2_u8), 0..4));
    (vec(proptest::option::of(group), 3), vec(proptest::option::of(balancer), 2)).prop_map(|(groups, balancers)| {
        let mut text = String::new();
        for (g, group) in groups.iter().enumerate() {
            let Some((protocol, targets)) = group else { continue };
            text += &format!("tg g{g} {}", PROTOCOLS[*protocol]);
            for (i, _) in targets.iter().enumerate().filter(|(_, there)| **there) {
                text += &target(i as u8).replacen("", " ", 1);
            }
            text.push('\n');
        }
        for (b, balancer) in balancers.iter().enumerate() {
            let Some((addresses, listeners)) = balancer else { continue };
            let addresses: Vec<String> =
                (0..3).filter(|a| addresses & (1 << a) != 0).map(|a| vip(b as u8 * 3 + a)).collect();
            text += &format!("lb b{b} {}", addresses.join(","));
            let mut ports = BTreeMap::new();
            for (protocol, port, group) in listeners {
                // The first load balancer uses groups 0 and 1, the second group 2.
                let group = if b == 0 { usize::from(*group) } else { 2 };
                let Some(Some((of_group, _))) = groups.get(group) else { continue };
                let suits = matches!((*protocol, *of_group), (0, 0 | 2) | (1, 1 | 2) | (2, 2));
                if suits {
                    ports.entry(*port).or_insert(format!(" {}:{port}:g{group}", PROTOCOLS[*protocol]));
                }
            }
            text += &ports.into_values().collect::<String>();
            text.push('\n');
        }
        text
    })
}

/// Eight targets, the last of each six IPv6.
fn target(i: u8) -> String {
    if i % 6 == 5 { format!("[2001:db8::{i}]:80") } else { format!("10.0.0.{}:{}", i / 2 + 1, 80 + i % 2) }
}

fn vip(i: u8) -> String {
    if i % 3 == 2 { format!("2001:db8:1::{i}") } else { format!("198.18.0.{}", i + 1) }
}

fn event() -> impl Strategy<Value = Event> {
    let word = proptest::option::of(prop_oneof![1 => Just(Override::Healthy), 4 => Just(Override::Unhealthy)]);
    prop_oneof![
        3 => file().prop_map(Event::Apply),
        3 => (0..3_u8, 0..12_u8, word).prop_map(|(group, target, word)| Event::Override(group, target, word)),
        1 => (0..12_u8, proptest::option::of(1..4_u32)).prop_map(|(target, ifindex)| Event::Hop(target, ifindex)),
        1 => (0..6_u8, any::<bool>()).prop_map(|(address, failed)| Event::Failed(address, failed)),
        3 => (0..4_u8).prop_map(Event::Sweep),
    ]
}

fn happen(node: &mut Node, event: &Event) {
    match event {
        Event::Apply(text) => {
            node.config = Config::from_json(&json(text), "test", &Limits::default()).unwrap();
        }
        Event::Override(group, index, word) => {
            let id = format!("g{group}/{}", target(*index)).parse().unwrap();
            match word {
                Some(word) => node.overrides.insert(id, *word),
                None => node.overrides.remove(&id),
            };
        }
        Event::Hop(index, ifindex) => {
            let target: std::net::SocketAddr = target(*index).parse().unwrap();
            match ifindex {
                Some(ifindex) => node.hops.insert(target.ip(), Hop { ifindex: *ifindex, ..Hop::default() }),
                None => node.hops.remove(&target.ip()),
            };
        }
        Event::Failed(address, failed) => {
            let address = vip(*address).parse().unwrap();
            if *failed {
                node.failed.insert(address)
            } else {
                node.failed.remove(&address)
            };
        }
        Event::Sweep(bit) => {
            let live = node.maps.actual.targets.keys().filter(|index| **index & (1 << bit) != 0);
            node.live = Some(live.copied().collect::<HashSet<_>>());
        }
    }
}

/// A target: group, address, port.
type Who = (Name, Addr, u16);

/// Indices, generations and rows of targets that are in service.
fn living(node: &Node) -> BTreeMap<Who, (u32, u32, u32)> {
    let Actual { groups, targets, .. } = &node.maps.actual;
    let living = targets.iter().filter(|(_, target)| target.state != state::GONE);
    let who = |target: &Target| {
        let group = groups.get(&target.group)?;
        Some((group.name, target.addr, target.port.get()))
    };
    living.filter_map(|(index, target)| Some((who(target)?, (*index, target.generation, target.row)))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// `reconcile` checks the maps after each step, and that a second plan is empty.
    #[test]
    fn whole_after_every_step_and_done_after_the_last(events in vec(event(), 1..16)) {
        let mut node = Node::default();
        for event in &events {
            happen(&mut node, event);
            let before = living(&node);
            node.reconcile();
            for (who, record) in living(&node) {
                if let Some(old) = before.get(&who) {
                    prop_assert_eq!(*old, record, "{:?} moved", who);
                }
            }
            done(&node);
        }
    }

    /// The same with a controller that dies after any step and another one that goes on, perhaps with other wishes.
    #[test]
    fn death_at_any_step_heals(events in vec((event(), any::<prop::sample::Index>()), 1..16)) {
        let mut node = Node::default();
        for (event, dies) in &events {
            happen(&mut node, event);
            let steps = node.plan().unwrap();
            for step in &steps[..dies.index(steps.len() + 1)] {
                node.maps.write(step).unwrap();
                node.maps.check();
            }
            node.live = None;
        }
        node.reconcile();
        done(&node);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// A change that stops after any of its steps can be taken back, and can be finished.
    #[test]
    fn any_half_of_a_change_can_be_taken_back(old in file(), new in file()) {
        let read = |text: &str| Config::from_json(&json(text), "test", &Limits::default()).unwrap();
        let mut node = Node { config: read(&old), ..Node::default() };
        node.reconcile();
        node.config = read(&new);
        let steps = node.plan().unwrap();
        for half in 0..=steps.len() {
            for wish in [&old, &new] {
                let mut node = Node { config: read(wish), maps: node.maps.clone(), ..Node::default() };
                apply(&mut node.maps, &steps[..half]).unwrap();
                node.reconcile();
                done(&node);
            }
        }
    }
}

/// The maps hold what was asked for: every registered target in its state, every group's table its serving targets.
fn done(node: &Node) {
    let maps = &node.maps;
    for config in &node.config.target_groups {
        for target in &config.targets {
            let (_, record) = maps.target(&config.name, &target.to_string()).expect("registered targets have a record");
            assert!(matches!(record.state, state::SERVING | state::UNHEALTHY));
        }
        for v6 in [false, true] {
            let Some(index) = maps.group(&config.name, v6) else { continue };
            let serving = |record: &&Target| record.group == index && record.state == state::SERVING;
            let serving = maps.actual.targets.values().filter(serving).count();
            assert_eq!(maps.named[&index].len(), serving);
            let registered = config.targets.iter().filter(|target| target.id.is_ipv6() == v6).count();
            assert!(serving > 0 || registered == 0, "fails open");
        }
    }
    let addresses = node.config.load_balancers.iter().flat_map(|balancer| &balancer.addresses);
    let served = addresses.filter(|address| !node.failed.contains(address)).count();
    assert_eq!(maps.actual.vips.len(), served);
}
