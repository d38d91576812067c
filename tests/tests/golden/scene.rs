//! The stage on which golden packets play: a client, a load balancer with one listener, and its targets.

use std::net::SocketAddr;

use nlb_common::{
    Event, Flow, FlowKey, Reason,
    flow::{Hop, SECOND, TCP, UDP},
    hash,
    layout::{Row, map},
};
use nlb_tests::{
    golden::{Action, Expected, SECRET, Seen, Side, World, hop, key, world},
    packet::{ACK, Layer, Mac, PSH, Packet, SYN, reset_for},
};

pub const CLIENT_MAC: Mac = [2, 0, 0, 0, 1, 1];
pub const TARGET_MAC: Mac = [2, 0, 0, 0, 2, 1];
/// The balancer's, towards clients and towards targets.
pub const OWN_CLIENTS: Mac = [2, 0, 0, 0, 0, 1];
pub const OWN_TARGETS: Mac = [2, 0, 0, 0, 0, 2];

pub const NODE_ROW: u32 = 0;
pub const VIP_ROW: u32 = 1;
pub const LISTENER_ROW: u32 = 2;
/// Of the first target; the others' follow.
pub const TARGET_ROW: u32 = 10;

/// Idle timeout of the listener, in seconds: less than any machine has been up when it runs this.
pub const IDLE_S: u16 = 30;

/// The client's first sequence number and the target's.
pub const ISN: u32 = 1000;
pub const TARGET_ISN: u32 = 5000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    fn addr(self, v4: &str, v6: &str, port: u16) -> SocketAddr {
        let ip = if self == Self::V4 { v4 } else { v6 };
        SocketAddr::new(ip.parse().unwrap(), port)
    }

    pub fn client(self) -> SocketAddr {
        self.addr("198.18.0.101", "2001:db8::101", 40_000)
    }

    pub fn vip(self) -> SocketAddr {
        self.addr("198.18.0.10", "2001:db8::10", 8000)
    }

    pub fn target(self, n: usize) -> SocketAddr {
        let n = 11 + n;
        self.addr(&format!("10.0.1.{n}"), &format!("fd00:1::{n}"), 8080)
    }

    pub fn stranger(self) -> SocketAddr {
        self.addr("203.0.113.7", "2001:db8:ffff::7", 40_000)
    }
}

/// Whether packets to targets leave where they came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arms {
    One,
    Two,
}

pub struct Scene {
    pub world: std::sync::MutexGuard<'static, World>,
    pub family: Family,
    pub preserve: bool,
    pub arms: Arms,
    pub proto: u8,
    pub group: u32,
    /// Indices of the targets.
    pub targets: Vec<u32>,
}

impl Scene {
    /// Two arms, one target, a listener for `proto`.
    pub fn new(family: Family, proto: u8, preserve: bool) -> Self {
        Self::with(family, proto, preserve, Arms::Two, 1)
    }

    pub fn with(family: Family, proto: u8, preserve: bool, arms: Arms, targets: usize) -> Self {
        let mut world = world();
        world.vip(family.vip().ip(), VIP_ROW);
        let group = world.group(preserve);
        world.listener(family.vip(), proto, group, LISTENER_ROW, IDLE_S);
        let side = if arms == Arms::One { Side::Clients } else { Side::Targets };
        let way = hop(world.index(side), TARGET_MAC, OWN_TARGETS);
        let targets: Vec<_> =
            (0..targets).map(|n| world.target(group, family.target(n), TARGET_ROW + n as u32, way)).collect();
        world.table(group, &targets);
        Self { world, family, preserve, arms, proto, group, targets }
    }

    /// The flow hash of a connection whose SYN has this sequence number, or of a UDP flow.
    pub fn hash(&self, client: SocketAddr, seq: u32) -> u64 {
        hash::flow(SECRET, &key(client, self.family.vip(), self.proto), if self.proto == TCP { seq } else { 0 })
    }

    /// What a target sees as the source of a flow: the client, or the load balancer with the first port drawn.
    pub fn source(&self, client: SocketAddr) -> SocketAddr {
        match self.preserve {
            true => client,
            false => SocketAddr::new(self.family.vip().ip(), hash::source_port(self.hash(client, ISN), 0)),
        }
    }

