//! What a TCP segment does to its connection: complete the handshake, finish, reset.

use nlb_common::{
    Event, Flow, Reason,
    flow::{Step, flag, phase, step},
    layout::Target,
    tcp::{self, ACK, FIN, RST, SYN},
};

use crate::{
    check::{Found, end},
    flows::{self, Table},
    maps::{TARGETS, draft, note, row},
    packet::Packet,
    select::{Draft, begun},
    verdict::Stop,
};

/// Whether the segment does anything but carry data.
#[inline(always)]
pub fn matters(packet: &Packet, table: Table) -> bool {
    packet.flags & (FIN | RST) != 0 || table == Table::HalfOpen
}

/// Lets the segment act on the flow in `table`.
#[inline(always)]
pub fn segment(
    packet: &mut Packet,
    table: Table,
    flow: &'static mut Flow,
    target: &'static Target,
) -> Result<Found, Stop> {
    let (seq, ack, row) = (packet.seq(), packet.ack(), flow.row);
    let written = flows::write_draft(packet, |draft| {
        (draft.seq, draft.ack, draft.flags) = (seq, ack, packet.flags.into());
    });
    match written.map_or(CARRIED, |()| nlb_segment()) {
        // What was in the table of half-open flows may be another flow's by now.
        ESTABLISHED => match flows::get(Table::Tcp, packet.key()) {
            Some(flow) => Ok(Found::Live(Table::Tcp, flow, target)),
            None => Err(Stop::at(Reason::DropRace, row)),
        },
        STRAY => Err(end(packet, flow, Reason::ResetStray)),
        FULL => Err(Stop::at(Reason::ResetTableFull, row)),
        _ => Ok(Found::Live(table, flow, target)),
    }
}

/// The flow is where it was.
const CARRIED: u64 = 0;
/// The flow has moved to the table of established connections.
const ESTABLISHED: u64 = 1;
/// The flow's other entry is gone, and can't be made again.
const STRAY: u64 = 2;
/// There is no room in the table of established connections; the flow is removed.
const FULL: u64 = 3;

/// Lets the drafted segment act on its flow. A function for the verifier, see `select`.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn nlb_segment() -> u64 {
    let Some(draft) = draft() else { return CARRIED };
    let Some((table, flow)) = flows::find(&draft.key) else { return CARRIED };
    draft.answer = flow.pair(draft.key.proto);
    let flags = draft.flags as u8;
    if flags & (FIN | RST) != 0 {
        closing(draft, table, flow, flags);
        return CARRIED;
    }
    if table != Table::HalfOpen {
        return CARRIED;
    }
    if flow.is(flag::FROM_TARGET) {
        if tcp::accepts(flags) {
            flow.expected_ack = draft.seq.wrapping_add(1);
            flow.flags |= flag::ANSWERED;
        }
        return CARRIED;
    }
    if flags & (ACK | SYN) != ACK {
        return CARRIED;
    }
    let Some(pair) = flows::get(table, &draft.answer) else { return STRAY };
    // Whoever has not seen the target's sequence number can't write it: a flood of spoofed SYNs and ACKs never gets
    // into the table of established connections.
    if !pair.is(flag::ANSWERED) || pair.expected_ack != draft.ack {
        return CARRIED;
    }
    establish(draft, flow, pair)
}

/// Moves both entries to the table of established connections, where nothing is evicted.
#[inline(always)]
fn establish(draft: &Draft, flow: &mut Flow, pair: &mut Flow) -> u64 {
    (flow.phase, pair.phase) = (phase::OPEN, phase::OPEN);
    let (key, pair_key) = (&draft.key, &draft.answer);
    let moved = flows::put(Table::Tcp, pair_key, pair).is_ok() && flows::put(Table::Tcp, key, flow).is_ok();
    if moved {
        note(Event::Established);
        begun(flow.row, row_of_target(flow));
    } else {
        flows::remove(Table::Tcp, pair_key);
    }
    flows::remove(Table::HalfOpen, pair_key);
    flows::remove(Table::HalfOpen, key);
    if moved { ESTABLISHED } else { FULL }
}

/// A FIN or a reset.
#[inline(always)]
fn closing(draft: &Draft, table: Table, flow: &mut Flow, flags: u8) {
    if flags & RST != 0 {
        count_reset(flow);
    }
    if !matches!(flow.phase, phase::OPEN | phase::OPENING) {
        return;
    }
    let pair = flows::get(table, &draft.answer);
    let other_finished = pair.as_ref().is_some_and(|pair| pair.is(flag::FIN));
    match step(flags, other_finished) {
        Step::Carry => {}
        Step::Finish => flow.flags |= flag::FIN,
        Step::Close => {
            flow.phase = phase::CLOSED;
            if let Some(pair) = pair {
                pair.phase = phase::CLOSED;
            }
            note(Event::Closed);
        }
    }
}

/// Counts a reset that is forwarded, by who sent it.
#[inline(always)]
fn count_reset(flow: &Flow) {
    for index in [flow.row, row_of_target(flow)] {
        if let Some(row) = row(index) {
            let resets = if flow.is(flag::FROM_TARGET) { &mut row.target_resets } else { &mut row.client_resets };
            *resets += 1;
        }
    }
}

#[inline(always)]
fn row_of_target(flow: &Flow) -> u32 {
    TARGETS.get(flow.target).map_or(0, |target| target.row)
}
