//! Single packets through the production program, by the kernel's test run (`BPF_PROG_TEST_RUN`).
//!
//! There is one [`World`] in a process: the program with maps of its own, smaller than the real ones, in a namespace
//! where the interfaces exist that packets pretend to come from. Taking it empties it. Every packet sent is judged
//! whole: action, every byte, every counter and every row.

mod seen;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, ArrayOfMaps, HashMap, Map, MapData, PerCpuArray, PerCpuValues, xdp::DevMapHash},
    programs::{TestRun as _, TestRunOptions, Xdp, XdpMode},
};
use nlb_common::{
    Addr, Be16, Event, Flow, FlowKey, Reason,
    flow::{Hop, TCP, UDP},
    hash::Secret,
    layout::{
        Endpoint, Group, LAYOUT_VERSION, Listener, Node, PROGRAM, RETURN, Row, TABLE_FLAGS, Target, Vip, group_flag,
        map, state, table,
    },
    reason,
};

use crate::{
    netns::{Netns, veth},
    packet::{Mac, Packet},
};

pub use seen::{Expected, Seen};

/// What the program tells XDP (linux/bpf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    /// `XDP_ABORTED`: a fault of the program.
    Aborted = 0,
    /// `XDP_DROP`
    Drop = 1,
    /// `XDP_PASS`
    Pass = 2,
    /// `XDP_TX`
    Tx = 3,
    /// `XDP_REDIRECT`
    Redirect = 4,
}

/// Interfaces of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where clients are.
    Clients,
    /// Where targets are.
    Targets,
}

/// The secret of the selection hash.
pub const SECRET: Secret = Secret { k0: 0x0123_4567_89ab_cdef, k1: 0xfedc_ba98_7654_3210 };
/// How many entries flow tables have.
pub const FLOW_ENTRIES: u32 = 64;
/// How many counters rows there are.
pub const ROWS: u32 = 64;
/// What unwritten bytes of the output hold.
const POISON: u8 = 0xa5;

/// The program, its maps, and where it runs.
pub struct World {
    ns: Netns,
    ebpf: Ebpf,
    clients: u32,
    targets: u32,
    groups: u32,
    endpoints: u32,
    ports_set: bool,
    /// As they were after the last packet: nothing else changes them.
    counters: Vec<u64>,
    rows: Vec<Row>,
}

/// The world, empty: no virtual address, no flow. Others wait until it is given back.
pub fn world() -> MutexGuard<'static, World> {
    static WORLD: OnceLock<Mutex<World>> = OnceLock::new();
    let world = WORLD.get_or_init(|| Mutex::new(World::new().unwrap_or_else(|error| panic!("{error:#}"))));
    let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
    world.clear().unwrap_or_else(|error| panic!("{error:#}"));
    world
}

/// The production object.
pub fn object() -> &'static [u8] {
    nlb_user::dataplane::OBJECT
}

impl World {
    fn new() -> Result<Self> {
        let ns = Netns::new("golden")?;
        veth((&ns, "clients"), (&ns, "clients-peer"))?;
        veth((&ns, "targets"), (&ns, "targets-peer"))?;
        veth((&ns, "spare"), (&ns, "spare-peer"))?;
        let (clients, targets) = (ns.index("clients")?, ns.index("targets")?);
        let mut loader = EbpfLoader::new();
        for flows in [map::HALF_OPEN, map::TCP_FLOWS, map::UDP_FLOWS] {
            loader.map_max_entries(flows, FLOW_ENTRIES);
        }
        loader.map_max_entries(map::ROWS, ROWS);
        let mut ebpf = loader.load(object())?;
        ns.run(|| -> Result<()> {
            let program: &mut Xdp = ebpf.program_mut(PROGRAM).context("no program")?.try_into()?;
            program.load()?;
            // While a program is attached nowhere, each test run pays milliseconds for making its dispatcher.
            program.attach("spare", XdpMode::Skb)?;
            let mut devices = DevMapHash::try_from(ebpf.map_mut(map::DEVICES).context("no devices")?)?;
            for index in [clients, targets] {
                devices.insert(index, index, None, 0)?;
            }
            Ok(())
        })?;
        Ok(Self {
            ns,
            ebpf,
            clients,
            targets,
            groups: 0,
            endpoints: 0,
            ports_set: false,
            counters: vec![0; reason::COUNTERS],
            rows: vec![Row::default(); ROWS as usize],
        })
    }

