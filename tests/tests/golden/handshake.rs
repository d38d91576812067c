//! What TCP segments do to their connection, and what the flow tables hold then.

use nlb_common::{
    Event, Flow, FlowKey, Reason,
    flow::{TCP, UDP, flag, phase},
    layout::{Row, map},
};
use nlb_tests::{
    golden::{FLOW_ENTRIES, Side, hop},
    packet::{ACK, FIN, PSH, RST, SYN},
};

use crate::scene::{
    CLIENT_MAC, FAMILIES, Family, IDLE_S, ISN, LISTENER_RESET, LISTENER_ROW, More, OWN_CLIENTS, Scene, TARGET_ISN, now,
    reset,
};

/// The part of an entry that is there from the beginning to the end.
fn lasting(flow: &Flow) -> Flow {
    Flow { created: 0, stamp: 0, packets: 0, bytes: 0, expected_ack: 0, pair_checked: 0, ..*flow }
}

#[test]
fn both_entries_hold_the_flow() {
    for family in FAMILIES {
        for preserve in [true, false] {
            for proto in [TCP, UDP] {
                let mut scene = Scene::new(family, proto, preserve);
                let before = now();
                let first = if proto == TCP { scene.syn() } else { scene.datagram(b"x") };
                scene.world.given(Side::Clients, &first, Reason::NewFlow);
                let table = if proto == TCP { map::HALF_OPEN } else { map::UDP_FLOWS };
                assert_eq!(scene.world.flows(table).len(), 2, "an entry for each direction, and no more");
                let [client_key, target_key] = scene.keys();
                let client = scene.world.flow(table, &client_key).expect("the client's entry");
                let target = scene.world.flow(table, &target_key).expect("the target's entry");

                let expected = FlowKey {
                    src: target_key.dst,
                    dst: target_key.src,
                    src_port: target_key.dst_port,
                    dst_port: target_key.src_port,
                    ..client_key
                };
                let flags = if preserve { 0 } else { flag::SNAT };
                let wanted = Flow {
                    row: LISTENER_ROW,
                    generation: 1,
                    target: scene.targets[0],
                    client_hop: hop(scene.world.index(Side::Clients), CLIENT_MAC, OWN_CLIENTS),
                    idle_s: IDLE_S,
                    flags,
                    phase: if proto == TCP { phase::OPENING } else { phase::OPEN },
                    ..Flow::rewriting(&client_key, &expected)
                };
                // A one's-complement sum has two zeros, so checksum deltas are compared by what they do elsewhere.
                let same = |flow: &Flow| Flow { l4_delta: 0, ip_delta: 0, ..lasting(flow) };
                assert_eq!(same(&client), same(&wanted));
                assert_eq!(same(&target), same(&wanted.derive_pair(&client_key)));
                assert_eq!((client.packets, client.bytes), (1, first.ip_len()));
                assert_eq!((target.packets, target.bytes), (0, 0));
                for flow in [client, target] {
                    assert!((before..=now()).contains(&flow.created), "{} is not now", flow.created);
                    assert_eq!(flow.created, flow.stamp);
                }
            }
        }
    }
}

#[test]
fn established_connections_are_in_their_own_table() {
    for preserve in [true, false] {
        let mut scene = Scene::new(Family::V4, TCP, preserve);
        scene.establish();
        assert_eq!(scene.world.flows(map::HALF_OPEN), []);
        assert_eq!(scene.world.flows(map::TCP_FLOWS).len(), 2);
        let [client, target] = scene.keys().map(|key| scene.world.flow(map::TCP_FLOWS, &key).expect("established"));
        assert_eq!((client.phase, target.phase), (phase::OPEN, phase::OPEN));
        assert_eq!((client.packets, target.packets), (2, 1));
    }
}

