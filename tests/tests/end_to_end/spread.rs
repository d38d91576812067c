//! Who gets what.

use std::collections::BTreeMap;

use nlb_tests::{
    client::{Spread, UdpClient, spread},
    nlb::Nlb,
    topology::{Topology, vips},
};

use crate::setup::{all_answer, apply, at, connections, service, tcp_servers, udp_servers};

#[test]
fn connection_spread() {
    const EACH: usize = 2500;
    let network = Topology::new().unwrap();
    let servers = tcp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0))]);

    let mut long = connections(&network.clients[0], &vips(0), 20);
    let mut total = Spread::new();
    for addr in vips(0) {
        for client in &network.clients {
            for (target, count) in spread(client, at(addr), EACH, 4).unwrap() {
                *total.entry(target).or_default() += count;
            }
        }
        // A connection that changed its target would be reset there.
        all_answer(&mut long);
    }

    assert_eq!(total.values().sum::<u64>(), 4 * EACH as u64);
    for target in &network.targets {
        let share = total[&target.name] as f64 / (4 * EACH) as f64;
        assert!((0.22..=0.28).contains(&share), "{} got {share}: {total:?}", target.name);
    }
    let accepted: u64 = servers.iter().map(|server| server.accepted()).sum();
    assert_eq!(accepted, (4 * EACH + long.len()) as u64, "every connection reached one target, once");
    let counters = nlb.counters().unwrap();
    assert_eq!(counters.get("established"), accepted);
    assert_eq!(counters.resets(), 0, "{counters:?}");
}

#[test]
fn udp_flows_keep_their_target() {
    const FLOWS: usize = 64;
    let network = Topology::new().unwrap();
    let _servers = udp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "dns", "UDP", &vips(0))]);
    let before = nlb.counters().unwrap();
    for addr in vips(0) {
        let client = &network.clients[0];
        let flows: Vec<_> = (0..FLOWS).map(|_| UdpClient::open(client, at(addr)).unwrap()).collect();
        let mut spread = BTreeMap::<String, usize>::new();
        let first: Vec<_> = flows.iter().map(|flow| flow.ask("first").unwrap()).collect();
        for turn in 0..10 {
            for (flow, first) in flows.iter().zip(&first) {
                assert_eq!(&flow.ask(&format!("datagram {turn}")).unwrap(), first);
            }
        }
        first.into_iter().for_each(|talk| *spread.entry(talk.target).or_default() += 1);
        assert_eq!(spread.len(), network.targets.len(), "{spread:?}");
    }
    let counted = nlb.counters().unwrap().since(&before);
    assert_eq!(counted.get("new_flow"), 2 * FLOWS as u64);
    assert_eq!(counted.get("to_target"), 2 * 10 * FLOWS as u64);
    assert_eq!(counted.get("to_client"), 2 * 11 * FLOWS as u64);
}
