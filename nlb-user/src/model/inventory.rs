//! What the reference takes from its cloud and a node from its operator: subnets, instances, addresses, certificates.

use std::{collections::BTreeMap, net::IpAddr, net::Ipv4Addr, path::PathBuf};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

/// All of it, by id. What node.toml says and what commands have added, together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inventory {
    /// The node's own zone.
    pub zone: String,
    /// Subnets.
    pub subnets: BTreeMap<String, Subnet>,
    /// Instances.
    pub instances: BTreeMap<String, Instance>,
    /// Elastic addresses, by allocation id.
    pub elastic_ips: BTreeMap<String, ElasticIp>,
    /// Security groups.
    pub security_groups: BTreeMap<String, SecurityGroup>,
    /// Certificates, by ARN.
    pub certificates: BTreeMap<String, Certificate>,
    /// Application Load Balancers, by ARN.
    pub application_load_balancers: BTreeMap<String, ApplicationLoadBalancer>,
}

/// A range of addresses in one zone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    /// `subnet-...`.
    pub id: String,
    /// The VPC it is in.
    pub vpc: String,
    /// The zone it is in.
    pub zone: String,
    /// Its IPv4 addresses.
    pub cidr: Ipv4Net,
    /// Its IPv6 addresses, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6_cidr: Option<Ipv6Net>,
    /// The interface of this node that is in it, for subnets of the node's zone: addresses are claimed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

/// A machine that can be a target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// `i-...`.
    pub id: String,
    /// The subnet it is in.
    pub subnet: String,
    /// Its primary private IPv4 address.
    pub address: Ipv4Addr,
    /// Whether it runs.
    #[serde(default)]
    pub state: InstanceState,
}

/// Whether an instance runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// About to.
    Pending,
    /// It does.
    #[default]
    Running,
    /// About to stop.
    Stopping,
    /// It does not.
    Stopped,
    /// About to go.
    ShuttingDown,
    /// Never again.
    Terminated,
}

/// A static public address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElasticIp {
    /// `eipalloc-...`.
    pub allocation_id: String,
    /// The address.
    pub address: Ipv4Addr,
}

/// A security group. It filters nothing here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityGroup {
    /// `sg-...`.
    pub id: String,
    /// The VPC it is of, if that is to be checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<String>,
}

/// A server certificate and its key, as PEM files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// `arn:aws:acm:REGION:ACCOUNT:certificate/ID`, or of IAM.
    pub arn: String,
    /// The certificate and its chain.
    pub certificate_file: PathBuf,
    /// The private key.
    pub key_file: PathBuf,
}

/// An Application Load Balancer that can be a target: any HTTP proxy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplicationLoadBalancer {
    /// `arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/app/NAME/ID`.
    pub arn: String,
    /// The subnet it is in.
    pub subnet: String,
    /// Its address.
    pub address: IpAddr,
    /// The ports of its listeners.
    #[serde(default)]
    pub ports: Vec<u16>,
}

impl Inventory {
    /// The subnet that holds an address.
    pub fn subnet_of(&self, address: IpAddr) -> Option<&Subnet> {
        self.subnets.values().find(|subnet| subnet.holds(address))
    }

    /// All zones: the node's own and those of subnets, in the order of their names.
    pub fn zones(&self) -> std::collections::BTreeSet<&str> {
        self.subnets.values().map(|subnet| subnet.zone.as_str()).chain([self.zone.as_str()]).collect()
    }

    /// Whether there is a subnet in this VPC.
    pub fn has_vpc(&self, vpc: &str) -> bool {
        self.subnets.values().any(|subnet| subnet.vpc == vpc)
    }
}

impl Subnet {
    /// Whether the address is in it.
    pub fn holds(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.cidr.contains(&address),
            IpAddr::V6(address) => self.ipv6_cidr.is_some_and(|cidr| cidr.contains(&address)),
        }
    }
}
