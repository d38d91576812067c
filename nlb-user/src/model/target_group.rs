//! Target groups and their targets.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Arn, HealthProtocol, Protocol};

/// Targets that share protocol, settings and health checks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TargetGroup {
    /// `targetgroup/NAME/ID`.
    pub arn: Arn,
    /// Unique among target groups; 1 to 32 letters, digits and hyphens.
    pub name: String,
    /// How targets are named.
    pub target_type: TargetType,
    /// What targets are spoken to with.
    pub protocol: Protocol,
    /// The port of targets that are registered without one, 1 to 65535.
    pub port: u16,
    /// The VPC of its targets; `None` if a file named none.
    pub vpc: Option<String>,
    /// Which family its targets are of.
    pub family: Family,
    /// How targets are checked.
    pub health_check: HealthCheck,
    /// Attributes that were set, by key. [`crate::ops`] knows the defaults of the others.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Tags, by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Registered targets, and those that are draining.
    #[serde(default, with = "super::records::targets")]
    pub targets: BTreeMap<TargetKey, Target>,
    /// When it was made.
    pub created: Timestamp,
}

/// How the targets of a group are named.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetType {
    /// `instance`: by the id of an instance of the inventory.
    Instance,
    /// `ip`: by address.
    Ip,
    /// `alb`: the ARN of one Application Load Balancer.
    Alb,
}

impl TargetType {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Ip => "ip",
            Self::Alb => "alb",
        }
    }
}

/// Which family the targets of a group are of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// `ipv4`.
    #[default]
    Ipv4,
    /// `ipv6`.
    Ipv6,
    /// Both, which only a file can ask for: clients of a family are served by targets of that family.
    Any,
}

/// How targets are checked (guide, "Health check settings").
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is spoken.
    pub protocol: HealthProtocol,
    /// The port; `None` is `traffic-port`, the one that the target gets traffic at.
    pub port: Option<u16>,
    /// The path that is asked for, of HTTP and HTTPS.
    pub path: Option<String>,
    /// Status codes of success (`200`, `200,202`, `200-399`), of HTTP and HTTPS.
    pub matcher: Option<String>,
    /// Seconds between checks, 5 to 300.
    pub interval_s: u16,
    /// Seconds without an answer that are a failure, 2 to 120.
    pub timeout_s: u16,
    /// Successes in a row until an unhealthy target is healthy, 2 to 10.
    pub healthy_threshold: u8,
    /// Failures in a row until a healthy target is unhealthy, 2 to 10.
    pub unhealthy_threshold: u8,
}

/// What a target is named by.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetId {
    /// An instance of the inventory.
    Instance(String),
    /// An address.
    Ip(IpAddr),
    /// An Application Load Balancer of the inventory, by ARN.
    Alb(String),
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(id) | Self::Alb(id) => f.write_str(id),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// What tells the targets of a group apart.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct TargetKey {
    /// Who.
    pub id: TargetId,
    /// At which port, 1 to 65535.
    pub port: u16,
}

/// A registered target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Target {
    /// The zone that the caller named, or `all`; `None`: that of its subnet, or `all` outside of subnets.
    pub zone: Option<String>,
    /// When it was registered.
    pub registered: Timestamp,
    /// When its deregistration is complete, if it was deregistered: until then it is draining.
    pub draining_until: Option<Timestamp>,
}
