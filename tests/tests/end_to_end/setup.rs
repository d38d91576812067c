//! What most tests begin with.

use std::net::{IpAddr, SocketAddr};

use nlb_tests::{
    client::Connection,
    nlb::{Nlb, Service},
    server::{TcpServer, UdpServer},
    topology::{Host, Topology},
};

/// The port of listeners and of targets.
pub const PORT: u16 = 7000;

/// A TCP server on each target.
pub fn tcp_servers(network: &Topology) -> Vec<TcpServer> {
    network.targets.iter().map(|target| TcpServer::start(target, PORT).unwrap()).collect()
}

/// A UDP server on each target.
pub fn udp_servers(network: &Topology) -> Vec<UdpServer> {
    network.targets.iter().map(|target| UdpServer::start(target, PORT).unwrap()).collect()
}

/// A service of all targets.
pub fn service(network: &Topology, name: &str, protocol: &'static str, addresses: &[IpAddr]) -> Service {
    Service::new(network, name, protocol, addresses, PORT)
}

/// Applies these services.
pub fn apply(nlb: &Nlb<'_>, services: &[Service]) {
    nlb.apply(&Service::json(services)).unwrap();
}

/// The port of the listeners at an address.
pub fn at(addr: IpAddr) -> SocketAddr {
    SocketAddr::new(addr, PORT)
}

/// Connections from a client to each of these addresses, so many to each.
pub fn connections(client: &Host, addresses: &[IpAddr], each: usize) -> Vec<Connection> {
    let addresses = addresses.iter().flat_map(|addr| std::iter::repeat_n(*addr, each));
    addresses.map(|addr| Connection::open(client, at(addr)).unwrap()).collect()
}

/// Every connection still works.
#[track_caller]
pub fn all_answer(connections: &mut [Connection]) {
    for (n, connection) in connections.iter_mut().enumerate() {
        let line = format!("still there {n}");
        let answer = connection.ask(&line);
        assert_eq!(answer.ok().as_ref(), Some(&line), "connection {n} to {}", connection.talk.target);
    }
}
