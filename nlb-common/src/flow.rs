//! Flows: the key and value of the flow tables, and the pure part of a connection's life.
//!
//! Every connection has two entries, one for each direction, found by what that direction's packets carry. The entry
//! of the client's direction is authoritative: the other can be derived from it.

use crate::{Reason, addr::Addr, be::Be16, checksum::Delta, tcp};

/// Transmission Control Protocol (IANA protocol numbers).
pub const TCP: u8 = 6;
/// User Datagram Protocol.
pub const UDP: u8 = 17;

/// Nanoseconds in a second: all stamps are nanoseconds of the coarse monotonic clock.
pub const SECOND: u64 = 1_000_000_000;
/// Idle timeout of a TCP flow without a setting of its own, in seconds (guide, "Connection idle timeout").
pub const TCP_IDLE_S: u16 = 350;
/// Idle timeout of a UDP flow in seconds (guide, "Connection idle timeout").
pub const UDP_IDLE_S: u16 = 120;
/// How long a closed connection keeps its tuple and its port, in seconds: twice the segment lifetime Linux assumes.
pub const CLOSED_S: u16 = 60;
/// How long an unanswered or unacknowledged SYN is remembered, in seconds: Linux retries after at most 32 s.
pub const HALF_OPEN_S: u16 = 64;
/// How often the client's direction makes sure that the other entry is still there: every 2^33 ns, about 8.6 s.
pub const PAIR_CHECK_SHIFT: u32 = 33;

/// A flow's 5-tuple, as the packets of one direction carry it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
#[repr(C)]
pub struct FlowKey {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// Source port.
    pub src_port: Be16,
    /// Destination port.
    pub dst_port: Be16,
    /// [`TCP`] or [`UDP`].
    pub proto: u8,
    /// Zero. Two integers and no array of bytes: clearing one at an odd address of the stack is a misaligned access,
    /// which the verifier refuses.
    pub _pad: u8,
    /// Zero.
    pub _tail: u16,
}

plain!(FlowKey: 40);

impl FlowKey {
    /// From its parts.
    #[inline(always)]
    pub const fn new(src: Addr, dst: Addr, src_port: Be16, dst_port: Be16, proto: u8) -> Self {
        Self { src, dst, src_port, dst_port, proto, _pad: 0, _tail: 0 }
    }

    /// The tuple of an answer to a packet with this one.
    #[inline(always)]
    pub const fn reversed(&self) -> Self {
        Self { src: self.dst, dst: self.src, src_port: self.dst_port, dst_port: self.src_port, ..*self }
    }
}

/// Where a packet leaves: the interface and the Ethernet addresses to put on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(C)]
pub struct Hop {
    /// Interface index; 0 while the next hop is not resolved.
    pub ifindex: u32,
    /// Destination: the neighbour's address.
    pub dst_mac: [u8; 6],
    /// Source: the interface's own address.
    pub src_mac: [u8; 6],
}

plain!(Hop: 16);

/// What a connection is doing.
pub mod phase {
    /// Carrying data; a UDP flow is always open.
    pub const OPEN: u8 = 0;
    /// Both sides have finished, or one has reset: only the tuple is held, for [`super::CLOSED_S`].
    pub const CLOSED: u8 = 1;
    /// Ended by the balancer: whoever speaks gets a reset. [`super::Flow::end`] says why.
    pub const ENDED: u8 = 2;
    /// The handshake of a TCP connection is not complete: remembered for [`super::HALF_OPEN_S`].
    pub const OPENING: u8 = 3;
}

/// Bits of [`Flow::flags`].
pub mod flag {
    /// The entry of packets that targets send; otherwise of those that clients send.
    pub const FROM_TARGET: u8 = 1;
    /// The target sees the load balancer's address, not the client's.
    pub const SNAT: u8 = 2;
    /// The target has answered the SYN; [`super::Flow::expected_ack`] is valid.
    pub const ANSWERED: u8 = 4;
    /// This direction's sender has sent a FIN.
    pub const FIN: u8 = 8;
}

