//! Stage 5: whether the flow that was found goes on.

use nlb_common::{
    Event, Flow, Reason,
    flow::{self, Life, flag, phase},
    layout::{Target, state},
    tcp,
};

use crate::{
    classify::answer,
    flows::{Table, nlb_end, nlb_is_quiet, nlb_remove, on_flow},
    handshake,
    maps::{TARGETS, note},
    packet::Packet,
    verdict::Stop,
};

/// What became of the flow.
pub enum Found {
    /// It goes on: its entry, which a completed handshake has moved, and its target.
    Live(Table, &'static mut Flow, &'static Target),
    /// It is over and removed; the packet opens a new one.
    Over,
}

/// Judges the flow found in `table` by its age, its phase and its target, and lets the segment act on it.
#[inline(always)]
pub fn check(packet: &mut Packet, table: Table, flow: &'static mut Flow) -> Result<Found, Stop> {
    let quiet = flow.is_quiet(packet.now) && on_flow(packet, || nlb_is_quiet()) != 0;
    if !packet.is_tcp() {
        return datagram(packet, flow, quiet);
    }
    match flow::life(flow, packet.flags, quiet) {
        Life::Live => {}
        Life::Reopen => return Ok(reopen(packet, Event::Reopened)),
        Life::Over(reason) => return Err(end(packet, flow, reason)),
    }
    match target(flow) {
        Ok(target) if handshake::matters(packet, table) => handshake::segment(packet, table, flow, target),
        Ok(target) => Ok(Found::Live(table, flow, target)),
        // A client that has not got through yet is sent elsewhere at once.
        Err(_) if tcp::opens(packet.flags) && !flow.is(flag::FROM_TARGET) => Ok(reopen(packet, Event::Reopened)),
        Err(reason) => Err(end(packet, flow, reason)),
    }
}

/// Judges a UDP flow.
#[inline(always)]
fn datagram(packet: &Packet, flow: &'static mut Flow, quiet: bool) -> Result<Found, Stop> {
    let over = quiet || flow.phase != phase::OPEN;
    let target = target(flow);
    match (flow.is(flag::FROM_TARGET), target) {
        (_, Ok(target)) if !over => Ok(Found::Live(Table::Udp, flow, target)),
        (true, Ok(_)) => Err(Stop::at(Reason::DropUdpExpired, flow.row)),
        (true, Err(_)) => Err(Stop::at(Reason::DropTargetDown, flow.row)),
        (false, Ok(_)) => Ok(reopen(packet, Event::Reopened)),
        (false, Err(_)) => Ok(reopen(packet, Event::RePinned)),
    }
}

/// The flow's target, if it still serves flows; else the reset that the flow's packets get.
#[inline(always)]
fn target(flow: &Flow) -> Result<&'static Target, Reason> {
    match TARGETS.get(flow.target) {
        Some(target) if target.generation == flow.generation => match target.state {
            state::SERVING | state::DRAINING => Ok(target),
            state::UNHEALTHY => Err(Reason::ResetUnhealthy),
            _ => Err(Reason::ResetTargetGone),
        },
        _ => Err(Reason::ResetTargetGone),
    }
}

/// Makes room for a new flow under the same tuple.
#[inline(always)]
fn reopen(packet: &Packet, event: Event) -> Found {
    on_flow(packet, || nlb_remove());
    note(event);
    Found::Over
}

/// Ends a flow, for both directions, and answers this packet.
#[inline(always)]
pub fn end(packet: &Packet, flow: &Flow, reason: Reason) -> Stop {
    on_flow(packet, || nlb_end(u64::from(reason.number())));
    Stop::at(answer(packet, reason), flow.row)
}
