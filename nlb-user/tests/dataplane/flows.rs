//! Flow tables: listing, finding, ending, removing.

use std::{ops::ControlFlow, time::Instant};

use aya::maps::{HashMap, Map, MapData};
use nlb_common::{
    Addr, Be16, Flow, FlowKey, Reason,
    flow::{TCP, UDP, flag, phase},
    layout::{Endpoint, map},
};
use nlb_user::dataplane::{Dataplane, FlowTables, Options, Pins, Table};

use crate::sandbox::Sandbox;

/// Writes flows as the program would.
pub struct Writer(HashMap<MapData, FlowKey, Flow>);

impl Writer {
    pub fn open(pins: &Pins, name: &str) -> Self {
        let data = MapData::from_pin(pins.map(name)).unwrap();
        Self(Map::from_map_data(data).unwrap().try_into().unwrap())
    }

    /// Both entries of a flow, changed by `change` before they are written.
    pub fn flow(&mut self, number: u32, proto: u8, change: impl Fn(&mut Flow)) -> FlowKey {
        let (key, client) = flow(number, proto);
        let mut pair = client.derive_pair(&key);
        let mut client = client;
        change(&mut client);
        change(&mut pair);
        self.0.insert(key, client, 0).unwrap();
        self.0.insert(client.pair(proto), pair, 0).unwrap();
        key
    }

    pub fn set(&mut self, key: &FlowKey, change: impl Fn(&mut Flow)) {
        let mut flow = self.0.get(key, 0).unwrap();
        change(&mut flow);
        self.0.insert(key, flow, 0).unwrap();
    }

    pub fn get(&self, key: &FlowKey) -> Option<Flow> {
        self.0.get(key, 0).ok()
    }

    pub fn remove(&mut self, key: &FlowKey) {
        self.0.remove(key).unwrap();
    }
}

/// The client's entry of the flow with this number, to one of four targets.
pub fn flow(number: u32, proto: u8) -> (FlowKey, Flow) {
    let [_, a, b, c] = number.to_be_bytes();
    let src = Addr::v4([10, a, b, c]);
    let key = FlowKey::new(src, Addr::v4([198, 18, 0, 10]), Be16::new(40_000), Be16::new(80), proto);
    let to = FlowKey { dst: Addr::v4([10, 200, 0, (number % 4) as u8]), dst_port: Be16::new(8080), ..key };
    (key, Flow { target: number % 4, idle_s: 350, stamp: 1, ..Flow::rewriting(&key, &to) })
}

#[test]
fn a_hundred_thousand_entries_are_read_in_batches() {
    Sandbox::run(|sandbox| {
        let options = Options { max_flows: 100_000, fresh: false };
        let pins = sandbox.pins();
        let (dataplane, _) = Dataplane::start(&pins, &options).unwrap();
        let mut writer = Writer::open(&pins, map::TCP_FLOWS);
        for number in 0..50_000 {
            writer.flow(number, TCP, |_| {});
        }
        let begun = Instant::now();
        let (mut keys, mut from_target) = (std::collections::HashSet::new(), 0);
        let each = |table, key: &FlowKey, flow: &Flow| {
            assert_eq!(table, Table::Tcp);
            assert!(keys.insert(*key), "an entry was seen twice");
            from_target += usize::from(flow.is(flag::FROM_TARGET));
        };
        dataplane.flows().for_each(each).unwrap();
        println!("100,000 entries in {:?}", begun.elapsed());
        assert_eq!((keys.len(), from_target), (100_000, 50_000));

        let begun = Instant::now();
        let mut listed = Vec::new();
        let wanted = |_, _: &FlowKey, flow: &Flow| flow.target == 3;
        let each = |entry| {
            listed.push(entry);
            if listed.len() < 1000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        dataplane.flows().list(wanted, each).unwrap();
        println!("1,000 flows of one target in {:?}", begun.elapsed());
        assert_eq!(listed.len(), 1000);
        assert!(listed.iter().all(|entry| entry.target.is_some_and(|target| target.is(flag::FROM_TARGET))));
    });
}

#[test]
fn a_table_that_changes_meanwhile_is_read_to_its_end() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let dataplane = sandbox.start();
        let mut writer = Writer::open(&pins, map::TCP_FLOWS);
        let stay: Vec<FlowKey> = (0..2000).map(|number| writer.flow(number, TCP, |_| {})).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 10_000..30_000 {
                    let key = writer.flow(number, TCP, |_| {});
                    writer.remove(&flow(number, TCP).1.pair(TCP));
                    writer.remove(&key);
                }
            });
            for _ in 0..50 {
                let mut seen = std::collections::HashSet::new();
                dataplane.flows().for_each(|_, key, _| seen.extend([*key])).unwrap();
                assert!(stay.iter().all(|key| seen.contains(key)));
            }
        });
    });
}

#[test]
fn a_flow_is_found_ended_and_removed_from_either_side() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let dataplane = sandbox.start();
        let flows = dataplane.flows();
        let mut writer = Writer::open(&pins, map::TCP_FLOWS);
        for number in 0..2 {
            let key = writer.flow(number, TCP, |_| {});
            let pair = flow(number, TCP).1.pair(TCP);
            let from = if number == 0 { key } else { pair };
            let entry = flows.find(&from).unwrap().unwrap();
            assert_eq!((entry.table, entry.key), (Table::Tcp, key));
            assert!(flows.end(&from, Reason::ResetTerminated).unwrap());
            assert!(!flows.end(&from, Reason::ResetIdle).unwrap(), "ended before");
            for key in [key, pair] {
                let flow = writer.get(&key).unwrap();
                assert_eq!((flow.phase, flow.end), (phase::ENDED, Reason::ResetTerminated.number()));
            }
            assert!(flows.remove_pair(&from).unwrap());
            assert!(!flows.remove_pair(&from).unwrap());
            assert!(writer.get(&key).is_none() && writer.get(&pair).is_none());
            assert!(flows.find(&from).unwrap().is_none());
        }
    });
}

#[test]
fn the_flows_of_a_listener_are_ended_and_no_others() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let dataplane = sandbox.start();
        let mut writers = [(map::TCP_FLOWS, TCP), (map::HALF_OPEN, TCP), (map::UDP_FLOWS, UDP)]
            .map(|(name, proto)| (Writer::open(&pins, name), proto));
        for (number, (writer, proto)) in (0..).zip(&mut writers) {
            writer.flow(number, *proto, |_| {});
        }
        let endpoint = Endpoint::new(Addr::v4([198, 18, 0, 10]), Be16::new(80), TCP);
        let flows = FlowTables::open(&pins).unwrap();
        assert_eq!(flows.end_all(&[endpoint].into(), Reason::ResetTerminated).unwrap(), 2);
        assert_eq!(dataplane.flows().end_all(&[endpoint].into(), Reason::ResetTerminated).unwrap(), 0);
        let phases = [0, 1, 2].map(|number| writers[number].0.get(&flow(number as u32, writers[number].1).0));
        assert_eq!(phases.map(|flow| flow.unwrap().phase), [phase::ENDED, phase::ENDED, phase::OPEN]);
        let elsewhere = Endpoint { port: Be16::new(81), proto: UDP, ..endpoint };
        assert_eq!(flows.end_all(&[elsewhere].into(), Reason::ResetTerminated).unwrap(), 0);
    });
}
