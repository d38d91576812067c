//! The addresses of load balancers: which are this node's, which are somebody else's, and where they are claimed.
//!
//! An address is served only once it is claimed. Until then, and while another host has it, it is withheld from the
//! maps. The addresses that an earlier controller has left in the maps are served all along.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use nix::ifaddrs::getifaddrs;
use tracing::{error, info, warn};

use super::jobs::Outcome;
use crate::{
    cli::failure,
    control::Failed,
    net::{Claim, Interface, MacText},
    ops::Observed,
    serving::Config,
};

/// How long after a failure an address is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// What is known of an address that is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    /// Not tried yet.
    New,
    /// Being tried.
    Trying,
    /// Ours, and served. Inherited ones count as such until they are confirmed.
    Ours,
    /// Served, and being claimed again, in case somebody took it off the interface.
    Confirming,
    /// Not ours: why, and when to try again.
    Failed(String, Instant),
}

/// The addresses of load balancers.
#[derive(Debug, Default)]
pub struct Addresses {
    wanted: BTreeMap<IpAddr, State>,
    unwanted: BTreeSet<IpAddr>,
    releasing: BTreeSet<IpAddr>,
}

impl Addresses {
    /// Begins with those that an earlier controller has left in the maps.
    pub fn inherited(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let wanted = addresses.into_iter().map(|address| (address, State::Ours)).collect();
        Self { wanted, ..Self::default() }
    }

    /// Wants the addresses of `config` and no others.
    pub fn want(&mut self, config: &Config) {
        let addresses: BTreeSet<IpAddr> = config.load_balancers.iter().flat_map(|it| &it.addresses).copied().collect();
        for address in &addresses {
            self.unwanted.remove(address);
            self.wanted.entry(*address).or_insert(State::New);
        }
        let unwanted: Vec<IpAddr> = self.wanted.keys().filter(|it| !addresses.contains(it)).copied().collect();
        for address in unwanted {
            self.wanted.remove(&address);
            self.unwanted.insert(address);
        }
    }

    /// Those that must not be in the maps.
    pub fn withheld(&self) -> BTreeSet<IpAddr> {
        let served = |state: &State| matches!(state, State::Ours | State::Confirming);
        self.wanted.iter().filter(|(_, state)| !served(state)).map(|(address, _)| *address).collect()
    }

    /// Takes those that are to be claimed now; with `confirm` those too that are ours, as far as we know.
    pub fn take_unclaimed(&mut self, now: Instant, confirm: bool) -> Vec<IpAddr> {
        let mut taken = Vec::new();
        // One that is on its way out is claimed when it is gone: the release would undo the claim.
        for (address, state) in self.wanted.iter_mut().filter(|(address, _)| !self.releasing.contains(address)) {
            *state = match state {
                State::New => State::Trying,
                State::Failed(_, at) if *at <= now => State::Trying,
                State::Ours if confirm => State::Confirming,
                _ => continue,
            };
            taken.push(*address);
        }
        taken
    }

    /// Takes those that are to be released now.
    pub fn take_unwanted(&mut self) -> BTreeSet<IpAddr> {
        self.releasing.extend(&self.unwanted);
        std::mem::take(&mut self.unwanted)
    }

    /// Notes that a release is over.
    pub fn released(&mut self, address: IpAddr) {
        self.releasing.remove(&address);
    }

    /// Whether a claim of one of these is under way.
    pub fn is_open(&self, addresses: &BTreeSet<IpAddr>) -> bool {
        addresses.iter().any(|it| matches!(self.wanted.get(it), Some(State::New | State::Trying)))
    }

    /// Notes what came of a claim. Whether an address is to be served that was not, or the other way round.
    pub fn claimed(&mut self, address: IpAddr, outcome: Outcome, now: Instant) -> bool {
        let Some(state) = self.wanted.get_mut(&address) else {
            // No longer wanted: it was claimed for nothing.
            self.unwanted.insert(address);
            return false;
        };
        let before = std::mem::replace(state, State::Ours);
        let reason = match outcome {
            Ok(Claim::Ours) if before == State::Confirming => return false,
            Ok(Claim::Ours) => {
                info!("{address} is ours");
                return true;
            }
            Ok(Claim::InUse { by }) => format!("{address} is in use by {}", MacText(by)),
            // Clients depend on it, and nobody else was heard of.
            Err(error) if before == State::Confirming => {
                warn!("{address} could not be confirmed and stays served: {}", failure::text(error.as_ref()));
                return false;
            }
            Err(error) => failure::text(error.as_ref()),
        };
        error!("{address} is not served: {reason}; trying again every {} s", RETRY.as_secs());
        *state = State::Failed(reason, now + RETRY);
        true
    }

    /// What an operation may tell of them.
    pub fn observed(&self) -> Observed {
        let mut observed = Observed { forwards: true, ..Observed::default() };
        for (address, state) in &self.wanted {
            match state {
                State::New | State::Trying => {
                    observed.pending.insert(*address);
                }
                State::Failed(reason, _) => {
                    observed.failed.insert(*address, reason.clone());
                }
                State::Ours | State::Confirming => {}
            }
        }
        observed
    }

    /// Those that failed, and why.
    pub fn failed(&self, config: &Config) -> Vec<Failed> {
        let of = |address: &IpAddr| match self.wanted.get(address) {
            Some(State::Failed(reason, _)) => Some(reason.clone()),
            _ => None,
        };
        let balancers = config.load_balancers.iter();
        let addresses = balancers.flat_map(|it| it.addresses.iter().map(|address| (it.name.clone(), *address)));
        addresses
            .filter_map(|(load_balancer, address)| of(&address).map(|reason| Failed { load_balancer, address, reason }))
            .collect()
    }
}

