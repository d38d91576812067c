//! The test network itself, with nothing but the kernel's forwarding in the balancer.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says so by panicking")]

use std::net::SocketAddr;

use nlb_tests::{
    client::{Connection, UdpClient, http_get, spread},
    server::{Nginx, TcpServer, UdpServer},
    topology::{Arms, Plan, Topology},
};

fn everybody_reaches_everybody(arms: Arms) {
    let network = Topology::build(&Plan { arms, ..Plan::default() }).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for target in &network.targets {
        let tcp = TcpServer::start(target, 8080).unwrap();
        let udp = UdpServer::start(target, 53).unwrap();
        for client in &network.clients {
            for addr in target.addrs() {
                let mut connection = Connection::open(client, SocketAddr::new(addr, 8080)).unwrap();
                assert_eq!(connection.talk.target, target.name);
                assert_eq!(connection.talk.seen.ip(), client.addr(addr));
                assert_eq!(connection.ask("anything").unwrap(), "anything");
                let flow = UdpClient::open(client, SocketAddr::new(addr, 53)).unwrap();
                assert_eq!(flow.ask("anything").unwrap().seen.ip(), client.addr(addr));
            }
        }
        assert_eq!((tcp.accepted(), udp.received()), (4, 4));
    }
    let (client, target) = (&network.clients[0], &network.targets[0]);
    let _tcp = TcpServer::start(target, 8080).unwrap();
    let to = SocketAddr::new(target.v4.into(), 8080);
    Connection::open(client, to).unwrap().download(10_000_000).unwrap();
    Connection::open(client, to).unwrap().upload(10_000_000).unwrap();
    assert_eq!(spread(client, to, 100, 4).unwrap(), [(target.name.clone(), 100)].into());
    let _nginx = Nginx::start(target, 80, dir.path()).unwrap();
    let answer = http_get(client, SocketAddr::new(target.v6.into(), 80)).unwrap();
    assert_eq!((answer.status, answer.body), (200, format!("target-0 {}\n", client.v6)));
}

#[test]
fn everybody_reaches_everybody_with_one_arm() {
    everybody_reaches_everybody(Arms::One);
}

#[test]
fn everybody_reaches_everybody_with_two_arms() {
    everybody_reaches_everybody(Arms::Two);
}

#[test]
fn named_namespaces_go_away() {
    let prefix = format!("nlb-{}-named", std::process::id());
    let plan = Plan { clients: 1, targets: 1, prefix: Some(prefix.clone()), ..Plan::default() };
    let network = Topology::build(&plan).unwrap();
    let there = || std::path::Path::new("/run/netns").join(format!("{prefix}-target-0")).exists();
    assert!(there());
    drop(network);
    assert!(!there());
}
