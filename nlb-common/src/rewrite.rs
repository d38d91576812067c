//! Writing a flow's new tuple into headers.

use network_types::{
    ip::{Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
    udp::UdpHdr,
};

use crate::{be::Be16, checksum::Delta, flow::Flow};

/// Addresses, hop count and header checksum of an IPv4 packet. Its hop count must be above 1.
#[inline(always)]
pub const fn ipv4(ip: &mut Ipv4Hdr, flow: &Flow) {
    ip.src_addr = flow.src.v4_bytes();
    ip.dst_addr = flow.dst.v4_bytes();
    ip.ttl -= 1;
    ip.check = Delta::from_raw(flow.ip_delta).apply(Be16::from_bytes(ip.check)).to_bytes();
}

/// Addresses and hop count of an IPv6 packet. Its hop count must be above 1.
#[inline(always)]
pub const fn ipv6(ip: &mut Ipv6Hdr, flow: &Flow) {
    ip.src_addr = flow.src.v6_bytes();
    ip.dst_addr = flow.dst.v6_bytes();
    ip.hop_limit -= 1;
}

/// Ports and checksum of a TCP segment.
#[inline(always)]
pub const fn tcp(tcp: &mut TcpHdr, flow: &Flow) {
    tcp.source = flow.src_port.to_bytes();
    tcp.dest = flow.dst_port.to_bytes();
    tcp.check = Delta::from_raw(flow.l4_delta).apply(Be16::from_bytes(tcp.check)).to_bytes();
}

/// Ports and checksum of a UDP datagram.
#[inline(always)]
pub const fn udp(udp: &mut UdpHdr, flow: &Flow) {
    udp.src = flow.src_port.to_bytes();
    udp.dst = flow.dst_port.to_bytes();
    udp.check = Delta::from_raw(flow.l4_delta).apply_udp(Be16::from_bytes(udp.check)).to_bytes();
}