/// The subnets that the node's interfaces are in: interface, own address, netmask.
pub struct Subnets(Vec<(String, IpAddr, IpAddr)>);

impl Subnets {
    /// Asks the kernel.
    pub fn read() -> Self {
        let found = getifaddrs().into_iter().flatten();
        Self(found.filter_map(|it| Some((it.interface_name, ip(it.address?)?, ip(it.netmask?)?))).collect())
    }

    /// The interface to claim `address` on: the one that the inventory names for it, else the first one with a subnet
    /// that holds it, else the first.
    pub fn interface_for(&self, address: IpAddr, named: Option<&str>, interfaces: &[Interface]) -> u32 {
        if let Some(interface) = interfaces.iter().find(|interface| Some(interface.name.as_str()) == named) {
            return interface.index;
        }
        let connected = |interface: &&Interface| {
            self.0.iter().any(|(name, own, mask)| *name == interface.name && is_in(address, *own, *mask))
        };
        let chosen = interfaces.iter().find(connected).or(interfaces.first());
        chosen.map_or(0, |interface| interface.index)
    }
}

fn ip(address: nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
}

/// Whether `address` is in the subnet of `own` and `mask`, unless this is one of a single address.
fn is_in(address: IpAddr, own: IpAddr, mask: IpAddr) -> bool {
    match (address, own, mask) {
        (IpAddr::V4(address), IpAddr::V4(own), IpAddr::V4(mask)) => {
            mask.to_bits() != u32::MAX && (address.to_bits() ^ own.to_bits()) & mask.to_bits() == 0
        }
        (IpAddr::V6(address), IpAddr::V6(own), IpAddr::V6(mask)) => {
            mask.to_bits() != u128::MAX && (address.to_bits() ^ own.to_bits()) & mask.to_bits() == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::Limits;

    fn config(addresses: &str) -> Config {
        let json = format!(
            r#"{{"load_balancers":[{{"name":"web","addresses":[{addresses}],"listeners":[]}}],"target_groups":[]}}"#
        );
        Config::from_json(&json, "lb.json", &Limits::default()).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_withheld_until_it_is_ours() {
        let (mut addresses, now) = (Addresses::default(), Instant::now());
        addresses.want(&config(r#""198.18.0.10""#));
        let vip = address("198.18.0.10");
        assert_eq!(addresses.withheld(), BTreeSet::from([vip]));
        assert_eq!(addresses.take_unclaimed(now, false), [vip]);
        assert_eq!(addresses.take_unclaimed(now, false), [] as [IpAddr; 0]);
        assert!(addresses.is_open(&BTreeSet::from([vip])));
        assert!(addresses.claimed(vip, Ok(Claim::Ours), now));
        assert!(addresses.withheld().is_empty());
        assert!(!addresses.is_open(&BTreeSet::from([vip])));
    }

    #[test]
    fn one_in_use_fails_with_the_reason_and_is_retried() {
        let (mut addresses, now) = (Addresses::default(), Instant::now());
        let config = config(r#""198.18.0.10""#);
        addresses.want(&config);
        let vip = addresses.take_unclaimed(now, false)[0];
        addresses.claimed(vip, Ok(Claim::InUse { by: [2, 0, 0, 0, 0, 1] }), now);
        let failed = addresses.failed(&config);
        assert_eq!(failed[0].reason, "198.18.0.10 is in use by 02:00:00:00:00:01");
        assert_eq!(addresses.withheld(), BTreeSet::from([vip]));
        assert!(addresses.take_unclaimed(now + RETRY / 2, false).is_empty());
        assert_eq!(addresses.take_unclaimed(now + RETRY, false), [vip]);
    }

    #[test]
    fn inherited_ones_are_served_all_along_and_released_when_unwanted() {
        let now = Instant::now();
        let (kept, dropped) = (address("198.18.0.10"), address("198.18.0.11"));
        let mut addresses = Addresses::inherited([kept, dropped]);
        addresses.want(&config(r#""198.18.0.10""#));
        assert!(addresses.withheld().is_empty());
        assert_eq!(addresses.take_unclaimed(now, true), [kept]);
        assert!(addresses.withheld().is_empty());
        assert!(!addresses.claimed(kept, Ok(Claim::Ours), now));
        assert_eq!(addresses.take_unwanted(), BTreeSet::from([dropped]));
    }

    #[test]
    fn one_removed_while_it_was_claimed_is_released() {
        let (mut addresses, now) = (Addresses::default(), Instant::now());
        addresses.want(&config(r#""198.18.0.10""#));
        let vip = addresses.take_unclaimed(now, false)[0];
        addresses.want(&Config::default());
        assert_eq!(addresses.take_unwanted(), BTreeSet::from([vip]));
        addresses.claimed(vip, Ok(Claim::Ours), now);
        assert_eq!(addresses.take_unwanted(), BTreeSet::from([vip]));
    }

    #[test]
    fn subnets() {
        let is = |a: &str, b: &str, mask: &str| is_in(address(a), address(b), address(mask));
        assert!(is("198.18.0.10", "198.18.0.1", "255.255.255.0"));
        assert!(!is("198.18.1.10", "198.18.0.1", "255.255.255.0"));
        assert!(!is("198.18.0.10", "198.18.0.10", "255.255.255.255"));
        assert!(is("2001:db8::10", "2001:db8::1", "ffff:ffff:ffff:ffff::"));
        assert!(!is("2001:db8::10", "198.18.0.1", "255.255.255.0"));
    }
}
