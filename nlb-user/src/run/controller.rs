//! The desired state and what is done to make it so: runs an operation or a file, stores what comes of it, writes the
//! maps.
//!
//! Knows no socket, no interface and no kernel: maps and store come as traits, the network's answers as values. Without
//! a data plane there are no maps, and the rest is the same.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;
use nlb_common::{Addr, flow::Hop, hash::Secret};
use serde_json::{Value, json};
use tracing::{debug, info, warn};

use super::{addresses::Addresses, view::View};
use crate::{
    cli::failure,
    control::{Applied, Desired, DesiredLoadBalancer, Health, Overridden, Request, Unresolved},
    manifest,
    model::{Account, Added, Fault, Inventory, Quotas, RecordError, State},
    net::Resolution,
    node::{Node, certificates},
    ops::{self, Observed},
    reconcile::{self, Inputs, Maps, MapsError, PlanError, Step},
    serving::{self, Config, Limits, Served},
    store::{Override, Store, StoreError},
};

/// Why a change was not made, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The operation was refused.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The change itself is wrong. One line a problem.
    #[error("{0}")]
    Refused(String),
    /// The maps have no room for it.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored cannot be read.
    #[error("the stored state cannot be used: {0}; `nlb store check` tells more")]
    Records(#[from] RecordError),
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

/// What node.toml says about resources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whose resources these are.
    pub account: Account,
    /// What stands around the node, without what commands have added.
    pub inventory: Inventory,
    /// How many of each there may be.
    pub quotas: Quotas,
    /// The bounds that tests may move.
    pub limits: Limits,
}

impl Settings {
    /// Those of a node.
    pub fn of(node: &Node) -> Self {
        Self {
            account: node.account(),
            inventory: node.inventory().clone(),
            quotas: node.quotas.clone(),
            limits: Limits::from_env(),
        }
    }
}

/// The desired state and what is known of the world.
pub struct Controller<S> {
    store: S,
    secret: Secret,
    settings: Settings,
    revision: u64,
    state: Arc<State>,
    /// What node.toml and commands say together.
    inventory: Arc<Inventory>,
    served: Served,
    warnings: Vec<String>,
    /// Addresses of load balancers.
    pub addresses: Addresses,
    /// Whether there is a data plane.
    forwards: bool,
    hops: HashMap<IpAddr, Hop>,
    unresolved: BTreeMap<IpAddr, String>,
    live_targets: Option<HashSet<u32>>,
    written: Instant,
}

