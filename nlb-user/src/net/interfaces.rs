//! Interfaces, from the kernel's list of links.

use std::{collections::HashMap, io, net::IpAddr};

use rtnetlink::packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage},
};

use super::{Mac, NetError, error, ethtool, rtnl::Rtnl};

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address; `None` if it isn't an Ethernet interface.
    pub mac: Option<Mac>,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// Whether it is switched on.
    pub up: bool,
    /// Whether hosts on it are found by ARP and neighbour discovery.
    pub discovers: bool,
    /// What it is, if it isn't a device: `veth`, `vlan`, `bond`, `bridge`, ... as `ip link` says.
    pub kind: Option<String>,
    /// The driver, as `ethtool -i` says.
    pub driver: Option<String>,
    /// The bond or bridge that it is a port of.
    pub controller: Option<String>,
    /// The interface it is stacked on, as a VLAN is.
    pub parent: Option<String>,
}

impl Interface {
    pub(super) fn down(&self, address: IpAddr) -> NetError {
        NetError::Down { interface: self.name.clone(), address }
    }

    pub(super) fn duplicate(&self, address: IpAddr) -> NetError {
        NetError::Duplicate { interface: self.name.clone(), address }
    }

    pub(super) fn probe_failed(&self, address: IpAddr, source: &io::Error) -> NetError {
        NetError::Probe { interface: self.name.clone(), address, source: error::same(source) }
    }

    pub(super) fn announce_failed(&self, address: IpAddr, source: &io::Error) -> NetError {
        NetError::Announce { interface: self.name.clone(), address, source: error::same(source) }
    }
}

/// All interfaces.
pub(super) async fn all(rtnl: &Rtnl) -> Result<Vec<Interface>, NetError> {
    let answers = rtnl
        .dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))
        .await
        .map_err(|source| NetError::Query { what: "the interfaces".to_owned(), source })?;
    let links: Vec<LinkMessage> = answers.into_iter().filter_map(link).collect();
    let names: HashMap<u32, String> =
        links.iter().filter_map(|link| Some((link.header.index, name(link)?.to_owned()))).collect();
    Ok(links.iter().map(|link| read(link, &names)).collect())
}

/// The interface of that index. Those it belongs to are not looked up.
pub(super) async fn one(rtnl: &Rtnl, ifindex: u32) -> Result<Interface, NetError> {
    let mut question = LinkMessage::default();
    question.header.index = ifindex;
    let answer = rtnl.get(RouteNetlinkMessage::GetLink(question)).await;
    answer
        .and_then(|answer| link(answer).ok_or_else(|| io::ErrorKind::InvalidData.into()))
        .map(|link| read(&link, &HashMap::new()))
        .map_err(|source| NetError::Query { what: format!("interface {ifindex}"), source })
}

fn link(message: RouteNetlinkMessage) -> Option<LinkMessage> {
    match message {
        RouteNetlinkMessage::NewLink(link) => Some(link),
        _ => None,
    }
}

fn name(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

fn read(link: &LinkMessage, names: &HashMap<u32, String>) -> Interface {
    let name = name(link).unwrap_or_default().to_owned();
    let mut interface = Interface {
        index: link.header.index,
        driver: ethtool::driver(&name),
        name,
        mac: None,
        mtu: 0,
        up: link.header.flags.contains(LinkFlags::Up),
        discovers: !link.header.flags.intersects(LinkFlags::Noarp | LinkFlags::Loopback),
        kind: None,
        controller: None,
        parent: None,
    };
    for attribute in &link.attributes {
        match attribute {
            // The loopback interface has an address of six zeros, but no Ethernet.
            LinkAttribute::Address(address) if link.header.link_layer_type == LinkLayerType::Ether => {
                interface.mac = address.as_slice().try_into().ok();
            }
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            LinkAttribute::Controller(index) => interface.controller = names.get(index).cloned(),
            LinkAttribute::LinkInfo(info) => {
                interface.kind = info.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    // A veth names its peer as the link below it; that one may be in another namespace, under an index of there.
    if interface.kind.as_deref() != Some("veth") {
        interface.parent = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::Link(index) if *index != link.header.index => names.get(index).cloned(),
            _ => None,
        });
    }
    interface
}
