//! Stages 6 and 7: the new tuple, and the way out.

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use nlb_common::{Flow, Reason, flow::flag, layout::Target, rewrite};

use crate::{
    maps::{DEVICES, send_back},
    packet::Packet,
    verdict::{Sent, Stop},
};

/// Writes the flow's tuple into the packet and sends it on: to the target, which is `to_target`, or to the client.
#[inline(always)]
pub fn forward(packet: &mut Packet, flow: &Flow, target: &Target, to_target: Reason) -> Result<Sent, Stop> {
    hops_left(packet, flow.row)?;
    write(packet, flow);
    let (hop, reason) = match flow.is(flag::FROM_TARGET) {
        true => (&flow.client_hop, Reason::ToClient),
        false => (&target.hop, to_target),
    };
    let sent = |reason, action| Sent { reason, action, listener: flow.row, target: target.row };
    if hop.ifindex == 0 {
        return Ok(sent(Reason::Unresolved, XDP_PASS));
    }
    if hop.ifindex == packet.frame.interface() {
        address(packet, hop.dst_mac, hop.src_mac);
        return Ok(sent(reason, send_back(hop.ifindex)));
    }
    match DEVICES.redirect(hop.ifindex, u64::from(XDP_PASS)) {
        Ok(action) => {
            address(packet, hop.dst_mac, hop.src_mac);
            Ok(sent(reason, action))
        }
        Err(action) => Ok(sent(Reason::Unresolved, action)),
    }
}

/// Lets packets on that may go one hop more; others are charged to `row`.
#[inline(always)]
pub fn hops_left(packet: &mut Packet, row: u32) -> Result<(), Stop> {
    let hops = if packet.is_v6() { packet.ipv6().hop_limit } else { packet.ipv4().ttl };
    if hops > 1 { Ok(()) } else { Err(Stop::at(Reason::DropHopLimit, row)) }
}

#[inline(always)]
fn write(packet: &mut Packet, flow: &Flow) {
    if packet.is_v6() {
        rewrite::ipv6(packet.ipv6(), flow);
    } else {
        rewrite::ipv4(packet.ipv4(), flow);
    }
    if packet.is_tcp() {
        rewrite::tcp(packet.tcp(), flow);
    } else {
        rewrite::udp(packet.udp(), flow);
    }
}

#[inline(always)]
fn address(packet: &mut Packet, dst: [u8; 6], src: [u8; 6]) {
    let eth = packet.eth();
    (eth.dst_addr, eth.src_addr) = (dst, src);
}
