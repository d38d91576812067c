//! The kernel's neighbour tables: ARP for IPv4, neighbour discovery for IPv6.

use std::{collections::HashMap, io, net::IpAddr};

use rtnetlink::{
    packet_core::NLM_F_CREATE,
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
    },
};

use super::{Mac, rtnl::Rtnl};

/// A host on a link: the interface's index and the host's address.
pub(super) type Key = (u32, IpAddr);

/// What the kernel knows of a neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Its Ethernet address, as good as it gets: confirmed, being confirmed, or set by hand.
    Fresh(Mac),
    /// Its Ethernet address, not confirmed of late.
    Stale(Mac),
    /// It is being asked for.
    Asked,
    /// It didn't answer, or was never asked for.
    Silent,
}

impl Standing {
    /// Its Ethernet address.
    pub(super) fn mac(self) -> Option<Mac> {
        match self {
            Self::Fresh(mac) | Self::Stale(mac) => Some(mac),
            Self::Asked | Self::Silent => None,
        }
    }
}

/// All neighbours of both families.
pub(super) async fn table(rtnl: &Rtnl) -> io::Result<HashMap<Key, Standing>> {
    let answers = rtnl.dump(RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default())).await?;
    Ok(answers
        .iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewNeighbour(neighbour) => read(neighbour),
            _ => None,
        })
        .collect())
}

/// One neighbour of a table or an event; `None` for entries that are no IP neighbours of ours.
pub(super) fn read(message: &NeighbourMessage) -> Option<(Key, Standing)> {
    if message.header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    let mut address = None;
    let mut mac = None;
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some(IpAddr::V4(*v4)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some(IpAddr::V6(*v6)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = Mac::try_from(bytes.as_slice()).ok(),
            _ => {}
        }
    }
    Some(((message.header.ifindex, address?), standing(message.header.state, mac)))
}

fn standing(state: NeighbourState, mac: Option<Mac>) -> Standing {
    match (state, mac) {
        (NeighbourState::Stale, Some(mac)) => Standing::Stale(mac),
        (
            NeighbourState::Reachable
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Noarp
            | NeighbourState::Permanent,
            Some(mac),
        ) => Standing::Fresh(mac),
        (NeighbourState::Incomplete, _) => Standing::Asked,
        _ => Standing::Silent,
    }
}

/// Has the kernel do what it does when it sends to a neighbour: ask for one that it doesn't know, confirm one that is
/// stale. `NTF_USE` does it without a packet, and leaves an entry that ages as any other.
pub(super) async fn ask(rtnl: &Rtnl, (ifindex, address): Key) -> io::Result<()> {
    let mut message = NeighbourMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.ifindex = ifindex;
    message.header.flags = NeighbourFlags::Use;
    message.attributes.push(NeighbourAttribute::Destination(address.into()));
    rtnl.act(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_used_until_it_is_known_to_be_wrong() {
        let mac = [2, 0, 0, 0, 0, 1];
        for state in
            [NeighbourState::Reachable, NeighbourState::Delay, NeighbourState::Probe, NeighbourState::Permanent]
        {
            assert_eq!(standing(state, Some(mac)), Standing::Fresh(mac), "{state}");
        }
        assert_eq!(standing(NeighbourState::Stale, Some(mac)), Standing::Stale(mac));
        assert_eq!(standing(NeighbourState::Failed, Some(mac)), Standing::Silent, "the kernel keeps the old one there");
        assert_eq!(standing(NeighbourState::Incomplete, None), Standing::Asked);
        assert_eq!(standing(NeighbourState::Reachable, None), Standing::Silent, "a link without Ethernet addresses");
    }
}
