//! `nlb counters`: what happened to packets, and why.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::Result;
use nlb_common::{
    Addr, Event, Reason,
    layout::{Row, state},
    reason::{COUNTERS, Verdict},
};
use serde::Serialize;

use super::{
    inspect,
    output::{self, Output, Show, grouped, render, table},
};
use crate::{
    explain::{protocol, socket},
    node::Node,
    reconcile::Actual,
};

/// How often `--watch` looks.
const PERIOD: Duration = Duration::from_secs(1);

/// Arguments of `nlb counters`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show them anew every second, with what they grew by; with --output json, one line each second
    #[arg(long)]
    watch: bool,
    /// Show those that are zero, too
    #[arg(long)]
    all: bool,
}

/// Shows the counters.
///
/// # Errors
/// If there are no maps.
pub fn execute(args: Args, node: &Node, output: &Output) -> Result<()> {
    let mut before = read(node)?;
    if !args.watch {
        return output.show(&before.report(None, args.all));
    }
    loop {
        thread::sleep(PERIOD);
        let after = read(node)?;
        let report = after.report(Some(&before), args.all);
        if output.is_json() {
            output::print(&(serde_json::to_string(&report)? + "\n"))?;
        } else {
            // Home, then clear to the end of the screen (ECMA-48 CUP, ED).
            output::print(&format!("\x1b[H\x1b[J{}", report.text()))?;
        }
        before = after;
    }
}

fn read(node: &Node) -> Result<Snapshot> {
    let inspect = inspect::open(node)?;
    let actual = inspect.actual()?;
    let rows = owned(&actual, &inspect.rows(&actual)?);
    let counted = inspect.counters()?;
    let mut counters = [0; COUNTERS];
    counted.reasons().for_each(|(reason, count)| counters[usize::from(reason.number())] = count);
    counted.events().for_each(|(event, count)| counters[usize::from(event.number())] = count);
    Ok(Snapshot { counters, rows })
}

/// Whose counters row it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
struct Owner {
    kind: &'static str,
    /// The load balancer's or target group's.
    name: String,
    /// Where it listens or is; empty for a load balancer, which is everywhere its listeners are.
    at: String,
}

/// Rows and their owners: load balancers, each the sum of its addresses and listeners, then listeners, then targets.
fn owned(actual: &Actual, rows: &BTreeMap<u32, Row>) -> Vec<(Owner, Row)> {
    let row = |index: u32| rows.get(&index).copied().unwrap_or_default();
    let name = |addr: &Addr| actual.vips.get(addr).map_or("?", |vip| vip.load_balancer.as_str());
    let mut balancers: BTreeMap<&str, Row> = BTreeMap::new();
    for vip in actual.vips.values() {
        *balancers.entry(vip.load_balancer.as_str()).or_default() += row(vip.row);
    }
    for (endpoint, listener) in &actual.listeners {
        *balancers.entry(name(&endpoint.addr)).or_default() += row(listener.row);
    }
    let balancers = balancers.into_iter().map(|(name, row)| {
        let owner = Owner { kind: "load balancer", name: name.to_owned(), at: String::new() };
        (owner, row)
    });
    let listeners = actual.listeners.iter().map(|(endpoint, listener)| {
        let at = format!("{} {}", protocol(endpoint.proto), socket(endpoint.addr, endpoint.port));
        (Owner { kind: "listener", name: name(&endpoint.addr).to_owned(), at }, row(listener.row))
    });
    let known = actual.targets.values().filter_map(|target| Some((actual.groups.get(&target.group)?, target)));
    let targets = known.filter(|(_, target)| target.state != state::GONE).map(|(group, target)| {
        let at = socket(target.addr, target.port).to_string();
        (Owner { kind: "target", name: group.name.as_str().to_owned(), at }, row(target.row))
    });
    balancers.chain(listeners).chain(targets).collect()
}

/// All counters at one time.
struct Snapshot {
    counters: [u64; COUNTERS],
    rows: Vec<(Owner, Row)>,
}

impl Snapshot {
    /// Those that are not zero (`all`: and the others), with what they grew by since `before`.
    fn report(&self, before: Option<&Self>, all: bool) -> Report {
        let count = |number: u8, label, text, kind| {
            let number = usize::from(number);
            let grown = before.map(|before| self.counters[number].saturating_sub(before.counters[number]));
            Counter { kind, name: label, count: self.counters[number], grown, text }
        };
        let reasons = Reason::ALL.iter().map(|it| count(it.number(), it.label(), it.text(), kind(it.verdict())));
        let events = Event::ALL.iter().map(|it| count(it.number(), it.label(), it.text(), "event"));
        let rows = self.rows.iter().filter(|(_, row)| all || *row != Row::default());
        Report {
            counters: reasons.chain(events).filter(|counter| all || counter.count > 0).collect(),
            rows: rows.map(|(owner, row)| RowReport::new(owner, row)).collect(),
        }
    }
}

const fn kind(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Forward => "forward",
        Verdict::Pass => "pass",
        Verdict::Drop => "drop",
        Verdict::Reset => "reset",
    }
}

#[derive(Serialize)]
struct Report {
    counters: Vec<Counter>,
    rows: Vec<RowReport>,
}

