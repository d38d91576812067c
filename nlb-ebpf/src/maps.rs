//! The maps, and the few lines that read arrays. What they hold is said in `nlb_common::layout`.

use aya_ebpf::{
    bindings::xdp_action::XDP_TX,
    btf_maps::{Array, ArrayOfMaps, DevMapHash, HashMap, LruHashMap, PerCpuArray},
    macros::btf_map,
};
use nlb_common::{
    Addr, Event, Flow, FlowKey,
    layout::{
        DEFAULT_FLOW_ENTRIES, Endpoint, Group, Listener, MAX_DEVICES, MAX_GROUPS, MAX_LISTENERS, MAX_ROWS, MAX_TARGETS,
        MAX_VIPS, Node, PORT_WORDS, RETURN, Row, TABLE_FLAGS, Target, Vip,
    },
    reason,
};

use crate::{reset::Answer, select::Draft};

#[btf_map]
pub static NODE: Array<Node, 1> = Array::new();

#[btf_map]
pub static VIPS: HashMap<Addr, Vip, MAX_VIPS> = HashMap::new();

#[btf_map]
pub static LISTENERS: HashMap<Endpoint, Listener, MAX_LISTENERS> = HashMap::new();

#[btf_map]
pub static BACKENDS: HashMap<Endpoint, u32, MAX_TARGETS> = HashMap::new();

#[btf_map]
pub static GROUPS: Array<Group, MAX_GROUPS> = Array::new();

/// A Maglev table; the controller makes them of any size.
pub type Table = Array<u32, 1, { TABLE_FLAGS as usize }>;

#[btf_map]
pub static TABLES: ArrayOfMaps<Table, MAX_GROUPS> = ArrayOfMaps::new();

#[btf_map]
pub static TARGETS: Array<Target, MAX_TARGETS> = Array::new();

#[btf_map]
pub static HALF_OPEN: LruHashMap<FlowKey, Flow, DEFAULT_FLOW_ENTRIES> = LruHashMap::new();

#[btf_map]
pub static TCP_FLOWS: HashMap<FlowKey, Flow, DEFAULT_FLOW_ENTRIES> = HashMap::new();

#[btf_map]
pub static UDP_FLOWS: LruHashMap<FlowKey, Flow, DEFAULT_FLOW_ENTRIES> = LruHashMap::new();

#[btf_map]
pub static COUNTERS: PerCpuArray<u64, { reason::COUNTERS }> = PerCpuArray::new();

#[btf_map]
pub static ROWS: PerCpuArray<Row, MAX_ROWS> = PerCpuArray::new();

#[btf_map]
pub static DEVICES: DevMapHash<MAX_DEVICES> = DevMapHash::new();

#[btf_map]
pub static PORTS_IN_USE: Array<u64, PORT_WORDS> = Array::new();

/// The new flow that this processor is opening. Of no use to anybody else, so it is not pinned.
#[btf_map]
pub static DRAFT: PerCpuArray<Draft, 1> = PerCpuArray::new();

/// The reset that this processor is making; see `DRAFT`.
#[btf_map]
pub static ANSWER: PerCpuArray<Answer, 1> = PerCpuArray::new();

/// The action that sends a packet back by the interface it came in by.
#[inline(always)]
pub fn send_back(interface: u32) -> u32 {
    match DEVICES.redirect(interface | RETURN, u64::from(XDP_TX)) {
        Ok(action) | Err(action) => action,
    }
}

/// Adds one to a counter: a reason's or an event's number.
#[inline(always)]
pub fn count(number: u8) {
    if let Some(counter) = COUNTERS.get_ptr_mut(u32::from(number)) {
        // SAFETY: a per-CPU element: only this processor, which XDP programs do not leave, writes it.
        unsafe { *counter += 1 };
    }
}

/// Counts an event.
#[inline(always)]
pub fn note(event: Event) {
    count(event.number());
}

/// A row of counters.
#[inline(always)]
pub fn row(index: u32) -> Option<&'static mut Row> {
    // SAFETY: as in `count`; callers hold one row at a time.
    ROWS.get_ptr_mut(index).map(|row| unsafe { &mut *row })
}

/// This processor's draft.
#[inline(always)]
pub fn draft() -> Option<&'static mut Draft> {
    // SAFETY: as in `count`; nobody uses one any more when another is taken, least of all across a call of an `nlb_`
    // function. What `select::open` returns of it is the last that is taken for its packet.
    DRAFT.get_ptr_mut(0).map(|draft| unsafe { &mut *draft })
}

/// This processor's reset.
#[inline(always)]
pub fn answer() -> Option<&'static mut Answer> {
    // SAFETY: as for `draft`.
    ANSWER.get_ptr_mut(0).map(|answer| unsafe { &mut *answer })
}
