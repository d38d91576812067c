//! The types of what a node serves.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use nlb_common::flow;

/// Everything that a node serves. Made by [`super::lower`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// Load balancers with addresses of this node.
    pub load_balancers: Vec<LoadBalancer>,
    /// Target groups.
    pub target_groups: Vec<TargetGroup>,
}

impl Config {
    /// The target group of this name.
    pub fn group(&self, name: &str) -> Option<&TargetGroup> {
        self.target_groups.iter().find(|group| group.name == name)
    }
}

/// A load balancer: addresses that clients connect to, and what happens there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadBalancer {
    /// Unique among load balancers; at most 32 letters, digits and hyphens.
    pub name: String,
    /// Its addresses of this node, unique over all load balancers; at least one.
    pub addresses: Vec<IpAddr>,
    /// Its listeners, on every address.
    pub listeners: Vec<Listener>,
}

/// A protocol and port that a load balancer serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// What it accepts.
    pub protocol: Protocol,
    /// 1 to 65535, unique with the protocol within the load balancer.
    pub port: u16,
    /// Name of the target group.
    pub target_group: String,
    /// Seconds after which a quiet TCP connection is over (`tcp.idle_timeout.seconds`): 60 to 6000. UDP flows have a
    /// fixed 120 s, whatever stands here.
    pub idle_timeout_s: u16,
}

/// Targets that share protocol and settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetGroup {
    /// Unique among target groups; at most 32 letters, digits and hyphens.
    pub name: String,
    /// What targets are spoken to with.
    pub protocol: Protocol,
    /// The port of targets that name none, 1 to 65535.
    pub port: u16,
    /// Whether targets see the client's address (`preserve_client_ip.enabled`).
    pub preserve_client_ip: bool,
    /// When too few targets are healthy, all of them get traffic
    /// (`target_group_health.unhealthy_state_routing.minimum_healthy_targets.*`).
    pub unhealthy_routing: HealthThreshold,
    /// Targets, unique by address and port.
    pub targets: Vec<Target>,
}

/// Fewer healthy targets than this, and an action is taken. Either bound alone is enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HealthThreshold {
    /// Number of targets, at least 1.
    pub count: u32,
    /// Share of the registered targets, 1 to 100; `None` is `off`.
    pub percentage: Option<u8>,
}

impl Default for HealthThreshold {
    fn default() -> Self {
        Self { count: 1, percentage: None }
    }
}

impl HealthThreshold {
    /// Whether `healthy` of `registered` targets are too few.
    pub fn breached(&self, healthy: usize, registered: usize) -> bool {
        let share = self.percentage.is_some_and(|percentage| healthy * 100 < registered * usize::from(percentage));
        healthy < (self.count as usize).min(registered) || share
    }
}

/// A registered target.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Target {
    /// Its address (`id` in the file).
    pub id: IpAddr,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.id, self.port).fmt(f)
    }
}

impl FromStr for Target {
    type Err = TargetIdError;

    /// From `10.0.1.11:8080` or `[2001:db8::11]:8080`.
    fn from_str(text: &str) -> Result<Self, TargetIdError> {
        let socket: SocketAddr = text.parse().map_err(|_| TargetIdError::Address(text.to_owned()))?;
        match socket.port() {
            0 => Err(TargetIdError::Port(text.to_owned())),
            port => Ok(Self { id: socket.ip(), port }),
        }
    }
}

/// A protocol of listeners and target groups.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Protocol {
    /// `TCP`.
    Tcp,
    /// `UDP`.
    Udp,
    /// `TCP_UDP`: both on the same port.
    TcpUdp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::TcpUdp];

    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::TcpUdp => "TCP_UDP",
        }
    }

    /// The IP protocol numbers it stands for: [`flow::TCP`], [`flow::UDP`], or both.
    pub const fn numbers(self) -> &'static [u8] {
        match self {
            Self::Tcp => &[flow::TCP],
            Self::Udp => &[flow::UDP],
            Self::TcpUdp => &[flow::TCP, flow::UDP],
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The bounds that tests may move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The smallest `tcp.idle_timeout.seconds`, in seconds.
    pub min_idle_s: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { min_idle_s: 60 }
    }
}

impl Limits {
    /// The bounds of a running node: the reference's, unless `NLB_TEST_MIN_IDLE` (meant for tests) lowers the smallest
    /// idle timeout to so many seconds.
    pub fn from_env() -> Self {
        let lowered = std::env::var("NLB_TEST_MIN_IDLE").ok().and_then(|text| text.parse().ok());
        let default = Self::default();
        Self { min_idle_s: lowered.map_or(default.min_idle_s, |s: u16| s.clamp(1, default.min_idle_s)) }
    }
}

/// A target of a group, by name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TargetId {
    /// Name of the group.
    pub group: String,
    /// Address.
    pub addr: IpAddr,
    /// Port.
    pub port: u16,
}

/// An address and port that can't be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetIdError {
    /// Neither `ADDR:PORT` nor `[ADDR]:PORT`.
    #[error("`{0}` is no address and port: write 10.0.1.11:8080, or [2001:db8::11]:8080 for IPv6")]
    Address(String),
    /// Port 0.
    #[error("`{0}` has port 0: allowed are 1 to 65535")]
    Port(String),
    /// No group in front of the address.
    #[error("`{0}` names no target: write GROUP/ADDR:PORT, as in web/10.0.1.11:8080")]
    Group(String),
}

impl TargetId {
    /// Target `target` (`10.0.1.11:8080`, `[2001:db8::11]:8080`) of group `group`.
    ///
    /// # Errors
    /// If `target` is no address and port.
    pub fn parse(group: &str, target: &str) -> Result<Self, TargetIdError> {
        let Target { id, port } = target.parse()?;
        Ok(Self { group: group.to_owned(), addr: id, port })
    }

    /// Its address and port.
    pub const fn target(&self) -> Target {
        Target { id: self.addr, port: self.port }
    }
}

impl FromStr for TargetId {
    type Err = TargetIdError;

    /// From `GROUP/ADDR:PORT`, as [`fmt::Display`] writes it.
    fn from_str(text: &str) -> Result<Self, TargetIdError> {
        let (group, target) = text.split_once('/').ok_or_else(|| TargetIdError::Group(text.to_owned()))?;
        Self::parse(group, target)
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.target())
    }
}
