//! The sweep, with stamps made up.

use nlb_common::{
    Flow, Reason,
    flow::{SECOND, TCP, UDP, phase},
    layout::map,
};
use nlb_user::dataplane::Sweep;

use crate::{
    flows::{Writer, flow},
    sandbox::{OPTIONS, Sandbox},
};

/// The moment of the sweep.
const NOW: u64 = 100_000 * SECOND;

/// A flow last heard this many seconds ago.
fn aged(seconds: u64) -> impl Fn(&mut Flow) {
    move |flow| flow.stamp = NOW - seconds * SECOND
}

#[test]
fn what_is_over_goes_and_what_is_not_stays() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let dataplane = sandbox.start();
        let mut tcp = Writer::open(&pins, map::TCP_FLOWS);
        let closed =
            |seconds| move |flow: &mut Flow| (flow.stamp, flow.phase) = (NOW - seconds * SECOND, phase::CLOSED);
        let ended = |seconds| {
            move |flow: &mut Flow| {
                aged(seconds)(flow);
                (flow.phase, flow.end) = (phase::ENDED, Reason::ResetIdle.number());
            }
        };
        let open = tcp.flow(0, TCP, aged(10));
        let tombstone = tcp.flow(1, TCP, aged(400));
        let idle = tcp.flow(2, TCP, aged(701));
        let just_closed = tcp.flow(7, TCP, closed(50));
        let long_closed = tcp.flow(4, TCP, closed(61));
        let just_ended = tcp.flow(5, TCP, ended(400));
        let long_ended = tcp.flow(6, TCP, ended(701));
        // Only its target speaks.
        let one_sided = tcp.flow(10, TCP, aged(2));
        tcp.set(&one_sided, aged(2000));
        // Only its client does.
        let other_sided = tcp.flow(14, TCP, aged(2));
        tcp.set(&flow(14, TCP).1.pair(TCP), aged(2000));

        let mut half_open = Writer::open(&pins, map::HALF_OPEN);
        let opening =
            |seconds| move |flow: &mut Flow| (flow.stamp, flow.phase) = (NOW - seconds * SECOND, phase::OPENING);
        let young = half_open.flow(20, TCP, opening(3));
        let old = half_open.flow(21, TCP, opening(65));

        let mut udp = Writer::open(&pins, map::UDP_FLOWS);
        let fresh = udp.flow(31, UDP, aged(100));
        let expired = udp.flow(30, UDP, aged(351));

        let sweep = dataplane.flows().sweep(NOW).unwrap();
        for key in [open, tombstone, just_closed, just_ended, one_sided, other_sided] {
            assert!(tcp.get(&key).is_some() && tcp.get(&pair(&tcp, &key)).is_some(), "{key:?}");
        }
        for (number, key) in [(2, idle), (4, long_closed), (6, long_ended)] {
            assert!(tcp.get(&key).is_none() && tcp.get(&flow(number, TCP).1.pair(TCP)).is_none(), "{key:?}");
        }
        assert!(half_open.get(&young).is_some() && half_open.get(&old).is_none());
        assert!(udp.get(&fresh).is_some() && udp.get(&expired).is_none());
        let expected = Sweep {
            // Of 0; 10 and 14; 7 and 31; 20.
            live_targets: [0, 2, 3].into(),
            open_by_target: [(0, 2), (2, 2), (3, 1)].into(),
            tcp: 3,
            udp: 1,
            half_open: 1,
            held: 3,
            removed: 5,
            orphans: 0,
        };
        assert_eq!(sweep, expected);
        let again = dataplane.flows().sweep(NOW).unwrap();
        assert_eq!(again, Sweep { removed: 0, ..expected });
    });
}

fn pair(writer: &Writer, key: &nlb_common::FlowKey) -> nlb_common::FlowKey {
    writer.get(key).unwrap().pair(key.proto)
}

