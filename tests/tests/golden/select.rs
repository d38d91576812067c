//! New flows: which target, under which tuple.

use std::net::SocketAddr;

use nlb_common::{
    Event, Reason,
    flow::{HALF_OPEN_S, SECOND, TCP, UDP},
    hash,
    layout::{Row, map, state},
};
use nlb_tests::{
    golden::{Action, Expected, Seen, Side, key},
    packet::{Packet, SYN},
};

use crate::scene::{
    Arms, CLIENT_MAC, FAMILIES, Family, ISN, LISTENER_DROP, LISTENER_ROW, More, NOTHING, OWN_CLIENTS, OWN_TARGETS,
    Scene, TARGET_MAC, TARGET_ROW, dropped, now,
};

/// A first packet from `client` reaches the first target with this source.
#[track_caller]
fn check_first(name: &str, seen: &Seen, sent: &Packet, target: SocketAddr, source: SocketAddr, events: &[Event]) {
    let new_flows = u64::from(!matches!(sent.layer, nlb_tests::packet::Layer::Tcp { .. }));
    let row = Row { packets: 1, bytes: sent.ip_len(), new_flows, ..Row::default() };
    seen.check(
        name,
        &Expected {
            action: Action::Redirect,
            packet: sent.forwarded(source, target).between(OWN_TARGETS, TARGET_MAC).bytes(),
            reason: Reason::NewFlow,
            events,
            rows: &[(LISTENER_ROW, row), (TARGET_ROW, row)],
        },
    );
}

/// The load balancer with the port drawn at this attempt.
fn drawn(scene: &Scene, client: SocketAddr, seq: u32, attempt: u32) -> SocketAddr {
    SocketAddr::new(scene.family.vip().ip(), hash::source_port(scene.hash(client, seq), attempt))
}

#[test]
fn the_hash_of_a_flow_takes_a_slot() {
    for family in FAMILIES {
        for proto in [TCP, UDP] {
            let mut scene = Scene::with(family, proto, true, Arms::Two, 3);
            // Not every target as often, so that a mistake of one slot shows.
            let slots = [0, 0, 1, 2, 0, 1, 0];
            let group = scene.group;
            let indices: Vec<u32> = slots.iter().map(|n| scene.targets[*n]).collect();
            scene.world.table(group, &indices);
            let mut chosen = [0; 3];
            // No more than the tables hold without evicting any.
            for n in 0..12 {
                let mut client = family.client();
                client.set_port(40_000 + n);
                let first = match proto {
                    TCP => Packet::tcp(client, family.vip(), SYN, ISN * u32::from(n), 0),
                    _ => Packet::udp(client, family.vip(), b"x"),
                }
                .between(CLIENT_MAC, OWN_CLIENTS);
                let slot = hash::slot(scene.hash(client, ISN * u32::from(n)), slots.len() as u32, 0);
                let target = slots[slot as usize];
                chosen[target] += 1;
                let seen = scene.send_from_client(&first);
                let more = if proto == TCP { More::default() } else { More::begins(&[]) };
                scene.check_to_target(&format!("{family:?} {n}"), &seen, &first, target, Reason::NewFlow, &more);
            }
            assert!(chosen.iter().filter(|count| **count > 0).count() > 1, "not all to one: {chosen:?}");
        }
    }
}

#[test]
fn slots_of_targets_out_of_service_are_passed_over() {
    for out in [state::DRAINING, state::UNHEALTHY, state::GONE] {
        for preserve in [true, false] {
            let mut scene = Scene::with(Family::V4, TCP, preserve, Arms::Two, 2);
            let first = hash::slot(scene.hash(Family::V4.client(), ISN), 2, 0) as usize;
            let index = scene.targets[first];
            scene.world.change(index, |target| target.state = out);
            let syn = scene.syn();
            let seen = scene.send_from_client(&syn);
            scene.check_to_target("the next slot", &seen, &syn, 1 - first, Reason::NewFlow, &More::default());
        }
    }
}

#[test]
fn a_first_syn_to_a_target_that_failed_since_goes_elsewhere() {
    let mut scene = Scene::with(Family::V4, TCP, true, Arms::Two, 2);
    let first = hash::slot(scene.hash(Family::V4.client(), ISN), 2, 0) as usize;
    let syn = scene.syn();
    scene.world.given(Side::Clients, &syn, Reason::NewFlow);
    let index = scene.targets[first];
    scene.world.change(index, |target| target.state = state::UNHEALTHY);
    let seen = scene.send_from_client(&syn);
    let reopened = More::events(&[Event::Reopened]);
    scene.check_to_target("SYN again", &seen, &syn, 1 - first, Reason::NewFlow, &reopened);
}

