//! Listeners of a file.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    apply::Apply,
    shape::{BalancerEntry, ListenerEntry},
};
use crate::{
    model::{Code, Listener, LoadBalancer, Protocol, State, new_id},
    ops::{
        attributes::Given,
        certificates, listener_attributes,
        listeners::{self, TlsSettings},
    },
};

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
        let group = Arc::clone(self.groups.get(entry.target_group.value.as_str())?);
        let protocol = entry.protocol.value;
        let together = listeners::goes_together(&self.next, balancer, &group, protocol);
        self.hold(&entry.target_group.at, together);
        let attributes = self.listener_attributes(entry, old);
        let TlsSettings { certificates, ssl_policy, alpn_policy } = self.tls(entry, old)?;
        let others = self.next.listeners_of(&balancer.arn);
        let listed = certificates.len().saturating_sub(1);
        if old.is_none_or(|old| old.certificates != certificates) {
            let within = certificates::within_quota(listed, others, self.context);
            self.hold(&entry.certificates.at, within);
        }
        let arn = old.map_or_else(|| balancer.arn.listener(&new_id()), |old| old.arn.clone());
        let default_rule = old.map_or_else(|| arn.rule(&new_id()), |old| old.default_rule.clone());
        let listener = Listener {
            arn,
            load_balancer: balancer.arn.clone(),
            protocol,
            port: entry.port.value,
            target_group: group.arn.clone(),
            default_rule,
            certificates,
            ssl_policy,
            alpn_policy,
            attributes,
            tags: entry.tags.clone(),
        };
        Some(match old {
            Some(old) if **old == listener => Arc::clone(old),
            _ => Arc::new(listener),
        })
    }

    /// What only TLS listeners have. What is as it was is not looked at again.
    fn tls(&mut self, entry: &ListenerEntry, old: Option<&Arc<Listener>>) -> Option<TlsSettings> {
        let wanted = TlsSettings {
            certificates: entry.certificates.value.iter().map(|arn| arn.value.clone()).collect(),
            ssl_policy: entry.ssl_policy.as_ref().map(|policy| policy.value.clone()),
            alpn_policy: entry.alpn_policy.as_ref().map(|policy| policy.value.clone()),
        };
        if old.is_some_and(|old| old.protocol == entry.protocol.value && TlsSettings::of(old) == wanted) {
            return Some(wanted);
        }
        let mut good = true;
        if entry.protocol.value == Protocol::Tls {
            for certificate in &entry.certificates.value {
                good &= self.hold(&certificate.at, certificates::usable(&certificate.value, self.context)).is_some();
            }
        }
        if !good {
            return None;
        }
        let checked = wanted.checked(entry.protocol.value, self.context);
        let at = match &checked {
            Err(fault) if fault.code == Code::SslPolicyNotFound => entry.ssl_policy.as_ref().map(|it| &it.at),
            Err(fault) if fault.code == Code::AlpnPolicyNotFound => entry.alpn_policy.as_ref().map(|it| &it.at),
            _ => None,
        };
        self.hold(at.unwrap_or(&entry.at), checked)
    }

    fn listener_attributes(&mut self, entry: &ListenerEntry, old: Option<&Arc<Listener>>) -> BTreeMap<String, String> {
        let mut attributes = BTreeMap::new();
        for (key, value) in &entry.attributes {
            let before = old.filter(|old| old.protocol == entry.protocol.value).and_then(|old| old.attributes.get(key));
            if before == Some(&value.value) {
                attributes.insert(key.clone(), value.value.clone());
                continue;
            }
            let given = Given { key: Some(key.clone()), value: Some(value.value.clone()) };
            let min_idle_s = self.context.min_idle_s;
            let checked = listener_attributes::checked(entry.protocol.value, vec![given], min_idle_s);
            attributes.extend(self.hold(&value.at, checked).unwrap_or_default());
        }
        attributes
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
