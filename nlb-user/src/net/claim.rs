//! Addresses of load balancers on the node's interfaces.
//!
//! The kernel has to own an address to answer ARP and neighbour discovery for it. It must not take it as the source
//! of its own connections: so an IPv4 address has host scope, which source selection passes over, and an IPv6 one is
//! deprecated from birth (preferred lifetime 0, RFC 6724 section 5 rule 3).
//!
//! What was claimed is told from what the operator configured by the address's protocol number ([`MARK`]), which the
//! kernel keeps and `ip address` shows. So it survives the controller, and only marked addresses are ever removed.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::IpAddr,
};

use rtnetlink::{
    packet_core::{NLM_F_CREATE, NLM_F_EXCL},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        address::{AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo},
    },
};

use super::{Interface, Mac, NetError, frames::Family, interfaces, probe::Prober, rtnl::Rtnl};

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

/// What came of each address.
pub(super) type Claims = HashMap<IpAddr, Result<Claim, NetError>>;

/// An address as the kernel has it.
struct Held {
    ifindex: u32,
    claimed: bool,
    duplicate: bool,
    message: AddressMessage,
}

/// Claims addresses for the interface, all in the time of one.
pub(super) async fn claim(rtnl: &Rtnl, ifindex: u32, addresses: &[IpAddr]) -> Result<Claims, NetError> {
    let interface = interfaces::one(rtnl, ifindex).await?;
    let mut held = held(rtnl).await?;
    let mut claims = Claims::new();
    let (mut unknown, mut ours) = (Vec::new(), Vec::new());
    for &address in addresses.iter().collect::<HashSet<_>>() {
        let places = held.remove(&address).unwrap_or_default();
        if let Some(here) = places.iter().find(|place| place.ifindex == ifindex) {
            claims.insert(address, if here.duplicate { Err(interface.duplicate(address)) } else { Ok(Claim::Ours) });
        } else if places.iter().any(|place| !place.claimed) {
            // The operator has put it on another interface, the loopback one for example.
            claims.insert(address, Ok(Claim::Ours));
        } else if places.is_empty() {
            unknown.push(address);
        } else if let Err(error) = remove_all(rtnl, places, address).await {
            // Claimed on an interface that it is no longer wanted on, which keeps it.
            claims.insert(address, Err(error));
        } else {
            ours.push(address);
        }
    }
    let (v4, v6): (Vec<_>, Vec<_>) = unknown.into_iter().partition(IpAddr::is_ipv4);
    let (v4_ours, v6_ours): (Vec<_>, Vec<_>) = ours.into_iter().partition(IpAddr::is_ipv4);
    let (v4, v6) = tokio::join!(
        claim_family(rtnl, &interface, Family::V4, v4, v4_ours),
        claim_family(rtnl, &interface, Family::V6, v6, v6_ours)
    );
    claims.extend(v4);
    claims.extend(v6);
    Ok(claims)
}

/// Claims addresses of one family that the node doesn't have: `unknown` after probing for them, `ours` at once.
async fn claim_family(
    rtnl: &Rtnl,
    interface: &Interface,
    family: Family,
    unknown: Vec<IpAddr>,
    mut ours: Vec<IpAddr>,
) -> Claims {
    let mut claims = Claims::new();
    if unknown.is_empty() && ours.is_empty() {
        return claims;
    }
    let prober = match interface.mac.filter(|_| interface.discovers) {
        None => {
            ours.extend(unknown);
            None
        }
        Some(_) if !interface.up => {
            ours.extend(unknown);
            return all(&ours, |address| Err(interface.down(address)));
        }
        Some(own) => {
            let failed = |error: &io::Error, address| Err(interface.probe_failed(address, error));
            let prober = match Prober::open(interface.index, own, family) {
                Ok(prober) => prober,
                Err(error) => return all(&[unknown, ours].concat(), |address| failed(&error, address)),
            };
            // What was ours on another interface is added even if the probe for the others fails.
            let taken = if unknown.is_empty() { Ok(HashMap::new()) } else { prober.probe(&unknown).await };
            match taken {
                Ok(taken) => {
                    ours.extend(unknown.into_iter().filter(|address| !taken.contains_key(address)));
                    claims.extend(taken.into_iter().map(|(address, by)| (address, Ok(Claim::InUse { by }))));
                }
                Err(error) => claims.extend(all(&unknown, |address| failed(&error, address))),
            }
            Some(prober)
        }
    };
    let mut added = Vec::new();
    for address in ours {
        let claim = add(rtnl, interface, address).await;
        if claim.is_ok() {
            added.push(address);
        }
        claims.insert(address, claim);
    }
    if let Some(prober) = prober
        && let Err(error) = prober.announce(&added).await
    {
        claims.extend(all(&added, |address| Err(interface.announce_failed(address, &error))));
    }
    claims
}

async fn add(rtnl: &Rtnl, interface: &Interface, address: IpAddr) -> Result<Claim, NetError> {
    let message = RouteNetlinkMessage::NewAddress(new_address(interface.index, address));
    match rtnl.act(message, NLM_F_CREATE | NLM_F_EXCL).await {
        Err(error) if error.raw_os_error() != Some(libc::EEXIST) => {
            Err(NetError::Add { interface: interface.name.clone(), address, source: error })
        }
        // Added, or somebody was faster.
        _ => Ok(Claim::Ours),
    }
}

/// Removes what was claimed of the address on the interface.
pub(super) async fn release(rtnl: &Rtnl, ifindex: u32, address: IpAddr) -> Result<(), NetError> {
    let mut places = held(rtnl).await?.remove(&address).unwrap_or_default();
    places.retain(|place| place.ifindex == ifindex && place.claimed);
    remove_all(rtnl, places, address).await
}

/// Tells the network that the address is on this interface.
pub(super) async fn announce(interface: &Interface, address: IpAddr) -> Result<(), NetError> {
    let Some(own) = interface.mac.filter(|_| interface.discovers) else { return Ok(()) };
    if !interface.up {
        return Err(interface.down(address));
    }
    let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
    let announced = async { Prober::open(interface.index, own, family)?.announce(&[address]).await };
    announced.await.map_err(|error: io::Error| interface.announce_failed(address, &error))
}

/// The same answer for all.
fn all(addresses: &[IpAddr], answer: impl Fn(IpAddr) -> Result<Claim, NetError>) -> Claims {
    addresses.iter().map(|&address| (address, answer(address))).collect()
}

async fn remove_all(rtnl: &Rtnl, places: Vec<Held>, address: IpAddr) -> Result<(), NetError> {
    for place in places {
        match rtnl.act(RouteNetlinkMessage::DelAddress(place.message), 0).await {
            // Somebody was faster.
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => {}
            Err(source) => return Err(NetError::Remove { ifindex: place.ifindex, address, source }),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// All addresses of the node, and where it has them.
async fn held(rtnl: &Rtnl) -> Result<HashMap<IpAddr, Vec<Held>>, NetError> {
    let answers = rtnl.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default())).await;
    let answers = answers.map_err(|source| NetError::Query { what: "the addresses".to_owned(), source })?;
    let mut held: HashMap<IpAddr, Vec<Held>> = HashMap::new();
    for (address, place) in answers.into_iter().filter_map(read) {
        held.entry(address).or_default().push(place);
    }
    Ok(held)
}

fn read(answer: RouteNetlinkMessage) -> Option<(IpAddr, Held)> {
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
    Some((ours?, Held { ifindex: message.header.index, claimed, duplicate, message }))
}

/// The address to add: alone in its prefix, marked, and of no use as a source.
fn new_address(ifindex: u32, address: IpAddr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
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
