//! Stage 4: a new flow: which target, under which tuple.
//!
//! The functions whose names begin with `nlb_` are functions for the verifier, too: it judges each once, and not once
//! for every kind of packet that comes here, and each has a stack frame of its own, of the 512 bytes that all frames
//! together may take. Such functions take only numbers: what they work on is in the [`Draft`].

use bytemuck::Zeroable as _;
use nlb_common::{
    Addr, Event, Flow, FlowKey, Reason,
    flow::{Hop, PAIR_CHECK_SHIFT, SECOND, TCP, flag, phase},
    hash,
    layout::{Listener, Target, group_flag, state, table},
};

use crate::{
    flows::{self, Table},
    forward::hops_left,
    maps::{GROUPS, NODE, TABLES, TARGETS, draft, note, row},
    packet::Packet,
    source::nlb_allocate,
    verdict::Stop,
};

/// How many slots are tried, where the first one's target can't take the flow.
const ATTEMPTS: u32 = 4;

/// A flow in the making: the first packet's part, and the two entries it is to have.
#[repr(C)]
pub struct Draft {
    pub key: FlowKey,
    pub listener: Listener,
    pub client_hop: Hop,
    /// TCP sequence number in host order; 0 for UDP.
    pub seq: u32,
    /// TCP acknowledgement number in host order.
    pub ack: u32,
    /// TCP flags.
    pub flags: u32,
    pub len: u32,
    pub now: u64,
    pub hash: u64,
    /// What the client's packets are to become.
    pub to: FlowKey,
    /// What the target's packets will carry.
    pub answer: FlowKey,
    pub client: Flow,
    pub target: Flow,
}

impl Draft {
    #[inline(always)]
    const fn is_tcp(&self) -> bool {
        self.key.proto == TCP
    }

    /// The table in which flows begin.
    #[inline(always)]
    const fn table(&self) -> Table {
        if self.is_tcp() { Table::HalfOpen } else { Table::Udp }
    }
}

/// Opens the flow of a client's first packet: both entries, in the table of half-open or of UDP flows.
#[inline(always)]
pub fn open(packet: &mut Packet, listener: &Listener) -> Result<(&'static Flow, &'static Target), Stop> {
    // Such a packet would not reach the target, and so opens nothing.
    hops_left(packet, listener.row)?;
    let internal = Stop::at(Reason::DropInternal, listener.row);
    let (seq, hop) = (if packet.is_tcp() { packet.seq() } else { 0 }, packet.way_back());
    let begun_draft = flows::write_draft(packet, |draft| {
        (draft.listener, draft.client_hop, draft.seq, draft.len) = (*listener, hop, seq, packet.len);
    });
    begun_draft.ok_or(internal)?;
    let refused = match nlb_select() {
        TRANSLATE => nlb_allocate(),
        refused => refused,
    };
    match refused {
        DONE => {}
        NO_TARGET => return Err(Stop::at(Reason::ResetNoTarget, listener.row)),
        NO_TARGET_UDP => return Err(Stop::at(Reason::DropNoTarget, listener.row)),
        NO_PORT => return Err(Stop::at(Reason::DropPortAllocation, listener.row)),
        RACE => return Err(Stop::at(Reason::DropRace, listener.row)),
        _ => return Err(internal),
    }
    let flow = &draft().ok_or(internal)?.client;
    let target = TARGETS.get(flow.target).ok_or(internal)?;
    if !packet.is_tcp() {
        begun(listener.row, target.row);
    }
    Ok((flow, target))
}

/// The drafted flow is in its table, or this step of it is done.
pub const DONE: u64 = 0;
/// The drafted flow needs a source port.
const TRANSLATE: u64 = 1;
/// Another flow has the drafted flow's tuple.
const TAKEN: u64 = 2;
/// The reasons why a flow was not opened, as numbers.
const NO_TARGET: u64 = Reason::ResetNoTarget as u64;
const NO_TARGET_UDP: u64 = Reason::DropNoTarget as u64;
pub const NO_PORT: u64 = Reason::DropPortAllocation as u64;
const RACE: u64 = Reason::DropRace as u64;
pub const INTERNAL: u64 = Reason::DropInternal as u64;

/// Chooses a target for the drafted flow, and opens it there with the client's own tuple if the group preserves it and
/// that tuple is free.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn nlb_select() -> u64 {
    let Some(choice) = begin() else { return INTERNAL };
    if choice.preserve && own_tuple(&choice) {
        return settle();
    }
    translated(&choice)
}

/// What targets are chosen by.
struct Choice {
    group: u32,
    hash: u64,
    /// The client.
    src: Addr,
    tcp: bool,
    /// The target is to see the client's own tuple.
    preserve: bool,
}

/// Hashes the drafted flow.
#[inline(always)]
fn begin() -> Option<Choice> {
    let draft = draft()?;
    let (group, node) = (GROUPS.get(draft.listener.group)?, NODE.get(0)?);
    draft.hash = hash::flow(node.secret, &draft.key, draft.seq);
    let preserve = group.flags & group_flag::PRESERVE_CLIENT_IP != 0;
    Some(Choice { group: draft.listener.group, hash: draft.hash, src: draft.key.src, tcp: draft.is_tcp(), preserve })
}

