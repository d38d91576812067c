//! What is allowed and yet hardly meant.

use super::{Config, TargetGroup};

impl Config {
    /// Sentences about what serves nobody: groups that no listener names, and listeners on an address family that their
    /// group has no target of.
    pub fn warnings(&self) -> Vec<String> {
        let listeners = || self.load_balancers.iter().flat_map(|balancer| &balancer.listeners);
        let unused = |group: &&TargetGroup| !listeners().any(|listener| listener.target_group == group.name);
        let unused = self.target_groups.iter().filter(unused);
        let mut warnings: Vec<String> = unused
            .map(|group| format!("target group `{}` gets no traffic: no listener names it", group.name))
            .collect();
        for balancer in &self.load_balancers {
            for listener in &balancer.listeners {
                let Some(group) = self.group(&listener.target_group) else { continue };
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
        warnings
    }
}
