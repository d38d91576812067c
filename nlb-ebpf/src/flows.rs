//! All access to the flow tables: look up, insert, touch, remove.

use aya_ebpf::bindings::{BPF_ANY, BPF_NOEXIST};
use bytemuck::Zeroable as _;
use nlb_common::{
    Event, Flow, FlowKey,
    flow::{PAIR_CHECK_SHIFT, TCP, flag, phase},
};

use crate::{
    maps::{HALF_OPEN, TCP_FLOWS, UDP_FLOWS, draft, note},
    packet::Packet,
    select::Draft,
};

/// The table that holds a flow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Tcp,
    HalfOpen,
    Udp,
}

/// The flow of a packet.
#[inline(always)]
pub fn find(key: &FlowKey) -> Option<(Table, &'static mut Flow)> {
    if key.proto != TCP {
        return get(Table::Udp, key).map(|flow| (Table::Udp, flow));
    }
    match get(Table::Tcp, key) {
        Some(flow) => Some((Table::Tcp, flow)),
        None => get(Table::HalfOpen, key).map(|flow| (Table::HalfOpen, flow)),
    }
}

#[inline(always)]
pub fn get(table: Table, key: &FlowKey) -> Option<&'static mut Flow> {
    let flow = match table {
        Table::Tcp => TCP_FLOWS.get_ptr_mut(key),
        Table::HalfOpen => HALF_OPEN.get_ptr_mut(key),
        Table::Udp => UDP_FLOWS.get_ptr_mut(key),
    };
    // SAFETY: elements are preallocated and stay mapped while the program runs. Another processor may write the same
    // fields: each is one aligned word, whose last writer wins.
    flow.map(|flow| unsafe { &mut *flow })
}

/// The other entry of a flow.
#[inline(always)]
pub fn pair(table: Table, flow: &Flow, proto: u8) -> Option<&'static mut Flow> {
    get(table, &flow.pair(proto))
}

/// Writes an entry that must not exist yet.
#[inline(always)]
pub fn add(table: Table, key: &FlowKey, flow: &Flow) -> Result<(), i32> {
    insert(table, key, flow, u64::from(BPF_NOEXIST))
}

/// Writes an entry, whether it exists or not.
#[inline(always)]
pub fn put(table: Table, key: &FlowKey, flow: &Flow) -> Result<(), i32> {
    insert(table, key, flow, u64::from(BPF_ANY))
}

#[inline(always)]
fn insert(table: Table, key: &FlowKey, flow: &Flow, flags: u64) -> Result<(), i32> {
    match table {
        Table::Tcp => TCP_FLOWS.insert(key, flow, flags),
        Table::HalfOpen => HALF_OPEN.insert(key, flow, flags),
        Table::Udp => UDP_FLOWS.insert(key, flow, flags),
    }
}

/// Removes an entry. That it is gone already is no error.
#[inline(always)]
pub fn remove(table: Table, key: &FlowKey) {
    let _gone_already = match table {
        Table::Tcp => TCP_FLOWS.remove(key),
        Table::HalfOpen => HALF_OPEN.remove(key),
        Table::Udp => UDP_FLOWS.remove(key),
    };
}

/// Removes both entries of the flow found under `key`.
#[inline(always)]
pub fn remove_both(table: Table, key: &FlowKey, flow: &Flow) {
    remove(table, &flow.pair(key.proto));
    remove(table, key);
}

/// Whether neither direction of a flow was heard for too long. The other entry is looked at only if this one is stale.
#[inline(always)]
pub fn is_quiet(table: Table, flow: &Flow, proto: u8, now: u64) -> bool {
    flow.is_quiet(now) && pair(table, flow, proto).is_none_or(|pair| pair.is_quiet(now))
}

/// Records a packet of a live flow.
#[inline(always)]
pub fn touch(packet: &mut Packet, table: Table, flow: &mut Flow) {
    if flow.stamp != packet.now {
        flow.stamp = packet.now;
    }
    flow.packets += 1;
    flow.bytes += u64::from(packet.len);
    if flow.is(flag::FROM_TARGET) {
        return;
    }
    let hop = packet.way_back();
    if hop != flow.client_hop {
        flow.client_hop = hop;
        on_flow(packet, || nlb_follow());
    }
    let now = (packet.now >> PAIR_CHECK_SHIFT) as u32;
    if flow.pair_checked != now && table != Table::HalfOpen {
        flow.pair_checked = now;
        on_flow(packet, || nlb_keep_pair());
    }
}

/// Writes down what functions for the verifier need of a packet, and what `more` adds.
#[inline(always)]
pub fn write_draft(packet: &Packet, more: impl FnOnce(&mut Draft)) -> Option<()> {
    let draft = draft()?;
    draft.key = *packet.key();
    draft.now = packet.now;
    more(draft);
    Some(())
}

/// Calls a function for the verifier on the flow of a packet; 0 if there is nothing to write it down on.
#[inline(always)]
pub fn on_flow(packet: &Packet, function: impl FnOnce() -> u64) -> u64 {
    write_draft(packet, |_| ()).map_or(0, |()| function())
}

// What follows is rare, and so kept out of the way of the packets: functions for the verifier, see `select`. Each finds
// the flow again by the key in the draft.

/// 1 if [`is_quiet`] holds of the flow.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn nlb_is_quiet() -> u64 {
    let Some(draft) = draft() else { return 0 };
    let Some((table, flow)) = find(&draft.key) else { return 1 };
    u64::from(is_quiet(table, flow, draft.key.proto, draft.now))
}

/// Removes the flow.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn nlb_remove() -> u64 {
    let Some(draft) = draft() else { return 0 };
    if let Some((table, flow)) = find(&draft.key) {
        remove_both(table, &draft.key, flow);
    }
    0
}

/// Ends the flow for both directions. The entries stay: the other side has yet to hear of it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn nlb_end(reason: u64) -> u64 {
    let Some(draft) = draft() else { return 0 };
    let Some((table, flow)) = find(&draft.key) else { return 0 };
    if flow.phase != phase::ENDED {
        if let Some(pair) = pair(table, flow, draft.key.proto) {
            (pair.phase, pair.end) = (phase::ENDED, reason as u8);
        }
        (flow.phase, flow.end) = (phase::ENDED, reason as u8);
    }
    0
}

/// Answers go where the client's packets come from: tells the target's direction that this has changed.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn nlb_follow() -> u64 {
    let Some(draft) = draft() else { return 0 };
    let Some((table, flow)) = find(&draft.key) else { return 0 };
    if let Some(pair) = pair(table, flow, draft.key.proto) {
        pair.client_hop = flow.client_hop;
    }
    note(Event::ClientMoved);
    0
}

/// Makes sure that answers will find their entry.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn nlb_keep_pair() -> u64 {
    let Some(draft) = draft() else { return 0 };
    let Some((table, flow)) = find(&draft.key) else { return 0 };
    draft.answer = flow.pair(draft.key.proto);
    if get(table, &draft.answer).is_some() {
        return 0;
    }
    draft.target = Flow::zeroed();
    draft.target.derive_from(flow, &draft.key);
    if put(table, &draft.answer, &draft.target).is_ok() {
        note(Event::PairRepaired);
    }
    0
}
