//! Next hops: from an address to the interface and the two Ethernet addresses that take a packet there.
//!
//! The kernel is asked for the route of each address, many at a time, instead of matching prefixes in a copy of its
//! tables: only it knows what rules, several tables, next-hop groups and metrics make of them, and a router's copy
//! may have a million routes where a node has some thousand targets. A lookup costs tens of microseconds.
//! The neighbour table is read once for all of them.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::IpAddr,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use nlb_common::flow::Hop;
use rtnetlink::packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia},
};
use tokio::time::{Instant, sleep};

use super::{
    Interface, MacText, interfaces,
    neighbours::{self, Key, Standing},
    rtnl::Rtnl,
};

/// Questions under way at a time: their answers must fit the socket's buffer.
const PARALLEL: usize = 64;
/// How long neighbours have to answer, all together. One that lives answers within milliseconds, and the kernel asks
/// again only after a second; a late answer comes as a change.
const WAIT: Duration = Duration::from_millis(500);
/// First pause between two looks at the neighbour table; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// What is known about the way to an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// Packets for it leave so.
    Hop(Hop),
    /// There is no next hop, for now.
    Unresolved {
        /// Why, as a sentence.
        why: String,
    },
}

impl std::fmt::Display for Resolution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hop(hop) => write!(f, "{} on interface {}", MacText(hop.dst_mac), hop.ifindex),
            Self::Unresolved { why } => f.write_str(why),
        }
    }
}

/// The next hop of every address.
pub(super) async fn resolve(rtnl: &Rtnl, addresses: HashSet<IpAddr>) -> HashMap<IpAddr, Resolution> {
    let routes: HashMap<IpAddr, Result<Key, String>> = stream::iter(addresses)
        .map(async |address| (address, neighbour_for(rtnl, address).await))
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    let keys: HashSet<Key> = routes.values().flatten().copied().collect();
    let links = links(rtnl, &keys).await;
    let ethernet: HashSet<Key> = keys.into_iter().filter(|(ifindex, _)| has_mac(&links, *ifindex)).collect();
    let (standings, trouble) = standings(rtnl, &ethernet).await;
    routes
        .into_iter()
        .map(|(address, route)| {
            let hop = route.and_then(|key| hop(key, &links, &standings, &trouble));
            (address, hop.map_or_else(|why| Resolution::Unresolved { why }, Resolution::Hop))
        })
        .collect()
}

async fn route(rtnl: &Rtnl, address: IpAddr) -> io::Result<RouteMessage> {
    let mut question = RouteMessage::default();
    (question.header.address_family, question.header.destination_prefix_length) =
        if address.is_ipv4() { (AddressFamily::Inet, 32) } else { (AddressFamily::Inet6, 128) };
    question.attributes.push(RouteAttribute::Destination(address.into()));
    match rtnl.get(RouteNetlinkMessage::GetRoute(question)).await? {
        RouteNetlinkMessage::NewRoute(route) => Ok(route),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The host on one of our links that packets for the address are handed to, or why there is none.
async fn neighbour_for(rtnl: &Rtnl, address: IpAddr) -> Result<Key, String> {
    match route(rtnl, address).await {
        Ok(route) => next(&route, address),
        Err(error) => Err(match error.raw_os_error() {
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => {
                format!("there is no route to {address}; add one with `ip route add`")
            }
            Some(libc::EINVAL | libc::EACCES) => {
                format!("the route to {address} forbids traffic (blackhole or prohibit); see `ip route get {address}`")
            }
            _ => format!("asking the kernel for the route to {address} failed: {error}"),
        }),
    }
}

/// What a route says about the next hop.
fn next(route: &RouteMessage, address: IpAddr) -> Result<Key, String> {
    match route.header.kind {
        RouteType::Unicast => {}
        RouteType::Local => return Err(format!("{address} is an address of this node itself")),
        RouteType::Broadcast | RouteType::Multicast | RouteType::Anycast => {
            return Err(format!("{address} is not the address of one host; targets need a unicast address"));
        }
        _ => return Err(format!("the route to {address} forbids traffic; see `ip route get {address}`")),
    }
    let mut ifindex = None;
    let mut neighbour = address;
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(gateway)) => neighbour = IpAddr::V4(*gateway),
            RouteAttribute::Gateway(RouteAddress::Inet6(gateway)) => neighbour = IpAddr::V6(*gateway),
            // An IPv4 route through an IPv6 gateway (RFC 8950).
            RouteAttribute::Via(RouteVia::Inet6(gateway)) => neighbour = IpAddr::V6(*gateway),
            RouteAttribute::Via(RouteVia::Inet(gateway)) => neighbour = IpAddr::V4(*gateway),
            _ => {}
        }
    }
    match ifindex {
        Some(ifindex) => Ok((ifindex, neighbour)),
        None => Err(format!("the route to {address} names no interface; see `ip route get {address}`")),
    }
}

/// The interfaces that the neighbours are on.
async fn links(rtnl: &Rtnl, keys: &HashSet<Key>) -> HashMap<u32, Result<Interface, String>> {
    let mut links = HashMap::new();
    for &(ifindex, _) in keys {
        if let std::collections::hash_map::Entry::Vacant(entry) = links.entry(ifindex) {
            entry.insert(interfaces::one(rtnl, ifindex).await.map_err(|error| error.to_string()));
        }
    }
    links
}

