//! Listeners of a file.

use std::sync::Arc;

use super::{
    apply::Apply,
    shape::{BalancerEntry, ListenerEntry},
};
use crate::model::{Listener, LoadBalancer, Protocol, State, new_id};

impl Apply<'_> {
    pub fn listeners(&mut self) {
        let document = self.document;
        for entry in &document.balancers {
            let Some(balancer) = self.next.load_balancer_named(&entry.name.value).cloned() else { continue };
            let olds = olds(self.old, entry, &balancer);
            for (entry, old) in entry.listeners.iter().zip(olds) {
                if let Some(listener) = self.listener(entry, &balancer, old) {
                    self.next.listeners.insert(listener.arn.clone(), listener);
                }
            }
        }
    }

    fn listener(
        &mut self,
        entry: &ListenerEntry,
        balancer: &LoadBalancer,
        old: Option<&Arc<Listener>>,
    ) -> Option<Arc<Listener>> {
        let group = self.next.target_group_named(&entry.target_group.value)?.clone();
        let arn = old.map_or_else(|| balancer.arn.listener(&new_id()), |old| old.arn.clone());
        let default_rule = old.map_or_else(|| arn.rule(&new_id()), |old| old.default_rule.clone());
        let listener = Listener {
            arn,
            load_balancer: balancer.arn.clone(),
            protocol: entry.protocol.value,
            port: entry.port.value,
            target_group: group.arn.clone(),
            default_rule,
            certificates: entry.certificates.value.iter().map(|arn| arn.value.clone()).collect(),
            ssl_policy: entry.ssl_policy.as_ref().map(|policy| policy.value.clone()),
            alpn_policy: entry.alpn_policy.as_ref().map(|policy| policy.value.clone()),
            attributes: entry.attributes.iter().map(|(key, value)| (key.clone(), value.value.clone())).collect(),
            tags: entry.tags.clone(),
        };
        Some(match old {
            Some(old) if **old == listener => Arc::clone(old),
            _ => Arc::new(listener),
        })
    }
}

/// The listeners that those of the file were: of the same port, and of the same protocol if there are two.
fn olds<'a>(state: &'a State, entry: &BalancerEntry, balancer: &'a LoadBalancer) -> Vec<Option<&'a Arc<Listener>>> {
    let mut free: Vec<&Arc<Listener>> = state.listeners_of(&balancer.arn).collect();
    let mut take = |fits: &dyn Fn(&Listener) -> bool| {
        free.iter().position(|old| fits(old)).map(|position| free.swap_remove(position))
    };
    let udp = |protocol: Protocol| protocol == Protocol::Udp;
    let entries = || entry.listeners.iter().map(|it| (it.port.value, it.protocol.value));
    let mut found: Vec<Option<&Arc<Listener>>> =
        entries().map(|(port, protocol)| take(&|old| old.port == port && udp(old.protocol) == udp(protocol))).collect();
    for (found, (port, _)) in found.iter_mut().zip(entries()).filter(|(found, _)| found.is_none()) {
        *found = take(&|old| old.port == port);
    }
    found
}