/// One direction of a flow: its whole rewrite, and what was seen of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Flow {
    /// Source address to write.
    pub src: Addr,
    /// Destination address to write.
    pub dst: Addr,
    /// Source port to write.
    pub src_port: Be16,
    /// Destination port to write.
    pub dst_port: Be16,
    /// Raw [`Delta`] of the TCP or UDP checksum.
    pub l4_delta: u16,
    /// Raw [`Delta`] of the IPv4 header checksum, the hop count's decrement included.
    pub ip_delta: u16,
    /// Index in the targets table.
    pub target: u32,
    /// The target's generation when the flow began: another one there now means that the target is gone.
    pub generation: u32,
    /// Counters row of the listener.
    pub row: u32,
    /// The client's next hop, learnt from where its packets come from. Both entries hold it: the client's direction
    /// to notice a change, the target's direction to forward by.
    pub client_hop: Hop,
    /// Idle timeout in seconds.
    pub idle_s: u16,
    /// Bits of [`flag`].
    pub flags: u8,
    /// One of [`phase`].
    pub phase: u8,
    /// When the flow began.
    pub created: u64,
    /// When this direction last carried a packet.
    pub stamp: u64,
    /// Packets of this direction.
    pub packets: u64,
    /// Bytes of this direction, IP headers included.
    pub bytes: u64,
    /// On the target's direction: the acknowledgement that completes the handshake, in host order.
    pub expected_ack: u32,
    /// On the client's direction: when the other entry was last seen, in units of 2^[`PAIR_CHECK_SHIFT`] ns.
    pub pair_checked: u32,
    /// The [`Reason`] of the reset, in phase [`phase::ENDED`].
    pub end: u8,
    /// Room for sequence numbers, PROXY protocol and family translation. Zero.
    pub _room: [u8; 15],
}

plain!(Flow: 128);

impl Flow {
    /// The entry for packets with `key` that are to carry `to` instead. All else is zero.
    pub fn rewriting(key: &FlowKey, to: &FlowKey) -> Self {
        let mut flow = Self::default();
        flow.rewrite(key, to);
        flow
    }

    /// Makes this the entry for packets with `key` that are to carry `to` instead: the rewrite, nothing else.
    ///
    /// In place, as the program's stack is too small for whole entries.
    #[inline(always)]
    pub const fn rewrite(&mut self, key: &FlowKey, to: &FlowKey) {
        let addresses = Delta::NONE.addr(&key.src, &to.src).addr(&key.dst, &to.dst);
        self.src = to.src;
        self.dst = to.dst;
        self.src_port = to.src_port;
        self.dst_port = to.dst_port;
        self.l4_delta = addresses.word(key.src_port, to.src_port).word(key.dst_port, to.dst_port).raw();
        // The hop count is the upper byte of its word (RFC 791 section 3.1).
        self.ip_delta = addresses.word(Be16::new(0x0100), Be16::new(0)).raw();
    }

    /// The key of the other entry: the tuple of an answer to a rewritten packet.
    #[inline(always)]
    pub const fn pair(&self, proto: u8) -> FlowKey {
        FlowKey::new(self.dst, self.src, self.dst_port, self.src_port, proto)
    }

    /// The other entry of the flow found under `key`, derived from this one.
    pub fn derive_pair(&self, key: &FlowKey) -> Self {
        let mut pair = Self::default();
        pair.derive_from(self, key);
        pair
    }

    /// Makes this, which must be zero, the other entry of `flow`, found under `key`.
    #[inline(always)]
    pub const fn derive_from(&mut self, flow: &Self, key: &FlowKey) {
        self.src = key.dst;
        self.dst = key.src;
        self.src_port = key.dst_port;
        self.dst_port = key.src_port;
        // What the way there adds to a checksum, the way back takes away; but both take one from the hop count.
        self.l4_delta = !flow.l4_delta;
        self.ip_delta = Delta::from_raw(!flow.ip_delta).word(Be16::new(0x0200), Be16::new(0)).raw();
        self.target = flow.target;
        self.generation = flow.generation;
        self.row = flow.row;
        self.client_hop = flow.client_hop;
        self.idle_s = flow.idle_s;
        self.flags = (flow.flags & flag::SNAT) | (!flow.flags & flag::FROM_TARGET);
        self.phase = flow.phase;
        self.end = flow.end;
        self.created = flow.created;
        self.stamp = flow.stamp;
    }