#[test]
fn halves_without_their_other_go_but_not_at_once() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let dataplane = sandbox.start();
        let mut tcp = Writer::open(&pins, map::TCP_FLOWS);
        let mut udp = Writer::open(&pins, map::UDP_FLOWS);
        let dead = tcp.flow(1, TCP, aged(400));
        tcp.remove(&pair(&tcp, &dead));
        // The program writes the other half again when the client speaks.
        let live = tcp.flow(2, TCP, aged(100));
        tcp.remove(&pair(&tcp, &live));
        // Evicted: the target's entry holds a port for a client that nobody knows any more.
        let evicted = udp.flow(3, UDP, aged(6));
        let (port, _) = (pair(&udp, &evicted), udp.remove(&evicted));
        let begun = udp.flow(4, UDP, aged(1));
        let (beginning, _) = (pair(&udp, &begun), udp.remove(&begun));
        let sweep = dataplane.flows().sweep(NOW).unwrap();
        assert_eq!((sweep.orphans, sweep.removed, sweep.tcp), (2, 0, 1));
        assert!(tcp.get(&dead).is_none() && tcp.get(&live).is_some());
        assert!(udp.get(&port).is_none() && udp.get(&beginning).is_some());
    });
}

#[test]
fn a_tuple_that_another_flow_has_taken_is_that_flows() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let dataplane = sandbox.start();
        let mut tcp = Writer::open(&pins, map::TCP_FLOWS);
        let over = tcp.flow(1, TCP, aged(900));
        let contested = pair(&tcp, &over);
        // Its target's tuple now belongs to a flow of another client, which is alive.
        tcp.set(&contested, |flow| (flow.dst_port, flow.stamp) = (nlb_common::Be16::new(50_000), NOW));
        let sweep = dataplane.flows().sweep(NOW).unwrap();
        assert_eq!(sweep.orphans, 1);
        assert!(tcp.get(&over).is_none() && tcp.get(&contested).is_some());
    });
}

#[test]
fn tombstones_make_way_when_room_is_short() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let dataplane = sandbox.start();
        let mut tcp = Writer::open(&pins, map::TCP_FLOWS);
        let tombstones = OPTIONS.max_flows * 7 / 10;
        for number in 0..tombstones {
            tcp.flow(number, TCP, aged(400));
        }
        assert_eq!(dataplane.flows().sweep(NOW).unwrap().removed, 0);
        for number in tombstones..OPTIONS.max_flows * 9 / 10 {
            tcp.flow(number, TCP, aged(1));
        }
        let sweep = dataplane.flows().sweep(NOW).unwrap();
        assert_eq!((sweep.removed, sweep.held), (u64::from(tombstones), 0));
        assert_eq!(sweep.tcp, u64::from(OPTIONS.max_flows * 9 / 10 - tombstones));
    });
}

#[test]
fn a_flow_opened_anew_under_the_sweep_stays() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let dataplane = sandbox.start();
        let mut tcp = Writer::open(&pins, map::TCP_FLOWS);
        let mut removed = 0;
        for round in 0..20 {
            for number in 0..1000 {
                tcp.flow(number, TCP, aged(900));
            }
            std::thread::scope(|scope| {
                let sweep = scope.spawn(|| dataplane.flows().sweep(NOW).unwrap());
                // In the direction of the sweep in one round, against it in the next, as far as hashes have any.
                for number in 0..1000 {
                    tcp.flow(if round % 2 == 0 { number } else { 999 - number }, TCP, aged(1));
                }
                removed += sweep.join().unwrap().removed;
            });
            for number in 0..1000 {
                let (key, client) = flow(number, TCP);
                let entries = [key, client.pair(TCP)].map(|key| tcp.get(&key));
                assert!(entries.iter().all(|flow| flow.is_some_and(|flow| flow.stamp == NOW - SECOND)), "{entries:?}");
            }
        }
        println!("{removed} flows were removed before they were opened anew");
    });
}
