//! What can go wrong in this room, each with what to do about it.

use std::{io, net::IpAddr};

/// An error of the network room.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No netlink socket.
    #[error("the kernel gives no netlink socket: {0}; check the limit of open files and any seccomp profile")]
    Open(#[source] io::Error),
    /// A question that the kernel did not answer.
    #[error("asking the kernel for {what} failed: {source}")]
    Query {
        /// What was asked for.
        what: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// No interface of that name.
    #[error("there is no interface {name}; this machine has {}", .existing.join(", "))]
    NoSuchInterface {
        /// The name asked for.
        name: String,
        /// The names that exist.
        existing: Vec<String>,
    },
    /// The interface is not up.
    #[error(
        "interface {interface} is down, so {address} can't be claimed on it; bring it up with `ip link set {interface} up`"
    )]
    Down {
        /// Its name.
        interface: String,
        /// The address to claim or announce.
        address: IpAddr,
    },
    /// The kernel itself found out that another host has the address.
    #[error(
        "{address} is configured on {interface}, but the kernel found another host using it; \
         remove it there, or here with `ip address del {address} dev {interface}`"
    )]
    Duplicate {
        /// The interface that has it.
        interface: String,
        /// The address.
        address: IpAddr,
    },
    /// No packet socket, or no frame sent on it.
    #[error("probing for {address} on {interface} failed: {source}; it needs CAP_NET_RAW")]
    Probe {
        /// The interface.
        interface: String,
        /// The address.
        address: IpAddr,
        /// The kernel's reason.
        source: io::Error,
    },
    /// No packet socket, or no frame sent on it.
    #[error("announcing {address} on {interface} failed: {source}; it needs CAP_NET_RAW")]
    Announce {
        /// The interface.
        interface: String,
        /// The address.
        address: IpAddr,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The kernel refused the address.
    #[error("adding {address} to {interface} failed: {source}{}", add_advice(.address, .interface, .source))]
    Add {
        /// The interface.
        interface: String,
        /// The address.
        address: IpAddr,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The kernel refused to give the address up.
    #[error("removing {address} from interface {ifindex} failed: {source}; it needs CAP_NET_ADMIN")]
    Remove {
        /// The interface's index.
        ifindex: u32,
        /// The address.
        address: IpAddr,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// The same error once more, for another address that met it.
pub(super) fn same(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

/// What to do about a refused address.
fn add_advice(address: &IpAddr, interface: &str, source: &io::Error) -> String {
    match source.raw_os_error() {
        // addrconf answers EACCES where IPv6 is switched off, EPERM is a lack of rights.
        Some(libc::EACCES) if address.is_ipv6() => {
            format!("; IPv6 is switched off there: `sysctl -w net/ipv6/conf/{interface}/disable_ipv6=0`")
        }
        Some(libc::EPERM | libc::EACCES) => "; it needs CAP_NET_ADMIN".to_owned(),
        _ => String::new(),
    }
}
