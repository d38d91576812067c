//! Stage 1: from bytes to a [`Packet`].

use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use network_types::{
    eth::EtherType,
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
    udp::UdpHdr,
};
use nlb_common::{
    Addr, Be16, Reason,
    flow::{TCP, UDP},
};

use crate::{
    packet::{ETH, Packet, Transport},
    verdict::Stop,
};

/// More-fragments flag and offset, of the word that holds both (RFC 791 section 3.1).
const FRAGMENT: u16 = 0x3fff;
/// Length of the header that all ICMP messages begin with (RFC 792, RFC 4443 section 2.1).
const ICMP_LEN: usize = 8;

const MALFORMED: Stop = Stop::node(Reason::DropMalformed);

/// Reads the headers of a frame.
#[inline(always)]
pub fn parse(packet: &mut Packet) -> Result<(), Stop> {
    const IPV4: u16 = EtherType::Ipv4 as u16;
    const IPV6: u16 = EtherType::Ipv6 as u16;
    const VLAN: u16 = EtherType::Ieee8021q as u16;
    const QINQ: u16 = EtherType::Ieee8021ad as u16;
    match packet.find_eth().ok_or(MALFORMED)?.ether_type {
        IPV4 => ipv4(packet),
        IPV6 => ipv6(packet),
        VLAN | QINQ => Err(Stop::node(Reason::PassVlan)),
        _ => Err(Stop::node(Reason::PassNotIp)),
    }
}

#[inline(always)]
fn ipv4(packet: &mut Packet) -> Result<(), Stop> {
    let ip = packet.find_ipv4().ok_or(MALFORMED)?;
    let header_len = usize::from(ip.vihl & 0xf) * 4;
    let len = usize::from(u16::from_be_bytes(ip.tot_len));
    let (version, proto) = (ip.vihl >> 4, ip.proto);
    let fragment = u16::from_be_bytes(ip.frags) & FRAGMENT != 0;
    let (src, dst) = (Addr::v4(ip.src_addr), Addr::v4(ip.dst_addr));
    packet.set_key(src, dst, proto);
    packet.len = len as u32;
    if version != 4 || header_len < Ipv4Hdr::LEN || len < header_len || !packet.frame.holds(ETH + len) {
        return Err(MALFORMED);
    }
    let kind = if fragment { Kind::Fragment } else { Kind::ipv4(proto) };
    transport(packet, kind, ETH + header_len, len - header_len)
}

#[inline(always)]
fn ipv6(packet: &mut Packet) -> Result<(), Stop> {
    let ip = packet.find_ipv6().ok_or(MALFORMED)?;
    let payload = usize::from(u16::from_be_bytes(ip.payload_len));
    let (version, proto) = (ip.vcf[0] >> 4, ip.next_hdr);
    let (src, dst) = (Addr::v6(ip.src_addr), Addr::v6(ip.dst_addr));
    packet.set_key(src, dst, proto);
    packet.len = (Ipv6Hdr::LEN + payload) as u32;
    if version != 6 || !packet.frame.holds(ETH + Ipv6Hdr::LEN + payload) {
        return Err(MALFORMED);
    }
    transport(packet, Kind::ipv6(proto), ETH + Ipv6Hdr::LEN, payload)
}

/// What the IP header says follows it.
#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Udp,
    Icmp,
    Icmp6,
    Fragment,
    Extension,
    Other,
}

impl Kind {
    /// What the protocol field of an IPv4 header says.
    #[inline(always)]
    const fn ipv4(proto: u8) -> Self {
        const ICMP: u8 = IpProto::Icmp as u8;
        match proto {
            TCP => Self::Tcp,
            UDP => Self::Udp,
            ICMP => Self::Icmp,
            _ => Self::Other,
        }
    }

    /// What the next-header field of an IPv6 header says.
    #[inline(always)]
    const fn ipv6(proto: u8) -> Self {
        const ICMP6: u8 = IpProto::Ipv6Icmp as u8;
        const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
        const HOP_BY_HOP: u8 = IpProto::HopOpt as u8;
        const ROUTING: u8 = IpProto::Ipv6Route as u8;
        const OPTIONS: u8 = IpProto::Ipv6Opts as u8;
        match proto {
            TCP => Self::Tcp,
            UDP => Self::Udp,
            ICMP6 => Self::Icmp6,
            FRAGMENT => Self::Fragment,
            HOP_BY_HOP | ROUTING | OPTIONS => Self::Extension,
            _ => Self::Other,
        }
    }
}

/// Reads what follows the IP header, at `offset`: `len` bytes.
#[inline(always)]
fn transport(packet: &mut Packet, kind: Kind, offset: usize, len: usize) -> Result<(), Stop> {
    packet.transport = match kind {
        Kind::Tcp => {
            // Data offset and flags have no bytes of their own in the header's type.
            let [data_offset, flags] = packet.bytes(offset + 12).ok_or(MALFORMED)?;
            let header_len = usize::from(data_offset >> 4) * 4;
            let tcp = packet.find_tcp(offset).ok_or(MALFORMED)?;
            let (src, dst) = (Be16::from_bytes(tcp.source), Be16::from_bytes(tcp.dest));
            packet.set_ports(src, dst);
            packet.flags = flags;
            if header_len < TcpHdr::LEN || header_len > len {
                return Err(MALFORMED);
            }
            packet.payload = (len - header_len) as u32;
            Transport::Tcp
        }
        Kind::Udp => {
            let udp = packet.find_udp(offset).ok_or(MALFORMED)?;
            let udp_len = usize::from(u16::from_be_bytes(udp.len));
            let (src, dst) = (Be16::from_bytes(udp.src), Be16::from_bytes(udp.dst));
            packet.set_ports(src, dst);
            if udp_len < UdpHdr::LEN || udp_len > len {
                return Err(MALFORMED);
            }
            Transport::Udp
        }
        Kind::Icmp | Kind::Icmp6 => {
            let [icmp_type, ..] = packet.bytes::<ICMP_LEN>(offset).ok_or(MALFORMED)?;
            match (kind, icmp_type) {
                // RFC 792: destination unreachable. The guide's "Type 3".
                (Kind::Icmp, 3) => Transport::IcmpError,
                // RFC 4443: unreachable, too big, time exceeded, parameter problem.
                (Kind::Icmp6, 1..=4) => Transport::IcmpError,
                // RFC 4861: router and neighbour solicitation and advertisement, redirect.
                (Kind::Icmp6, 133..=137) => Transport::Neighbor,
                _ => Transport::Icmp,
            }
        }
        Kind::Fragment => Transport::Fragment,
        Kind::Extension => Transport::Extension,
        Kind::Other => Transport::Other,
    };
    // SAFETY: a helper without arguments.
    packet.now = unsafe { bpf_ktime_get_coarse_ns() };
    Ok(())
}