/// The target that a flow takes at its `attempt`-th try: its index, if it takes new flows.
#[inline(always)]
fn choose(choice: &Choice, attempt: u32) -> Option<(u32, &'static Target)> {
    let slots = TABLES.get(choice.group)?;
    let count = *slots.get(table::SLOTS)?;
    if count == 0 {
        return None;
    }
    let index = *slots.get(table::FIRST + hash::slot(choice.hash, count, attempt))?;
    let target = TARGETS.get(index)?;
    // A target's state is ahead of the table while the controller writes both.
    (target.state == state::SERVING).then_some((index, target))
}

/// Drafts the flow with the client's own address and port, and claims its tuple. Fails if the client is the target
/// itself, or if the tuple is taken at all targets tried.
#[inline(always)]
fn own_tuple(choice: &Choice) -> bool {
    for attempt in 0..ATTEMPTS {
        let Some((index, target)) = choose(choice, attempt) else { continue };
        if target.addr == choice.src {
            note(Event::Hairpin);
            return false;
        }
        if nlb_draft(u64::from(index), 0) == DONE && nlb_claim() == DONE {
            return true;
        }
        note(Event::DuplicateTuple);
    }
    false
}

/// Drafts the flow with the load balancer's address; the port is still to be found.
#[inline(always)]
fn translated(choice: &Choice) -> u64 {
    for attempt in 0..ATTEMPTS {
        let Some((index, _)) = choose(choice, attempt) else { continue };
        return if nlb_draft(u64::from(index), u64::from(flag::SNAT)) == DONE { TRANSLATE } else { INTERNAL };
    }
    if choice.tcp { NO_TARGET } else { NO_TARGET_UDP }
}

/// Drafts both entries of a flow to the target with this index, from its client or, with [`flag::SNAT`], from the load
/// balancer.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn nlb_draft(index: u64, flags: u64) -> u64 {
    let (Some(draft), Some(target)) = (draft(), TARGETS.get(index as u32)) else { return INTERNAL };
    draft.to = draft.key;
    draft.to.dst = target.addr;
    draft.to.dst_port = target.port;
    if flags != 0 {
        draft.to.src = draft.key.dst;
        draft.to.src_port = draft.key.dst_port;
    }
    let tcp = draft.is_tcp();
    (draft.client, draft.target) = (Flow::zeroed(), Flow::zeroed());
    let client = &mut draft.client;
    client.rewrite(&draft.key, &draft.to);
    client.target = index as u32;
    client.generation = target.generation;
    client.row = draft.listener.row;
    client.client_hop = draft.client_hop;
    client.idle_s = draft.listener.idle_s;
    client.flags = flags as u8;
    client.phase = if tcp { phase::OPENING } else { phase::OPEN };
    client.created = draft.now;
    client.stamp = draft.now;
    draft.target.derive_from(client, &draft.key);
    client.packets = 1;
    client.bytes = u64::from(draft.len);
    client.pair_checked = (draft.now >> PAIR_CHECK_SHIFT) as u32;
    DONE
}

/// Takes the tuple that the drafted flow's answers will carry, unless another flow has it. One that is over gives it
/// up. [`DONE`], or [`TAKEN`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn nlb_claim() -> u64 {
    let Some(draft) = draft() else { return INTERNAL };
    draft.answer = draft.client.pair(draft.key.proto);
    let (table, key) = (draft.table(), &draft.answer);
    if draft.is_tcp() && !vacate(Table::Tcp, key, draft.now) {
        return TAKEN;
    }
    if flows::add(table, key, &draft.target).is_err()
        && !(vacate(table, key, draft.now) && flows::add(table, key, &draft.target).is_ok())
    {
        return TAKEN;
    }
    if draft.is_tcp() && flows::get(Table::Tcp, key).is_some() {
        // Another processor's handshake moved that tuple from table to table in between.
        flows::remove(table, key);
        return TAKEN;
    }
    DONE
}

/// Makes sure that no flow that goes on has `key`; one that is over is removed.
#[inline(always)]
fn vacate(table: Table, key: &FlowKey, now: u64) -> bool {
    let Some(flow) = flows::get(table, key) else { return true };
    let over = match flows::pair(table, flow, key.proto) {
        Some(pair) => flow.is_quiet(now) && pair.is_quiet(now),
        // The client's entry was evicted. One that is being written is younger than this.
        None => now.saturating_sub(flow.created) > SECOND / 2,
    };
    if over {
        flows::remove_both(table, key, flow);
        note(Event::PortReclaimed);
    }
    over
}

/// Writes the client's entry; the target's has been claimed. [`DONE`], or why not.
#[inline(always)]
pub fn settle() -> u64 {
    let Some(draft) = draft() else { return INTERNAL };
    if flows::add(draft.table(), &draft.key, &draft.client).is_ok() {
        return DONE;
    }
    flows::remove(draft.table(), &draft.answer);
    RACE
}

/// Counts a flow for its listener and its target.
#[inline(always)]
pub fn begun(listener_row: u32, target_row: u32) {
    for index in [listener_row, target_row] {
        if let Some(row) = row(index) {
            row.new_flows += 1;
        }
    }
}
