//! What runs beside the loop and reports back: claiming and releasing addresses, resolving next hops.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use tokio::task::{JoinError, JoinSet};

use super::addresses::Subnets;
use crate::{
    model::Inventory,
    net::{Claim, Interface, Net, NetError, Resolution},
};

/// What a job reports.
pub enum Done {
    /// What came of claiming addresses.
    Claimed(Vec<(IpAddr, Outcome)>),
    /// An address was given up, or could not be.
    Released(IpAddr),
    /// Next hops.
    Resolved(HashMap<IpAddr, Resolution>),
}

/// What came of claiming an address. One error may be that of many addresses.
pub type Outcome = Result<Claim, Arc<NetError>>;

/// The jobs of a controller.
pub struct Jobs {
    net: Arc<Net>,
    interfaces: Vec<Interface>,
    tasks: JoinSet<Done>,
    resolver: Resolver,
}

/// Which resolving of next hops is under way. They are numbered from 1, and there is one at a time.
#[derive(Default)]
struct Resolver {
    wanted: bool,
    running: bool,
    begun: u64,
    done: u64,
}

impl Jobs {
    /// None yet.
    pub fn new(net: Net, interfaces: Vec<Interface>) -> Self {
        Self { net: Arc::new(net), interfaces, tasks: JoinSet::new(), resolver: Resolver::default() }
    }

    /// The network.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Claims addresses, each on its interface: the one of its subnet in the inventory, if that names one.
    pub fn claim(&mut self, addresses: Vec<IpAddr>, inventory: &Inventory) {
        if addresses.is_empty() {
            return;
        }
        let subnets = Subnets::read();
        let mut claims: BTreeMap<u32, Vec<IpAddr>> = BTreeMap::new();
        for address in addresses {
            let named = inventory.subnet_of(address).and_then(|subnet| subnet.interface.as_deref());
            claims.entry(subnets.interface_for(address, named, &self.interfaces)).or_default().push(address);
        }
        for (ifindex, addresses) in claims {
            let net = Arc::clone(&self.net);
            self.tasks.spawn(async move { Done::Claimed(claim(&net, ifindex, addresses).await) });
        }
    }

    /// Releases addresses.
    pub fn release(&mut self, addresses: BTreeSet<IpAddr>) {
        for address in addresses {
            let (net, interfaces) = (Arc::clone(&self.net), self.interfaces.clone());
            self.tasks.spawn(async move {
                super::release(&net, &interfaces, [address].into()).await;
                Done::Released(address)
            });
        }
    }

    /// Asks for a resolving of next hops that begins from now on. Its number, for [`Self::has_resolved`].
    pub const fn want_hops(&mut self) -> u64 {
        self.resolver.wanted = true;
        self.resolver.begun + 1
    }

    /// Begins to resolve next hops if that is wanted and not under way.
    pub fn resolve(&mut self, targets: impl FnOnce() -> BTreeSet<IpAddr>) {
        if self.resolver.wanted && !self.resolver.running {
            self.resolver = Resolver { wanted: false, running: true, begun: self.resolver.begun + 1, ..self.resolver };
            let (net, targets) = (Arc::clone(&self.net), targets());
            self.tasks.spawn(async move { Done::Resolved(net.resolve(targets).await) });
        }
    }

    /// Whether the resolving with this number is over.
    pub const fn has_resolved(&self, number: u64) -> bool {
        self.resolver.done >= number
    }

    /// The next report, or why there is none from a job that has ended; `None` if no job runs.
    pub async fn next(&mut self) -> Option<Result<Done, JoinError>> {
        let report = self.tasks.join_next().await;
        report.map(|report| self.noted(report))
    }

    /// As [`Self::next`], if there is one by now.
    pub fn try_next(&mut self) -> Option<Result<Done, JoinError>> {
        let report = self.tasks.try_join_next();
        report.map(|report| self.noted(report))
    }

    fn noted(&mut self, report: Result<Done, JoinError>) -> Result<Done, JoinError> {
        // One that has failed may have been the resolving.
        if matches!(report, Ok(Done::Resolved(_)) | Err(_)) {
            self.resolver.running = false;
            self.resolver.done = self.resolver.begun;
        }
        report
    }

    /// Breaks off all jobs and releases `addresses`.
    pub async fn end(&mut self, addresses: BTreeSet<IpAddr>) {
        self.tasks.shutdown().await;
        super::release(&self.net, &self.interfaces, addresses).await;
    }
}

/// Claims these addresses, in the time of one.
async fn claim(net: &Net, ifindex: u32, addresses: Vec<IpAddr>) -> Vec<(IpAddr, Outcome)> {
    match net.claim_all(ifindex, &addresses).await {
        Ok(outcomes) => outcomes.into_iter().map(|(address, outcome)| (address, outcome.map_err(Arc::new))).collect(),
        Err(error) => {
            let error = Arc::new(error);
            addresses.into_iter().map(|address| (address, Err(Arc::clone(&error)))).collect()
        }
    }
}