    fn clear(&mut self) -> Result<()> {
        for flows in [map::HALF_OPEN, map::TCP_FLOWS, map::UDP_FLOWS] {
            empty::<FlowKey, Flow>(self.map(flows))?;
        }
        empty::<Addr, Vip>(self.map(map::VIPS))?;
        empty::<Endpoint, Listener>(self.map(map::LISTENERS))?;
        empty::<Endpoint, u32>(self.map(map::BACKENDS))?;
        for index in 0..self.groups {
            self.put(map::GROUPS, index, Group::default());
        }
        for index in 0..self.endpoints {
            self.put(map::TARGETS, index, Target::default());
        }
        if self.ports_set {
            self.host_ports(|_| false);
            self.ports_set = false;
        }
        for side in [Side::Clients, Side::Targets] {
            self.send_back_by_map(side, false);
        }
        (self.groups, self.endpoints) = (0, 0);
        self.put(map::NODE, 0, Node { layout: LAYOUT_VERSION, _pad: 0, secret: SECRET });
        Ok(())
    }

    fn map(&mut self, name: &str) -> &mut Map {
        self.ebpf.map_mut(name).unwrap_or_else(|| panic!("no map {name}"))
    }

    fn put<V: Pod>(&mut self, name: &str, index: u32, value: V) {
        let mut array = Array::<_, V>::try_from(self.map(name)).expect("an array of this type");
        array.set(index, value, 0).expect("within bounds");
    }

    fn insert<K: Pod, V: Pod>(&mut self, name: &str, key: K, value: V) {
        let mut hash = HashMap::<_, K, V>::try_from(self.map(name)).expect("a hash of these types");
        hash.insert(key, value, 0).expect("room for an entry");
    }

    /// Index of an interface.
    pub const fn index(&self, side: Side) -> u32 {
        match side {
            Side::Clients => self.clients,
            Side::Targets => self.targets,
        }
    }

    /// Adds a virtual address.
    pub fn vip(&mut self, addr: IpAddr, row: u32) {
        let load_balancer = nlb_common::layout::Name::new("golden").expect("short");
        self.insert(map::VIPS, Addr::from(addr), Vip { load_balancer, row, _pad: 0 });
    }

    /// Adds a target group without targets; returns its index.
    pub fn group(&mut self, preserve_client_ip: bool) -> u32 {
        let preserve = if preserve_client_ip { group_flag::PRESERVE_CLIENT_IP } else { 0 };
        let group = Group { flags: group_flag::IN_USE | preserve, ..Group::default() };
        self.put(map::GROUPS, self.groups, group);
        self.table(self.groups, &[]);
        self.groups += 1;
        self.groups - 1
    }

    /// Adds a listener for `proto` at an address and port.
    pub fn listener(&mut self, at: SocketAddr, proto: u8, group: u32, row: u32, idle_s: u16) {
        self.insert(map::LISTENERS, endpoint(at, proto), Listener { group, row, idle_s, _pad: [0; 6] });
    }

    /// Adds a target, serving, in generation 1; returns its index. It is in no table yet.
    pub fn target(&mut self, group: u32, at: SocketAddr, row: u32, hop: Hop) -> u32 {
        let index = self.endpoints;
        self.endpoints += 1;
        let (addr, port) = (Addr::from(at.ip()), Be16::new(at.port()));
        let fresh = Target { addr, port, state: state::SERVING, generation: 1, group, row, hop, ..Target::default() };
        self.put(map::TARGETS, index, fresh);
        for proto in [TCP, UDP] {
            self.insert(map::BACKENDS, endpoint(at, proto), index);
        }
        index
    }

