//! `nlb status`: what is served, by which targets, and what is wrong.
//!
//! The maps tell most of it, with a controller or without. What only a living controller knows is added: addresses
//! that could not be had, overrides, unresolved next hops.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::Result;
use nlb_common::{
    flow::{flag, phase},
    layout::Target,
};
use serde::Serialize;

use super::{
    inspect::{self, interface_name},
    output::{Output, Show, grouped, mac, render, span, table},
};
use crate::{
    control::{Answer, Desired, Health, Request, client},
    dataplane::{Inspect, Table},
    explain::{protocol, socket, state_name},
    node::Node,
    reconcile::Actual,
};

/// Shows the node's state.
///
/// # Errors
/// If there are no maps.
pub fn execute(node: &Node, output: &Output) -> Result<()> {
    output.show(&report(node)?)
}

/// Gathers the node's state.
///
/// # Errors
/// If there are no maps.
pub fn report(node: &Node) -> Result<Report> {
    let desired = match client::ask(&node.socket, &Request::Status) {
        Ok(Answer::Status(desired)) => Some(*desired),
        // Dead, or out of reach: the maps tell what is going on all the same.
        _ => None,
    };
    let inspect = match (inspect::open(node), &desired) {
        (Ok(inspect), _) => inspect,
        // With --no-dataplane there are none.
        (Err(missing), Some(desired)) => {
            let mut report = Report::new(&Actual::default(), Some(desired));
            report.node = NodeReport { zone: node.zone.clone(), pinned_at: node.bpffs.clone(), map_layout: 0 };
            report.warnings.insert(0, format!("nothing is forwarded by this node: {missing}"));
            return Ok(report);
        }
        (Err(missing), None) => return Err(missing),
    };
    let interfaces = inspect
        .interfaces()?
        .into_iter()
        .map(|link| InterfaceReport {
            name: link.interface.unwrap_or_else(|| interface_name(link.ifindex)),
            index: link.ifindex,
            mode: link.mode.map_or_else(|| "unknown".to_owned(), |mode| mode.to_string()),
        })
        .collect();
    let actual = inspect.actual()?;
    let flows = count(&inspect)?;
    Ok(Report {
        node: NodeReport { zone: node.zone.clone(), pinned_at: node.bpffs.clone(), map_layout: actual.node.layout },
        flows,
        interfaces,
        ..Report::new(&actual, desired.as_ref())
    })
}

fn count(inspect: &Inspect) -> Result<FlowCounts> {
    let mut counts = FlowCounts::default();
    inspect.flows().for_each(|table, _, flow| {
        if !flow.is(flag::FROM_TARGET) {
            *match (flow.phase, table) {
                (phase::CLOSED | phase::ENDED, _) => &mut counts.over,
                (_, Table::Tcp) => &mut counts.tcp,
                (_, Table::HalfOpen) => &mut counts.half_open,
                (_, Table::Udp) => &mut counts.udp,
            } += 1;
        }
    })?;
    Ok(counts)
}

/// The node's state.
#[derive(Serialize, Debug, Default)]
pub struct Report {
    controller: Option<ControllerReport>,
    node: NodeReport,
    flows: FlowCounts,
    interfaces: Vec<InterfaceReport>,
    load_balancers: Vec<LoadBalancerReport>,
    /// Target groups and their targets.
    pub target_groups: Vec<GroupReport>,
    warnings: Vec<String>,
}

#[derive(Serialize, Debug)]
struct ControllerReport {
    pid: u32,
    version: String,
    uptime_s: u64,
    revision: u64,
}

#[derive(Serialize, Debug, Default)]
struct NodeReport {
    zone: String,
    pinned_at: PathBuf,
    map_layout: u32,
}

#[derive(Serialize, Debug, Default)]
struct FlowCounts {
    tcp: u64,
    half_open: u64,
    udp: u64,
    /// Over, and remembered for packets that are late.
    over: u64,
}

#[derive(Serialize, Debug)]
struct InterfaceReport {
    name: String,
    index: u32,
    mode: String,
}