#[test]
fn udp_flows_leave_a_target_out_of_service() {
    for out in [state::UNHEALTHY, state::GONE] {
        let mut scene = Scene::with(Family::V6, UDP, true, Arms::Two, 2);
        let first = hash::slot(scene.hash(Family::V6.client(), 0), 2, 0) as usize;
        let question = scene.datagram(b"x");
        scene.world.given(Side::Clients, &question, Reason::NewFlow);
        let index = scene.targets[first];
        scene.world.change(index, |target| target.state = out);
        let seen = scene.send_from_client(&question);
        let moved = More::begins(&[Event::RePinned]);
        scene.check_to_target("next datagram", &seen, &question, 1 - first, Reason::NewFlow, &moved);
    }
}

#[test]
fn a_target_can_be_its_own_client() {
    for family in FAMILIES {
        let mut scene = Scene::new(family, TCP, true);
        let client = SocketAddr::new(family.target(0).ip(), 40_000);
        let syn = Packet::tcp(client, family.vip(), SYN, ISN, 0).between(TARGET_MAC, OWN_TARGETS);
        let source = drawn(&scene, client, ISN, 0);
        let seen = scene.world.send(Side::Targets, &syn.bytes());
        let row = Row { packets: 1, bytes: syn.ip_len(), ..Row::default() };
        seen.check(
            "hairpin",
            &Expected {
                action: Action::Tx,
                packet: syn.forwarded(source, family.target(0)).between(OWN_TARGETS, TARGET_MAC).bytes(),
                reason: Reason::NewFlow,
                events: &[Event::Hairpin],
                rows: &[(LISTENER_ROW, row), (TARGET_ROW, row)],
            },
        );
    }
}

#[test]
fn a_tuple_that_the_target_has_already() {
    // Two load balancers, one group: the same client port to both would be one connection to the target.
    let second = |family: Family| SocketAddr::new(family.stranger().ip(), family.vip().port());
    for family in FAMILIES {
        let mut scene = Scene::new(family, TCP, true);
        let (group, other) = (scene.group, second(family));
        scene.world.vip(other.ip(), 5);
        scene.world.listener(other, TCP, group, LISTENER_ROW, 30);
        let syn = scene.syn();
        scene.world.given(Side::Clients, &syn, Reason::NewFlow);
        let syn = Packet::tcp(family.client(), other, SYN, ISN, 0).between(CLIENT_MAC, OWN_CLIENTS);
        let hash = hash::flow(nlb_tests::golden::SECRET, &key(family.client(), other, TCP), ISN);
        let source = SocketAddr::new(other.ip(), hash::source_port(hash, 0));
        let seen = scene.send_from_client(&syn);
        // Each attempt found the only target taken.
        let events = [Event::DuplicateTuple; 4];
        check_first("only target", &seen, &syn, family.target(0), source, &events);
    }
    // With another target, the client's address can be preserved there.
    let family = Family::V4;
    let mut scene = Scene::with(family, TCP, true, Arms::Two, 2);
    let other = second(family);
    let (group, client) = (scene.group, family.client());
    scene.world.vip(other.ip(), 5);
    scene.world.listener(other, TCP, group, LISTENER_ROW, 30);
    let hash = |vip, seq| hash::flow(nlb_tests::golden::SECRET, &key(client, vip, TCP), seq);
    let slot = |hash| hash::slot(hash, 2, 0) as usize;
    let first = slot(hash(family.vip(), ISN));
    let syn = scene.syn();
    scene.world.given(Side::Clients, &syn, Reason::NewFlow);
    let seq = (1..).find(|seq| slot(hash(other, *seq)) == first).expect("every other one");
    let syn = Packet::tcp(client, other, SYN, seq, 0).between(CLIENT_MAC, OWN_CLIENTS);
    let seen = scene.send_from_client(&syn);
    let duplicate = More::events(&[Event::DuplicateTuple]);
    scene.check_to_target("the other target", &seen, &syn, 1 - first, Reason::NewFlow, &duplicate);
}

/// Another client whose connection with this sequence number draws the same first port.
fn same_port(scene: &Scene) -> (SocketAddr, u32) {
    let port = drawn(scene, scene.family.client(), ISN, 0);
    let mut other = scene.family.client();
    other.set_port(50_000);
    let seq = (0..).find(|seq| drawn(scene, other, *seq, 0) == port).expect("some draw");
    (other, seq)
}