impl<S: Store> Controller<S> {
    /// Takes up the stored state. `addresses` are those that the maps serve already; `None` without a data plane.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn new(
        store: S,
        secret: Secret,
        settings: Settings,
        addresses: Option<Addresses>,
    ) -> Result<Self, ChangeError> {
        let mut controller = Self {
            store,
            secret,
            revision: 0,
            state: Arc::default(),
            inventory: Arc::default(),
            settings,
            served: Served::default(),
            warnings: Vec::new(),
            forwards: addresses.is_some(),
            addresses: addresses.unwrap_or_default(),
            hops: HashMap::new(),
            unresolved: BTreeMap::new(),
            live_targets: None,
            written: Instant::now(),
        };
        let found = controller.store.get()?;
        controller.revision = found.revision;
        controller.take_up(State::from_records(&found.records)?);
        Ok(controller)
    }

    /// Takes up what the store holds, whoever wrote it. Whether it was something new.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn reread(&mut self) -> Result<bool, ChangeError> {
        let found = self.store.get()?;
        if found.revision == self.revision {
            return Ok(false);
        }
        self.revision = found.revision;
        self.take_up(State::from_records(&found.records)?);
        Ok(true)
    }

    /// Whether what is stored as this revision is known here.
    pub const fn has(&self, revision: u64) -> bool {
        self.revision >= revision
    }

    /// Takes up what node.toml says now.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
        // The files may be others under the same names.
        self.inventory = Arc::default();
        self.take_up((*self.state).clone());
    }

    /// What stands around the node with what commands have added, `added`.
    fn surroundings(&self, added: &Added) -> Arc<Inventory> {
        if *added == self.state.inventory && self.inventory.zone == self.settings.inventory.zone {
            return Arc::clone(&self.inventory);
        }
        let mut inventory = self.settings.inventory.with(added);
        inventory.unsuitable = match inventory.certificates == self.inventory.certificates {
            true => self.inventory.unsuitable.clone(),
            false => certificates::unsuitable(&inventory),
        };
        Arc::new(inventory)
    }

    fn take_up(&mut self, state: State) {
        self.inventory = self.surroundings(&state.inventory);
        self.served = serving::lower(&state, &self.inventory);
        self.warnings = serving::warnings(&state, &self.served.config);
        self.state = Arc::new(state);
    }

    /// Tells the revision when somebody else has written to the store.
    pub fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.store.watch()
    }

    /// Whether nothing was ever stored.
    pub const fn is_new(&self) -> bool {
        self.revision == 0
    }

    /// What stands around the node.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// What this node serves.
    pub const fn config(&self) -> &Config {
        &self.served.config
    }

    /// Addresses of all targets: those that next hops are needed for.
    pub fn target_addresses(&self) -> BTreeSet<IpAddr> {
        self.config().target_groups.iter().flat_map(|group| &group.targets).map(|target| target.id).collect()
    }

    /// What those who only look are shown.
    pub fn view(&self) -> View {
        View {
            revision: self.revision,
            state: Arc::clone(&self.state),
            inventory: Arc::clone(&self.inventory),
            account: self.settings.account.clone(),
            quotas: self.settings.quotas.clone(),
            min_idle_s: self.settings.limits.min_idle_s,
            observed: self.observed(),
        }
    }

    fn observed(&self) -> Observed {
        match self.forwards {
            true => self.addresses.observed(),
            false => Observed::default(),
        }
    }

    /// What the desired state would be after a request that changes it.
    ///
    /// # Errors
    /// [`ChangeError::Refused`] if a file breaks a rule, [`ChangeError::Fault`] if an operation is refused.
    pub fn after(&self, request: &Request) -> Result<(State, Value), ChangeError> {
        let view = self.view();
        let context = view.context(Timestamp::now());
        match request {
            Request::Apply { text, file, .. } => {
                let document = manifest::read(text, file).map_err(refused)?;
                Ok((manifest::apply(&document, &self.state, &context).map_err(refused)?, Value::Null))
            }
            Request::Call { operation, input } => {
                let done = ops::run(&self.state, operation, input, &context)?;
                Ok((done.next.unwrap_or_else(|| (*self.state).clone()), done.output))
            }
            Request::SetState { group, target, state } => {
                let input = json!({"TargetGroup": group, "Target": target, "State": Option::<Override>::from(*state)});
                let done = ops::run(&self.state, "SetTargetState", &input, &context)?;
                Ok((done.next.unwrap_or_else(|| (*self.state).clone()), done.output))
            }
            Request::Status | Request::Reload | Request::Export => Ok(((*self.state).clone(), Value::Null)),
        }
    }

    /// Makes `new` the desired state: plans it against the maps, stores it, writes the maps. Of a dry run nothing is
    /// left.
    ///
    /// # Errors
    /// [`ChangeError::Unfinished`] if it is stored and the maps failed; after any other error nothing was changed.
    pub fn change(
        &mut self,
        maps: Option<&mut dyn Maps>,
        mut new: State,
        dry_run: bool,
    ) -> Result<Applied, ChangeError> {
        new.forget_overrides();
        let inventory = self.surroundings(&new.inventory);
        let served = serving::lower(&new, &inventory);
        let mut applied = Applied {
            revision: self.revision,
            dry_run,
            changes: manifest::changes(&self.state, &new).iter().map(ToString::to_string).collect(),
            warnings: serving::warnings(&new, &served.config),
            failed: Vec::new(),
        };
        let mut planned = None;
        if let Some(maps) = maps {
            // As if every address were served: there must be room for all of them.
            let actual = maps.read()?;
            let steps = reconcile::plan(&self.inputs(&served, &BTreeSet::new()), &actual)?;
            planned = Some((maps, steps));
        }
        if dry_run {
            return Ok(applied);
        }
        let records = self.state.changes_to(&new);
        if !records.is_empty() {
            self.revision = self.store.compare_and_set(self.revision, &records)?;
            logged(&applied.changes, |change| info!("{change}"));
        }
        (self.state, self.inventory, self.served) = (Arc::new(new), inventory, served);
        self.warnings.clone_from(&applied.warnings);
        applied.revision = self.revision;
        self.addresses.want(&self.served.config);
        let Some((maps, mut steps)) = planned else { return Ok(applied) };
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

    /// Lets go of targets whose draining is over. Whether there was one.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub fn expire(&mut self, maps: Option<&mut dyn Maps>) -> Result<bool, ChangeError> {
        match ops::expire(&self.state, Timestamp::now()) {
            Some(next) => self.change(maps, next, false).map(|_| true),
            None => Ok(false),
        }
    }

    /// Compares the whole desired state with the maps and writes what differs. The number of writes.
    ///
    /// # Errors
    /// If the maps cannot be read or written, or have no room.
    pub fn reconcile(&mut self, maps: &mut dyn Maps) -> Result<usize, ChangeError> {
        self.addresses.want(&self.served.config);
        let actual = maps.read()?;
        let withheld = self.addresses.withheld();
        let steps = reconcile::plan(&self.inputs(&self.served, &withheld), &actual)?;
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

    fn inputs<'a>(&'a self, served: &'a Served, failed: &'a BTreeSet<IpAddr>) -> Inputs<'a> {
        Inputs {
            config: &served.config,
            overrides: &served.overrides,
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

    /// What is accepted and yet hardly meant, in sentences.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What `nlb status` asks for. `started` is when the controller was.
    pub fn desired(&self, started: Instant) -> Desired {
        Desired {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: started.elapsed().as_secs(),
            revision: self.revision,
            load_balancers: self.balancers(),
            target_groups: self.state.target_groups.values().map(|group| group.name.clone()).collect(),
            overrides: self.served.overrides.iter().map(|(id, state)| overridden(id, *state)).collect(),
            failed: self.addresses.failed(&self.served.config),
            unresolved: self
                .unresolved
                .iter()
                .map(|(address, why)| Unresolved { address: *address, reason: why.clone() })
                .collect(),
            warnings: self.warnings.clone(),
        }
    }

    fn balancers(&self) -> Vec<DesiredLoadBalancer> {
        let view = self.view();
        let context = view.context(Timestamp::now());
        let of = |balancer: &crate::model::LoadBalancer| {
            let (state, reason) = ops::load_balancers::status(balancer, &self.state, &context);
            DesiredLoadBalancer {
                name: balancer.name.clone(),
                addresses: serving::own_addresses(balancer, &self.inventory).collect(),
                state: state.as_str().to_owned(),
                reason,
            }
        };
        self.state.load_balancers.values().map(|balancer| of(balancer)).collect()
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

fn overridden(id: &serving::TargetId, state: Override) -> Overridden {
    Overridden { group: id.group.clone(), target: (id.addr, id.port).into(), state: Health::from(state) }
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
