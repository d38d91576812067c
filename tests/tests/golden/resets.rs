//! Segments that are answered with a reset, and datagrams that are dropped where segments would be.

use nlb_common::{
    Event, Reason,
    flow::{CLOSED_S, HALF_OPEN_S, SECOND, TCP, UDP, phase},
    layout::{map, state},
};
use nlb_tests::{
    golden::Side,
    packet::{ACK, FIN, Layer, PSH, Packet, RST, SYN},
};

use crate::scene::{
    FAMILIES, Family, IDLE_S, ISN, LISTENER_DROP, LISTENER_RESET, More, OWN_TARGETS, Scene, TARGET_ISN, TARGET_MAC,
    VIP_DROP, VIP_RESET, dropped, now, reset,
};

#[test]
fn segments_of_no_connection() {
    for family in FAMILIES {
        let mut scene = Scene::new(family, TCP, true);
        for flags in [ACK, SYN | ACK, FIN | ACK, FIN, SYN | FIN, 0, ACK | PSH, PSH, 0x20] {
            for payload in [&b""[..], b"odd"] {
                let segment = scene.segment(flags, ISN, TARGET_ISN).carrying(payload);
                let seen = scene.send_from_client(&segment);
                let name = format!("{family:?} stray {flags:#x} with {} bytes", payload.len());
                seen.check(&name, &reset(&segment, Reason::ResetStray, LISTENER_RESET));
            }
        }
        let segment = scene.segment(FIN, u32::MAX, 0);
        let seen = scene.send_from_client(&segment);
        seen.check("sequence numbers wrap", &reset(&segment, Reason::ResetStray, LISTENER_RESET));

        let mut segment = scene.segment(ACK, ISN, TARGET_ISN);
        let Layer::Tcp { options, .. } = &mut segment.layer else { unreachable!() };
        *options = vec![1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
        segment.padding = 3;
        let seen = scene.send_from_client(&segment);
        seen.check("with options and padding", &reset(&segment, Reason::ResetStray, LISTENER_RESET));

        for flags in [RST, RST | ACK] {
            let segment = scene.segment(flags, ISN, TARGET_ISN);
            let seen = scene.send_from_client(&segment);
            seen.check("a reset", &dropped(&segment.bytes(), Reason::DropStrayReset, LISTENER_DROP));
        }
        assert_eq!(scene.world.flows(map::HALF_OPEN), []);
    }
}

/// A connection is over for this reason: both sides are told so, as often as they speak, whoever speaks first.
fn both_sides_hear(reason: Reason, over: impl Fn(&mut Scene)) {
    for family in FAMILIES {
        for preserve in [true, false] {
            for client_first in [true, false] {
                let mut scene = Scene::new(family, TCP, preserve);
                scene.establish();
                over(&mut scene);
                let (data, answer) = (scene.data(b"data"), scene.target_data(b"more data"));
                let name = format!("{family:?} preserve {preserve} client first {client_first}: {}", reason.label());
                let turns = if client_first { [true, false, true] } else { [false, true, false] };
                for from_client in turns {
                    let (segment, seen) = match from_client {
                        true => (&data, scene.send_from_client(&data)),
                        false => (&answer, scene.send_from_target(&answer)),
                    };
                    seen.check(&name, &reset(segment, reason, LISTENER_RESET));
                }
                let stray = scene.segment(RST, ISN + 1, 0);
                let seen = scene.send_from_client(&stray);
                seen.check(&name, &dropped(&stray.bytes(), Reason::DropStrayReset, LISTENER_DROP));
            }
        }
    }
}

#[test]
fn idle_connections() {
    both_sides_hear(Reason::ResetIdle, |scene| scene.quiet_for(IDLE_S + 1));
}

#[test]
fn connections_of_an_unhealthy_target() {
    both_sides_hear(Reason::ResetUnhealthy, |scene| {
        let target = scene.targets[0];
        scene.world.change(target, |target| target.state = state::UNHEALTHY);
    });
}

#[test]
fn connections_of_a_target_that_is_gone() {
    both_sides_hear(Reason::ResetTargetGone, |scene| {
        let target = scene.targets[0];
        scene.world.change(target, |target| target.state = state::GONE);
    });
    // Its record has another target.
    both_sides_hear(Reason::ResetTargetGone, |scene| {
        let target = scene.targets[0];
        scene.world.change(target, |target| target.generation += 1);
    });
}

#[test]
fn connections_ended_by_the_operator() {
    both_sides_hear(Reason::ResetTerminated, |scene| {
        scene.change_flow(|flow| (flow.phase, flow.end) = (phase::ENDED, Reason::ResetTerminated.number()));
    });
}

#[test]
fn the_end_of_a_connection_is_remembered() {
    // The target comes back, but the connection does not.
    let mut scene = Scene::new(Family::V4, TCP, true);
    scene.establish();
    let target = scene.targets[0];
    scene.world.change(target, |target| target.state = state::UNHEALTHY);
    let data = scene.data(b"data");
    scene.send_from_client(&data).check("unhealthy", &reset(&data, Reason::ResetUnhealthy, LISTENER_RESET));
    scene.world.change(target, |target| target.state = state::SERVING);
    let answer = scene.target_data(b"data");
    scene.send_from_target(&answer).check("healthy again", &reset(&answer, Reason::ResetUnhealthy, LISTENER_RESET));
}

#[test]
fn either_direction_keeps_a_connection_alive() {
    for quiet_side in [0, 1] {
        let mut scene = Scene::new(Family::V4, TCP, false);
        scene.establish();
        let key = scene.keys()[quiet_side];
        let stamp = now() - u64::from(IDLE_S + 1) * SECOND;
        scene.world.change_flow(map::TCP_FLOWS, &key, |flow| flow.stamp = stamp);
        let (data, answer) = (scene.data(b"data"), scene.target_data(b"data"));
        if quiet_side == 0 {
            let seen = scene.send_from_client(&data);
            scene.check_to_target("the target was heard", &seen, &data, 0, Reason::ToTarget, &More::default());
        } else {
            let seen = scene.send_from_target(&answer);
            scene.check_to_client("the client was heard", &seen, &answer, &More::default());
        }
    }
    let mut scene = Scene::new(Family::V4, TCP, true);
    scene.establish();
    scene.quiet_for(IDLE_S - 1);
    let data = scene.data(b"data");
    let seen = scene.send_from_client(&data);
    scene.check_to_target("not yet idle", &seen, &data, 0, Reason::ToTarget, &More::default());
    let [client, _] = scene.keys();
    let stamp = scene.world.flow(map::TCP_FLOWS, &client).expect("open").stamp;
    assert!(now() - stamp < SECOND, "the stamp is fresh again");
}

#[test]
fn an_idle_tuple_can_be_used_again() {
    let mut scene = Scene::new(Family::V4, TCP, true);
    scene.establish();
    scene.quiet_for(IDLE_S + 1);
    let syn = scene.syn();
    let seen = scene.send_from_client(&syn);
    let reopened = More::events(&[Event::Reopened]);
    scene.check_to_target("SYN after the timeout", &seen, &syn, 0, Reason::NewFlow, &reopened);
}

#[test]
fn closed_and_half_open_connections_are_forgotten_sooner() {
    let mut scene = Scene::new(Family::V4, TCP, true);
    scene.establish();
    let rst = scene.segment(RST, ISN + 1, 0);
    scene.world.given(Side::Clients, &rst, Reason::ToTarget);
    scene.quiet_for(CLOSED_S + 1);
    let data = scene.data(b"late");
    scene.send_from_client(&data).check("closed for long", &reset(&data, Reason::ResetStray, LISTENER_RESET));
    drop(scene);

    let mut scene = Scene::new(Family::V4, TCP, true);
    let syn = scene.syn();
    scene.world.given(Side::Clients, &syn, Reason::NewFlow);
    let stamp = now() - u64::from(HALF_OPEN_S + 1) * SECOND;
    for key in scene.keys() {
        scene.world.change_flow(map::HALF_OPEN, &key, |flow| flow.stamp = stamp);
    }
    let late = scene.syn_ack();
    scene.send_from_target(&late).check("answered too late", &reset(&late, Reason::ResetStray, LISTENER_RESET));
}

#[test]
fn draining_targets_keep_their_connections() {
    let mut scene = Scene::new(Family::V4, TCP, true);
    scene.establish();
    let target = scene.targets[0];
    scene.world.change(target, |target| target.state = state::DRAINING);
    let (data, answer) = (scene.data(b"data"), scene.target_data(b"data"));
    let seen = scene.send_from_client(&data);
    scene.check_to_target("draining", &seen, &data, 0, Reason::ToTarget, &More::default());
    let seen = scene.send_from_target(&answer);
    scene.check_to_client("draining", &seen, &answer, &More::default());
}

#[test]
fn groups_without_a_target_to_offer() {
    for family in FAMILIES {
        for state in [None, Some(state::DRAINING), Some(state::UNHEALTHY), Some(state::GONE)] {
            for proto in [TCP, UDP] {
                for preserve in [true, false] {
                    let mut scene = Scene::new(family, proto, preserve);
                    match (scene.group, scene.targets[0], state) {
                        (group, _, None) => scene.world.table(group, &[]),
                        (_, target, Some(state)) => scene.world.change(target, |target| target.state = state),
                    }
                    if proto == TCP {
                        let syn = scene.syn();
                        let seen = scene.send_from_client(&syn);
                        seen.check("no target", &reset(&syn, Reason::ResetNoTarget, LISTENER_RESET));
                    } else {
                        let datagram = scene.datagram(b"x");
                        let seen = scene.send_from_client(&datagram);
                        let expected = dropped(&datagram.bytes(), Reason::DropNoTarget, LISTENER_DROP);
                        seen.check("no target", &expected);
                    }
                }
            }
        }
    }
}

#[test]
fn what_targets_send_for_flows_long_forgotten() {
    for family in FAMILIES {
        let mut scene = Scene::new(family, TCP, false);
        let mut port = family.vip();
        port.set_port(34_567);
        let late = |flags| {
            Packet::tcp(family.target(0), port, flags, TARGET_ISN, ISN)
                .between(TARGET_MAC, OWN_TARGETS)
                .carrying(b"late")
        };
        for flags in [ACK, FIN | ACK, SYN, SYN | ACK] {
            let segment = late(flags);
            let seen = scene.send_from_target(&segment);
            seen.check("late segment", &reset(&segment, Reason::ResetTargetStray, VIP_RESET));
        }
        let segment = late(RST);
        let seen = scene.send_from_target(&segment);
        seen.check("late reset", &dropped(&segment.bytes(), Reason::DropStrayReset, VIP_DROP));
        let datagram = Packet::udp(family.target(0), port, b"late").between(TARGET_MAC, OWN_TARGETS);
        let seen = scene.send_from_target(&datagram);
        seen.check("late datagram", &dropped(&datagram.bytes(), Reason::DropUdpExpired, VIP_DROP));
    }
}

#[test]
fn udp_flows_that_are_over() {
    for family in FAMILIES {
        for preserve in [true, false] {
            let mut scene = Scene::new(family, UDP, preserve);
            let (question, reply) = (scene.datagram(b"question"), scene.reply(b"reply"));
            scene.world.given(Side::Clients, &question, Reason::NewFlow);
            scene.quiet_for(IDLE_S + 1);
            let seen = scene.send_from_target(&reply);
            seen.check("late reply", &dropped(&reply.bytes(), Reason::DropUdpExpired, LISTENER_DROP));
            let seen = scene.send_from_client(&question);
            let reopened = More::begins(&[Event::Reopened]);
            scene.check_to_target("late question", &seen, &question, 0, Reason::NewFlow, &reopened);

            let target = scene.targets[0];
            scene.world.change(target, |target| target.state = state::UNHEALTHY);
            let seen = scene.send_from_target(&reply);
            let expected = dropped(&reply.bytes(), Reason::DropTargetDown, LISTENER_DROP);
            seen.check("reply of an unhealthy target", &expected);
        }
    }
}
