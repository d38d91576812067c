//! Load balancers.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Arn;

/// Addresses that clients connect to. What happens there, its listeners say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// `loadbalancer/net/NAME/ID`.
    pub arn: Arn,
    /// Unique among load balancers; 1 to 32 letters, digits and hyphens.
    pub name: String,
    /// Whether its addresses are public.
    pub scheme: Scheme,
    /// Which families its addresses are of.
    pub ip_address_type: IpAddressType,
    /// The VPC of its subnets; `None` without subnets.
    pub vpc: Option<String>,
    /// Its subnets, one a zone, with the address in each; empty if `addresses` are given.
    #[serde(default)]
    pub zones: Vec<ZoneMapping>,
    /// Addresses of the operator's own choice on this node, which only a file can name; empty if there are subnets.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Security groups of the inventory. They are kept and told, and filter nothing.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// Attributes that were set, by key. [`crate::ops`] knows the defaults of the others.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Tags, by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// A zonal shift that was started and is not cancelled; it may have expired.
    #[serde(default)]
    pub zonal_shift: Option<ZonalShift>,
    /// When it was made.
    pub created: Timestamp,
}

/// Whether a load balancer's addresses are public.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// `internet-facing`.
    #[default]
    InternetFacing,
    /// `internal`.
    Internal,
}

impl Scheme {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InternetFacing => "internet-facing",
            Self::Internal => "internal",
        }
    }
}

/// Which addresses clients can use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpAddressType {
    /// `ipv4`.
    #[default]
    Ipv4,
    /// `dualstack`.
    Dualstack,
}

impl IpAddressType {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Dualstack => "dualstack",
        }
    }
}

/// A zone that a load balancer is enabled in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ZoneMapping {
    /// The zone's name.
    pub zone: String,
    /// The subnet's id.
    pub subnet: String,
    /// The elastic address that `ipv4` is, if the caller named one.
    #[serde(default)]
    pub allocation_id: Option<String>,
    /// The IPv4 address in this zone: elastic, private, or chosen from the subnet. It never changes.
    pub ipv4: Ipv4Addr,
    /// Whether the caller named `ipv4` itself (`PrivateIPv4Address`).
    #[serde(default)]
    pub private_ipv4: bool,
    /// The IPv6 address, of dualstack load balancers.
    #[serde(default)]
    pub ipv6: Option<Ipv6Addr>,
    /// Whether the caller named `ipv6` itself (`IPv6Address`).
    #[serde(default)]
    pub static_ipv6: bool,
}

/// Traffic is shifted away from a zone, for a time (guide, "Zonal shift").
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ZonalShift {
    /// The zone that gets no traffic.
    pub zone: String,
    /// When it is over: 1 minute to 72 hours after it was started or changed.
    pub expires: Timestamp,
    /// The operator's words.
    pub comment: String,
    /// When it was started.
    pub started: Timestamp,
}

impl LoadBalancer {
    /// All its addresses: those of its zones, and those of a file.
    pub fn all_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let zones =
            self.zones.iter().flat_map(|zone| std::iter::once(IpAddr::V4(zone.ipv4)).chain(zone.ipv6.map(IpAddr::V6)));
        zones.chain(self.addresses.iter().copied())
    }

    /// Its name in the DNS (guide, "DNS name").
    pub fn dns_name(&self, region: &str) -> String {
        format!("{}-{}.elb.{region}.amazonaws.com", self.name, self.arn.id())
    }

    /// Whether the zone is enabled. A load balancer of a file, without subnets, is enabled in `own`, the node's.
    pub fn has_zone(&self, zone: &str, own: &str) -> bool {
        match self.zones.is_empty() {
            true => zone == own,
            false => self.zones.iter().any(|mapping| mapping.zone == zone),
        }
    }
}
