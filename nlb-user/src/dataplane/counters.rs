//! Counters: what the program counted on each processor, added up.

use nlb_common::{
    Event, Reason,
    layout::{Row, map},
    reason::{COUNTERS, Verdict},
};

use super::{Pins, error::MapIo, map::PerCpu};

/// All reasons and events, at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counters([u64; COUNTERS]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; COUNTERS])
    }
}

impl Counters {
    /// Packets that ended for this reason.
    pub const fn reason(&self, reason: Reason) -> u64 {
        self.0[reason.number() as usize]
    }

    /// How often this happened.
    pub const fn event(&self, event: Event) -> u64 {
        self.0[event.number() as usize]
    }

    /// Every reason with its count.
    pub fn reasons(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().map(|reason| (*reason, self.reason(*reason)))
    }

    /// Every event with its count.
    pub fn events(&self) -> impl Iterator<Item = (Event, u64)> + '_ {
        Event::ALL.iter().map(|event| (*event, self.event(*event)))
    }

    /// Packets that ended with this verdict.
    pub fn verdict(&self, verdict: Verdict) -> u64 {
        self.reasons().filter(|(reason, _)| reason.verdict() == verdict).map(|(_, count)| count).sum()
    }

    /// Packets seen: every one ends for one reason, those with numbers that this version does not know too.
    pub fn packets(&self) -> u64 {
        self.0[..usize::from(Event::FIRST)].iter().sum()
    }

    /// What was counted since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self(std::array::from_fn(|number| self.0[number].saturating_sub(earlier.0[number])))
    }
}

/// The counters' maps.
#[derive(Debug)]
pub struct CounterMaps {
    counters: PerCpu<u64>,
    rows: PerCpu<Row>,
}

impl CounterMaps {
    /// Opens the pinned maps.
    pub fn open(pins: &Pins) -> Result<Self, MapIo> {
        Ok(Self { counters: PerCpu::open(pins, map::COUNTERS)?, rows: PerCpu::open(pins, map::ROWS)? })
    }

    /// All reasons and events.
    pub fn counters(&self) -> Result<Counters, MapIo> {
        let mut counters = Counters::default();
        for (number, counter) in (0..).zip(&mut counters.0) {
            *counter = self.counters.get(number)?.iter().sum();
        }
        Ok(counters)
    }

    /// One row.
    pub fn row(&self, index: u32) -> Result<Row, MapIo> {
        Ok(self.rows.get(index)?.into_iter().fold(Row::default(), |mut sum, row| {
            sum += row;
            sum
        }))
    }

    /// Zeroes a row. What the program adds to it at the same moment may be lost or stay: the row gets a new owner, of
    /// whom nothing has been counted yet.
    pub fn clear_row(&self, index: u32) -> Result<(), MapIo> {
        self.rows.clear(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_counted_once_by_reason_and_events_apart() {
        let mut counters = Counters::default();
        counters.0[usize::from(Reason::ToTarget.number())] = 5;
        counters.0[usize::from(Reason::DropMalformed.number())] = 2;
        counters.0[usize::from(Event::Established.number())] = 100;
        assert_eq!((counters.packets(), counters.verdict(Verdict::Drop)), (7, 2));
        assert_eq!(counters.since(&counters), Counters::default());
    }
}
