//! Targets that are set unhealthy, leave, and come back.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use nlb_tests::{
    client::{Connection, UdpClient, spread},
    nlb::Nlb,
    topology::{Topology, vips},
    wait_for,
};

use crate::setup::{PORT, all_answer, apply, at, connections, service, tcp_servers, udp_servers};

#[test]
fn connections_of_an_unhealthy_target_are_reset_and_the_others_untouched() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    let preserved = service(&network, "preserved", "TCP", &vips(0));
    let translated = service(&network, "translated", "TCP", &vips(1)).preserving(false);
    apply(&nlb, &[preserved, translated]);
    let (client, sick) = (&network.clients[0], &network.targets[1]);
    let addresses = [vips(0), vips(1)].concat();
    let all = connections(client, &addresses, 16);
    let (mut of_sick, mut others): (Vec<Connection>, Vec<Connection>) =
        all.into_iter().partition(|connection| connection.talk.target == sick.name);
    assert!(!of_sick.is_empty(), "1 in 10^8 says chance");

    let set = |state: &str| {
        for group in ["preserved", "translated"] {
            for addr in sick.addrs() {
                let target = SocketAddr::new(addr, PORT).to_string();
                nlb.cli(&["target", "set-state", group, &target, state]).unwrap();
            }
        }
    };
    set("unhealthy");
    for connection in &mut of_sick {
        connection.say("anybody there?").unwrap();
        let error = connection.hear().expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    all_answer(&mut others);
    for addr in &addresses {
        let spread = spread(client, at(*addr), 100, 4).unwrap();
        assert!(!spread.contains_key(&sick.name) && spread.len() == 3, "{spread:?}");
    }
    all_answer(&mut others);
    let counters = nlb.counters().unwrap();
    assert_eq!((counters.get("reset_unhealthy"), counters.resets()), (of_sick.len() as u64, of_sick.len() as u64));

    set("auto");
    for addr in &addresses {
        let spread = spread(client, at(*addr), 100, 4).unwrap();
        assert_eq!(spread.len(), 4, "{spread:?}");
    }
    all_answer(&mut others);
}

#[test]
fn udp_flows_leave_an_unhealthy_target() {
    let network = Topology::new().unwrap();
    let _servers = udp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "dns", "UDP", &vips(0))]);
    let flow = UdpClient::open(&network.clients[0], at(vips(0)[0])).unwrap();
    let first = flow.ask("who?").unwrap();
    let target = network.targets.iter().find(|target| target.name == first.target).unwrap();
    let target = SocketAddr::new(target.v4.into(), PORT).to_string();
    nlb.cli(&["target", "set-state", "dns", &target, "unhealthy"]).unwrap();
    let second = flow.ask("and now?").unwrap();
    assert_ne!(second.target, first.target);
    assert_eq!(flow.ask("still?").unwrap(), second);
}

#[test]
fn a_group_of_which_all_targets_are_unhealthy_fails_open() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0))]);
    let mut before = connections(&network.clients[0], &vips(0)[..1], 8);
    for target in &network.targets {
        let target = SocketAddr::new(target.v4.into(), PORT).to_string();
        nlb.cli(&["target", "set-state", "web", &target, "unhealthy"]).unwrap();
    }
    // Nobody spoke in between, so nobody was reset.
    all_answer(&mut before);
    let spread = spread(&network.clients[0], at(vips(0)[0]), 100, 4).unwrap();
    assert_eq!(spread.len(), 4, "{spread:?}");
}

#[test]
fn deregistered_targets_finish_what_they_have() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0)[..1])]);
    let (client, addr, leaving) = (&network.clients[0], at(vips(0)[0]), &network.targets[2]);
    let mut open = connections(client, &vips(0)[..1], 24);
    let target = SocketAddr::new(leaving.v4.into(), PORT).to_string();
    nlb.cli(&["target", "deregister", "web", &target]).unwrap();
    all_answer(&mut open);
    let during = spread(client, addr, 100, 4).unwrap();
    assert!(!during.contains_key(&leaving.name), "{during:?}");
    all_answer(&mut open);
    nlb.cli(&["target", "register", "web", &target]).unwrap();
    let after = spread(client, addr, 100, 4).unwrap();
    assert_eq!(after.len(), 4, "{after:?}");
    all_answer(&mut open);
    assert_eq!(nlb.counters().unwrap().resets(), 0);
}

#[test]
fn connections_to_a_removed_listener_or_group_are_reset() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    let (stays, goes) = (service(&network, "stays", "TCP", &vips(0)), service(&network, "goes", "TCP", &vips(1)));
    apply(&nlb, &[stays.clone(), goes]);
    let mut staying = connections(&network.clients[0], &vips(0), 4);
    let mut going = connections(&network.clients[0], &vips(1), 4);
    apply(&nlb, &[stays]);
    for connection in &mut going {
        connection.say("anybody there?").unwrap();
        let error = connection.hear().expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    all_answer(&mut staying);
    wait_for("the address to be given up", Duration::from_secs(5), || {
        let addresses = nlb_tests::netns::output(network.balancer.ns.command("ip").args(["address", "show"]))?;
        Ok(vips(1).iter().all(|addr| !addresses.contains(&format!("{addr}/"))))
    })
    .unwrap();
}
