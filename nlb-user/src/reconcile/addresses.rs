//! The clients' side: addresses and listeners.

use std::collections::BTreeMap;

use nlb_common::{
    Addr, Be16,
    flow::{TCP, UDP_IDLE_S},
    layout::{Endpoint, Listener, MAX_LISTENERS, MAX_VIPS, Name, Vip},
};

use super::{
    Actual, Inputs, Step,
    groups::GroupKey,
    plan::{PlanError, name},
    slots::{Owner, Rows},
};

/// What clients are to find.
pub(super) struct Front {
    /// Addresses and their load balancers.
    pub vips: BTreeMap<Addr, Name>,
    /// Endpoints, their groups and idle timeouts.
    pub listeners: BTreeMap<Endpoint, (GroupKey, u16)>,
}

impl Front {
    /// What `inputs` ask for: all addresses that are not somebody else's.
    pub fn wanted(inputs: &Inputs<'_>) -> Result<Self, PlanError> {
        let (mut vips, mut listeners) = (BTreeMap::new(), BTreeMap::new());
        for balancer in &inputs.config.load_balancers {
            for address in balancer.addresses.iter().filter(|address| !inputs.failed.contains(address)) {
                let addr = Addr::from(*address);
                vips.insert(addr, name(&balancer.name)?);
                for listener in &balancer.listeners {
                    let group = GroupKey { name: name(&listener.target_group)?, v6: address.is_ipv6() };
                    for &proto in listener.protocol.numbers() {
                        let idle_s = if proto == TCP { listener.idle_timeout_s } else { UDP_IDLE_S };
                        let endpoint = Endpoint::new(addr, Be16::new(listener.port), proto);
                        listeners.insert(endpoint, (group, idle_s));
                    }
                }
            }
        }
        let advice = "use fewer addresses or listeners; every listener counts once for each address and IP protocol";
        for (what, needed, max) in [("addresses", vips.len(), MAX_VIPS), ("listeners", listeners.len(), MAX_LISTENERS)]
        {
            if needed > max {
                return Err(PlanError::Capacity { what, needed, max, advice });
            }
        }
        Ok(Self { vips, listeners })
    }

    /// The rows of those who stay.
    pub fn kept_rows<'a>(&'a self, actual: &'a Actual) -> impl Iterator<Item = (Owner, u32)> + 'a {
        let vips = actual.vips.iter().filter(|(addr, _)| self.vips.contains_key(addr));
        let listeners = actual.listeners.iter().filter(|(endpoint, _)| self.listeners.contains_key(endpoint));
        let vips = vips.map(|(addr, vip)| (Owner::Vip(*addr), vip.row));
        vips.chain(listeners.map(|(endpoint, listener)| (Owner::Listener(*endpoint), listener.row)))
    }

    /// Takes away what is not wanted: listeners, then their flows, of which there can be no new ones, then addresses.
    pub fn removals(&self, actual: &Actual) -> Vec<Step> {
        let gone = actual.listeners.keys().filter(|endpoint| !self.listeners.contains_key(endpoint));
        let flows = gone.clone().map(|endpoint| Step::EndFlows(*endpoint));
        let vips = actual.vips.keys().filter(|addr| !self.vips.contains_key(addr));
        let vips = vips.map(|addr| Step::RemoveVip(*addr));
        gone.map(|endpoint| Step::RemoveListener(*endpoint)).chain(flows).chain(vips).collect()
    }

    /// Adds and changes, addresses first.
    pub fn additions(
        &self,
        actual: &Actual,
        groups: &BTreeMap<GroupKey, u32>,
        rows: &mut Rows,
    ) -> Result<Vec<Step>, PlanError> {
        let mut steps = Vec::new();
        for (addr, load_balancer) in &self.vips {
            let vip = Vip { load_balancer: *load_balancer, row: rows.of(Owner::Vip(*addr))?, _pad: 0 };
            if actual.vips.get(addr) != Some(&vip) {
                steps.push(Step::SetVip(*addr, vip));
            }
        }
        for (endpoint, (key, idle_s)) in &self.listeners {
            let missing = || PlanError::NoGroup { group: key.name.as_str().to_owned(), endpoint: *endpoint };
            let group = *groups.get(key).ok_or_else(missing)?;
            let row = rows.of(Owner::Listener(*endpoint))?;
            let listener = Listener { group, row, idle_s: *idle_s, _pad: [0; 6] };
            if actual.listeners.get(endpoint) != Some(&listener) {
                steps.push(Step::SetListener(*endpoint, listener));
            }
        }
        Ok(steps)
    }
}
