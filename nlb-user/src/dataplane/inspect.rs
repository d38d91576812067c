//! Reading the data plane, with or without a controller.

use std::collections::BTreeMap;

use nlb_common::layout::Row;

use super::{
    AttachedLink, Counters, DataplaneError, FlowTables, PinnedMaps, Pins, links,
    load::{Found, look},
};
use crate::reconcile::Actual;

/// The pinned data plane of this node, to read. Changes nothing but flows that it is told to end.
#[derive(Debug)]
pub struct Inspect {
    pins: Pins,
    maps: PinnedMaps,
}

impl Inspect {
    /// Opens what is pinned.
    ///
    /// # Errors
    /// If nothing is, or it is of another layout version, or this process may not.
    pub fn open(pins: &Pins) -> Result<Self, DataplaneError> {
        super::privileges::check()?;
        match look(pins)? {
            Found::Whole => Ok(Self { pins: pins.clone(), maps: PinnedMaps::open(pins)? }),
            Found::Nothing | Found::Unfinished => Err(DataplaneError::NotRunning { dir: pins.dir().to_owned() }),
        }
    }

    /// The configuration that the maps hold.
    ///
    /// # Errors
    /// If a map can't be read.
    pub fn actual(&self) -> Result<Actual, DataplaneError> {
        Ok(self.maps.actual()?)
    }

    /// All reasons and events.
    ///
    /// # Errors
    /// If the map can't be read.
    pub fn counters(&self) -> Result<Counters, DataplaneError> {
        Ok(self.maps.counters()?)
    }

    /// One counters row.
    ///
    /// # Errors
    /// If the map can't be read.
    pub fn row(&self, row: u32) -> Result<Row, DataplaneError> {
        Ok(self.maps.counter_maps().row(row)?)
    }

    /// The counters rows of everything in `actual`, by row number, the node's own row 0 among them.
    ///
    /// # Errors
    /// If the map can't be read.
    pub fn rows(&self, actual: &Actual) -> Result<BTreeMap<u32, Row>, DataplaneError> {
        let vips = actual.vips.values().map(|vip| vip.row);
        let listeners = actual.listeners.values().map(|listener| listener.row);
        let targets = actual.targets.values().map(|target| target.row);
        let rows = std::iter::once(0).chain(vips).chain(listeners).chain(targets);
        rows.map(|row| Ok((row, self.row(row)?))).collect()
    }

    /// The flow tables.
    pub const fn flows(&self) -> &FlowTables {
        self.maps.flows()
    }

    /// The Maglev table of the group with this index: the target's index of each slot.
    ///
    /// # Errors
    /// If the map can't be read.
    pub fn table(&self, group: u32) -> Result<Vec<u32>, DataplaneError> {
        Ok(self.maps.table(group)?)
    }

    /// The interfaces that the program is attached to.
    ///
    /// # Errors
    /// If the pins can't be read.
    pub fn interfaces(&self) -> Result<Vec<AttachedLink>, DataplaneError> {
        Ok(links::all(&self.pins)?.iter().map(links::Link::describe).collect())
    }
}