    /// Changes a target.
    pub fn change(&mut self, index: u32, change: impl FnOnce(&mut Target)) {
        let array = Array::<_, Target>::try_from(self.map(map::TARGETS)).expect("an array of targets");
        let mut target = array.get(&index, 0).expect("within bounds");
        change(&mut target);
        self.put(map::TARGETS, index, target);
    }

    /// Gives a group its slots.
    pub fn table(&mut self, group: u32, slots: &[u32]) {
        let mut inner = Array::<MapData, u32>::create(slots.len() as u32 + 1, TABLE_FLAGS).expect("an array");
        inner.set(table::SLOTS, slots.len() as u32, 0).expect("the first element");
        for (at, target) in slots.iter().enumerate() {
            inner.set(table::FIRST + at as u32, *target, 0).expect("within bounds");
        }
        let mut tables =
            ArrayOfMaps::<_, Array<MapData, u32>>::try_from(self.map(map::TABLES)).expect("an array of arrays");
        tables.set(group, &inner, 0).expect("within bounds");
    }

    /// Whether packets go back by the interface they came in by through the device map, as on veth, and not by
    /// `XDP_TX`.
    pub fn send_back_by_map(&mut self, side: Side, by_map: bool) {
        let (index, ns) = (self.index(side), &self.ns);
        let map = self.ebpf.map_mut(map::DEVICES).expect("a device map");
        let mut devices = DevMapHash::try_from(map).expect("of this type");
        ns.run(|| match by_map {
            true => devices.insert(index | RETURN, index, None, 0).expect("room for an entry"),
            // Gone already, in most cases.
            false => _ = devices.remove(index | RETURN),
        });
    }

    /// Marks source ports as the host's own, or not.
    pub fn host_ports(&mut self, mut in_use: impl FnMut(u16) -> bool) {
        for word in 0..(65536 / 64) {
            let bits = (0..64).filter(|bit| in_use((word * 64 + bit) as u16)).fold(0_u64, |bits, bit| bits | 1 << bit);
            self.put(map::PORTS, word, bits);
        }
        self.ports_set = true;
    }

    /// A flow entry.
    pub fn flow(&mut self, name: &str, key: &FlowKey) -> Option<Flow> {
        let hash = HashMap::<_, FlowKey, Flow>::try_from(self.map(name)).expect("a flow table");
        hash.get(key, 0).ok()
    }

    /// Writes a flow entry.
    pub fn put_flow(&mut self, name: &str, key: FlowKey, flow: Flow) {
        self.insert(name, key, flow);
    }

    /// Removes a flow entry that is there.
    pub fn remove_flow(&mut self, name: &str, key: &FlowKey) {
        let mut hash = HashMap::<_, FlowKey, Flow>::try_from(self.map(name)).expect("a flow table");
        hash.remove(key).expect("the entry was there");
    }

    /// Changes a flow entry that is there.
    pub fn change_flow(&mut self, name: &str, key: &FlowKey, change: impl FnOnce(&mut Flow)) {
        let mut flow = self.flow(name, key).unwrap_or_else(|| panic!("no flow {key:?} in {name}"));
        change(&mut flow);
        self.put_flow(name, *key, flow);
    }

    /// All flow entries of a table.
    pub fn flows(&mut self, name: &str) -> Vec<(FlowKey, Flow)> {
        let hash = HashMap::<_, FlowKey, Flow>::try_from(self.map(name)).expect("a flow table");
        hash.iter().collect::<Result<_, _>>().expect("nobody else changes it")
    }

    fn counters(&mut self) -> Vec<u64> {
        let array = PerCpuArray::<_, u64>::try_from(self.map(map::COUNTERS)).expect("counters");
        let sum = |number: usize| array.get(&(number as u32), 0).map(|values| values.iter().sum());
        (0..reason::COUNTERS).map(sum).collect::<Result<_, _>>().expect("within bounds")
    }

