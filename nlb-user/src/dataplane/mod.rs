//! The data plane: loads, pins and attaches the XDP program, and reads and writes its maps. Nothing outside this room
//! makes a bpf(2) call.
//!
//! [`Dataplane`] is the controller's, one to a node ([`Pins::lock`]); [`Inspect`] is anybody's, with no controller
//! alive. [`PinnedMaps`] is what plans are applied to, [`FlowTables`] is all access to flows.
//!
//! The data plane outlives its controller: maps, program and links are pinned (`pins.rs`). A new controller loads its
//! own program over the maps that it finds (`load.rs`) and puts it in the place of the old one, link by link
//! (`links.rs`).

mod bpf;
mod counters;
mod error;
mod flows;
mod inspect;
mod links;
mod load;
mod map;
mod maps;
mod pins;
pub mod ports;
mod privileges;
mod shape;
mod sweep;
mod xdp;

use std::{fmt, os::fd::AsFd as _};

use aya::{Ebpf, programs::Xdp};
use nix::time::{ClockId, clock_gettime};

pub use counters::{CounterMaps, Counters};
pub use error::{DataplaneError, MapIo};
pub use flows::{FlowEntry, FlowTables, Table};
pub use inspect::Inspect;
pub use links::{Attached, AttachedLink};
pub use maps::PinnedMaps;
pub use pins::{Lock, Pins};
pub use privileges::check as check_privileges;
pub use shape::{FlowEntries, memory_bytes};
pub use sweep::Sweep;

/// The object file with the program and its maps, as the build script made it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/nlb"));

/// How to run an XDP program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XdpMode {
    /// In the driver, before the kernel makes anything of the packet.
    Native,
    /// In the kernel's receive path: on every interface, but slower.
    Generic,
}

impl XdpMode {
    /// Its name on the command line and in JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// How to start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// TCP flows that there is room for, and as many UDP flows. Of no effect on maps that are taken over: see
    /// [`Dataplane::max_flows`].
    pub max_flows: u32,
    /// Remove what is pinned first, of whatever version: all flows are dropped.
    pub fresh: bool,
}

/// Where the maps come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// They are new, and empty.
    Created,
    /// An earlier controller left them, with all flows.
    TakenOver,
}

/// What [`Dataplane::remove`] took away.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Removed {
    /// The links, and where they were attached.
    pub links: Vec<AttachedLink>,
    /// How many maps and programs were pinned.
    pub pins: usize,
}

impl Removed {
    /// Whether there was nothing.
    pub const fn is_empty(&self) -> bool {
        self.links.is_empty() && self.pins == 0
    }
}

/// The running data plane, as its controller holds it. Dropping it changes nothing: all that matters is pinned.
#[derive(Debug)]
pub struct Dataplane {
    pins: Pins,
    ebpf: Ebpf,
    maps: PinnedMaps,
}

impl Dataplane {
    /// Loads the program: over the maps pinned in `pins`, or over new ones, which it pins there. Interfaces go on with
    /// the program they have until [`Self::attach`]. The caller holds [`Pins::lock`].
    ///
    /// # Errors
    /// If this process may not, the kernel is too old or refuses the program, the directory is not on a BPF file
    /// system, or the pinned maps are of another layout and `options.fresh` is not set. Nothing has changed then.
    pub fn start(pins: &Pins, options: &Options) -> Result<(Self, Origin), DataplaneError> {
        privileges::check()?;
        pins.prepare()?;
        let (ebpf, maps, origin) = load::load(pins, options)?;
        Ok((Self { pins: pins.clone(), ebpf, maps }, origin))
    }

    /// Attaches the program to an interface, or puts it in the place of the one that an earlier controller attached.
    ///
    /// # Errors
    /// If the interface has another XDP program, or the driver refuses this one; the error says why.
    pub fn attach(&mut self, interface: &str, ifindex: u32, mode: XdpMode) -> Result<Attached, DataplaneError> {
        self.maps.allow_egress(ifindex)?;
        let program = load::program(&mut self.ebpf)?;
        let program = program.fd().map_err(|error| DataplaneError::Load(error::whole(&error)))?;
        links::attach(&self.pins, program.as_fd(), interface, ifindex, mode)
    }

    /// Has packets that come in by the interface with this index and leave by it redirected: what a veth needs, see
    /// [`nlb_common::layout::RETURN`].
    ///
    /// # Errors
    /// If there is no such interface.
    pub fn return_by_redirect(&self, ifindex: u32) -> Result<(), DataplaneError> {
        Ok(self.maps.return_by_redirect(ifindex)?)
    }

    /// Detaches the program from all interfaces but those with these indices: the ones that an earlier controller was
    /// given and this one was not, and those that are gone.
    ///
    /// # Errors
    /// If a link can't be removed.
    pub fn detach_others(&mut self, keep: &[u32]) -> Result<Vec<AttachedLink>, DataplaneError> {
        let mut detached = Vec::new();
        for ifindex in self.pins.links()?.into_iter().filter(|ifindex| !keep.contains(ifindex)) {
            if let Some(link) = links::Link::open(&self.pins, ifindex)? {
                detached.push(link.describe());
                link.remove()?;
            }
        }
        Ok(detached)
    }

    /// Removes everything that is pinned: links first, then program and maps, and the directory if it is empty then.
    /// Connections are cut off. The caller holds [`Pins::lock`].
    ///
    /// # Errors
    /// If this process may not.
    pub fn remove(pins: &Pins) -> Result<Removed, DataplaneError> {
        privileges::check()?;
        load::remove(pins)
    }

    /// What plans are applied to.
    pub const fn maps(&mut self) -> &mut PinnedMaps {
        &mut self.maps
    }

    /// The flow tables.
    pub const fn flows(&self) -> &FlowTables {
        self.maps.flows()
    }

    /// TCP flows that there really is room for: those that maps taken over were made with.
    pub const fn max_flows(&self) -> u32 {
        self.flows().capacity(Table::Tcp)
    }

    /// Lets packets leave by the interface with this index: the way to a target, if nothing is attached there.
    ///
    /// # Errors
    /// If there is no such interface.
    pub fn allow_egress(&self, ifindex: u32) -> Result<(), DataplaneError> {
        Ok(self.maps.allow_egress(ifindex)?)
    }

    /// The loaded program, for its statistics and for test runs.
    ///
    /// # Errors
    /// If the object has no such program, which its build would have shown.
    pub fn program(&mut self) -> Result<&Xdp, DataplaneError> {
        load::program(&mut self.ebpf).map(|program| &*program)
    }
}

/// The clock of flow stamps, in nanoseconds: the kernel's coarse monotonic clock, which the program reads, too.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).expect("Linux has this clock since 2.6.32");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}
