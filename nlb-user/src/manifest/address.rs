//! Which addresses a host can have.

use std::net::IpAddr;

/// Why `address` can't be a load balancer's or a target's, if it can't.
pub(super) fn refusal(address: IpAddr) -> Option<String> {
    let what = match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => return Some(format!("this is an IPv4 address in IPv6 form: write {v4}")),
            None if v6.is_unicast_link_local() => "a link-local",
            None => kind(address)?,
        },
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast",
        IpAddr::V4(_) => kind(address)?,
    };
    Some(format!("this is {what} address: allowed are unicast addresses that other hosts can reach"))
}

fn kind(address: IpAddr) -> Option<&'static str> {
    match () {
        () if address.is_multicast() => Some("a multicast"),
        () if address.is_unspecified() => Some("the unspecified"),
        () if address.is_loopback() => Some("a loopback"),
        () => None,
    }
}