#[test]
fn segments_sent_again_change_nothing() {
    let mut scene = Scene::new(Family::V4, TCP, false);
    let (syn, syn_ack) = (scene.syn(), scene.syn_ack());
    scene.world.given(Side::Clients, &syn, Reason::NewFlow);
    let seen = scene.send_from_client(&syn);
    scene.check_to_target("SYN again", &seen, &syn, 0, Reason::ToTarget, &More::default());
    scene.world.given(Side::Targets, &syn_ack, Reason::ToClient);
    let seen = scene.send_from_target(&syn_ack);
    scene.check_to_client("SYN-ACK again", &seen, &syn_ack, &More::default());
    let ack = scene.segment(ACK, ISN + 1, TARGET_ISN + 1);
    scene.world.given(Side::Clients, &ack, Reason::ToTarget);
    let seen = scene.send_from_client(&ack);
    scene.check_to_target("ACK again", &seen, &ack, 0, Reason::ToTarget, &More::default());
    let seen = scene.send_from_client(&syn);
    scene.check_to_target("SYN of an open connection", &seen, &syn, 0, Reason::ToTarget, &More::default());
}

#[test]
fn only_who_saw_the_answer_completes_a_handshake() {
    let mut scene = Scene::new(Family::V6, TCP, true);
    let (syn, syn_ack) = (scene.syn(), scene.syn_ack());
    scene.world.given(Side::Clients, &syn, Reason::NewFlow);
    let early = scene.segment(ACK, ISN + 1, TARGET_ISN + 1);
    let seen = scene.send_from_client(&early);
    scene.check_to_target("ACK before the answer", &seen, &early, 0, Reason::ToTarget, &More::default());
    scene.world.given(Side::Targets, &syn_ack, Reason::ToClient);
    for wrong in [0, TARGET_ISN, TARGET_ISN + 2] {
        let ack = scene.segment(ACK, ISN + 1, wrong);
        let seen = scene.send_from_client(&ack);
        scene.check_to_target("guessed ACK", &seen, &ack, 0, Reason::ToTarget, &More::default());
    }
    assert_eq!(scene.world.flows(map::TCP_FLOWS), []);
    let data = scene.data(b"the handshake's ACK was lost");
    let seen = scene.send_from_client(&data);
    let established = More::begins(&[Event::Established]);
    scene.check_to_target("data completes it, too", &seen, &data, 0, Reason::ToTarget, &established);
}

#[test]
fn resets_close_and_are_counted_by_sender() {
    let mut scene = Scene::new(Family::V4, TCP, true);
    let (syn, refusal) = (scene.syn(), scene.answer(RST | ACK, 0, ISN + 1));
    scene.world.given(Side::Clients, &syn, Reason::NewFlow);
    let seen = scene.send_from_target(&refusal);
    let by_target = More { events: &[Event::Closed], row: Row { target_resets: 1, ..Row::default() } };
    scene.check_to_client("refused", &seen, &refusal, &by_target);
    let seen = scene.send_from_client(&syn);
    let again = More::events(&[Event::Reopened]);
    scene.check_to_target("tried again", &seen, &syn, 0, Reason::NewFlow, &again);
    drop(scene);

    let mut scene = Scene::new(Family::V4, TCP, false);
    scene.establish();
    let rst = scene.segment(RST, ISN + 1, 0);
    let seen = scene.send_from_client(&rst);
    let by_client = More { events: &[Event::Closed], row: Row { client_resets: 1, ..Row::default() } };
    scene.check_to_target("client's reset", &seen, &rst, 0, Reason::ToTarget, &by_client);
    let late = scene.target_data(b"late");
    let seen = scene.send_from_target(&late);
    scene.check_to_client("what was on its way still arrives", &seen, &late, &More::default());
    let [client, target] = scene.keys().map(|key| scene.world.flow(map::TCP_FLOWS, &key).expect("kept"));
    assert_eq!((client.phase, target.phase), (phase::CLOSED, phase::CLOSED));
}

#[test]
fn half_closed_connections_go_on() {
    let mut scene = Scene::new(Family::V4, TCP, true);
    scene.establish();
    let fin = scene.segment(FIN | ACK, ISN + 1, TARGET_ISN + 1);
    for turn in ["FIN", "FIN again"] {
        let seen = scene.send_from_client(&fin);
        scene.check_to_target(turn, &seen, &fin, 0, Reason::ToTarget, &More::default());
    }
    let data = scene.target_data(b"still talking");
    let seen = scene.send_from_target(&data);
    scene.check_to_client("the other direction", &seen, &data, &More::default());
    let fin = scene.answer(FIN | ACK | PSH, TARGET_ISN + 1, ISN + 2);
    let seen = scene.send_from_target(&fin);
    scene.check_to_client("both finished", &seen, &fin, &More::events(&[Event::Closed]));
}