#[derive(Serialize)]
struct Counter {
    kind: &'static str,
    name: &'static str,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    grown: Option<u64>,
    text: &'static str,
}

#[derive(Serialize)]
struct RowReport {
    #[serde(flatten)]
    owner: Owner,
    packets: u64,
    bytes: u64,
    new_flows: u64,
    client_resets: u64,
    target_resets: u64,
    elb_resets: u64,
    port_allocation_errors: u64,
    drops: u64,
}

impl RowReport {
    fn new(owner: &Owner, row: &Row) -> Self {
        Self {
            owner: owner.clone(),
            packets: row.packets,
            bytes: row.bytes,
            new_flows: row.new_flows,
            client_resets: row.client_resets,
            target_resets: row.target_resets,
            elb_resets: row.elb_resets,
            port_allocation_errors: row.port_allocation_errors,
            drops: row.drops,
        }
    }
}

impl Report {
    fn reasons(&self) -> String {
        let watched = self.counters.iter().any(|counter| counter.grown.is_some());
        let mut rows = match watched {
            true => table(["KIND", "REASON", "PACKETS", "PER SECOND", "MEANING"]),
            false => table(["KIND", "REASON", "PACKETS", "MEANING"]),
        };
        for counter in &self.counters {
            let mut row = vec![counter.kind.to_owned(), counter.name.to_owned(), grouped(counter.count)];
            row.extend(counter.grown.map(grouped));
            row.push(counter.text.to_owned());
            rows.add_row(row);
        }
        render(&rows)
    }

    fn owners(&self) -> String {
        let mut rows = table(["OF", "NAME", "AT", "PACKETS", "BYTES", "FLOWS", "RESETS C/T/LB", "PORT ERR", "DROPS"]);
        for row in &self.rows {
            rows.add_row([
                row.owner.kind.to_owned(),
                row.owner.name.clone(),
                row.owner.at.clone(),
                grouped(row.packets),
                grouped(row.bytes),
                grouped(row.new_flows),
                format!("{}/{}/{}", row.client_resets, row.target_resets, row.elb_resets),
                grouped(row.port_allocation_errors),
                grouped(row.drops),
            ]);
        }
        render(&rows)
    }
}

impl Show for Report {
    fn text(&self) -> String {
        let parts = [self.reasons(), self.owners()];
        match parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n") {
            text if text.is_empty() => "nothing counted yet\n".to_owned(),
            text => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use nlb_common::{
        Be16,
        layout::{Endpoint, Listener, Name, Vip},
    };

    use super::*;

    fn snapshot(to_target: u64) -> Snapshot {
        let mut counters = [0; COUNTERS];
        counters[usize::from(Reason::ToTarget.number())] = to_target;
        counters[usize::from(Event::Established.number())] = 1;
        let owner = |at: &str| Owner { kind: "target", name: "web".into(), at: at.into() };
        let row = Row { packets: 1234, bytes: 5_000_000, new_flows: 3, elb_resets: 2, ..Row::default() };
        Snapshot { counters, rows: vec![(owner("10.0.1.11:8080"), row), (owner("10.0.1.12:8080"), Row::default())] }
    }

    #[test]
    fn what_is_zero_is_hidden() {
        let expected = "\
KIND     REASON       PACKETS  MEANING
forward  to_target    1,500    forwarded to the flow's target
event    established  1        TCP handshake completed

OF      NAME  AT              PACKETS  BYTES      FLOWS  RESETS C/T/LB  PORT ERR  DROPS
target  web   10.0.1.11:8080  1,234    5,000,000  3      0/0/2          0         0
";
        assert_eq!(snapshot(1500).report(None, false).text(), expected);
    }

    #[test]
    fn a_load_balancer_counts_what_its_listeners_do_and_what_is_at_no_listener() {
        let vip = Addr::v4([198, 18, 0, 10]);
        let endpoint = |port| Endpoint::new(vip, Be16::new(port), 6);
        let actual = Actual {
            vips: [(vip, Vip { load_balancer: Name::new("web").unwrap(), row: 1, _pad: 0 })].into(),
            listeners: [(80, 2), (81, 3)]
                .map(|(port, row)| (endpoint(port), Listener { row, ..Default::default() }))
                .into(),
            ..Actual::default()
        };
        let row = |packets, drops| Row { packets, drops, ..Row::default() };
        let rows = owned(&actual, &[(1, row(0, 7)), (2, row(10, 0)), (3, row(5, 1))].into());
        assert_eq!((rows[0].0.name.as_str(), rows[0].1), ("web", row(15, 8)));
        assert_eq!((rows[1].0.at.as_str(), rows[1].1), ("TCP 198.18.0.10:80", row(10, 0)));
    }

    #[test]
    fn all_of_them_fit_the_screen() {
        let report = snapshot(u64::MAX).report(Some(&snapshot(0)), true);
        assert_eq!(report.counters.len(), Reason::ALL.len() + Event::ALL.len());
        assert_eq!(report.rows.len(), 2);
        assert!(report.text().lines().all(|line| line.len() <= 100), "{}", report.text());
    }

    #[test]
    fn watching_shows_growth() {
        let report = snapshot(1500).report(Some(&snapshot(1000)), false);
        assert_eq!(report.counters[0].grown, Some(500));
        assert!(report.text().contains("PER SECOND"));
    }
}