    /// A segment of the client to the listener.
    pub fn segment(&self, flags: u8, seq: u32, ack: u32) -> Packet {
        Packet::tcp(self.family.client(), self.family.vip(), flags, seq, ack).between(CLIENT_MAC, OWN_CLIENTS)
    }

    pub fn syn(&self) -> Packet {
        self.segment(SYN, ISN, 0)
    }

    /// What the client sends after the handshake.
    pub fn data(&self, payload: &[u8]) -> Packet {
        self.segment(ACK | PSH, ISN + 1, TARGET_ISN + 1).carrying(payload)
    }

    /// A segment of the first target in answer to the client.
    pub fn answer(&self, flags: u8, seq: u32, ack: u32) -> Packet {
        let to = self.source(self.family.client());
        Packet::tcp(self.family.target(0), to, flags, seq, ack).between(TARGET_MAC, OWN_TARGETS)
    }

    pub fn syn_ack(&self) -> Packet {
        self.answer(SYN | ACK, TARGET_ISN, ISN + 1)
    }

    /// What the target sends after the handshake.
    pub fn target_data(&self, payload: &[u8]) -> Packet {
        self.answer(ACK | PSH, TARGET_ISN + 1, ISN + 1).carrying(payload)
    }

    /// A datagram of the client.
    pub fn datagram(&self, payload: &[u8]) -> Packet {
        Packet::udp(self.family.client(), self.family.vip(), payload).between(CLIENT_MAC, OWN_CLIENTS)
    }

    /// A datagram of the first target in answer to the client.
    pub fn reply(&self, payload: &[u8]) -> Packet {
        let to = self.source(self.family.client());
        Packet::udp(self.family.target(0), to, payload).between(TARGET_MAC, OWN_TARGETS)
    }

    /// What a packet of the client is to become at a target.
    pub fn at_target(&self, packet: &Packet, target: usize) -> Packet {
        packet.forwarded(self.source(packet.src), self.family.target(target)).between(OWN_TARGETS, TARGET_MAC)
    }

    /// What a packet of the first target is to become at the client.
    pub fn at_client(&self, packet: &Packet) -> Packet {
        packet.forwarded(self.family.vip(), self.family.client()).between(OWN_CLIENTS, CLIENT_MAC)
    }

    /// The side on which targets' packets come in.
    pub fn target_side(&self) -> Side {
        if self.arms == Arms::One { Side::Clients } else { Side::Targets }
    }

    /// How forwarded packets leave.
    pub fn out(&self) -> Action {
        if self.arms == Arms::One { Action::Tx } else { Action::Redirect }
    }

    pub fn send_from_client(&mut self, packet: &Packet) -> Seen {
        self.world.send(Side::Clients, &packet.bytes())
    }

    pub fn send_from_target(&mut self, packet: &Packet) -> Seen {
        let side = self.target_side();
        self.world.send(side, &packet.bytes())
    }

    /// Completes the handshake, unseen.
    pub fn establish(&mut self) {
        let (syn, syn_ack, ack) = (self.syn(), self.syn_ack(), self.segment(ACK, ISN + 1, TARGET_ISN + 1));
        let side = self.target_side();
        self.world.given(Side::Clients, &syn, Reason::NewFlow);
        self.world.given(side, &syn_ack, Reason::ToClient);
        self.world.given(Side::Clients, &ack, Reason::ToTarget);
    }

    /// The client's key of the flow, and the target's.
    pub fn keys(&self) -> [FlowKey; 2] {
        let (client, target) = (self.family.client(), self.family.target(0));
        [key(client, self.family.vip(), self.proto), key(target, self.source(client), self.proto)]
    }

