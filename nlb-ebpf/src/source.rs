//! Source translation: a port of the load balancer's address for a flow to a target.

use nlb_common::{Be16, Event, hash};

use crate::{
    maps::{PORTS_IN_USE, TARGETS, draft, note, row},
    select::{DONE, INTERNAL, NO_PORT, nlb_claim, settle},
};

/// How many ports are tried. With 55,000 of 64,512 ports taken (the guide's figure for one target) this many draws
/// all miss once in 27,000 times.
const PROBES: u32 = 64;

/// Finds a free port for the drafted flow and opens it: 0, or the number of the reason why not. Verified by itself, as
/// `nlb_select` is.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn nlb_allocate() -> u64 {
    let Some(hash) = draft().map(|draft| draft.hash) else { return INTERNAL };
    for probe in 0..PROBES {
        let port = hash::source_port(hash, probe);
        if in_use_by_host(port) {
            continue;
        }
        let Some(draft) = draft() else { return INTERNAL };
        draft.client.set_source_port(&mut draft.target, Be16::new(port));
        if nlb_claim() == DONE {
            return settle();
        }
        note(Event::PortCollision);
    }
    count_error();
    NO_PORT
}

#[inline(always)]
fn count_error() {
    let Some(draft) = draft() else { return };
    let target = TARGETS.get(draft.client.target).map_or(0, |target| target.row);
    for index in [draft.listener.row, target] {
        if let Some(row) = row(index) {
            row.port_allocation_errors += 1;
        }
    }
}

#[inline(always)]
fn in_use_by_host(port: u16) -> bool {
    PORTS_IN_USE.get(u32::from(port) / 64).is_some_and(|bits| bits >> (port % 64) & 1 != 0)
}
