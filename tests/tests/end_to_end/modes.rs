//! One arm and two, native and generic XDP.

use nlb_tests::{
    client::{Connection, UdpClient, spread},
    nlb::{Nlb, Options},
    topology::{Arms, Plan, Topology, vips},
};

use crate::setup::{apply, at, service, tcp_servers, udp_servers};

fn forwards(arms: Arms, mode: &str) {
    let network = Topology::build(&Plan { arms, ..Plan::default() }).unwrap();
    let (_tcp, _udp) = (tcp_servers(&network), udp_servers(&network));
    let options = Options {
        interfaces: network.interfaces().to_owned(),
        args: vec!["--xdp-mode".to_owned(), mode.to_owned()],
        ..Options::default()
    };
    let mut nlb = Nlb::prepare(&network.balancer.ns, options).unwrap();
    nlb.run().unwrap();
    nlb.begin_accounts().unwrap();
    let preserved = service(&network, "preserved", "TCP_UDP", &vips(0));
    let translated = service(&network, "translated", "TCP", &vips(1)).preserving(false);
    apply(&nlb, &[preserved, translated]);

    let status = nlb.json(&["status"]).unwrap();
    let interfaces = status["interfaces"].as_array().unwrap();
    let names: Vec<_> = interfaces.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names.join(","), network.interfaces());
    assert!(interfaces.iter().all(|it| it["mode"] == mode), "{status}");

    for client in &network.clients {
        for addr in [vips(0), vips(1)].concat() {
            let shares = spread(client, at(addr), 50, 2).unwrap();
            assert!(shares.len() > 1, "{shares:?}");
            Connection::open(client, at(addr)).unwrap().download(2_000_000).unwrap();
            Connection::open(client, at(addr)).unwrap().upload(2_000_000).unwrap();
        }
        for addr in vips(0) {
            let flow = UdpClient::open(client, at(addr)).unwrap();
            assert_eq!(flow.ask("x").unwrap(), flow.ask("y").unwrap());
        }
    }
    let counters = nlb.counters().unwrap();
    assert_eq!((counters.resets(), counters.get("unresolved")), (0, 0), "{counters:?}");
    if mode == "native" {
        // A generic program sees packets that are put together from several that were received.
        nlb.check_accounts().unwrap();
    }
}

#[test]
fn one_arm_generic() {
    forwards(Arms::One, "generic");
}

#[test]
fn two_arms_native() {
    forwards(Arms::Two, "native");
}

#[test]
fn two_arms_generic() {
    forwards(Arms::Two, "generic");
}
