//! The sweep: finds the flows that are over and takes them away.
//!
//! The program expires flows lazily, when a packet comes; what never hears a packet again is the sweep's. Connections
//! that ran into their idle timeout are kept for another while, as tombstones: late data then gets a reset that says so.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
};

use nlb_common::{
    Flow, FlowKey, Reason,
    flow::{CLOSED_S, HALF_OPEN_S, SECOND, flag, phase},
};

use super::{
    error::MapIo,
    flows::{FlowTables, Table},
};

/// How long an entry must have been quiet before the lack of its other half counts: the program writes both at once,
/// but not in one step.
const ORPHAN_S: u64 = 5;

/// What a sweep found and did. Flows are counted once, not by entry.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sweep {
    /// Targets by index that some flow still uses, a closed connection in its last minute too.
    pub live_targets: HashSet<u32>,
    /// Open flows of each target, by index.
    pub open_by_target: HashMap<u32, u64>,
    /// Open established TCP connections.
    pub tcp: u64,
    /// Open UDP flows.
    pub udp: u64,
    /// TCP connections whose handshake goes on.
    pub half_open: u64,
    /// Flows that are closed, ended or expired and still hold their entries.
    pub held: u64,
    /// Flows removed.
    pub removed: u64,
    /// Entries removed whose other half was missing.
    pub orphans: u64,
}

/// What becomes of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// It carries data, or may.
    Open,
    /// Closed by its ends; its tuple and port are held for the packets still under way.
    Closed,
    /// Over; its entries only say why. Removed when room is short.
    Tombstone,
    /// To be removed.
    Over,
}

/// The fate of a flow in `table` with this entry, of which neither side was heard for `age` nanoseconds.
fn fate(table: Table, flow: &Flow, age: u64) -> Fate {
    let older = |seconds: u16| age > u64::from(seconds) * SECOND;
    let hold = flow.idle_s.max(CLOSED_S);
    let idle = |over: Fate| match older(flow.idle_s) {
        false => Fate::Open,
        true if table == Table::Udp || older(flow.idle_s.saturating_add(hold)) => Fate::Over,
        true => over,
    };
    match flow.phase {
        phase::OPEN => idle(Fate::Tombstone),
        phase::OPENING if older(HALF_OPEN_S) => Fate::Over,
        phase::OPENING => Fate::Open,
        phase::CLOSED if older(CLOSED_S) => Fate::Over,
        phase::CLOSED => Fate::Closed,
        // ENDED. A datagram meets no answer that a tombstone could give.
        _ if table == Table::Udp => Fate::Over,
        _ if flow.end == Reason::ResetIdle.number() && !older(flow.idle_s.saturating_add(hold)) => Fate::Tombstone,
        _ if older(hold) => Fate::Over,
        _ => Fate::Tombstone,
    }
}

/// What one pass over a table leaves to do.
#[derive(Default)]
struct Findings {
    entries: u64,
    over: Vec<FlowKey>,
    tombstones: Vec<FlowKey>,
    orphans: Vec<FlowKey>,
}

impl FlowTables {
    /// Removes what is over at `now` ([`super::now`]), and counts what is not.
    ///
    /// # Errors
    /// If a table can't be read or written. What was removed before stays removed.
    pub fn sweep(&self, now: u64) -> Result<Sweep, MapIo> {
        let mut sweep = Sweep::default();
        for table in Table::ALL {
            let findings = self.look(table, now, &mut sweep)?;
            let full = findings.entries * 10 > u64::from(self.map(table).entries()) * 8;
            let tombstones = if full { findings.tombstones } else { Vec::new() };
            for key in findings.over.iter().chain(&tombstones) {
                if self.remove_over(table, key, now, full)? {
                    sweep.removed += 1;
                    sweep.held -= 1;
                }
            }
            for key in &findings.orphans {
                sweep.orphans += u64::from(self.remove_orphan(table, key, now)?);
            }
        }
        Ok(sweep)
    }

