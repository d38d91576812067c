//! What is allowed and yet hardly meant, or has no effect yet.

use std::collections::BTreeSet;

use super::Config;
use crate::{
    model::{Arn, LoadBalancer, Protocol, State, TargetGroup},
    ops::target_group_attributes as attributes,
};

/// Sentences about what serves nobody, and about settings that nothing obeys yet. `config` is what the node serves of
/// the state.
pub fn warnings(state: &State, config: &Config) -> Vec<String> {
    let used: BTreeSet<&Arn> = state.listeners.values().map(|listener| &listener.target_group).collect();
    let mut warnings = Vec::new();
    for group in state.target_groups.values().filter(|group| !used.contains(&group.arn)) {
        warnings.push(format!("target group `{}` gets no traffic: no listener names it", group.name));
    }
    families(config, &mut warnings);
    for balancer in state.load_balancers.values() {
        of_balancer(balancer, state, &mut warnings);
    }
    for group in state.target_groups.values() {
        of_group(group, &mut warnings);
    }
    warnings
}

/// Listeners on an address family that their group has no target of.
fn families(config: &Config, warnings: &mut Vec<String>) {
    for balancer in &config.load_balancers {
        for listener in &balancer.listeners {
            let Some(group) = config.group(&listener.target_group) else { continue };
            for (family, v6) in [("IPv4", false), ("IPv6", true)] {
                let served = balancer.addresses.iter().any(|address| address.is_ipv6() == v6);
                if served && !group.targets.iter().any(|target| target.id.is_ipv6() == v6) {
                    warnings.push(format!(
                        "listener {}:{} of load balancer `{}` serves {family} addresses, but target group `{}` has no \
                         {family} target: its {family} clients are refused",
                        listener.protocol, listener.port, balancer.name, group.name
                    ));
                }
            }
        }
    }
}

fn of_balancer(balancer: &LoadBalancer, state: &State, warnings: &mut Vec<String>) {
    let name = &balancer.name;
    for listener in state.listeners_of(&balancer.arn).filter(|listener| listener.protocol == Protocol::Tls) {
        warnings.push(format!(
            "listener TLS:{} of load balancer `{name}` is kept, but there is no data path for TLS yet: its connections \
             are not forwarded",
            listener.port
        ));
    }
    if balancer.attributes.get("access_logs.s3.enabled").is_some_and(|value| value == "true") {
        warnings.push(format!("load balancer `{name}` has access logs enabled, but none are written yet"));
    }
    if !balancer.security_groups.is_empty() {
        warnings.push(format!("load balancer `{name}` has security groups, but they filter nothing"));
    }
}

fn of_group(group: &TargetGroup, warnings: &mut Vec<String>) {
    let set = |key: &str, value: &str| group.attributes.get(key).is_some_and(|set| set == value);
    let unobeyed = [
        (group.protocol == Protocol::Tls, "speaks TLS to its targets, but there is no data path for TLS yet"),
        (attributes::sends_proxy_header(group), "has PROXY protocol enabled, but no header is sent yet"),
        (attributes::is_sticky(group), "has stickiness enabled, but connections of a client do not stick yet"),
        (
            attributes::terminates_deregistered(group),
            "ends connections after the deregistration delay, but they are not ended yet",
        ),
        (
            set("target_health_state.unhealthy.connection_termination.enabled", "false"),
            "keeps connections of unhealthy targets, but they are still reset",
        ),
        (attributes::dns_failover(group) != (None, None), "has DNS failover enabled, but there is none yet"),
    ];
    let unobeyed = unobeyed.into_iter().filter(|(is_set, _)| *is_set);
    warnings.extend(unobeyed.map(|(_, what)| format!("target group `{}` {what}", group.name)));
}
