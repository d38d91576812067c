//! What is different between two states, for people.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
};

use serde::Serialize;

use crate::model::{
    Arn, Family, HealthCheck, Listener, LoadBalancer, Protocol, State, Target, TargetGroup, TargetId, TargetKey,
    ZoneMapping,
};

/// What happened to a thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is there in another shape.
    Changed,
    /// It is gone.
    Removed,
}

/// One difference.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// To what, as in `listener web TCP:80 -> web`.
    pub what: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.kind {
            ChangeKind::Added => '+',
            ChangeKind::Changed => '~',
            ChangeKind::Removed => '-',
        };
        write!(f, "{sign} {}", self.what)
    }
}

/// The differences between two states, load balancers first, by name. What the two share is not looked at.
pub fn changes(old: &State, new: &State) -> Vec<Change> {
    let mut changes = Changes { old, new, found: Vec::new() };
    changes.compare(
        by(old.load_balancers.values().map(|it| &**it), |it| it.name.as_str()),
        by(new.load_balancers.values().map(|it| &**it), |it| it.name.as_str()),
        |name, _| format!("load balancer {name}"),
        Changes::balancer,
    );
    changes.compare(
        by(old.target_groups.values().map(|it| &**it), |it| it.name.as_str()),
        by(new.target_groups.values().map(|it| &**it), |it| it.name.as_str()),
        |name, group| format!("target group {name} {}:{}", group.protocol, group.port),
        Changes::group,
    );
    changes.overrides();
    changes.found
}

fn by<'a, T, K: Ord>(things: impl IntoIterator<Item = &'a T>, key: impl Fn(&'a T) -> K) -> BTreeMap<K, &'a T> {
    things.into_iter().map(|thing| (key(thing), thing)).collect()
}

/// A listener and the name of its target group.
#[derive(Clone, Copy)]
struct Named<'a> {
    listener: &'a Listener,
    group: &'a str,
}

/// The listeners of a load balancer, by port; UDP apart, which a file can put beside TCP.
fn listeners<'a>(state: &'a State, balancer: Option<&'a LoadBalancer>) -> BTreeMap<(u16, bool), Named<'a>> {
    let all = balancer.into_iter().flat_map(|balancer| state.listeners_of(&balancer.arn));
    let named = all.map(|listener| {
        let group = state.target_groups.get(&listener.target_group).map_or("?", |group| group.name.as_str());
        ((listener.port, listener.protocol == Protocol::Udp), Named { listener, group })
    });
    named.collect()
}

fn shifted(balancer: &LoadBalancer) -> String {
    match &balancer.zonal_shift {
        Some(shift) => format!("from {} until {}", shift.zone, shift.expires),
        None => "none".to_owned(),
    }
}

const fn family(group: &TargetGroup) -> &'static str {
    match group.family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
        Family::Any => "any",
    }
}

/// A target as commands write it.
pub(super) fn target(TargetKey { id, port }: &TargetKey) -> String {
    match id {
        TargetId::Ip(address) => SocketAddr::new(*address, *port).to_string(),
        TargetId::Instance(_) | TargetId::Alb(_) => format!("{id}:{port}"),
    }
}

struct Changes<'a> {
    old: &'a State,
    new: &'a State,
    found: Vec<Change>,
}

impl<'a> Changes<'a> {
    fn push(&mut self, kind: ChangeKind, what: String) {
        self.found.push(Change { kind, what });
    }

    /// Tells things of two sides apart by their key; `inside` looks into each that changed, with one side missing for
    /// the new and the gone.
    fn compare<K: Ord, T: Copy>(
        &mut self,
        old: BTreeMap<K, T>,
        mut new: BTreeMap<K, T>,
        what: impl Fn(&K, T) -> String,
        inside: impl Fn(&mut Self, Option<T>, Option<T>),
    ) {
        for (key, old) in old {
            let new = new.remove(&key);
            if new.is_none() {
                self.push(ChangeKind::Removed, what(&key, old));
            }
            inside(self, Some(old), new);
        }
        for (key, new) in new {
            self.push(ChangeKind::Added, what(&key, new));
            inside(self, None, Some(new));
        }
    }