    fn look(&self, table: Table, now: u64, sweep: &mut Sweep) -> Result<Findings, MapIo> {
        let mut findings = Findings::default();
        let mut failed = None;
        self.map(table).for_each(|key, flow| {
            findings.entries += 1;
            match self.judge(table, key, flow, now, sweep, &mut findings) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        failed.map_or(Ok(findings), Err)
    }

    /// Judges one entry. A flow is counted and removed by its client's entry; the target's keeps its target in use and
    /// is looked at for the lack of the client's.
    fn judge(
        &self,
        table: Table,
        key: &FlowKey,
        flow: &Flow,
        now: u64,
        sweep: &mut Sweep,
        findings: &mut Findings,
    ) -> Result<(), MapIo> {
        let own_age = now.saturating_sub(flow.stamp);
        let from_target = flow.is(flag::FROM_TARGET);
        let mut fate_now = fate(table, flow, own_age);
        // Where entries are evicted, those of targets lose their other half while it still holds a port.
        let evicted = from_target && table != Table::Tcp && own_age > ORPHAN_S * SECOND;
        if !matches!(fate_now, Fate::Open | Fate::Closed) || evicted {
            match self.partner(table, key, flow)? {
                Some(partner) => fate_now = fate(table, flow, own_age.min(now.saturating_sub(partner.stamp))),
                None if own_age > ORPHAN_S * SECOND => {
                    findings.orphans.push(*key);
                    return Ok(());
                }
                None => {}
            }
        }
        if matches!(fate_now, Fate::Open | Fate::Closed) {
            sweep.live_targets.insert(flow.target);
        }
        if from_target {
            return Ok(());
        }
        match fate_now {
            Fate::Open => {
                *sweep.open_by_target.entry(flow.target).or_default() += 1;
                *match table {
                    Table::Tcp => &mut sweep.tcp,
                    Table::HalfOpen => &mut sweep.half_open,
                    Table::Udp => &mut sweep.udp,
                } += 1;
            }
            Fate::Closed => sweep.held += 1,
            Fate::Tombstone => {
                sweep.held += 1;
                findings.tombstones.push(*key);
            }
            Fate::Over => {
                sweep.held += 1;
                findings.over.push(*key);
            }
        }
        Ok(())
    }

    /// Removes the flow whose client's entry is under `key`, if it is still over.
    ///
    /// What was judged may be another flow by now: a packet may have opened a new one under the same tuple. So each
    /// entry is taken, looked at once more, and put back if it is not over.
    fn remove_over(&self, table: Table, key: &FlowKey, now: u64, full: bool) -> Result<bool, MapIo> {
        let Some(flow) = self.map(table).take(key)? else { return Ok(false) };
        let partner = self.partner(table, key, &flow)?;
        let is_over = |flow: &Flow, stamp: u64| match fate(table, flow, now.saturating_sub(stamp)) {
            Fate::Over => true,
            Fate::Tombstone => full,
            Fate::Open | Fate::Closed => false,
        };
        if !is_over(&flow, flow.stamp.max(partner.map_or(0, |partner| partner.stamp))) {
            self.put_back(table, key, &flow)?;
            return Ok(false);
        }
        let key = flow.pair(key.proto);
        if partner.is_some()
            && let Some(partner) = self.map(table).take(&key)?
            && !is_over(&partner, partner.stamp)
        {
            self.put_back(table, &key, &partner)?;
        }
        Ok(true)
    }

    /// Removes the entry under `key` if its other half is still missing, and nothing was heard of it since.
    fn remove_orphan(&self, table: Table, key: &FlowKey, now: u64) -> Result<bool, MapIo> {
        let Some(flow) = self.map(table).take(key)? else { return Ok(false) };
        let heard = now.saturating_sub(flow.stamp) <= ORPHAN_S * SECOND;
        if heard || self.partner(table, key, &flow)?.is_some() {
            self.put_back(table, key, &flow)?;
            return Ok(false);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fates of a flow with an idle timeout of `idle_s` at these ages in seconds.
    fn fates<const N: usize>(table: Table, phase: u8, end: Option<Reason>, idle_s: u16, ages: [u64; N]) -> [Fate; N] {
        let flow = Flow { phase, idle_s, end: end.map_or(0, Reason::number), ..Flow::default() };
        ages.map(|age| fate(table, &flow, age * SECOND + 1))
    }

    #[test]
    fn idle_connections_stay_for_as_long_again() {
        use Fate::{Open, Over, Tombstone};
        let ages = [349, 350, 699, 700];
        assert_eq!(fates(Table::Tcp, phase::OPEN, None, 350, ages), [Open, Tombstone, Tombstone, Over]);
        assert_eq!(fates(Table::Tcp, phase::OPEN, None, 1, [0, 1, 60, 61]), [Open, Tombstone, Tombstone, Over]);
        assert_eq!(fates(Table::Udp, phase::OPEN, None, 120, [119, 120]), [Open, Over]);
        assert_eq!(fates(Table::Tcp, phase::OPEN, None, 6000, [5999, 11_999, 12_000]), [Open, Tombstone, Over]);
    }

    #[test]
    fn closed_and_half_open_connections_last_a_minute() {
        use Fate::{Closed, Open, Over};
        assert_eq!(fates(Table::Tcp, phase::CLOSED, None, 350, [59, 60]), [Closed, Over]);
        assert_eq!(fates(Table::HalfOpen, phase::OPENING, None, 350, [63, 64]), [Open, Over]);
        assert_eq!(fates(Table::HalfOpen, phase::CLOSED, None, 350, [59, 60]), [Closed, Over]);
    }

    #[test]
    fn ended_connections_stay_for_the_side_that_has_not_spoken() {
        use Fate::{Over, Tombstone};
        let idle = Some(Reason::ResetIdle);
        assert_eq!(fates(Table::Tcp, phase::ENDED, idle, 350, [350, 699, 700]), [Tombstone, Tombstone, Over]);
        let deleted = Some(Reason::ResetTerminated);
        assert_eq!(fates(Table::Tcp, phase::ENDED, deleted, 350, [0, 349, 350]), [Tombstone, Tombstone, Over]);
        assert_eq!(fates(Table::Tcp, phase::ENDED, deleted, 1, [59, 60]), [Tombstone, Over]);
        assert_eq!(fates(Table::Udp, phase::ENDED, deleted, 120, [0]), [Over]);
    }
}
