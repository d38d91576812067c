//! Packets that belong to no flow and open none: passed to the kernel, or dropped.

use nlb_common::{
    Reason,
    flow::{TCP, UDP},
};
use nlb_tests::{
    golden::Side,
    packet::{ACK, Packet, RST, SYN},
};

use crate::scene::{CLIENT_MAC, FAMILIES, Family, NODE_DROP, OWN_CLIENTS, Scene, VIP_DROP, dropped, passed};

const ETH: usize = 14;

fn frame(packet: Packet) -> Vec<u8> {
    packet.between(CLIENT_MAC, OWN_CLIENTS).bytes()
}

fn pass(scene: &mut Scene, name: &str, frame: &[u8], reason: Reason) {
    scene.world.send(Side::Clients, frame).check(name, &passed(frame, reason));
}

fn vip_drop(scene: &mut Scene, name: &str, frame: &[u8], reason: Reason) {
    scene.world.send(Side::Clients, frame).check(name, &dropped(frame, reason, VIP_DROP));
}

fn malformed(scene: &mut Scene, name: &str, frame: &[u8]) {
    scene.world.send(Side::Clients, frame).check(name, &dropped(frame, Reason::DropMalformed, NODE_DROP));
}

#[test]
fn other_ether_types() {
    let mut scene = Scene::new(Family::V4, TCP, true);
    let mut bytes = frame(scene.syn());
    // Address resolution, link layer discovery, the length field of IEEE 802.3.
    for ether_type in [0x0806_u16, 0x88cc, 0x0026] {
        bytes[12..14].copy_from_slice(&ether_type.to_be_bytes());
        pass(&mut scene, "not IP", &bytes, Reason::PassNotIp);
    }
    pass(&mut scene, "nothing but an Ethernet header", &bytes[..ETH], Reason::PassNotIp);
    for ether_type in [0x8100_u16, 0x88a8] {
        bytes[12..14].copy_from_slice(&ether_type.to_be_bytes());
        pass(&mut scene, "VLAN", &bytes, Reason::PassVlan);
    }
}

#[test]
fn packets_for_others() {
    for family in FAMILIES {
        let mut scene = Scene::new(family, TCP, true);
        let (client, stranger) = (family.client(), family.stranger());
        for packet in [
            Packet::tcp(client, stranger, SYN, 1, 0),
            Packet::tcp(client, stranger, ACK, 1, 1),
            Packet::tcp(client, stranger, RST, 1, 1),
            Packet::udp(client, stranger, b"x"),
            Packet::other(client.ip(), stranger.ip(), 132, b"SCTP"),
            // An echo request, and in ICMPv6 something of no meaning.
            Packet::icmp(client.ip(), stranger.ip(), 8),
            // A target's own traffic: the balancer may be its router.
            Packet::tcp(family.target(0), stranger, SYN, 1, 0),
            Packet::udp(family.target(0), stranger, b"x"),
        ] {
            pass(&mut scene, &format!("{family:?} {packet:?}"), &frame(packet), Reason::PassNotOurs);
        }
    }
}

#[test]
fn neighbor_discovery() {
    let mut scene = Scene::new(Family::V6, TCP, true);
    let (client, vip) = (Family::V6.client().ip(), Family::V6.vip().ip());
    let solicited = "ff02::1:ff00:10".parse().unwrap();
    for icmp_type in 133..=137 {
        for to in [vip, solicited] {
            let packet = frame(Packet::icmp(client, to, icmp_type));
            pass(&mut scene, "neighbour discovery", &packet, Reason::PassNeighbor);
        }
    }
}

#[test]
fn icmp_to_a_load_balancer() {
    for family in FAMILIES {
        let mut scene = Scene::new(family, TCP, true);
        let (client, vip) = (family.client().ip(), family.vip().ip());
        let (errors, others): (&[u8], &[u8]) = match family {
            Family::V4 => (&[3], &[0, 5, 8, 11, 12, 13, 17]),
            Family::V6 => (&[1, 2, 3, 4], &[0, 128, 129, 130, 138, 255]),
        };
        for icmp_type in errors {
            let packet = frame(Packet::icmp(client, vip, *icmp_type));
            pass(&mut scene, "ICMP error", &packet, Reason::PassIcmpError);
        }
        for icmp_type in others {
            let packet = frame(Packet::icmp(client, vip, *icmp_type));
            vip_drop(&mut scene, &format!("ICMP type {icmp_type}"), &packet, Reason::DropUnintendedIcmp);
        }
    }
}

#[test]
fn unintended_traffic() {
    for family in FAMILIES {
        for (proto, other) in [(TCP, UDP), (UDP, TCP)] {
            let mut scene = Scene::new(family, proto, true);
            let (client, vip) = (family.client(), family.vip());
            let mut elsewhere = vip;
            elsewhere.set_port(vip.port() + 1);
            for flags in [SYN, ACK, SYN | ACK, RST] {
                let packet = frame(Packet::tcp(client, elsewhere, flags, 1, 1));
                vip_drop(&mut scene, "no listener on this port", &packet, Reason::DropUnintended);
            }
            let packet = frame(Packet::udp(client, elsewhere, b"x"));
            vip_drop(&mut scene, "no listener on this port", &packet, Reason::DropUnintended);
            let packet = match other {
                TCP => Packet::tcp(client, vip, SYN, 1, 0),
                _ => Packet::udp(client, vip, b"x"),
            };
            vip_drop(&mut scene, "a listener of the other protocol", &frame(packet), Reason::DropUnintended);
            // Each family's own ICMP and extension headers mean nothing in the other.
            let protocols: &[u8] = match family {
                Family::V4 => &[0, 43, 44, 47, 50, 58, 60, 132, 253],
                Family::V6 => &[1, 47, 50, 132, 253],
            };
            for protocol in protocols.iter().copied() {
                let packet = frame(Packet::other(client.ip(), vip.ip(), protocol, b"whatever"));
                vip_drop(&mut scene, "another protocol", &packet, Reason::DropUnintendedProtocol);
            }
        }
    }
}

