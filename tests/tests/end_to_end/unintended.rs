//! Packets that no client of a listener sends.

use std::{net::SocketAddr, time::Duration};

use nlb_tests::{
    nlb::Nlb,
    packet::{ACK, Packet, SYN, reset_for},
    topology::{Host, Topology, vips},
    wire::Wire,
};

use crate::setup::{PORT, apply, at, service, tcp_servers};

/// How long to wait for an answer that must not come.
const SILENCE: Duration = Duration::from_millis(300);

#[test]
fn a_segment_of_no_connection_gets_a_reset_and_the_rest_is_dropped_and_counted() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0))]);
    let client = &network.clients[0];
    let (own, balancer) = (client.ns.mac("eth0").unwrap(), network.balancer.ns.mac("eth0").unwrap());
    let wire = Wire::open(&client.ns, "eth0").unwrap();
    // From an address that the client's kernel does not have: it must not join in.
    let elsewhere = |vip: std::net::IpAddr| match vip {
        std::net::IpAddr::V4(_) => "198.18.0.200:40000".parse::<SocketAddr>().unwrap(),
        std::net::IpAddr::V6(_) => "[2001:db8::200]:40000".parse().unwrap(),
    };
    for vip in vips(0) {
        let before = nlb.counters().unwrap();
        let src = elsewhere(vip);
        let segment = Packet::tcp(src, at(vip), ACK, 1000, 5000).between(own, balancer).carrying(b"lost");
        let reset = reset_for(&segment).bytes();
        wire.send(&segment.bytes()).unwrap();
        let answer = wire.receive(Duration::from_secs(2), |frame| frame.starts_with(&reset)).unwrap();
        assert!(answer.is_some(), "no reset from {vip}");

        let silent = |packet: Packet| {
            let (src, packet) = (packet.src.ip(), packet.between(own, balancer).bytes());
            wire.send(&packet).unwrap();
            let answered = wire.receive(SILENCE, |frame| is_to(frame, &src)).unwrap();
            assert_eq!(answered, None, "an answer to {packet:02x?}");
        };
        silent(Packet::tcp(src, SocketAddr::new(vip, PORT + 1), SYN, 1, 0));
        silent(Packet::udp(src, at(vip), b"x"));
        silent(Packet::icmp(src.ip(), vip, if vip.is_ipv4() { 8 } else { 128 }));
        let counted = nlb.counters().unwrap().since(&before);
        assert_eq!(counted.get("reset_stray"), 1, "{counted:?}");
        assert_eq!(counted.get("drop_unintended"), 2, "{counted:?}");
        assert_eq!(counted.get("drop_unintended_icmp"), 1, "{counted:?}");
    }
}

/// Whether an IP packet is for this address.
fn is_to(frame: &[u8], addr: &std::net::IpAddr) -> bool {
    match addr {
        std::net::IpAddr::V4(addr) => frame.get(12..14) == Some(&[8, 0]) && frame.get(30..34) == Some(&addr.octets()),
        std::net::IpAddr::V6(addr) => {
            frame.get(12..14) == Some(&[0x86, 0xdd]) && frame.get(38..54) == Some(&addr.octets())
        }
    }
}

#[test]
fn the_balancers_own_addresses_stay_the_kernels() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0))]);
    let ping = |from: &Host, to: &str| {
        let mut command = from.ns.command("ping");
        command.args(["-c", "1", "-W", "2", to]).output().unwrap().status.success()
    };
    for client in &network.clients {
        assert!(ping(client, "198.18.0.1") && ping(client, "2001:db8::1"), "the balancer itself");
        assert!(ping(client, "10.0.1.11") && ping(client, "fd00:1::11"), "through it, as a router");
    }
}
