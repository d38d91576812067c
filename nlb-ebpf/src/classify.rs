//! Stage 3: what a packet without a flow is to us.

use nlb_common::{
    Reason,
    flow::UDP,
    layout::{Endpoint, Listener, Vip},
    tcp,
};

use crate::{
    maps::{BACKENDS, LISTENERS, VIPS},
    packet::{Packet, Transport},
    verdict::Stop,
};

/// Lets TCP and UDP on; everything else ends here.
#[inline(always)]
pub fn transport_only(packet: &Packet) -> Result<(), Stop> {
    let reason = match packet.transport {
        Transport::Tcp | Transport::Udp => return Ok(()),
        // Unicast solicitations for our own addresses: the kernel answers them.
        Transport::Neighbor => return Err(Stop::node(Reason::PassNeighbor)),
        Transport::IcmpError => Reason::PassIcmpError,
        Transport::Icmp => Reason::DropUnintendedIcmp,
        Transport::Fragment => Reason::DropFragment,
        Transport::Extension => Reason::DropExtension,
        Transport::Other => Reason::DropUnintendedProtocol,
    };
    Err(Stop::at(reason, vip(packet)?.row))
}

/// The listener that a packet without a flow is for, if it may open one.
#[inline(always)]
pub fn listener(packet: &Packet) -> Result<&'static Listener, Stop> {
    let key = packet.key();
    // SAFETY: the entry may be replaced while we read it, never unmapped: at worst a packet follows the old one.
    let Some(listener) = (unsafe { LISTENERS.get(Endpoint::new(key.dst, key.dst_port, key.proto)) }) else {
        return Err(unintended(packet));
    };
    if !packet.is_tcp() || tcp::opens(packet.flags) {
        return Ok(listener);
    }
    Err(Stop::at(answer(packet, Reason::ResetStray), listener.row))
}

/// Why a packet to an address without such a listener ends.
#[inline(always)]
fn unintended(packet: &Packet) -> Stop {
    let key = packet.key();
    let vip = match vip(packet) {
        Ok(vip) => vip,
        Err(stop) => return stop,
    };
    // SAFETY: as for listeners.
    let from_target = unsafe { BACKENDS.get(Endpoint::new(key.src, key.src_port, key.proto)) }.is_some();
    let reason = match from_target {
        false => Reason::DropUnintended,
        true if key.proto == UDP => Reason::DropUdpExpired,
        true => answer(packet, Reason::ResetTargetStray),
    };
    Stop::at(reason, vip.row)
}

/// `reset`, unless the packet is a reset itself: these are never answered (RFC 9293 section 3.10.7.1).
#[inline(always)]
pub const fn answer(packet: &Packet, reset: Reason) -> Reason {
    if packet.flags & tcp::RST != 0 { Reason::DropStrayReset } else { reset }
}

#[inline(always)]
fn vip(packet: &Packet) -> Result<&'static Vip, Stop> {
    // SAFETY: as for listeners.
    unsafe { VIPS.get(packet.key().dst) }.ok_or(Stop::node(Reason::PassNotOurs))
}
