//! Whether a load balancer is set up: `provisioning`, `active` or `failed`, and why.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use serde::Serialize;

use super::{Context, Observed};
use crate::model::{Arn, Inventory, LoadBalancer, State};

/// Where a load balancer stands (guide, "Load balancer state").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StateCode {
    /// It is being set up.
    Provisioning,
    /// It is set up and routes traffic.
    Active,
    /// It could not be set up.
    Failed,
}

impl StateCode {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Failed => "failed",
        }
    }
}

/// The states of all load balancers. What they have in common is looked up once.
#[derive(Clone, Debug)]
pub struct Statuses<'a> {
    conflicts: BTreeMap<(Arn, IpAddr), String>,
    observed: &'a Observed,
}

impl<'a> Statuses<'a> {
    /// As of this state.
    pub fn new(state: &State, context: &Context<'a>) -> Self {
        Self { conflicts: address_conflicts(state, context.inventory), observed: context.observed }
    }

    /// Where a load balancer stands, and why it failed.
    pub fn of(&self, balancer: &LoadBalancer) -> (StateCode, Option<String>) {
        let failure = |address: IpAddr| {
            let conflict = self.conflicts.get(&(balancer.arn.clone(), address));
            conflict.cloned().or_else(|| {
                self.observed.failed.get(&address).map(|why| format!("the address {address} is not served: {why}"))
            })
        };
        if let Some(why) = balancer.all_addresses().find_map(failure) {
            return (StateCode::Failed, Some(why));
        }
        match balancer.all_addresses().any(|address| self.observed.pending.contains(&address)) {
            true => (StateCode::Provisioning, None),
            false => (StateCode::Active, None),
        }
    }
}

/// Where one load balancer stands, and why it failed. For several, [`Statuses`] looks less often.
pub fn status(balancer: &LoadBalancer, state: &State, context: &Context<'_>) -> (StateCode, Option<String>) {
    Statuses::new(state, context).of(balancer)
}

/// Addresses of load balancers that something else has, and the sentence that says who: an instance, an Application
/// Load Balancer, or a load balancer that was created earlier. Such an address is not to be served.
pub fn address_conflicts(state: &State, inventory: &Inventory) -> BTreeMap<(Arn, IpAddr), String> {
    let mut balancers: Vec<&LoadBalancer> = state.load_balancers.values().map(|balancer| &**balancer).collect();
    balancers.sort_by(|one, other| (one.created, &one.arn).cmp(&(other.created, &other.arn)));
    let mut conflicts = BTreeMap::new();
    let mut owners: HashMap<IpAddr, Vec<&LoadBalancer>> = HashMap::new();
    for balancer in balancers {
        for address in balancer.all_addresses() {
            let owners = owners.entry(address).or_default();
            match owners.first() {
                Some(first) if first.arn != balancer.arn => {
                    let who = format!("the load balancer {}, which was created earlier", first.name);
                    conflicts.insert((balancer.arn.clone(), address), sentence(address, &who));
                }
                _ => {}
            }
            owners.push(balancer);
        }
    }
    let instances = inventory.instances.values();
    let instances = instances.map(|instance| (IpAddr::V4(instance.address), "the instance", &instance.id));
    let applications = inventory.application_load_balancers.values();
    let applications =
        applications.map(|application| (application.address, "the Application Load Balancer", &application.arn));
    for (address, what, id) in instances.chain(applications) {
        for owner in owners.get(&address).into_iter().flatten() {
            conflicts.insert((owner.arn.clone(), address), sentence(address, &format!("{what} {id}")));
        }
    }
    conflicts
}

fn sentence(address: IpAddr, who: &str) -> String {
    format!("the address {address} is also that of {who}: take it away there, or delete this load balancer")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::ToSpan;

    use super::*;
    use crate::ops::testing::{self, World};

    fn change(state: &mut State, arn: &Arn, change: impl Fn(&mut LoadBalancer)) {
        change(Arc::make_mut(state.load_balancers.get_mut(arn).unwrap()));
    }

    fn of(world: &World, arn: &Arn) -> (StateCode, Option<String>) {
        status(&world.state.load_balancers[arn], &world.state, &world.context())
    }

    #[test]
    fn pending_then_active_then_failed() {
        let mut world = World::new();
        let arn = testing::load_balancer(&mut world.state, "web");
        assert_eq!(of(&world, &arn), (StateCode::Active, None));
        let own: IpAddr = "10.0.1.100".parse().unwrap();
        world.observed.pending.insert(own);
        assert_eq!(of(&world, &arn), (StateCode::Provisioning, None));
        world.observed.failed.insert(own, "another machine answers for it".into());
        let why = "the address 10.0.1.100 is not served: another machine answers for it".to_owned();
        assert_eq!(of(&world, &arn), (StateCode::Failed, Some(why)));
        // Other addresses are no concern of it.
        world.observed = Observed::default();
        world.observed.pending.insert("10.0.1.101".parse().unwrap());
        world.observed.failed.insert("10.0.1.102".parse().unwrap(), "it is".into());
        assert_eq!(of(&world, &arn), (StateCode::Active, None));
    }

    /// Also an address in another zone than the node's: the load balancer is the same everywhere.
    #[test]
    fn addresses_of_instances_and_application_load_balancers() {
        let mut world = World::new();
        let arn = testing::load_balancer(&mut world.state, "web");
        for (address, who) in [("10.0.2.21", "the instance i-b1"), ("10.0.2.40", testing::ALB)] {
            change(&mut world.state, &arn, |balancer| balancer.zones[1].ipv4 = address.parse().unwrap());
            let (code, why) = of(&world, &arn);
            assert_eq!(code, StateCode::Failed);
            assert!(why.as_ref().is_some_and(|why| why.contains(address) && why.contains(who)), "{why:?}");
        }
        world.inventory.application_load_balancers.clear();
        assert_eq!(of(&world, &arn), (StateCode::Active, None));
    }

    /// The earlier one keeps it, and a third conflicts with the first as well.
    #[test]
    fn addresses_of_earlier_load_balancers() {
        let mut world = World::new();
        let arns = ["one", "two", "three"].map(|name| testing::load_balancer(&mut world.state, name));
        let address = "10.0.1.200".parse().unwrap();
        for (age, arn) in arns.iter().enumerate() {
            change(&mut world.state, arn, |balancer| {
                balancer.zones[0].ipv4 = address;
                balancer.created -= i64::try_from(age).unwrap().hours();
            });
        }
        let conflicts = address_conflicts(&world.state, &world.inventory);
        let mut expected = [&arns[0], &arns[1]].map(|arn| (arn.clone(), IpAddr::V4(address)));
        expected.sort();
        assert_eq!(conflicts.keys().cloned().collect::<Vec<_>>(), expected);
        assert!(conflicts.values().all(|why| why.contains("the load balancer three")), "{conflicts:?}");
        assert_eq!(of(&world, &arns[2]).0, StateCode::Active);
        world.state.load_balancers.remove(&arns[2]);
        assert_eq!([of(&world, &arns[0]).0, of(&world, &arns[1]).0], [StateCode::Failed, StateCode::Active]);
    }

    /// Load balancers of a file, with addresses of their own.
    #[test]
    fn addresses_of_files() {
        let mut world = World::new();
        let arn = testing::load_balancer(&mut world.state, "web");
        change(&mut world.state, &arn, |balancer| {
            balancer.zones.clear();
            balancer.addresses = vec!["10.0.1.21".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        });
        assert_eq!(of(&world, &arn).0, StateCode::Failed);
    }
}
