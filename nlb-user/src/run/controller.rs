//! The desired state and what is done to make it so: checks a change, stores it, writes the maps.
//!
//! Knows no socket, no interface and no kernel: maps and store come as traits, the network's answers as values.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    time::Instant,
};

use nlb_common::{Addr, flow::Hop, hash::Secret};
use tracing::{debug, info, warn};

use super::addresses::Addresses;
use crate::{
    cli::failure,
    control::{Applied, Desired, DesiredLoadBalancer, GroupTarget, Health, Overridden, Request, Unresolved},
    net::Resolution,
    reconcile::{self, Inputs, Maps, MapsError, PlanError, Step},
    serving::{Config, Limits, TargetId, changes},
    store::{
        Override, StoreError,
        legacy::{Store, Stored},
    },
};

/// Why a change was not made, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The change itself is wrong. One line a problem.
    #[error("{0}")]
    Refused(String),
    /// The maps have no room for it.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The maps could not be read or written.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// It is stored, but not all of it is in the maps.
    #[error(
        "the change is stored as revision {revision}, but not all of it is in the maps yet; it is tried again every few seconds"
    )]
    Unfinished {
        /// The stored revision.
        revision: u64,
        /// What went wrong.
        #[source]
        why: MapsError,
    },
}

/// The desired state and what is known of the world.
pub struct Controller<S> {
    store: S,
    secret: Secret,
    limits: Limits,
    revision: u64,
    stored: Stored,
    /// Addresses of load balancers.
    pub addresses: Addresses,
    hops: HashMap<IpAddr, Hop>,
    unresolved: BTreeMap<IpAddr, String>,
    live_targets: Option<HashSet<u32>>,
    written: Instant,
}

