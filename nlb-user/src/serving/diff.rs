//! What is different between two configurations, for people.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{Config, Listener, LoadBalancer, TargetGroup};

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

/// The differences between two configurations, load balancers first; the order of things in the file is none.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Changes(Vec::new());
    changes.compare(
        by(&old.load_balancers, |balancer| &balancer.name),
        by(&new.load_balancers, |balancer| &balancer.name),
        |name, _| format!("load balancer {name}"),
        Changes::balancer,
    );
    changes.compare(
        by(&old.target_groups, |group| &group.name),
        by(&new.target_groups, |group| &group.name),
        |name, group| format!("target group {name} {}:{}", group.protocol, group.port),
        Changes::group,
    );
    changes.0
}

fn by<'a, T, K: Ord>(things: &'a [T], key: impl Fn(&'a T) -> K) -> BTreeMap<K, &'a T> {
    things.iter().map(|thing| (key(thing), thing)).collect()
}

struct Changes(Vec<Change>);

impl Changes {
    fn push(&mut self, kind: ChangeKind, what: String) {
        self.0.push(Change { kind, what });
    }

    /// Tells things of two sides apart by their key; `inside` looks into each, with one side missing for the new and
    /// the gone.
    fn compare<K: Ord, T>(
        &mut self,
        old: BTreeMap<K, &T>,
        mut new: BTreeMap<K, &T>,
        what: impl Fn(&K, &T) -> String,
        inside: impl Fn(&mut Self, Option<&T>, Option<&T>),
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

    fn balancer(&mut self, old: Option<&LoadBalancer>, new: Option<&LoadBalancer>) {
        let Some(LoadBalancer { name, .. }) = old.or(new) else { return };
        self.compare(
            by(old.map_or(&[], |balancer| &balancer.addresses), |address| *address),
            by(new.map_or(&[], |balancer| &balancer.addresses), |address| *address),
            |address, _| format!("address {name} {address}"),
            |_, _, _| {},
        );
        self.compare(
            by(old.map_or(&[], |balancer| &balancer.listeners), |listener| (listener.protocol, listener.port)),
            by(new.map_or(&[], |balancer| &balancer.listeners), |listener| (listener.protocol, listener.port)),
            |(protocol, port), listener| format!("listener {name} {protocol}:{port} -> {}", listener.target_group),
            |changes, old, new| changes.listener(name, old, new),
        );
    }

    fn listener(&mut self, balancer: &str, old: Option<&Listener>, new: Option<&Listener>) {
        let (Some(old), Some(new)) = (old, new) else { return };
        let what = format!("listener {balancer} {}:{}", new.protocol, new.port);
        self.setting(&what, "target group", &old.target_group, &new.target_group);
        self.settings(&what, &old.attributes(), &new.attributes());
    }

    fn group(&mut self, old: Option<&TargetGroup>, new: Option<&TargetGroup>) {
        let Some(TargetGroup { name, .. }) = old.or(new) else { return };
        if let (Some(old), Some(new)) = (old, new) {
            let what = format!("target group {name}");
            self.setting(&what, "protocol", old.protocol.as_str(), new.protocol.as_str());
            self.setting(&what, "port", &old.port.to_string(), &new.port.to_string());
            self.settings(&what, &old.all_attributes(), &new.all_attributes());
        }
        self.compare(
            by(old.map_or(&[], |group| &group.targets), |target| *target),
            by(new.map_or(&[], |group| &group.targets), |target| *target),
            |target, _| format!("target {name} {target}"),
            |_, _, _| {},
        );
    }

    fn settings(&mut self, what: &str, old: &BTreeMap<&str, String>, new: &BTreeMap<&str, String>) {
        let keys: std::collections::BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
        for key in keys {
            let value = |side: &BTreeMap<&str, String>| side.get(key).map_or("default", String::as_str).to_owned();
            self.setting(what, key, &value(old), &value(new));
        }
    }

    fn setting(&mut self, what: &str, name: &str, old: &str, new: &str) {
        if old != new {
            self.push(ChangeKind::Changed, format!("{what}: {name} {old} -> {new}"));
        }
    }
}
