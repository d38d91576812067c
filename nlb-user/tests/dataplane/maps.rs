//! The configuration's maps: what is written is read.

use std::{fs, time::Instant};

use nlb_common::{
    Addr, Be16,
    flow::{Hop, TCP},
    hash::Secret,
    layout::{Endpoint, Group, LAYOUT_VERSION, Listener, Name, Node, PORT_WORDS, Row, Target, Vip, group_flag, state},
    maglev,
};
use nlb_user::{
    dataplane::{Inspect, ports},
    reconcile::{Actual, Maps as _, Step, apply},
};

use crate::sandbox::{Sandbox, ifindex};

fn endpoint(last: u8, port: u16) -> Endpoint {
    Endpoint::new(Addr::v4([198, 18, 0, last]), Be16::new(port), TCP)
}

fn target(number: u32, group: u32, hop: Hop) -> Target {
    let [.., high, low] = number.to_be_bytes();
    let (addr, port) = (Addr::v4([10, 0, high, low]), Be16::new(8080));
    Target { addr, port, state: state::SERVING, generation: 1, group, row: 100 + number, hop, ..Target::default() }
}

fn group(name: &str) -> Group {
    Group { name: Name::new(name).unwrap(), flags: group_flag::IN_USE, slots: 1009, fingerprint: 7, ..Group::default() }
}

#[test]
fn what_is_written_is_read() {
    Sandbox::run(|sandbox| {
        let mut dataplane = sandbox.start();
        let maps = dataplane.maps();
        let node = Node { layout: LAYOUT_VERSION, secret: Secret { k0: 1, k1: 2 }, ..Node::default() };
        let (vip, addr) = (Vip { row: 1, ..Vip::default() }, Addr::v6([7; 16]));
        let listener = Listener { group: 3, row: 2, idle_s: 350, ..Listener::default() };
        let hop = Hop { ifindex: ifindex("lo"), ..Hop::default() };
        let gone = Target { state: state::GONE, ..target(8, 3, Hop::default()) };
        let slots: Vec<u32> = (0..1009).map(|slot| slot % 2).collect();
        let steps = [
            Step::SetNode(node),
            Step::ClearRow(2),
            Step::SetTarget(0, target(0, 3, hop)),
            Step::SetTarget(9, gone),
            Step::SetBackend(endpoint(1, 8080), 0),
            Step::SetTable(3, slots.clone()),
            Step::SetGroup(3, group("web")),
            Step::SetVip(addr, vip),
            Step::SetListener(endpoint(10, 80), listener),
        ];
        apply(maps, &steps).unwrap();
        apply(maps, &steps).unwrap();
        let expected = Actual {
            node,
            vips: [(addr, vip)].into(),
            listeners: [(endpoint(10, 80), listener)].into(),
            backends: [(endpoint(1, 8080), 0)].into(),
            groups: [(3, group("web"))].into(),
            targets: [(0, target(0, 3, hop)), (9, gone)].into(),
        };
        assert_eq!(maps.read().unwrap(), expected);
        assert_eq!(Inspect::open(&sandbox.pins()).unwrap().actual().unwrap(), expected);
        assert_eq!(maps.table(3).unwrap(), slots);
        assert!(maps.table(4).unwrap().is_empty(), "a group that never had a table");
        assert!(maps.allows_egress(ifindex("lo")).unwrap(), "the way to a target is open");

        let steps = [
            Step::RemoveListener(endpoint(10, 80)),
            Step::EndFlows(endpoint(10, 80)),
            Step::RemoveVip(addr),
            Step::SetTable(3, Vec::new()),
            Step::ClearGroup(3),
            Step::RemoveBackend(endpoint(1, 8080)),
        ];
        apply(maps, &steps).unwrap();
        apply(maps, &steps).unwrap();
        let left = Actual { node, targets: expected.targets, ..Actual::default() };
        assert_eq!(maps.read().unwrap(), left);
        assert!(maps.table(3).unwrap().is_empty());
    });
}

#[test]
fn a_target_behind_an_interface_that_is_gone_is_written() {
    Sandbox::run(|sandbox| {
        let mut dataplane = sandbox.start();
        let hop = Hop { ifindex: 4_000_000, ..Hop::default() };
        dataplane.maps().write(&Step::SetTarget(1, target(1, 0, hop))).unwrap();
        assert_eq!(dataplane.maps().actual().unwrap().targets[&1].hop, hop);
    });
}