impl<S: Store> Controller<S> {
    /// Takes up the stored state.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn new(store: S, secret: Secret, limits: Limits, addresses: Addresses) -> Result<Self, StoreError> {
        let (revision, stored) = store.get()?.map_or_else(Default::default, |found| (found.revision, found.value));
        Ok(Self {
            store,
            secret,
            limits,
            revision,
            stored,
            addresses,
            hops: HashMap::new(),
            unresolved: BTreeMap::new(),
            live_targets: None,
            written: Instant::now(),
        })
    }

    /// The desired state.
    pub fn config(&self) -> &Config {
        &self.stored.config
    }

    /// Addresses of all targets: those that next hops are needed for.
    pub fn target_addresses(&self) -> BTreeSet<IpAddr> {
        self.stored.config.target_groups.iter().flat_map(|group| &group.targets).map(|target| target.id).collect()
    }

    /// What the desired state would be after a request that changes it.
    ///
    /// # Errors
    /// [`ChangeError::Refused`] if the request breaks a rule of the model.
    pub fn after(&self, request: &Request) -> Result<Stored, ChangeError> {
        let mut new = self.stored.clone();
        match request {
            Request::Apply { json, file, .. } => {
                new.config = Config::from_json(json, file, &self.limits).map_err(refused)?;
            }
            Request::Register(target) => new.config = new.config.register(&id(target)).map_err(refused)?,
            Request::Deregister(target) => new.config = new.config.deregister(&id(target)).map_err(refused)?,
            Request::SetState { target, state } => {
                let id = id(target);
                if !new.config.has_target(&id) {
                    let (group, target) = (&target.group, target.target);
                    let problem = format!("{target} is no target of group {group}; `nlb target list` shows them");
                    return Err(ChangeError::Refused(problem));
                }
                match Option::<Override>::from(*state) {
                    Some(state) => new.overrides.insert(id, state),
                    None => new.overrides.remove(&id),
                };
            }
            Request::Status | Request::Reload => {}
        }
        new.overrides.retain(|id, _| new.config.has_target(id));
        Ok(new)
    }

    /// Makes `new` the desired state: plans it against the maps, stores it, writes the maps. Of a dry run nothing is
    /// left.
    ///
    /// # Errors
    /// [`ChangeError::Unfinished`] if it is stored and the maps failed; after any other error nothing was changed.
    pub fn change(&mut self, maps: &mut dyn Maps, new: Stored, dry_run: bool) -> Result<Applied, ChangeError> {
        let mut applied = Applied {
            revision: self.revision,
            dry_run,
            changes: told(&self.stored, &new),
            warnings: new.config.warnings(),
            failed: Vec::new(),
        };
        // As if every address were served: there must be room for all of them.
        let actual = maps.read()?;
        let mut steps = reconcile::plan(&self.inputs(&new, &BTreeSet::new()), &actual)?;
        if dry_run {
            return Ok(applied);
        }
        if new != self.stored {
            self.revision = self.store.compare_and_set(self.revision, &new)?;
            self.stored = new;
            logged(&applied.changes, |change| info!("{change}"));
        }
        applied.revision = self.revision;
        self.addresses.want(&self.stored.config);
        let withheld: BTreeSet<Addr> = self.addresses.withheld().into_iter().map(Addr::from).collect();
        steps.retain(|step| match step {
            Step::SetVip(addr, _) => !withheld.contains(addr),
            Step::SetListener(endpoint, _) => !withheld.contains(&endpoint.addr),
            _ => true,
        });
        match self.write(maps, &steps) {
            Ok(()) => Ok(applied),
            Err(why) => Err(ChangeError::Unfinished { revision: self.revision, why }),
        }
    }

    /// Compares the whole desired state with the maps and writes what differs. The number of writes.
    ///
    /// # Errors
    /// If the maps cannot be read or written, or have no room.
    pub fn reconcile(&mut self, maps: &mut dyn Maps) -> Result<usize, ChangeError> {
        self.addresses.want(&self.stored.config);
        let actual = maps.read()?;
        let withheld = self.addresses.withheld();
        let steps = reconcile::plan(&self.inputs(&self.stored, &withheld), &actual)?;
        self.write(maps, &steps)?;
        Ok(steps.len())
    }

    fn write(&mut self, maps: &mut dyn Maps, steps: &[Step]) -> Result<(), MapsError> {
        if !steps.is_empty() {
            let outcome = reconcile::apply(maps, steps);
            // What a sweep saw before these writes says nothing about the targets after them.
            (self.live_targets, self.written) = (None, Instant::now());
            outcome?;
            debug!("{} writes to the maps", steps.len());
        }
        Ok(())
    }

    fn inputs<'a>(&'a self, stored: &'a Stored, failed: &'a BTreeSet<IpAddr>) -> Inputs<'a> {
        Inputs {
            config: &stored.config,
            overrides: &stored.overrides,
            hops: &self.hops,
            failed,
            secret: self.secret,
            live_targets: self.live_targets.as_ref(),
        }
    }

    /// Whether the next hop of every target has been asked for.
    pub fn knows_all_hops(&self) -> bool {
        let known = |address: &IpAddr| self.hops.contains_key(address) || self.unresolved.contains_key(address);
        self.target_addresses().iter().all(known)
    }

    /// Notes next hops, and says what changed about them.
    pub fn resolved(&mut self, resolutions: HashMap<IpAddr, Resolution>) {
        let wanted = self.target_addresses();
        self.unresolved.retain(|address, _| wanted.contains(address));
        self.hops.retain(|address, _| wanted.contains(address));
        let mut lost = Vec::new();
        for (address, resolution) in resolutions.into_iter().filter(|(address, _)| wanted.contains(address)) {
            match resolution {
                Resolution::Hop(hop) => {
                    let regained = self.unresolved.remove(&address).is_some();
                    if self.hops.insert(address, hop) != Some(hop) || regained {
                        debug!("the next hop of {address} is {}", crate::net::MacText(hop.dst_mac));
                    }
                }
                Resolution::Unresolved { why } => {
                    if self.unresolved.insert(address, why.clone()).is_none() {
                        lost.push(format!("target {address} has no next hop: {why}"));
                    }
                    // The last one known stays in the maps.
                    self.hops.remove(&address);
                }
            }
        }
        logged(&lost, |line| warn!("{line}"));
    }

    /// Notes which targets the flows use, as a sweep that began at `began` found. Whether that is of use.
    pub fn swept(&mut self, live_targets: HashSet<u32>, began: Instant) -> bool {
        let fresh = began > self.written;
        if fresh {
            self.live_targets = Some(live_targets);
        }
        fresh
    }

    /// What `nlb status` asks for. `started` is when the controller was.
    pub fn desired(&self, started: Instant) -> Desired {
        let config = &self.stored.config;
        let balancers = config.load_balancers.iter();
        Desired {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: started.elapsed().as_secs(),
            revision: self.revision,
            load_balancers: balancers
                .map(|it| DesiredLoadBalancer { name: it.name.clone(), addresses: it.addresses.clone() })
                .collect(),
            target_groups: config.target_groups.iter().map(|group| group.name.clone()).collect(),
            overrides: self.stored.overrides.iter().map(|(id, state)| overridden(id, *state)).collect(),
            failed: self.addresses.failed(config),
            unresolved: self
                .unresolved
                .iter()
                .map(|(address, why)| Unresolved { address: *address, reason: why.clone() })
                .collect(),
            warnings: config.warnings(),
        }
    }
}

/// Logs lines of a kind, but no flood of them.
fn logged(lines: &[String], log: impl Fn(&str)) {
    const MOST: usize = 20;
    lines.iter().take(MOST).for_each(|line| log(line));
    if lines.len() > MOST {
        log(&format!("and {} more like this", lines.len() - MOST));
    }
}

fn refused(error: impl std::error::Error + 'static) -> ChangeError {
    ChangeError::Refused(failure::text(&error))
}

fn id(target: &GroupTarget) -> TargetId {
    TargetId { group: target.group.clone(), addr: target.target.ip(), port: target.target.port() }
}

fn overridden(id: &TargetId, state: Override) -> Overridden {
    let target = GroupTarget { group: id.group.clone(), target: (id.addr, id.port).into() };
    Overridden { target, state: Health::from(state) }
}

/// What changes between the two, in words.
fn told(old: &Stored, new: &Stored) -> Vec<String> {
    let mut told: Vec<String> = changes(&old.config, &new.config).iter().map(ToString::to_string).collect();
    let ids: BTreeSet<&TargetId> = old.overrides.keys().chain(new.overrides.keys()).collect();
    let name = |state: Option<&Override>| state.map_or("auto", |state| state.as_str());
    for id in ids {
        let (before, after) = (old.overrides.get(id), new.overrides.get(id));
        if before != after && new.config.has_target(id) {
            let target = std::net::SocketAddr::new(id.addr, id.port);
            told.push(format!("~ target {} {target}: state {} -> {}", id.group, name(before), name(after)));
        }
    }
    told
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
