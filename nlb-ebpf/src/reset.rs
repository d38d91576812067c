//! The TCP reset that answers a segment, made in its place.

use aya_ebpf::bindings::xdp_md;
use network_types::{
    eth::EthHdr,
    ip::{Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
};
use nlb_common::{
    FlowKey,
    checksum::{fold, sum, sum_pseudo},
    flow::{Hop, TCP},
    tcp::reset_for,
};

use crate::{
    maps::answer,
    packet::{ETH, Frame, Packet},
};

/// Hop count of what we send ourselves (RFC 1700, "IP Time to Live Parameter").
const HOPS: u8 = 64;

/// What a reset says, and to whom.
#[repr(C)]
pub struct Answer {
    key: FlowKey,
    hop: Hop,
    seq: u32,
    ack: u32,
    flags: u32,
    v6: u32,
}

/// Turns the segment into the reset for its sender. Fails only if the kernel will not shorten the frame, or if it is no
/// TCP segment.
#[inline(always)]
pub fn write(packet: &mut Packet) -> Option<()> {
    if !packet.is_tcp() {
        return None;
    }
    let answer = answer()?;
    let (seq, ack, flags) = reset_for(packet.flags, packet.seq(), packet.ack(), packet.payload);
    (answer.seq, answer.ack, answer.flags) = (seq, ack, u32::from(flags));
    answer.key = packet.key().reversed();
    answer.hop = packet.way_back();
    answer.v6 = u32::from(packet.is_v6());
    (nlb_reset(packet.frame.context()) == 0).then_some(())
}

/// Makes the frame the reset in [`Answer`]: 0, or 1 if it can't. All headers are written anew: what the segment had of
/// options does not matter. A function for the verifier, see `select`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn nlb_reset(ctx: *mut xdp_md) -> u64 {
    u64::from(replace(Frame::new(ctx)).is_none())
}

#[inline(always)]
fn replace(frame: Frame) -> Option<()> {
    let answer = answer()?;
    let ip_len = if answer.v6 != 0 { Ipv6Hdr::LEN } else { Ipv4Hdr::LEN };
    if !frame.shrink_to(ETH + ip_len + TcpHdr::LEN) {
        return None;
    }
    let eth: *mut EthHdr = frame.at(0)?;
    // SAFETY: `at` has checked the bounds.
    unsafe { ((*eth).dst_addr, (*eth).src_addr) = (answer.hop.dst_mac, answer.hop.src_mac) };
    if answer.v6 != 0 {
        ipv6(frame, &answer.key)?
    } else {
        ipv4(frame, &answer.key)?
    };
    tcp(frame, ETH + ip_len, answer)
}

#[inline(always)]
fn ipv4(frame: Frame, key: &FlowKey) -> Option<()> {
    let mut header = [0_u8; Ipv4Hdr::LEN];
    header[0] = 0x45;
    header[3] = (Ipv4Hdr::LEN + TcpHdr::LEN) as u8;
    header[6] = 0x40; // Don't fragment: so the identification may be 0 (RFC 6864).
    header[8] = HOPS;
    header[9] = TCP;
    header[12..16].copy_from_slice(&key.src.v4_bytes());
    header[16..20].copy_from_slice(&key.dst.v4_bytes());
    let check = !fold(sum(&header));
    header[10..12].copy_from_slice(&check.to_ne_bytes());
    let at: *mut [u8; Ipv4Hdr::LEN] = frame.at(ETH)?;
    // SAFETY: `at` has checked the bounds.
    unsafe { *at = header };
    Some(())
}

#[inline(always)]
fn ipv6(frame: Frame, key: &FlowKey) -> Option<()> {
    let header = Ipv6Hdr {
        vcf: [0x60, 0, 0, 0],
        payload_len: (TcpHdr::LEN as u16).to_be_bytes(),
        next_hdr: TCP,
        hop_limit: HOPS,
        src_addr: key.src.v6_bytes(),
        dst_addr: key.dst.v6_bytes(),
    };
    let at: *mut Ipv6Hdr = frame.at(ETH)?;
    // SAFETY: `at` has checked the bounds.
    unsafe { *at = header };
    Some(())
}

#[inline(always)]
fn tcp(frame: Frame, offset: usize, answer: &Answer) -> Option<()> {
    let key = &answer.key;
    let mut header = [0_u8; TcpHdr::LEN];
    header[0..2].copy_from_slice(&key.src_port.to_bytes());
    header[2..4].copy_from_slice(&key.dst_port.to_bytes());
    header[4..8].copy_from_slice(&answer.seq.to_be_bytes());
    header[8..12].copy_from_slice(&answer.ack.to_be_bytes());
    header[12] = 5 << 4;
    header[13] = answer.flags as u8;
    let pseudo = sum_pseudo(&key.src, &key.dst, TCP, TcpHdr::LEN as u16);
    let check = !fold(pseudo + sum(&header));
    header[16..18].copy_from_slice(&check.to_ne_bytes());
    let at: *mut [u8; TcpHdr::LEN] = frame.at(offset)?;
    // SAFETY: `at` has checked the bounds.
    unsafe { *at = header };
    Some(())
}
