//! What the reference takes from its cloud and a node from its operator: subnets, instances, addresses, certificates.

use std::{collections::BTreeMap, net::IpAddr, net::Ipv4Addr, path::PathBuf};

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::Added;

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
    /// Certificates that no listener can use, by ARN, and why.
    pub unsuitable: BTreeMap<String, String>,
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
    /// This inventory, node.toml's, with what commands have added. Of two things with the same id it is the file's
    /// that counts.
    #[must_use]
    pub fn with(&self, added: &Added) -> Self {
        fn both<T: Clone>(file: &BTreeMap<String, T>, added: &BTreeMap<String, T>) -> BTreeMap<String, T> {
            added.iter().chain(file).map(|(id, it)| (id.clone(), it.clone())).collect()
        }
        Self {
            zone: self.zone.clone(),
            subnets: both(&self.subnets, &added.subnets),
            instances: both(&self.instances, &added.instances),
            elastic_ips: both(&self.elastic_ips, &added.elastic_ips),
            security_groups: both(&self.security_groups, &added.security_groups),
            certificates: both(&self.certificates, &added.certificates),
            application_load_balancers: both(&self.application_load_balancers, &added.application_load_balancers),
            unsuitable: self.unsuitable.clone(),
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_s_things_come_before_what_commands_added() {
        let ip = |id: &str, last| {
            let address = Ipv4Addr::new(203, 0, 113, last);
            (id.to_owned(), ElasticIp { allocation_id: id.to_owned(), address })
        };
        let file = Inventory {
            zone: "a".to_owned(),
            elastic_ips: [ip("eipalloc-1", 1), ip("eipalloc-2", 2)].into(),
            ..Inventory::default()
        };
        let added = Added { elastic_ips: [ip("eipalloc-2", 20), ip("eipalloc-3", 3)].into(), ..Added::default() };
        let both = file.with(&added);
        assert_eq!(both.zone, "a");
        assert_eq!(both.elastic_ips, [ip("eipalloc-1", 1), ip("eipalloc-2", 2), ip("eipalloc-3", 3)].into());
        assert_eq!(file.with(&Added::default()), file);
    }
}