    fn rows(&mut self) -> Vec<Row> {
        let array = PerCpuArray::<_, Row>::try_from(self.map(map::ROWS)).expect("rows");
        let add = |values: PerCpuValues<Row>| {
            values.iter().fold(Row::default(), |mut sum, row| {
                sum += *row;
                sum
            })
        };
        (0..ROWS).map(|row| array.get(&row, 0).map(add)).collect::<Result<_, _>>().expect("within bounds")
    }

    /// Runs one frame and tells all that came of it.
    pub fn send(&mut self, from: Side, frame: &[u8]) -> Seen {
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context = [0, frame.len() as u32, 0, self.index(from), 0, 0];
        let mut out = vec![POISON; 4096];
        let program: &Xdp = self.ebpf.program(PROGRAM).expect("loaded").try_into().expect("an XDP program");
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(bytemuck::bytes_of(&context)),
            ..TestRunOptions::new()
        };
        let done = self.ns.run(|| program.test_run(options)).expect("the kernel runs the packet");
        let (len, action) = (done.data_size_out as usize, done.return_value);
        assert!(out[len..].iter().all(|byte| *byte == POISON), "bytes behind the packet were written");
        out.truncate(len);
        let (counters_now, rows_now) = (self.counters(), self.rows());
        let counters: BTreeMap<u8, u64> = (0..=255)
            .zip(counters_now.iter().zip(&self.counters))
            .map(|(number, (now, before))| (number, now - before))
            .filter(|(_, grown)| *grown != 0)
            .collect();
        let rows = (0..)
            .zip(rows_now.iter().zip(&self.rows))
            .filter(|(_, (now, before))| now != before)
            .map(|(index, (now, before))| (index, minus(now, before)))
            .collect();
        (self.counters, self.rows) = (counters_now, rows_now);
        let action = match action {
            0 => Action::Aborted,
            1 => Action::Drop,
            2 => Action::Pass,
            3 => Action::Tx,
            4 => Action::Redirect,
            other => panic!("the program returned {other}"),
        };
        let seen = Seen { from, sent: frame.to_vec(), action, packet: out, counters, rows };
        let ends: u64 = seen.counters.range(..Event::FIRST).map(|(_, count)| count).sum();
        assert_eq!(ends, 1, "one packet ends for one reason: {}", seen.describe());
        seen
    }

    /// Sends a packet of which the outcome is the state to test next: it must be forwarded for this reason.
    pub fn given(&mut self, from: Side, packet: &Packet, reason: Reason) {
        let seen = self.send(from, &packet.bytes());
        assert_eq!(seen.reason(), Some(reason), "{}", seen.describe());
    }
}

fn endpoint(at: SocketAddr, proto: u8) -> Endpoint {
    Endpoint::new(at.ip().into(), Be16::new(at.port()), proto)
}

/// The key of a packet's flow.
pub fn key(src: SocketAddr, dst: SocketAddr, proto: u8) -> FlowKey {
    FlowKey::new(src.ip().into(), dst.ip().into(), Be16::new(src.port()), Be16::new(dst.port()), proto)
}

/// A way out: interface, neighbour, own address.
pub const fn hop(ifindex: u32, dst_mac: Mac, src_mac: Mac) -> Hop {
    Hop { ifindex, dst_mac, src_mac }
}

fn empty<K: Pod, V: Pod>(map: &mut Map) -> Result<()> {
    let mut hash = HashMap::<_, K, V>::try_from(map)?;
    let keys = hash.keys().collect::<Result<Vec<_>, _>>()?;
    keys.iter().try_for_each(|key| hash.remove(key))?;
    Ok(())
}

fn minus(now: &Row, before: &Row) -> Row {
    let (now, before): ([u64; 8], [u64; 8]) = (bytemuck::cast(*now), bytemuck::cast(*before));
    bytemuck::cast(std::array::from_fn::<u64, 8, _>(|field| now[field] - before[field]))
}
