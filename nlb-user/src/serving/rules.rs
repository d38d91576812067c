//! The rules for single values: names and addresses. Each gives the sentence that says what is allowed.

use std::net::IpAddr;

/// The longest name (guide, "Configure a load balancer and a listener" and "Create a target group").
const LONGEST_NAME: usize = 32;

/// How many listeners a load balancer can have (guide, "Quotas").
pub(super) const MOST_LISTENERS: usize = 50;

/// Why `name` can't be a name, if it can't.
pub(super) fn name(name: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
        Some("allowed are 1 to 32 letters, digits and hyphens")
    } else if name.starts_with('-') || name.ends_with('-') {
        Some("a name can't begin or end with a hyphen")
    } else {
        None
    }
}

/// Why `name` can't be the name of a load balancer, if it can't.
pub(super) fn load_balancer_name(text: &str) -> Option<&'static str> {
    let reserved = || text.starts_with("internal-").then_some("a load balancer's name can't begin with `internal-`");
    name(text).or_else(reserved)
}

/// Why `address` can't be a load balancer's or a target's, if it can't.
pub(super) fn address(address: IpAddr) -> Option<String> {
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