    /// The table of a flow that is open.
    pub fn table(&self) -> &'static str {
        if self.proto == UDP { map::UDP_FLOWS } else { map::TCP_FLOWS }
    }

    /// Changes both entries of the open flow.
    pub fn change_flow(&mut self, change: impl Fn(&mut Flow)) {
        for key in self.keys() {
            let table = self.table();
            self.world.change_flow(table, &key, &change);
        }
    }

    /// Makes both entries look as if nothing had been heard for so long.
    pub fn quiet_for(&mut self, seconds: u16) {
        let stamp = now() - u64::from(seconds) * SECOND;
        self.change_flow(|flow| flow.stamp = stamp);
    }

    /// A packet forwarded to `target`, by number.
    #[track_caller]
    pub fn check_to_target(&self, name: &str, seen: &Seen, sent: &Packet, target: usize, reason: Reason, more: &More) {
        seen.check(
            name,
            &Expected {
                action: self.out(),
                packet: self.at_target(sent, target).bytes(),
                reason,
                events: more.events,
                rows: &more.rows(sent, target),
            },
        );
    }

    /// A packet of the first target forwarded to the client.
    #[track_caller]
    pub fn check_to_client(&self, name: &str, seen: &Seen, sent: &Packet, more: &More) {
        seen.check(
            name,
            &Expected {
                action: self.out(),
                packet: self.at_client(sent).bytes(),
                reason: Reason::ToClient,
                events: more.events,
                rows: &more.rows(sent, 0),
            },
        );
    }
}

/// What else a forwarded packet changes.
#[derive(Clone, Copy, Default)]
pub struct More {
    pub events: &'static [Event],
    /// Added to the rows of listener and target.
    pub row: Row,
}

impl More {
    pub fn events(events: &'static [Event]) -> Self {
        Self { events, ..Self::default() }
    }

    /// A flow begins.
    pub fn begins(events: &'static [Event]) -> Self {
        Self { events, row: Row { new_flows: 1, ..Row::default() } }
    }

    fn rows(&self, sent: &Packet, target: usize) -> [(u32, Row); 2] {
        let mut row = Row { packets: 1, bytes: sent.ip_len(), ..Row::default() };
        row += self.row;
        [(LISTENER_ROW, row), (TARGET_ROW + target as u32, row)]
    }
}

/// The packet is left as it is, and counted as dropped in a row.
pub fn dropped(frame: &[u8], reason: Reason, row: &'static [(u32, Row)]) -> Expected<'static> {
    Expected { action: Action::Drop, packet: frame.to_vec(), reason, events: &[], rows: row }
}

/// The packet is left as it is, and counted nowhere else.
pub fn passed(frame: &[u8], reason: Reason) -> Expected<'static> {
    Expected { action: Action::Pass, packet: frame.to_vec(), reason, events: &[], rows: &[] }
}

/// The segment's sender gets a reset.
pub fn reset(segment: &Packet, reason: Reason, rows: &'static [(u32, Row)]) -> Expected<'static> {
    assert!(matches!(segment.layer, Layer::Tcp { .. }));
    Expected { action: Action::Tx, packet: reset_for(segment).bytes(), reason, events: &[], rows }
}

const DROP: Row = Row { drops: 1, ..NOTHING };
const RESET: Row = Row { elb_resets: 1, ..NOTHING };
pub const NOTHING: Row = Row {
    packets: 0,
    bytes: 0,
    new_flows: 0,
    client_resets: 0,
    target_resets: 0,
    elb_resets: 0,
    port_allocation_errors: 0,
    drops: 0,
};

pub const NODE_DROP: &[(u32, Row)] = &[(NODE_ROW, DROP)];
pub const VIP_DROP: &[(u32, Row)] = &[(VIP_ROW, DROP)];
pub const LISTENER_DROP: &[(u32, Row)] = &[(LISTENER_ROW, DROP)];
pub const VIP_RESET: &[(u32, Row)] = &[(VIP_ROW, RESET)];
pub const LISTENER_RESET: &[(u32, Row)] = &[(LISTENER_ROW, RESET)];

/// The clock of flow stamps.
pub fn now() -> u64 {
    let time = nix::time::ClockId::CLOCK_MONOTONIC_COARSE.now().unwrap();
    time.tv_sec() as u64 * SECOND + time.tv_nsec() as u64
}

/// A way out that is not resolved.
pub const UNRESOLVED: Hop = hop(0, [0; 6], [0; 6]);