#[derive(Serialize, Debug, Default)]
struct LoadBalancerReport {
    name: String,
    state: String,
    reasons: Vec<String>,
    addresses: Vec<IpAddr>,
    listeners: Vec<ListenerReport>,
}

#[derive(Serialize, Debug, PartialEq, Eq)]
struct ListenerReport {
    protocol: &'static str,
    port: u16,
    target_group: String,
    idle_timeout_s: u16,
}

/// A target group.
#[derive(Serialize, Debug, Default)]
pub struct GroupReport {
    /// Its name.
    pub name: String,
    targets: Vec<TargetReport>,
}

#[derive(Serialize, Debug)]
struct TargetReport {
    target: SocketAddr,
    state: &'static str,
    #[serde(rename = "override")]
    overridden: Option<Health>,
    interface: Option<String>,
    mac: Option<String>,
    reason: Option<String>,
}

impl Report {
    /// What the maps say, and what the controller adds.
    fn new(actual: &Actual, desired: Option<&Desired>) -> Self {
        Self {
            controller: desired.map(|desired| ControllerReport {
                pid: desired.pid,
                version: desired.version.clone(),
                uptime_s: desired.uptime_s,
                revision: desired.revision,
            }),
            load_balancers: load_balancers(actual, desired),
            target_groups: target_groups(actual, desired),
            warnings: desired.map(|desired| desired.warnings.clone()).unwrap_or_default(),
            ..Self::default()
        }
    }
}

fn load_balancers(actual: &Actual, desired: Option<&Desired>) -> Vec<LoadBalancerReport> {
    let mut found: BTreeMap<String, LoadBalancerReport> = BTreeMap::new();
    for (addr, vip) in &actual.vips {
        found.entry(vip.load_balancer.as_str().to_owned()).or_default().addresses.push((*addr).into());
    }
    for wanted in desired.iter().flat_map(|desired| &desired.load_balancers) {
        let report = found.entry(wanted.name.clone()).or_default();
        report.addresses.clone_from(&wanted.addresses);
        report.state.clone_from(&wanted.state);
        report.reasons.extend(wanted.reason.clone());
    }
    for (name, report) in &mut found {
        report.name.clone_from(name);
        let failed = desired.iter().flat_map(|desired| &desired.failed).filter(|failed| failed.load_balancer == *name);
        let reasons: Vec<String> = failed.map(|failed| failed.reason.clone()).collect();
        if !reasons.is_empty() {
            report.reasons = reasons;
        }
        if report.state.is_empty() {
            // Nobody says otherwise: what is in the maps is served.
            report.state = "active".to_owned();
        }
    }
    for (endpoint, listener) in &actual.listeners {
        let Some(vip) = actual.vips.get(&endpoint.addr) else { continue };
        let Some(report) = found.get_mut(vip.load_balancer.as_str()) else { continue };
        let group = actual.groups.get(&listener.group).map_or("?", |group| group.name.as_str());
        let listener = ListenerReport {
            protocol: protocol(endpoint.proto),
            port: endpoint.port.get(),
            target_group: group.to_owned(),
            idle_timeout_s: listener.idle_s,
        };
        // The same one on every address.
        if !report.listeners.contains(&listener) {
            report.listeners.push(listener);
        }
    }
    let mut reports: Vec<_> = found.into_values().collect();
    for report in &mut reports {
        report.listeners.sort_by_key(|listener| (listener.port, listener.protocol));
    }
    reports
}

fn target_groups(actual: &Actual, desired: Option<&Desired>) -> Vec<GroupReport> {
    let mut found: BTreeMap<&str, GroupReport> = BTreeMap::new();
    for name in desired.iter().flat_map(|desired| &desired.target_groups) {
        found.entry(name).or_default();
    }
    for (index, group) in &actual.groups {
        let members = actual.targets.values().filter(|target| target.group == *index);
        let report = found.entry(group.name.as_str()).or_default();
        let known = members.filter(|target| state_name(target.state) != "gone");
        report.targets.extend(known.map(|target| target_report(group.name.as_str(), target, desired)));
    }
    for (name, report) in &mut found {
        report.name = (*name).to_owned();
        report.targets.sort_by_key(|target| target.target);
    }
    found.into_values().collect()
}

