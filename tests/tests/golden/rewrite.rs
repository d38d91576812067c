//! Forwarded packets: addresses, ports, hop counts and checksums of whole exchanges.

use nlb_common::{
    Event, Reason,
    flow::{TCP, UDP},
    layout::{Row, map},
};
use nlb_tests::{
    golden::{Action, Expected, Side, hop},
    packet::{ACK, FIN, Layer, PSH, Packet},
};

use crate::scene::{
    Arms, CLIENT_MAC, FAMILIES, Family, ISN, LISTENER_DROP, LISTENER_RESET, LISTENER_ROW, More, OWN_CLIENTS, Scene,
    TARGET_ISN, TARGET_ROW, UNRESOLVED, dropped, reset,
};

/// Every combination that has a rewrite of its own.
fn all(proto: u8, mut play: impl FnMut(&str, Scene)) {
    for family in FAMILIES {
        for preserve in [true, false] {
            for arms in [Arms::One, Arms::Two] {
                let name = format!("{family:?} proto {proto} preserve {preserve} {arms:?} arm");
                play(&name, Scene::with(family, proto, preserve, arms, 1));
            }
        }
    }
}

#[test]
fn a_tcp_connection_from_first_to_last_segment() {
    all(TCP, |name, mut scene| {
        let syn = scene.syn();
        let seen = scene.send_from_client(&syn);
        scene.check_to_target(&format!("{name}: SYN"), &seen, &syn, 0, Reason::NewFlow, &More::default());

        let syn_ack = scene.syn_ack();
        let seen = scene.send_from_target(&syn_ack);
        scene.check_to_client(&format!("{name}: SYN-ACK"), &seen, &syn_ack, &More::default());

        let ack = scene.segment(ACK, ISN + 1, TARGET_ISN + 1);
        let seen = scene.send_from_client(&ack);
        let established = More::begins(&[Event::Established]);
        scene.check_to_target(&format!("{name}: ACK"), &seen, &ack, 0, Reason::ToTarget, &established);

        // Lengths of either parity, and nothing.
        for payload in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"odd", b""] {
            let data = scene.data(payload);
            let seen = scene.send_from_client(&data);
            scene.check_to_target(&format!("{name}: request"), &seen, &data, 0, Reason::ToTarget, &More::default());
            let data = scene.target_data(payload);
            let seen = scene.send_from_target(&data);
            scene.check_to_client(&format!("{name}: response"), &seen, &data, &More::default());
        }

        let fin = scene.answer(FIN | ACK, TARGET_ISN + 1, ISN + 1);
        let seen = scene.send_from_target(&fin);
        scene.check_to_client(&format!("{name}: FIN of the target"), &seen, &fin, &More::default());
        let fin = scene.segment(FIN | ACK, ISN + 1, TARGET_ISN + 2);
        let seen = scene.send_from_client(&fin);
        let closed = More::events(&[Event::Closed]);
        scene.check_to_target(&format!("{name}: FIN of the client"), &seen, &fin, 0, Reason::ToTarget, &closed);
        let ack = scene.answer(ACK, TARGET_ISN + 2, ISN + 2);
        let seen = scene.send_from_target(&ack);
        scene.check_to_client(&format!("{name}: last ACK"), &seen, &ack, &More::default());
    });
}

#[test]
fn a_udp_flow() {
    all(UDP, |name, mut scene| {
        for (turn, payload) in [&b"question"[..], b"odd", b""].into_iter().enumerate() {
            let question = scene.datagram(payload);
            let seen = scene.send_from_client(&question);
            let (reason, more) = match turn {
                0 => (Reason::NewFlow, More::begins(&[])),
                _ => (Reason::ToTarget, More::default()),
            };
            scene.check_to_target(&format!("{name}: question {turn}"), &seen, &question, 0, reason, &more);
            let reply = scene.reply(payload);
            let seen = scene.send_from_target(&reply);
            scene.check_to_client(&format!("{name}: reply {turn}"), &seen, &reply, &More::default());
        }
    });
}

#[test]
fn options_and_padding_stay() {
    let mut scene = Scene::new(Family::V4, TCP, true);
    let mut syn = scene.syn();
    // Router alert (RFC 2113); maximum segment size and window scale.
    syn.ip_options = vec![0x94, 4, 0, 0];
    let Layer::Tcp { options, .. } = &mut syn.layer else { unreachable!() };
    *options = vec![2, 4, 0x05, 0xb4, 1, 3, 3, 7];
    syn.padding = 6;
    let seen = scene.send_from_client(&syn);
    scene.check_to_target("SYN with options", &seen, &syn, 0, Reason::NewFlow, &More::default());
}

#[test]
fn an_absent_udp_checksum_stays_absent() {
    for preserve in [true, false] {
        let mut scene = Scene::new(Family::V4, UDP, preserve);
        let mut question = scene.datagram(b"question");
        question.layer = Layer::Udp { checksum: false };
        let seen = scene.send_from_client(&question);
        scene.check_to_target("no checksum", &seen, &question, 0, Reason::NewFlow, &More::begins(&[]));
        let mut reply = scene.reply(b"reply");
        reply.layer = Layer::Udp { checksum: false };
        let seen = scene.send_from_target(&reply);
        scene.check_to_client("no checksum back", &seen, &reply, &More::default());
    }
}

#[test]
fn a_udp_checksum_that_comes_to_zero_is_sent_as_all_ones() {
    for family in FAMILIES {
        let mut scene = Scene::new(family, UDP, true);
        let checksum = |packet: &Packet| {
            let at = packet.bytes().len() - packet.payload.len() - 2;
            u16::from_be_bytes([packet.bytes()[at], packet.bytes()[at + 1]])
        };
        let question = (0..=u16::MAX)
            .map(|word| scene.datagram(&word.to_be_bytes()))
            .find(|packet| checksum(&scene.at_target(packet, 0)) == 0xffff)
            .expect("one of all words makes it so");
        let seen = scene.send_from_client(&question);
        scene.check_to_target("all ones", &seen, &question, 0, Reason::NewFlow, &More::begins(&[]));
    }
}