fn has_mac(links: &HashMap<u32, Result<Interface, String>>, ifindex: u32) -> bool {
    matches!(links.get(&ifindex), Some(Ok(interface)) if interface.mac.is_some())
}

/// What the kernel knows of the neighbours after it had time to ask; and why some could not be asked for.
async fn standings(rtnl: &Rtnl, keys: &HashSet<Key>) -> (HashMap<Key, Standing>, HashMap<Key, String>) {
    let deadline = Instant::now() + WAIT;
    let mut trouble = HashMap::new();
    let mut table = match neighbours::table(rtnl).await {
        Ok(table) => table,
        Err(error) => {
            let why = format!("reading the kernel's neighbour table failed: {error}");
            return (HashMap::new(), keys.iter().map(|&key| (key, why.clone())).collect());
        }
    };
    let standing = |table: &HashMap<Key, Standing>, key: &Key| table.get(key).copied().unwrap_or(Standing::Silent);
    let questions: Vec<Key> = keys
        .iter()
        .filter(|key| !matches!(standing(&table, key), Standing::Fresh(_) | Standing::Asked))
        .copied()
        .collect();
    let asked: Vec<(Key, io::Result<()>)> = stream::iter(questions)
        .map(async |key| (key, neighbours::ask(rtnl, key).await))
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    for (key, result) in asked {
        if let Err(error) = result {
            trouble.insert(key, trouble_asking(key, &error));
        }
    }
    let mut pause = FIRST_PAUSE;
    let missing = |table: &HashMap<Key, Standing>| {
        keys.iter().any(|key| !trouble.contains_key(key) && standing(table, key).mac().is_none())
    };
    while missing(&table) && Instant::now() + pause < deadline {
        sleep(pause).await;
        pause *= 2;
        if let Ok(newer) = neighbours::table(rtnl).await {
            table = newer;
        }
    }
    (table, trouble)
}

fn trouble_asking((ifindex, address): Key, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOBUFS) => {
            let version = if address.is_ipv4() { "ipv4" } else { "ipv6" };
            format!(
                "the kernel's neighbour table is full and has no room for {address}; raise it with \
                 `sysctl -w net.{version}.neigh.default.gc_thresh3=16384`"
            )
        }
        Some(libc::EPERM) => format!("asking for the neighbour {address} needs CAP_NET_ADMIN"),
        _ => format!("asking for the neighbour {address} on interface {ifindex} failed: {error}"),
    }
}

fn hop(
    key: Key,
    links: &HashMap<u32, Result<Interface, String>>,
    standings: &HashMap<Key, Standing>,
    trouble: &HashMap<Key, String>,
) -> Result<Hop, String> {
    let (ifindex, neighbour) = key;
    let interface = match links.get(&ifindex) {
        Some(Ok(interface)) => interface,
        Some(Err(why)) => return Err(why.clone()),
        None => return Err(format!("interface {ifindex} is gone")),
    };
    let name = &interface.name;
    let src_mac = interface.mac.ok_or_else(|| {
        format!("the route leaves by {name}, which has no Ethernet address; targets must be reached over Ethernet")
    })?;
    match standings.get(&key).copied().unwrap_or(Standing::Silent).mac() {
        Some(dst_mac) => Ok(Hop { ifindex, dst_mac, src_mac }),
        None => Err(trouble.get(&key).cloned().unwrap_or_else(|| {
            format!("{neighbour} does not answer on {name}; check that the host is up and on that network")
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 1, 11));

    fn unicast(attributes: Vec<RouteAttribute>) -> RouteMessage {
        let mut route = RouteMessage::default();
        route.header.kind = RouteType::Unicast;
        route.attributes = attributes;
        route
    }

    #[test]
    fn gateways_of_either_family_take_the_targets_place() {
        let v6: std::net::Ipv6Addr = "fe80::1".parse().unwrap();
        let v4: std::net::Ipv4Addr = "10.0.0.1".parse().unwrap();
        assert_eq!(next(&unicast(vec![RouteAttribute::Oif(7)]), TARGET), Ok((7, TARGET)), "on the link");
        let by_v4 = unicast(vec![RouteAttribute::Gateway(v4.into()), RouteAttribute::Oif(7)]);
        assert_eq!(next(&by_v4, TARGET), Ok((7, v4.into())));
        let by_v6 = unicast(vec![RouteAttribute::Via(v6.into()), RouteAttribute::Oif(7)]);
        assert_eq!(next(&by_v6, TARGET), Ok((7, v6.into())));
    }

    #[test]
    fn routes_that_lead_nowhere_say_so() {
        let mut route = unicast(vec![RouteAttribute::Oif(1)]);
        route.header.kind = RouteType::Local;
        assert!(next(&route, TARGET).unwrap_err().contains("this node itself"));
        route.header.kind = RouteType::Broadcast;
        assert!(next(&route, TARGET).unwrap_err().contains("unicast"));
        assert!(next(&unicast(vec![]), TARGET).unwrap_err().contains("no interface"));
    }
}