#[test]
fn a_finished_tuple_can_be_used_again() {
    for preserve in [true, false] {
        let mut scene = Scene::new(Family::V4, TCP, preserve);
        scene.establish();
        let rst = scene.segment(RST, ISN + 1, 0);
        scene.world.given(Side::Clients, &rst, Reason::ToTarget);
        let syn = scene.syn();
        let seen = scene.send_from_client(&syn);
        let reopened = More::events(&[Event::Reopened]);
        scene.check_to_target("SYN of a new connection", &seen, &syn, 0, Reason::NewFlow, &reopened);
        assert_eq!(scene.world.flows(map::TCP_FLOWS), []);
        assert_eq!(scene.world.flows(map::HALF_OPEN).len(), 2);
    }
}

#[test]
fn a_missing_entry_of_the_targets_direction_is_written_again() {
    for preserve in [true, false] {
        let mut scene = Scene::new(Family::V6, TCP, preserve);
        scene.establish();
        let [client, target] = scene.keys();
        let whole = scene.world.flow(map::TCP_FLOWS, &target).expect("there");
        scene.world.remove_flow(map::TCP_FLOWS, &target);
        scene.world.change_flow(map::TCP_FLOWS, &client, |flow| flow.pair_checked = 0);
        let data = scene.data(b"x");
        let seen = scene.send_from_client(&data);
        let repaired = More::events(&[Event::PairRepaired]);
        scene.check_to_target("repaired", &seen, &data, 0, Reason::ToTarget, &repaired);
        let again = scene.world.flow(map::TCP_FLOWS, &target).expect("there again");
        let same = |flow: &Flow| Flow { flags: flow.flags & !flag::ANSWERED, ..lasting(flow) };
        assert_eq!(same(&again), same(&whole));
        let data = scene.target_data(b"x");
        let seen = scene.send_from_target(&data);
        scene.check_to_client("the way back", &seen, &data, &More::default());
    }
}

#[test]
fn a_handshake_whose_other_half_is_gone_is_over() {
    let mut scene = Scene::new(Family::V4, TCP, true);
    let (syn, syn_ack) = (scene.syn(), scene.syn_ack());
    scene.world.given(Side::Clients, &syn, Reason::NewFlow);
    scene.world.given(Side::Targets, &syn_ack, Reason::ToClient);
    let [_, target] = scene.keys();
    scene.world.remove_flow(map::HALF_OPEN, &target);
    let ack = scene.segment(ACK, ISN + 1, TARGET_ISN + 1);
    let seen = scene.send_from_client(&ack);
    seen.check("evicted", &reset(&ack, Reason::ResetStray, LISTENER_RESET));
}

#[test]
fn a_full_table_refuses_connections() {
    // With no entry left, and with one, which is half of what is needed.
    for left in [0, 1] {
        let mut scene = Scene::new(Family::V4, TCP, true);
        let (syn, syn_ack) = (scene.syn(), scene.syn_ack());
        scene.world.given(Side::Clients, &syn, Reason::NewFlow);
        scene.world.given(Side::Targets, &syn_ack, Reason::ToClient);
        let [key, _] = scene.keys();
        for n in 0..FLOW_ENTRIES - left {
            let other = FlowKey { src: std::net::IpAddr::from([192, 0, 2, n as u8]).into(), ..key };
            scene.world.put_flow(map::TCP_FLOWS, other, Flow { stamp: now(), idle_s: IDLE_S, ..Flow::default() });
        }
        let ack = scene.segment(ACK, ISN + 1, TARGET_ISN + 1);
        let seen = scene.send_from_client(&ack);
        seen.check("no room", &reset(&ack, Reason::ResetTableFull, LISTENER_RESET));
        assert_eq!(scene.world.flows(map::HALF_OPEN), [], "nothing of it is left");
        assert_eq!(scene.world.flows(map::TCP_FLOWS).len() as u32, FLOW_ENTRIES - left);
        let seen = scene.send_from_client(&syn);
        scene.check_to_target("it may try again", &seen, &syn, 0, Reason::NewFlow, &More::default());
        assert_eq!(seen.packet[14 + 20 + 13], SYN);
    }
}
