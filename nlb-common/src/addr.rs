//! One address type for both families: IPv6, with IPv4 in its mapped form (RFC 4291 section 2.5.5.2).

use crate::be::Be32;

/// The third word of every IPv4-mapped address.
const MAPPED: Be32 = Be32::new(0xffff);

/// An IPv4 or IPv6 address.
///
/// Aligned to 8 bytes, as everything on the program's stack should be that is copied in one go: the compiler takes the
/// largest words it may, and the verifier wants them aligned there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(C, align(8))]
pub struct Addr(pub [Be32; 4]);

plain!(Addr: 16);

impl Addr {
    /// An IPv4 address, from the four bytes of a header field.
    #[inline(always)]
    pub const fn v4(bytes: [u8; 4]) -> Self {
        Self([Be32::new(0), Be32::new(0), MAPPED, Be32::from_bytes(bytes)])
    }

    /// An IPv6 address, from the sixteen bytes of a header field.
    #[inline(always)]
    pub const fn v6(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        Self([
            Be32::from_bytes([a, b, c, d]),
            Be32::from_bytes([e, f, g, h]),
            Be32::from_bytes([i, j, k, l]),
            Be32::from_bytes([m, n, o, p]),
        ])
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.0[0].raw() == 0 && self.0[1].raw() == 0 && self.0[2].raw() == MAPPED.raw()
    }

    /// The bytes of an IPv4 header field; of an IPv6 address, its last four.
    #[inline(always)]
    pub const fn v4_bytes(&self) -> [u8; 4] {
        self.0[3].to_bytes()
    }

    /// The bytes of an IPv6 header field.
    #[inline(always)]
    pub const fn v6_bytes(&self) -> [u8; 16] {
        let [a, b, c, d] = self.0[0].to_bytes();
        let [e, f, g, h] = self.0[1].to_bytes();
        let [i, j, k, l] = self.0[2].to_bytes();
        let [m, n, o, p] = self.0[3].to_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }
}

impl From<core::net::IpAddr> for Addr {
    fn from(ip: core::net::IpAddr) -> Self {
        match ip {
            core::net::IpAddr::V4(v4) => Self::v4(v4.octets()),
            core::net::IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

impl From<Addr> for core::net::IpAddr {
    fn from(addr: Addr) -> Self {
        if addr.is_v4() { Self::V4(addr.v4_bytes().into()) } else { Self::V6(addr.v6_bytes().into()) }
    }
}

impl core::fmt::Display for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::net::IpAddr::from(*self).fmt(f)
    }
}

impl core::fmt::Debug for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["198.18.0.10", "2001:db8::10", "::1", "0.0.0.0"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(Addr::from(ip)), ip);
            assert_eq!(Addr::from(ip).is_v4(), ip.is_ipv4());
        }
    }
}
