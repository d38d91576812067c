//! Addresses of load balancers on the node's interfaces.
//!
//! The kernel has to own an address to answer ARP and neighbour discovery for it. It must not take it as the source
//! of its own connections: so an IPv4 address has host scope, which source selection passes over, and an IPv6 one is
//! deprecated from birth (preferred lifetime 0, RFC 6724 section 5 rule 3).
//!
//! What was claimed is told from what the operator configured by the address's protocol number ([`MARK`]), which the
//! kernel keeps and `ip address` shows. So it survives the controller, and only marked addresses are ever removed.

use std::{io, net::IpAddr};

use rtnetlink::{
    packet_core::{NLM_F_CREATE, NLM_F_EXCL},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        address::{AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo},
        route::RouteType,
    },
};

use super::{Interface, Mac, NetError, hops, interfaces, probe, rtnl::Rtnl};

/// `IFA_PROTO` of claimed addresses; the kernel itself uses 1 to 3.
const MARK: AddressProtocol = AddressProtocol::Other(78);
/// A lifetime without end.
const FOREVER: u32 = u32::MAX;

/// What came of claiming an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// It is this node's.
    Ours,
    /// Another host has it, or is about to take it.
    InUse {
        /// That host's Ethernet address.
        by: Mac,
    },
}

/// An address as the kernel has it.
struct Held {
    ifindex: u32,
    claimed: bool,
    duplicate: bool,
    message: AddressMessage,
}

pub(super) async fn claim(rtnl: &Rtnl, ifindex: u32, address: IpAddr) -> Result<Claim, NetError> {
    let interface = interfaces::one(rtnl, ifindex).await?;
    // One route lookup says whether the address is local at all; the list of addresses is read only then.
    let local = hops::route_type(rtnl, address).await.is_ok_and(|kind| kind == RouteType::Local);
    let mut probing = true;
    if local {
        let held = held(rtnl, address).await?;
        if let Some(held) = held.iter().find(|held| held.ifindex == ifindex) {
            return if held.duplicate { Err(duplicate(&interface, address)) } else { Ok(Claim::Ours) };
        }
        if held.iter().any(|held| !held.claimed) {
            // The operator has put it on another interface, the loopback one for example.
            return Ok(Claim::Ours);
        }
        for held in held {
            // Claimed on an interface that it is no longer wanted on.
            remove(rtnl, held, address).await?;
            probing = false;
        }
    }
    if let Some(own) = interface.mac.filter(|_| probing && interface.discovers) {
        must_be_up(&interface, address)?;
        let found = probe::probe(ifindex, own, address).await;
        let found = found.map_err(|source| NetError::Probe { interface: interface.name.clone(), address, source })?;
        if let Some(by) = found {
            return Ok(Claim::InUse { by });
        }
    }
    match rtnl.act(RouteNetlinkMessage::NewAddress(new_address(ifindex, address)), NLM_F_CREATE | NLM_F_EXCL).await {
        // A tentative IPv6 address of the operator's has no local route yet.
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => return Ok(Claim::Ours),
        Err(source) => return Err(NetError::Add { interface: interface.name, address, source }),
        Ok(()) => {}
    }
    announce(&interface, address).await?;
    Ok(Claim::Ours)
}

pub(super) async fn release(rtnl: &Rtnl, ifindex: u32, address: IpAddr) -> Result<(), NetError> {
    for held in held(rtnl, address).await? {
        if held.ifindex == ifindex && held.claimed {
            remove(rtnl, held, address).await?;
        }
    }
    Ok(())
}

pub(super) async fn announce(interface: &Interface, address: IpAddr) -> Result<(), NetError> {
    let Some(own) = interface.mac.filter(|_| interface.discovers) else { return Ok(()) };
    must_be_up(interface, address)?;
    probe::announce(interface.index, own, address).await.map_err(|source| NetError::Announce {
        interface: interface.name.clone(),
        address,
        source,
    })
}

fn must_be_up(interface: &Interface, address: IpAddr) -> Result<(), NetError> {
    if interface.up { Ok(()) } else { Err(NetError::Down { interface: interface.name.clone(), address }) }
}

fn duplicate(interface: &Interface, address: IpAddr) -> NetError {
    NetError::Duplicate { interface: interface.name.clone(), address }
}

async fn remove(rtnl: &Rtnl, held: Held, address: IpAddr) -> Result<(), NetError> {
    match rtnl.act(RouteNetlinkMessage::DelAddress(held.message), 0).await {
        // Somebody was faster.
        Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Ok(()),
        Err(source) => Err(NetError::Remove { ifindex: held.ifindex, address, source }),
        Ok(()) => Ok(()),
    }
}

/// Where the node has the address.
async fn held(rtnl: &Rtnl, address: IpAddr) -> Result<Vec<Held>, NetError> {
    let mut question = AddressMessage::default();
    question.header.family = family(address);
    let answers = rtnl.dump(RouteNetlinkMessage::GetAddress(question)).await;
    let answers = answers.map_err(|source: io::Error| NetError::Query { what: "the addresses".to_owned(), source })?;
    Ok(answers.into_iter().filter_map(|answer| read(answer, address)).collect())
}

fn read(answer: RouteNetlinkMessage, address: IpAddr) -> Option<Held> {
    let RouteNetlinkMessage::NewAddress(message) = answer else { return None };
    // On a point-to-point link `Address` is the other end's and `Local` is ours; IPv6 has only `Address` elsewhere.
    let mut ours = None;
    let mut claimed = false;
    let mut duplicate = false;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(local) => ours = Some(*local),
            AddressAttribute::Address(local) => ours = ours.or(Some(*local)),
            AddressAttribute::Protocol(protocol) => claimed = *protocol == MARK,
            AddressAttribute::Flags(flags) => duplicate = flags.contains(AddressFlags::Dadfailed),
            _ => {}
        }
    }
    (ours == Some(address)).then_some(Held { ifindex: message.header.index, claimed, duplicate, message })
}

/// The address to add: alone in its prefix, marked, and of no use as a source.
fn new_address(ifindex: u32, address: IpAddr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address);
    message.header.index = ifindex;
    message.attributes =
        vec![AddressAttribute::Local(address), AddressAttribute::Address(address), AddressAttribute::Protocol(MARK)];
    match address {
        IpAddr::V4(_) => {
            message.header.prefix_len = 32;
            message.header.scope = AddressScope::Host;
        }
        IpAddr::V6(_) => {
            message.header.prefix_len = 128;
            let mut lifetimes = CacheInfo::default();
            lifetimes.ifa_valid = FOREVER;
            message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
            // It was probed for already; the kernel's own probe would keep it from answering for a second or two.
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad | AddressFlags::Noprefixroute));
        }
    }
    message
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}