    fn balancer(&mut self, old: Option<&'a LoadBalancer>, new: Option<&'a LoadBalancer>) {
        let Some(LoadBalancer { name, .. }) = old.or(new) else { return };
        let what = format!("load balancer {name}");
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            self.setting(&what, "scheme", old.scheme.as_str(), new.scheme.as_str());
            self.setting(&what, "ip_address_type", old.ip_address_type.as_str(), new.ip_address_type.as_str());
            let list = |groups: &[String]| if groups.is_empty() { "none".to_owned() } else { groups.join(",") };
            self.setting(&what, "security groups", &list(&old.security_groups), &list(&new.security_groups));
            self.settings(&what, &old.attributes, &new.attributes);
            self.tags(&what, &old.tags, &new.tags);
            self.setting(&what, "zonal shift", &shifted(old), &shifted(new));
        }
        self.compare(
            by(old.map_or(&[][..], |it| &it.zones), |zone| &zone.zone),
            by(new.map_or(&[][..], |it| &it.zones), |zone| &zone.zone),
            |_, zone| format!("zone {name} {} {}", zone.zone, zone.subnet),
            |changes, old, new| changes.zone(name, old, new),
        );
        self.compare(
            by(old.map_or(&[][..], |it| &it.addresses), |address| *address),
            by(new.map_or(&[][..], |it| &it.addresses), |address| *address),
            |address, _| format!("address {name} {address}"),
            |_, _, _| {},
        );
        self.compare(
            listeners(self.old, old),
            listeners(self.new, new),
            |_, it| format!("listener {name} {}:{} -> {}", it.listener.protocol, it.listener.port, it.group),
            |changes, old, new| changes.listener(name, old, new),
        );
    }

    fn zone(&mut self, balancer: &str, old: Option<&ZoneMapping>, new: Option<&ZoneMapping>) {
        let (Some(old), Some(new)) = (old, new) else { return };
        let what = format!("zone {balancer} {}", new.zone);
        let address = |zone: &ZoneMapping| match &zone.allocation_id {
            Some(allocation) => format!("{} ({allocation})", zone.ipv4),
            None => zone.ipv4.to_string(),
        };
        let ipv6 = |zone: &ZoneMapping| zone.ipv6.map_or_else(|| "none".to_owned(), |address| address.to_string());
        self.setting(&what, "subnet", &old.subnet, &new.subnet);
        self.setting(&what, "ipv4", &address(old), &address(new));
        self.setting(&what, "ipv6", &ipv6(old), &ipv6(new));
    }

    fn listener(&mut self, balancer: &str, old: Option<Named<'a>>, new: Option<Named<'a>>) {
        let (Some(old), Some(new)) = (old, new) else { return };
        let what = format!("listener {balancer} {}:{}", new.listener.protocol, new.listener.port);
        self.setting(&what, "protocol", old.listener.protocol.as_str(), new.listener.protocol.as_str());
        self.setting(&what, "target group", old.group, new.group);
        let (old, new) = (old.listener, new.listener);
        if old == new {
            return;
        }
        let list = |texts: &[String]| if texts.is_empty() { "none".to_owned() } else { texts.join(",") };
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        self.setting(&what, "certificates", &list(&old.certificates), &list(&new.certificates));
        self.setting(&what, "ssl_policy", &text(&old.ssl_policy), &text(&new.ssl_policy));
        self.setting(&what, "alpn_policy", &text(&old.alpn_policy), &text(&new.alpn_policy));
        self.settings(&what, &old.attributes, &new.attributes);
        self.tags(&what, &old.tags, &new.tags);
    }

    fn group(&mut self, old: Option<&'a TargetGroup>, new: Option<&'a TargetGroup>) {
        let Some(TargetGroup { name, .. }) = old.or(new) else { return };
        if let (Some(old), Some(new)) = (old, new) {
            if std::ptr::eq(old, new) {
                return;
            }
            let what = format!("target group {name}");
            self.setting(&what, "target_type", old.target_type.as_str(), new.target_type.as_str());
            self.setting(&what, "protocol", old.protocol.as_str(), new.protocol.as_str());
            self.setting(&what, "port", &old.port.to_string(), &new.port.to_string());
            let vpc = |group: &TargetGroup| group.vpc.clone().unwrap_or_else(|| "none".to_owned());
            self.setting(&what, "vpc", &vpc(old), &vpc(new));
            self.setting(&what, "ip_address_type", family(old), family(new));
            self.health_check(&what, &old.health_check, &new.health_check);
            self.settings(&what, &old.attributes, &new.attributes);
            self.tags(&what, &old.tags, &new.tags);
        }
        self.targets(name, old, new);
    }

    fn health_check(&mut self, what: &str, old: &HealthCheck, new: &HealthCheck) {
        let settings = |check: &HealthCheck| {
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
            [
                ("protocol", check.protocol.to_string()),
                ("port", check.port.map_or_else(|| "traffic-port".to_owned(), |port| port.to_string())),
                ("path", text(&check.path)),
                ("matcher", text(&check.matcher)),
                ("interval_seconds", check.interval_s.to_string()),
                ("timeout_seconds", check.timeout_s.to_string()),
                ("healthy_threshold", check.healthy_threshold.to_string()),
                ("unhealthy_threshold", check.unhealthy_threshold.to_string()),
            ]
        };
        for ((name, old), (_, new)) in settings(old).into_iter().zip(settings(new)) {
            self.setting(what, &format!("health_check.{name}"), &old, &new);
        }
    }

    /// A target that begins to drain is as good as gone: it is told now, and not again when it is over.
    fn targets(&mut self, group: &str, old: Option<&'a TargetGroup>, new: Option<&'a TargetGroup>) {
        let registered = |group: Option<&'a TargetGroup>| -> BTreeMap<&'a TargetKey, (&'a TargetKey, &'a Target)> {
            let targets = group.into_iter().flat_map(|group| &group.targets);
            targets.filter(|(_, target)| target.draining_until.is_none()).map(|it| (it.0, it)).collect()
        };
        self.compare(
            registered(old),
            registered(new),
            |key, _| format!("target {group} {}", target(key)),
            |changes, old, new| {
                let (Some((key, old)), Some((_, new))) = (old, new) else { return };
                let zone = |it: &Target| it.zone.clone().unwrap_or_else(|| "that of its subnet".to_owned());
                let what = format!("target {group} {}", target(key));
                changes.setting(&what, "availability_zone", &zone(old), &zone(new));
            },
        );
    }

    fn overrides(&mut self) {
        let ids: BTreeSet<&(Arn, TargetKey)> = self.old.overrides.keys().chain(self.new.overrides.keys()).collect();
        for id in ids {
            let name = |state: &State| state.overrides.get(id).map_or("auto", |state| state.as_str());
            let (before, after) = (name(self.old), name(self.new));
            let Some(group) = self.new.target_groups.get(&id.0).filter(|group| group.targets.contains_key(&id.1))
            else {
                continue;
            };
            if before != after {
                let what = format!("target {} {}: state {before} -> {after}", group.name, target(&id.1));
                self.push(ChangeKind::Changed, what);
            }
        }
    }

    fn tags(&mut self, what: &str, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) {
        for key in keys(old, new) {
            let value =
                |side: &BTreeMap<String, String>| side.get(key).map_or("none".to_owned(), |it| format!("{it:?}"));
            self.setting(what, &format!("tag {key:?}"), &value(old), &value(new));
        }
    }

    fn settings(&mut self, what: &str, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) {
        for key in keys(old, new) {
            let value = |side: &BTreeMap<String, String>| side.get(key).map_or("default", String::as_str).to_owned();
            self.setting(what, key, &value(old), &value(new));
        }
    }

    fn setting(&mut self, what: &str, name: &str, old: &str, new: &str) {
        if old != new {
            self.push(ChangeKind::Changed, format!("{what}: {name} {old} -> {new}"));
        }
    }
}

fn keys<'a>(old: &'a BTreeMap<String, String>, new: &'a BTreeMap<String, String>) -> BTreeSet<&'a str> {
    old.keys().chain(new.keys()).map(String::as_str).collect()
}