#[test]
fn a_source_port_in_use_is_not_used_again() {
    for family in FAMILIES {
        let mut scene = Scene::new(family, TCP, false);
        let syn = scene.syn();
        scene.world.given(Side::Clients, &syn, Reason::NewFlow);
        let (other, seq) = same_port(&scene);
        let syn = Packet::tcp(other, family.vip(), SYN, seq, 0).between(CLIENT_MAC, OWN_CLIENTS);
        let source = drawn(&scene, other, seq, 1);
        let seen = scene.send_from_client(&syn);
        check_first("second draw", &seen, &syn, family.target(0), source, &[Event::PortCollision]);
    }
}

#[test]
fn a_source_port_of_a_flow_that_is_over_is_taken() {
    for family in FAMILIES {
        let mut scene = Scene::new(family, TCP, false);
        let syn = scene.syn();
        scene.world.given(Side::Clients, &syn, Reason::NewFlow);
        let stamp = now() - u64::from(HALF_OPEN_S + 1) * SECOND;
        for key in scene.keys() {
            scene.world.change_flow(map::HALF_OPEN, &key, |flow| flow.stamp = stamp);
        }
        let (other, seq) = same_port(&scene);
        let syn = Packet::tcp(other, family.vip(), SYN, seq, 0).between(CLIENT_MAC, OWN_CLIENTS);
        let source = drawn(&scene, other, seq, 0);
        let seen = scene.send_from_client(&syn);
        check_first("first draw", &seen, &syn, family.target(0), source, &[Event::PortReclaimed]);
        assert_eq!(scene.world.flows(map::HALF_OPEN).len(), 2, "the old flow is gone");
    }
}

#[test]
fn the_hosts_own_ports_are_left_alone() {
    for family in FAMILIES {
        for proto in [TCP, UDP] {
            let mut scene = Scene::new(family, proto, false);
            let taken: Vec<u16> = (0..3).map(|attempt| drawn(&scene, family.client(), ISN, attempt).port()).collect();
            scene.world.host_ports(|port| taken.contains(&port));
            let first = if proto == TCP { scene.syn() } else { scene.datagram(b"x") };
            let source = drawn(&scene, family.client(), ISN, 3);
            let seen = scene.send_from_client(&first);
            check_first("fourth draw", &seen, &first, family.target(0), source, &[]);
        }
    }
}

#[test]
fn no_source_port_is_left() {
    for family in FAMILIES {
        for proto in [TCP, UDP] {
            let mut scene = Scene::new(family, proto, false);
            scene.world.host_ports(|_| true);
            let first = if proto == TCP { scene.syn() } else { scene.datagram(b"x") };
            let seen = scene.send_from_client(&first);
            let rows = &[
                (LISTENER_ROW, Row { port_allocation_errors: 1, drops: 1, ..NOTHING }),
                (TARGET_ROW, Row { port_allocation_errors: 1, ..NOTHING }),
            ];
            seen.check("no port", &dropped(&first.bytes(), Reason::DropPortAllocation, rows));
            assert_eq!(scene.world.flows(map::HALF_OPEN), []);
            assert_eq!(scene.world.flows(map::UDP_FLOWS), []);
        }
    }
}

#[test]
fn a_tuple_that_appears_while_it_is_being_opened() {
    // What another processor would do between two steps, a target can do alone that is its own client, if its answers
    // would carry the very tuple that it sends.
    let family = Family::V4;
    let mut scene = Scene::new(family, TCP, true);
    let (client, vip) = (family.target(0), family.vip());
    let seq = (0..).find(|seq| drawn(&scene, client, *seq, 0) == vip).expect("some draw");
    let syn = Packet::tcp(client, vip, SYN, seq, 0).between(TARGET_MAC, OWN_TARGETS);
    let seen = scene.world.send(Side::Targets, &syn.bytes());
    seen.check(
        "race",
        &Expected { events: &[Event::Hairpin], ..dropped(&syn.bytes(), Reason::DropRace, LISTENER_DROP) },
    );
    assert_eq!(scene.world.flows(map::HALF_OPEN), [], "nothing of it is left");
}

#[test]
fn a_listener_whose_group_is_not_there() {
    for proto in [TCP, UDP] {
        let mut scene = Scene::new(Family::V4, proto, true);
        scene.world.listener(Family::V4.vip(), proto, u32::MAX, LISTENER_ROW, 30);
        let first = if proto == TCP { scene.syn() } else { scene.datagram(b"x") };
        let seen = scene.send_from_client(&first);
        seen.check("no group", &dropped(&first.bytes(), Reason::DropInternal, LISTENER_DROP));
    }
}
