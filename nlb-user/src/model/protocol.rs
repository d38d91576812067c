//! Protocols of listeners, target groups and health checks, and which go together (guide, "Routing configuration").

use std::fmt;

use serde::{Deserialize, Serialize};

/// A protocol of listeners and target groups.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Protocol {
    /// `TCP`.
    Tcp,
    /// `TLS`: a resource so far; its packets are not forwarded yet.
    Tls,
    /// `UDP`.
    Udp,
    /// `TCP_UDP`: both on the same port.
    TcpUdp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::Udp, Self::TcpUdp];

    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Udp => "UDP",
            Self::TcpUdp => "TCP_UDP",
        }
    }

    /// The protocol of this name.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == text)
    }

    /// The protocols of target groups that a listener with this one can forward to.
    pub const fn of_groups(self) -> &'static [Self] {
        match self {
            Self::Tcp => &[Self::Tcp, Self::TcpUdp],
            Self::Tls => &[Self::Tcp, Self::Tls],
            Self::Udp => &[Self::Udp, Self::TcpUdp],
            Self::TcpUdp => &[Self::TcpUdp],
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a health check speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HealthProtocol {
    /// `TCP`: a connection is enough.
    Tcp,
    /// `HTTP`.
    Http,
    /// `HTTPS`.
    Https,
}

impl HealthProtocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Http, Self::Https];

    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
        }
    }

    /// The protocol of this name.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == text)
    }
}

impl fmt::Display for HealthProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
