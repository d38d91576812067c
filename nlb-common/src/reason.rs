//! Why a packet ended as it did. Every packet has exactly one [`Reason`]; an [`Event`] is something that happened on
//! the way.
//!
//! Numbers are counter indices. They are never reused or changed: dashboards and scripts know them.

/// What XDP is told, and what the reader of a counter wants to know first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Sent on to a target or a client.
    Forward,
    /// Handed to the kernel.
    Pass,
    /// Dropped.
    Drop,
    /// Answered with a TCP reset.
    Reset,
}

macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal, $label:literal, $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum $name { $(#[doc = $text] $(#[$doc])* $variant = $number,)+ }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its counter index.
            #[inline(always)]
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// Its name in metrics and JSON.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// What it means, for people.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

/// Entries of the counters map: reasons below [`Event::FIRST`], events from there.
pub const COUNTERS: usize = 256;

numbered! {
/// Why a packet ended as it did.
Reason {
    ToTarget = 1, "to_target", "forwarded to the flow's target";
    ToClient = 2, "to_client", "forwarded to the flow's client";
    NewFlow = 3, "new_flow", "first packet of a flow, forwarded to the chosen target";
    Unresolved = 4, "unresolved", "rewritten and handed to the kernel, which has to resolve the next hop";

    PassNotIp = 16, "pass_not_ip", "neither IPv4 nor IPv6 (ARP and the like): left to the kernel";
    PassNotOurs = 17, "pass_not_ours", "not for an address of a load balancer: left to the kernel";
    PassNeighbor = 18, "pass_neighbor", "IPv6 neighbour discovery: left to the kernel";
    PassIcmpError = 19, "pass_icmp_error", "ICMP error for an address of a load balancer: left to the kernel";
    PassVlan = 20, "pass_vlan", "VLAN-tagged: left to the kernel";

    DropMalformed = 32, "drop_malformed", "headers cut short or contradictory";
    DropUnintended = 33, "drop_unintended", "no listener on this port of the load balancer";
    DropUnintendedIcmp = 34, "drop_unintended_icmp", "ICMP to a load balancer (ping and the like)";
    DropUnintendedProtocol = 35, "drop_unintended_protocol", "a protocol that load balancers do not listen to";
    DropFragment = 36, "drop_fragment", "fragment of a larger packet";
    DropPortAllocation = 37, "drop_port_allocation", "no source port left for the target";
    DropUdpExpired = 38, "drop_udp_expired", "a target's datagram for a flow that has expired";
    DropNoTarget = 39, "drop_no_target", "datagram for a group that has no target";
    DropHopLimit = 40, "drop_hop_limit", "hop count used up";
    DropStrayReset = 41, "drop_stray_reset", "TCP reset that belongs to no connection";
    DropTargetDown = 42, "drop_target_down", "a datagram from a target that is out of service";
    DropExtension = 43, "drop_extension", "IPv6 extension header in front of the transport header";
    DropRace = 44, "drop_race", "another processor was opening the same flow";
    DropInternal = 45, "drop_internal", "a table the program needs is not there";

    ResetStray = 64, "reset_stray", "segment that opens no connection and belongs to none";
    ResetIdle = 65, "reset_idle", "connection idle for longer than its timeout";
    ResetUnhealthy = 66, "reset_unhealthy", "the connection's target is unhealthy";
    ResetTargetGone = 67, "reset_target_gone", "the connection's target was removed";
    ResetNoTarget = 68, "reset_no_target", "connection to a group that has no target";
    ResetTableFull = 69, "reset_table_full", "no room for another connection";
    ResetTargetStray = 70, "reset_target_stray", "a target's segment that belongs to no connection";
    ResetTerminated = 71, "reset_terminated", "connection ended by the operator";
}
}

numbered! {
/// Something that happened on a packet's way.
Event {
    Established = 128, "established", "TCP handshake completed";
    Closed = 129, "closed", "TCP connection closed or reset by its ends";
    Reopened = 130, "reopened", "tuple of a finished flow taken by a new one";
    PairRepaired = 131, "pair_repaired", "missing entry of a flow's other direction written again";
    PortCollision = 132, "port_collision", "source port taken, next one tried";
    PortReclaimed = 133, "port_reclaimed", "source port taken over from a flow that was over";
    DuplicateTuple = 134, "duplicate_tuple", "the target already has this client's tuple from another flow";
    Hairpin = 135, "hairpin", "client and target are the same host: source translated";
    ClientMoved = 136, "client_moved", "a client's packets began to arrive by another next hop";
    RePinned = 137, "re_pinned", "UDP flow moved off a target that is out of service";
}
}

impl Reason {
    /// The reset that a flow ended with, from [`crate::Flow::end`].
    #[inline(always)]
    pub const fn of_reset(number: u8) -> Self {
        match number {
            65 => Self::ResetIdle,
            66 => Self::ResetUnhealthy,
            67 => Self::ResetTargetGone,
            70 => Self::ResetTargetStray,
            71 => Self::ResetTerminated,
            _ => Self::ResetStray,
        }
    }

    /// What becomes of a packet that ends so.
    #[inline(always)]
    pub const fn verdict(self) -> Verdict {
        match self.number() {
            0..16 => Verdict::Forward,
            16..32 => Verdict::Pass,
            32..64 => Verdict::Drop,
            _ => Verdict::Reset,
        }
    }
}

impl Event {
    /// The lowest number of an event.
    pub const FIRST: u8 = 128;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_and_labels_are_distinct_and_apart() {
        let numbers: HashSet<_> = Reason::ALL.iter().map(|reason| reason.number()).collect();
        let labels: HashSet<_> =
            Reason::ALL.iter().map(|r| r.label()).chain(Event::ALL.iter().map(|e| e.label())).collect();
        assert_eq!(numbers.len(), Reason::ALL.len());
        assert_eq!(labels.len(), Reason::ALL.len() + Event::ALL.len());
        assert!(Reason::ALL.iter().all(|reason| reason.number() < Event::FIRST));
        assert!(Event::ALL.iter().all(|event| event.number() >= Event::FIRST));
    }

    #[test]
    fn labels_tell_the_verdict() {
        for reason in Reason::ALL {
            let expected = match reason.label().split('_').next() {
                Some("pass") => Verdict::Pass,
                Some("drop") => Verdict::Drop,
                Some("reset") => Verdict::Reset,
                _ => Verdict::Forward,
            };
            assert_eq!(reason.verdict(), expected, "{reason:?}");
        }
    }

    #[test]
    fn resets_that_a_flow_can_hold_survive_the_round_trip() {
        for reason in Reason::ALL.iter().filter(|reason| reason.verdict() == Verdict::Reset) {
            let refused_at_once = matches!(reason, Reason::ResetNoTarget | Reason::ResetTableFull);
            assert!(refused_at_once || Reason::of_reset(reason.number()) == *reason, "{reason:?}");
        }
    }
}