#[test]
fn fragments_and_extension_headers() {
    let mut scene = Scene::new(Family::V4, UDP, true);
    for fragment in [(0, true), (185, true), (185, false)] {
        let mut packet = scene.datagram(b"a part of it");
        packet.fragment = fragment;
        vip_drop(&mut scene, "IPv4 fragment", &packet.bytes(), Reason::DropFragment);
        packet.dst = Family::V4.stranger();
        pass(&mut scene, "another's IPv4 fragment", &packet.bytes(), Reason::PassNotOurs);
    }
    drop(scene);
    let mut scene = Scene::new(Family::V6, UDP, true);
    let (client, vip) = (Family::V6.client().ip(), Family::V6.vip().ip());
    // Next header UDP, eight bytes.
    let header = [17, 0, 0, 0, 0, 0, 0, 1];
    let packet = frame(Packet::other(client, vip, 44, &header));
    vip_drop(&mut scene, "IPv6 fragment", &packet, Reason::DropFragment);
    for extension in [0, 43, 60] {
        let packet = frame(Packet::other(client, vip, extension, &header));
        vip_drop(&mut scene, "extension header", &packet, Reason::DropExtension);
        let packet = frame(Packet::other(client, Family::V6.stranger().ip(), extension, &header));
        pass(&mut scene, "another's extension header", &packet, Reason::PassNotOurs);
    }
}

#[test]
fn headers_cut_short() {
    for family in FAMILIES {
        for proto in [TCP, UDP] {
            let mut scene = Scene::new(family, proto, true);
            let packet = if proto == TCP { scene.syn() } else { scene.datagram(b"") };
            let whole = packet.bytes();
            for len in ETH..whole.len() {
                malformed(&mut scene, &format!("{family:?} proto {proto}, {len} bytes"), &whole[..len]);
            }
        }
        let mut scene = Scene::new(family, TCP, true);
        let whole = frame(Packet::icmp(family.client().ip(), family.vip().ip(), 8).carrying(b""));
        for len in ETH..whole.len() {
            malformed(&mut scene, &format!("{family:?} ICMP, {len} bytes"), &whole[..len]);
        }
    }
}

#[test]
fn ipv4_headers_that_contradict_themselves() {
    let mut scene = Scene::new(Family::V4, TCP, true);
    let whole = scene.data(b"payload").bytes();
    let len = (whole.len() - ETH) as u16;
    let mut with = |name: &str, at: usize, bytes: &[u8]| {
        let mut frame = whole.clone();
        frame[ETH + at..][..bytes.len()].copy_from_slice(bytes);
        malformed(&mut scene, name, &frame);
    };
    with("version 6", 0, &[0x65]);
    with("header of 16 bytes", 0, &[0x44]);
    with("header longer than the packet", 0, &[0x4f]);
    with("total length below the header's", 2, &19_u16.to_be_bytes());
    with("total length beyond the frame", 2, &(len + 1).to_be_bytes());
    with("total length that cuts the TCP header", 2, &39_u16.to_be_bytes());
    with("TCP header of 16 bytes", 20 + 12, &[0x40]);
    with("TCP header longer than the segment", 20 + 12, &[0xf0]);
}

#[test]
fn ipv6_headers_that_contradict_themselves() {
    let mut scene = Scene::new(Family::V6, TCP, true);
    let whole = scene.data(b"payload").bytes();
    let payload = (whole.len() - ETH - 40) as u16;
    let mut with = |name: &str, at: usize, bytes: &[u8]| {
        let mut frame = whole.clone();
        frame[ETH + at..][..bytes.len()].copy_from_slice(bytes);
        malformed(&mut scene, name, &frame);
    };
    with("version 4", 0, &[0x40]);
    with("payload beyond the frame", 4, &(payload + 1).to_be_bytes());
    with("payload that cuts the TCP header", 4, &19_u16.to_be_bytes());
    with("TCP header of 16 bytes", 40 + 12, &[0x40]);
    with("TCP header longer than the segment", 40 + 12, &[0xf0]);
}

#[test]
fn udp_lengths_that_contradict_the_packet() {
    for family in FAMILIES {
        let mut scene = Scene::new(family, UDP, true);
        let whole = scene.datagram(b"payload").bytes();
        let at = whole.len() - b"payload".len() - 4;
        for len in [0_u16, 7, 8 + 7 + 1, 0xffff] {
            let mut frame = whole.clone();
            frame[at..at + 2].copy_from_slice(&len.to_be_bytes());
            malformed(&mut scene, &format!("{family:?}, UDP length {len}"), &frame);
        }
    }
}
