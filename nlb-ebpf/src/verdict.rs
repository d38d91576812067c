//! The end of the walk: the XDP action, and the one count that every packet gets.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use nlb_common::{Reason, reason::Verdict};

use crate::{
    maps::{count, row, send_back},
    packet::Packet,
    reset,
};

/// A packet goes no further through the stages.
#[derive(Clone, Copy)]
pub struct Stop {
    reason: Reason,
    /// Whose counters it is charged to besides.
    row: u32,
}

impl Stop {
    /// Charged to the virtual address or the listener with this row.
    #[inline(always)]
    pub const fn at(reason: Reason, row: u32) -> Self {
        Self { reason, row }
    }

    /// Charged to nobody but the node, which has row 0.
    #[inline(always)]
    pub const fn node(reason: Reason) -> Self {
        Self { reason, row: 0 }
    }
}

/// A packet was rewritten and has its way out.
pub struct Sent {
    pub reason: Reason,
    pub action: u32,
    /// The listener's row.
    pub listener: u32,
    /// The target's row.
    pub target: u32,
}

/// Counts a packet and says what XDP is to do with it.
#[inline(always)]
pub fn conclude(packet: &mut Packet, outcome: Result<Sent, Stop>) -> u32 {
    let sent = match outcome {
        Ok(sent) => sent,
        Err(stop) if matches!(stop.reason.verdict(), Verdict::Reset) => return answer(packet, stop),
        Err(stop) => return unanswered(stop),
    };
    count(sent.reason.number());
    for index in [sent.listener, sent.target] {
        if let Some(row) = row(index) {
            row.packets += 1;
            row.bytes += u64::from(packet.len);
        }
    }
    sent.action
}

/// Answers a segment with a reset.
#[inline(always)]
fn answer(packet: &mut Packet, stop: Stop) -> u32 {
    if reset::write(packet).is_none() {
        return unanswered(Stop { reason: Reason::DropInternal, ..stop });
    }
    count(stop.reason.number());
    if let Some(row) = row(stop.row) {
        row.elb_resets += 1;
    }
    send_back(packet.frame.interface())
}

/// Passes or drops a packet.
#[inline(always)]
pub fn unanswered(stop: Stop) -> u32 {
    count(stop.reason.number());
    if matches!(stop.reason.verdict(), Verdict::Pass) {
        return XDP_PASS;
    }
    if let Some(row) = row(stop.row) {
        row.drops += 1;
    }
    XDP_DROP
}