fn target_report(group: &str, target: &Target, desired: Option<&Desired>) -> TargetReport {
    let address = socket(target.addr, target.port);
    let overrides = desired.iter().flat_map(|desired| &desired.overrides);
    let unresolved = desired.iter().flat_map(|desired| &desired.unresolved);
    let resolved = target.hop.ifindex != 0;
    TargetReport {
        target: address,
        state: state_name(target.state),
        overridden: overrides.filter(|it| it.group == group && it.target == address).map(|it| it.state).next(),
        interface: resolved.then(|| interface_name(target.hop.ifindex)),
        mac: resolved.then(|| mac(target.hop.dst_mac)),
        reason: unresolved.filter(|it| it.address == address.ip()).map(|it| it.reason.clone()).next(),
    }
}

/// The table of targets.
pub fn targets(groups: &[GroupReport]) -> String {
    let mut rows = table(["TARGET GROUP", "TARGET", "STATE", "NEXT HOP"]);
    for group in groups {
        for target in &group.targets {
            let hop = match (&target.reason, &target.interface, &target.mac) {
                (Some(reason), ..) => reason.clone(),
                (None, Some(interface), Some(mac)) => format!("{mac} on {interface}"),
                _ => "not resolved".to_owned(),
            };
            let state = match target.overridden {
                Some(_) => format!("{} (override)", target.state),
                None => target.state.to_owned(),
            };
            rows.add_row([group.name.clone(), target.target.to_string(), state, hop]);
        }
        if group.targets.is_empty() {
            rows.add_row([group.name.as_str(), "(none)", "", ""]);
        }
    }
    render(&rows)
}

impl Report {
    fn head(&self) -> String {
        let controller = match &self.controller {
            Some(it) => format!(
                "running, pid {}, version {}, up {}, revision {}",
                it.pid,
                it.version,
                span(it.uptime_s * 1_000_000_000),
                it.revision
            ),
            None => "not running; the data plane forwards as it was last told".to_owned(),
        };
        let node = &self.node;
        let pinned = node.pinned_at.display();
        let flows = &self.flows;
        let [tcp, half_open, udp, over] = [flows.tcp, flows.half_open, flows.udp, flows.over].map(grouped);
        format!(
            "controller  {controller}\nnode        zone {}, pinned at {pinned}, map layout {}\nflows       {tcp} TCP, {half_open} half-open, {udp} UDP, {over} over\n",
            node.zone, node.map_layout
        )
    }

    fn balancers(&self) -> String {
        let mut rows = table(["LOAD BALANCER", "STATE", "ADDRESS", "REASON"]);
        for balancer in &self.load_balancers {
            let addresses = balancer.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            rows.add_row([&balancer.name, &balancer.state, &addresses, &balancer.reasons.join("\n")]);
        }
        render(&rows)
    }

    fn listeners(&self) -> String {
        let mut rows = table(["LOAD BALANCER", "LISTENER", "TARGET GROUP", "IDLE TIMEOUT"]);
        for balancer in &self.load_balancers {
            for listener in &balancer.listeners {
                let name = format!("{}:{}", listener.protocol, listener.port);
                let idle = format!("{} s", listener.idle_timeout_s);
                rows.add_row([&balancer.name, &name, &listener.target_group, &idle]);
            }
        }
        render(&rows)
    }
}

impl Show for Report {
    fn text(&self) -> String {
        let mut interfaces = table(["INTERFACE", "INDEX", "XDP MODE"]);
        for interface in &self.interfaces {
            interfaces.add_row([&interface.name, &interface.index.to_string(), &interface.mode]);
        }
        let warnings: String = self.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
        let parts = [
            self.head(),
            render(&interfaces),
            self.balancers(),
            self.listeners(),
            targets(&self.target_groups),
            warnings,
        ];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