    /// Gives a flow that is not in use yet another source port towards its target. `self` is the client's direction.
    #[inline(always)]
    pub const fn set_source_port(&mut self, target: &mut Self, port: Be16) {
        self.l4_delta = Delta::from_raw(self.l4_delta).word(self.src_port, port).raw();
        self.src_port = port;
        target.l4_delta = !self.l4_delta;
    }

    /// Whether bit `bit` of [`flag`] is set.
    #[inline(always)]
    pub const fn is(&self, bit: u8) -> bool {
        self.flags & bit != 0
    }

    /// Whether this direction has been quiet for longer than its phase allows. The flow is over only if the other
    /// direction has been, too.
    #[inline(always)]
    pub const fn is_quiet(&self, now: u64) -> bool {
        let limit = match self.phase {
            phase::OPEN => self.idle_s,
            phase::OPENING => HALF_OPEN_S,
            _ => CLOSED_S,
        };
        now.saturating_sub(self.stamp) > limit as u64 * SECOND
    }
}

/// What a TCP segment does to an open connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing that outlives the packet.
    Carry,
    /// This direction is finished; the other goes on (RFC 9293 section 3.6, half-close).
    Finish,
    /// The connection is over: both directions have finished, or one was reset.
    Close,
}

/// What a segment with `flags` does, given whether the other direction has finished.
#[inline(always)]
pub const fn step(flags: u8, other_finished: bool) -> Step {
    if flags & tcp::RST != 0 {
        Step::Close
    } else if flags & tcp::FIN == 0 {
        Step::Carry
    } else if other_finished {
        Step::Close
    } else {
        Step::Finish
    }
}

/// What the age and phase of a found flow say about the packet that found it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// Goes on.
    Live,
    /// Over: the packet may open a new flow in its place.
    Reopen,
    /// Over: answered with this reset.
    Over(Reason),
}