#[test]
fn hop_counts_end() {
    for family in FAMILIES {
        let mut scene = Scene::new(family, TCP, true);
        let first = scene.syn().hops(1);
        let seen = scene.send_from_client(&first);
        seen.check("last hop, first packet", &dropped(&first.bytes(), Reason::DropHopLimit, LISTENER_DROP));
        assert!(scene.world.flows(map::HALF_OPEN).is_empty(), "a flow that leads nowhere was opened");
        scene.establish();
        for hops in [0, 1] {
            let last = scene.data(b"x").hops(hops);
            let seen = scene.send_from_client(&last);
            seen.check("last hop, client", &dropped(&last.bytes(), Reason::DropHopLimit, LISTENER_DROP));
            let last = scene.target_data(b"x").hops(hops);
            let seen = scene.send_from_target(&last);
            seen.check("last hop, target", &dropped(&last.bytes(), Reason::DropHopLimit, LISTENER_DROP));
        }
        let data = scene.data(b"x").hops(2);
        let seen = scene.send_from_client(&data);
        scene.check_to_target("last hop but one", &seen, &data, 0, Reason::ToTarget, &More::default());
    }
}

#[test]
fn without_a_next_hop_the_kernel_gets_the_rewritten_packet() {
    // Nothing resolved, and an interface that the program may not use.
    for way in [UNRESOLVED, hop(0x00ff_ffff, [2, 9, 9, 9, 9, 9], [2, 8, 8, 8, 8, 8])] {
        for family in FAMILIES {
            let mut scene = Scene::new(family, TCP, true);
            let target = scene.targets[0];
            scene.world.change(target, |target| target.hop = way);
            let syn = scene.syn();
            let seen = scene.send_from_client(&syn);
            let row = Row { packets: 1, bytes: syn.ip_len(), ..Row::default() };
            let packet = scene.at_target(&syn, 0).between(CLIENT_MAC, OWN_CLIENTS);
            seen.check(
                "unresolved",
                &Expected {
                    action: Action::Pass,
                    packet: packet.bytes(),
                    reason: Reason::Unresolved,
                    events: &[],
                    rows: &[(LISTENER_ROW, row), (TARGET_ROW, row)],
                },
            );
        }
    }
}

#[test]
fn answers_follow_a_client_that_moves() {
    const ELSEWHERE: [u8; 6] = [2, 0, 0, 0, 1, 99];
    let mut scene = Scene::new(Family::V4, TCP, true);
    scene.establish();
    let data = scene.data(b"from elsewhere").between(ELSEWHERE, OWN_CLIENTS);
    let seen = scene.send_from_client(&data);
    let moved = More::events(&[Event::ClientMoved]);
    scene.check_to_target("from elsewhere", &seen, &data, 0, Reason::ToTarget, &moved);
    let data = scene.target_data(b"to elsewhere");
    let seen = scene.send_from_target(&data);
    let row = Row { packets: 1, bytes: data.ip_len(), ..Row::default() };
    seen.check(
        "to elsewhere",
        &Expected {
            action: Action::Redirect,
            packet: scene.at_client(&data).between(OWN_CLIENTS, ELSEWHERE).bytes(),
            reason: Reason::ToClient,
            events: &[],
            rows: &[(LISTENER_ROW, row), (TARGET_ROW, row)],
        },
    );
    // By another interface, too.
    let data = scene.data(b"there").between(ELSEWHERE, OWN_CLIENTS);
    let seen = scene.world.send(Side::Targets, &data.bytes());
    seen.check(
        "by another interface",
        &Expected {
            action: Action::Tx,
            packet: scene.at_target(&data, 0).bytes(),
            reason: Reason::ToTarget,
            events: &[Event::ClientMoved],
            rows: &[
                (LISTENER_ROW, Row { packets: 1, bytes: data.ip_len(), ..Row::default() }),
                (TARGET_ROW, Row { packets: 1, bytes: data.ip_len(), ..Row::default() }),
            ],
        },
    );
}

#[test]
fn on_veth_packets_go_back_through_the_device_map() {
    for family in FAMILIES {
        let mut scene = Scene::with(family, TCP, true, Arms::One, 1);
        scene.world.send_back_by_map(Side::Clients, true);
        let syn = scene.syn();
        let seen = scene.send_from_client(&syn);
        let row = Row { packets: 1, bytes: syn.ip_len(), ..Row::default() };
        seen.check(
            "redirected to where it came from",
            &Expected {
                action: Action::Redirect,
                packet: scene.at_target(&syn, 0).bytes(),
                reason: Reason::NewFlow,
                events: &[],
                rows: &[(LISTENER_ROW, row), (TARGET_ROW, row)],
            },
        );
        let stray = scene.segment(ACK, 7, 7).carrying(b"x").from_port(50_000);
        let seen = scene.send_from_client(&stray);
        let expected = reset(&stray, Reason::ResetStray, LISTENER_RESET);
        seen.check("a reset, too", &Expected { action: Action::Redirect, ..expected });
    }
}

#[test]
fn a_large_frame() {
    let mut scene = Scene::new(Family::V6, TCP, false);
    scene.establish();
    let data = scene.segment(ACK | PSH, ISN + 1, TARGET_ISN + 1).carrying(&[0x5a; 1441]);
    let seen = scene.send_from_client(&data);
    scene.check_to_target("a full segment", &seen, &data, 0, Reason::ToTarget, &More::default());
}