#[test]
fn three_thousand_targets_are_written_in_time_and_leave_no_descriptor_open() {
    Sandbox::run(|sandbox| {
        let (groups, each) = (50, 60);
        let hop = Hop { ifindex: ifindex("lo"), ..Hop::default() };
        let slots = maglev::slots_for(each as usize);
        let mut steps = Vec::new();
        for number in 0..groups * each {
            steps.push(Step::SetTarget(number, target(number, number / each, hop)));
            steps.push(Step::SetBackend(Endpoint { addr: target(number, 0, hop).addr, ..endpoint(0, 8080) }, number));
        }
        let table = |index| (0..slots).map(|slot| index * each + slot % each).collect();
        steps.extend((0..groups).map(|index| Step::SetTable(index, table(index))));
        for index in 0..groups {
            steps.push(Step::SetGroup(index, group("web")));
            steps.push(Step::SetListener(endpoint(10, index as u16), Listener { group: index, ..Listener::default() }));
        }
        let mut dataplane = sandbox.start();
        apply(dataplane.maps(), &steps[..1]).unwrap();
        let open = open_descriptors();
        let begun = Instant::now();
        apply(dataplane.maps(), &steps).unwrap();
        let written = begun.elapsed();
        let actual = dataplane.maps().read().unwrap();
        println!("{} steps in {written:?}, read back in {:?}", steps.len(), begun.elapsed() - written);
        assert_eq!((actual.targets.len(), actual.listeners.len()), (3000, 50));
        assert_eq!(open_descriptors(), open);
        assert!(written.as_secs() < 2, "{written:?}");
    });
}

/// BPF descriptors of this process: other tests open files meanwhile, but maps and programs of other names.
fn open_descriptors() -> usize {
    let of_table = |fd: &fs::DirEntry| {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.file_name().to_string_lossy()));
        // Inner tables of this test have this many entries.
        info.is_ok_and(|info| info.contains("max_entries:\t10008\n"))
    };
    fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok).filter(of_table).count()
}

#[test]
fn rows_are_summed_and_cleared() {
    Sandbox::run(|sandbox| {
        let mut dataplane = sandbox.start();
        let row = Row { packets: 5, drops: 1, ..Row::default() };
        let rows = aya::maps::MapData::from_pin(sandbox.pins().map("ROWS")).unwrap();
        let rows = aya::maps::Map::from_map_data(rows).unwrap();
        let mut rows: aya::maps::PerCpuArray<_, Row> = rows.try_into().unwrap();
        let cpus = aya::util::nr_cpus().unwrap();
        rows.set(7, aya::maps::PerCpuValues::try_from(vec![row; cpus]).unwrap(), 0).unwrap();
        let inspect = Inspect::open(&sandbox.pins()).unwrap();
        assert_eq!(inspect.row(7).unwrap().packets, 5 * cpus as u64);
        let vip = Vip { row: 7, ..Vip::default() };
        dataplane.maps().write(&Step::SetVip(Addr::default(), vip)).unwrap();
        let rows = inspect.rows(&inspect.actual().unwrap()).unwrap();
        assert_eq!(rows.keys().copied().collect::<Vec<_>>(), [0, 7]);
        dataplane.maps().write(&Step::ClearRow(7)).unwrap();
        assert_eq!(inspect.row(7).unwrap(), Row::default());
        assert_eq!(inspect.counters().unwrap().packets(), 0);
    });
}

#[test]
fn ports_in_use_are_written_whole() {
    Sandbox::run(|sandbox| {
        let mut dataplane = sandbox.start();
        let socket = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let ports = ports::in_use().unwrap();
        assert!(ports::contains(&ports, socket.local_addr().unwrap().port()), "of the thread's own namespace");
        dataplane.maps().set_ports_in_use(&ports).unwrap();
        let map = aya::maps::MapData::from_pin(sandbox.pins().map("PORTS_IN_USE")).unwrap();
        let map: aya::maps::Array<_, u64> = aya::maps::Map::from_map_data(map).unwrap().try_into().unwrap();
        let words: Vec<u64> = map.iter().map(Result::unwrap).collect();
        assert_eq!((words.len(), words.as_slice()), (PORT_WORDS, &ports[..]));
    });
}