/// Judges a TCP flow whose packet has `flags`; `quiet` says that neither direction was heard for too long.
#[inline(always)]
pub const fn life(flow: &Flow, flags: u8, quiet: bool) -> Life {
    let over = quiet || matches!(flow.phase, phase::CLOSED | phase::ENDED);
    if over && tcp::opens(flags) && !flow.is(flag::FROM_TARGET) {
        return Life::Reopen;
    }
    match flow.phase {
        phase::ENDED => Life::Over(Reason::of_reset(flow.end)),
        phase::CLOSED | phase::OPENING if quiet => Life::Over(Reason::ResetStray),
        _ if quiet => Life::Over(Reason::ResetIdle),
        _ => Life::Live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> FlowKey {
        FlowKey {
            src: Addr::v4([198, 18, 1, 1]),
            dst: Addr::v4([198, 18, 0, 10]),
            src_port: Be16::new(40000),
            dst_port: Be16::new(80),
            proto: TCP,
            _pad: 0,
            _tail: 0,
        }
    }

    fn flow(phase: u8, flags: u8) -> Flow {
        let to = FlowKey { dst: Addr::v4([10, 0, 1, 11]), dst_port: Be16::new(8080), ..key() };
        Flow { phase, flags, end: Reason::ResetIdle.number(), idle_s: TCP_IDLE_S, ..Flow::rewriting(&key(), &to) }
    }

    #[test]
    fn the_pair_of_the_pair_is_the_flow() {
        let client = flow(phase::OPEN, flag::SNAT);
        let target = client.derive_pair(&key());
        assert_eq!(target.pair(TCP), key());
        assert!(target.is(flag::FROM_TARGET) && target.is(flag::SNAT));
        let again = target.derive_pair(&client.pair(TCP));
        assert_eq!(Flow { l4_delta: 0, ip_delta: 0, ..again }, Flow { l4_delta: 0, ip_delta: 0, ..client });
    }

    proptest! {
        #[test]
        fn a_derived_entry_changes_checksums_as_a_computed_one(check in 0..0xffff_u16) {
            let client = flow(phase::OPEN, 0);
            let computed = Flow::rewriting(&client.pair(TCP), &key().reversed());
            let derived = client.derive_pair(&key());
            for (one, other) in [(computed.l4_delta, derived.l4_delta), (computed.ip_delta, derived.ip_delta)] {
                let apply = |raw| Delta::from_raw(raw).apply(Be16::new(check));
                prop_assert_eq!(apply(one), apply(other));
            }
        }
    }

    proptest! {
        #[test]
        fn a_new_source_port_is_as_if_drafted_with_it(
            old in any::<u16>(), new in any::<u16>(), check in 0..0xffff_u16,
        ) {
            let to = |port| FlowKey {
                src: Addr::v4([198, 18, 0, 10]),
                dst: Addr::v4([10, 0, 1, 11]),
                src_port: Be16::new(port),
                dst_port: Be16::new(8080),
                ..key()
            };
            let mut client = Flow::rewriting(&key(), &to(old));
            let mut target = client.derive_pair(&key());
            client.set_source_port(&mut target, Be16::new(new));
            let wanted = Flow::rewriting(&key(), &to(new));
            prop_assert_eq!(client.pair(TCP), wanted.pair(TCP));
            let apply = |flow: &Flow| Delta::from_raw(flow.l4_delta).apply(Be16::new(check));
            prop_assert_eq!(apply(&client), apply(&wanted));
            prop_assert_eq!(apply(&target), apply(&wanted.derive_pair(&key())));
        }
    }

    #[test]
    fn quiet_means_longer_than_the_timeout_not_as_long() {
        let mut flow = flow(phase::OPEN, 0);
        flow.stamp = SECOND;
        assert!(!flow.is_quiet(351 * SECOND));
        assert!(flow.is_quiet(351 * SECOND + 1));
        assert!(!flow.is_quiet(0), "a stamp of another processor may be ahead");
        for phase in [phase::CLOSED, phase::ENDED] {
            flow.phase = phase;
            assert!(!flow.is_quiet(61 * SECOND));
            assert!(flow.is_quiet(61 * SECOND + 1));
        }
        flow.phase = phase::OPENING;
        assert!(!flow.is_quiet(65 * SECOND));
        assert!(flow.is_quiet(65 * SECOND + 1));
    }

    #[test]
    fn life_of_a_connection() {
        use Life::{Live, Over, Reopen};
        let open = flow(phase::OPEN, 0);
        assert_eq!(life(&open, tcp::ACK, false), Live);
        assert_eq!(life(&open, tcp::ACK, true), Over(Reason::ResetIdle));
        assert_eq!(life(&open, tcp::SYN, false), Live, "the target's stack answers it (RFC 5961 section 4)");
        assert_eq!(life(&open, tcp::SYN, true), Reopen);
        let closed = flow(phase::CLOSED, 0);
        assert_eq!(life(&closed, tcp::ACK, false), Live, "the last acknowledgements still pass");
        assert_eq!(life(&closed, tcp::ACK, true), Over(Reason::ResetStray));
        assert_eq!(life(&closed, tcp::SYN, false), Reopen);
        let ended = flow(phase::ENDED, 0);
        assert_eq!(life(&ended, tcp::ACK, false), Over(Reason::ResetIdle));
        assert_eq!(life(&ended, tcp::SYN, false), Reopen);
        let opening = flow(phase::OPENING, 0);
        assert_eq!(life(&opening, tcp::SYN, false), Live, "a retransmission keeps its target");
        assert_eq!(life(&opening, tcp::SYN, true), Reopen);
        assert_eq!(life(&opening, tcp::ACK, true), Over(Reason::ResetStray));
        let ended = flow(phase::ENDED, flag::FROM_TARGET);
        assert_eq!(life(&ended, tcp::SYN, false), Over(Reason::ResetIdle), "targets open nothing here");
    }

    proptest! {
        /// However FINs and resets are ordered, a connection closes exactly when both sides have finished or one
        /// has reset, and never opens again.
        #[test]
        fn closing(segments in proptest::collection::vec((any::<bool>(), any::<u8>()), 1..40)) {
            let (mut finished, mut closed) = ([false; 2], false);
            let mut expected = [false; 3];
            for (side, flags) in segments {
                let side = usize::from(side);
                match step(flags, finished[1 - side]) {
                    Step::Carry => {}
                    Step::Finish => finished[side] = true,
                    Step::Close => closed = true,
                }
                expected[side] |= flags & tcp::FIN != 0;
                expected[2] |= flags & tcp::RST != 0;
                prop_assert_eq!(closed, expected[2] || (expected[0] && expected[1]));
                if closed { break; }
            }
        }
    }
}
