//! The keyed hash that chooses targets and ports: SipHash-1-3 over a flow's tuple.
//!
//! Keyed, because whoever can compute the choice can aim all his connections at one target. One and three rounds,
//! as the Rust standard library and the Linux kernel's hash tables use it.

use crate::{flow::FlowKey, layout::FIRST_SNAT_PORT};

/// The node's hash secret, the same on all nodes that share a configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Secret {
    /// First half.
    pub k0: u64,
    /// Second half.
    pub k1: u64,
}

plain!(Secret: 16);

/// SipHash with one round per word and three at the end.
struct SipHash {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl SipHash {
    #[inline(always)]
    const fn new(secret: Secret) -> Self {
        Self {
            v0: secret.k0 ^ 0x736f_6d65_7073_6575,
            v1: secret.k1 ^ 0x646f_7261_6e64_6f6d,
            v2: secret.k0 ^ 0x6c79_6765_6e65_7261,
            v3: secret.k1 ^ 0x7465_6462_7974_6573,
        }
    }

    #[inline(always)]
    const fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }

    #[inline(always)]
    const fn word(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    #[inline(always)]
    const fn finish(mut self) -> u64 {
        self.v2 ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }
}

/// The hash of a new flow: its 5-tuple and, for TCP, the SYN's sequence number in host order (0 for UDP).
///
/// The sequence number spreads the connections of a client that keeps its port (guide, "Routing algorithm").
#[inline(always)]
pub const fn flow(secret: Secret, key: &FlowKey, seq: u32) -> u64 {
    let mut hash = SipHash::new(secret);
    let (src, dst) = (&key.src.0, &key.dst.0);
    hash.word((src[0].raw() as u64) << 32 | src[1].raw() as u64);
    hash.word((src[2].raw() as u64) << 32 | src[3].raw() as u64);
    hash.word((dst[0].raw() as u64) << 32 | dst[1].raw() as u64);
    hash.word((dst[2].raw() as u64) << 32 | dst[3].raw() as u64);
    hash.word((key.src_port.raw() as u64) << 48 | (key.dst_port.raw() as u64) << 32 | seq as u64);
    hash.word((8 * 6) << 56 | key.proto as u64);
    hash.finish()
}

/// The slot that a flow with this hash takes at its `attempt`-th try (from 0) in a Maglev table of `slots` slots.
#[inline(always)]
pub const fn slot(hash: u64, slots: u32, attempt: u32) -> u32 {
    (hash.wrapping_add(attempt as u64) % slots as u64) as u32
}

/// The source port that a flow with this hash tries at its `attempt`-th probe (from 0): 1024 to 65535.
///
/// Each probe is a fresh draw (the finaliser of SplitMix64): neighbouring ports fill up in clusters, and walking
/// through a cluster would fail long before the ports are used up.
#[inline(always)]
pub const fn source_port(hash: u64, attempt: u32) -> u16 {
    let x = hash.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(attempt as u64 + 1));
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let ports = 65536 - FIRST_SNAT_PORT as u64;
    FIRST_SNAT_PORT + ((x ^ (x >> 31)) % ports) as u16
}

/// The 64-bit hash of any bytes: what user space names things by (tables, groups).
#[cfg(feature = "user")]
pub fn bytes(secret: Secret, bytes: &[u8]) -> u64 {
    let mut hash = SipHash::new(secret);
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().for_each(|word| hash.word(u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = bytes.len() as u8;
    hash.word(u64::from_le_bytes(last));
    hash.finish()
}

#[cfg(all(test, feature = "user"))]
mod tests {
    use super::*;
    use crate::{Addr, Be16};

    #[test]
    fn agrees_with_the_published_siphash_1_3_vector() {
        // Key 00..0f, message 00..0e: the reference implementation's vector for SipHash-1-3.
        let secret = Secret { k0: 0x0706_0504_0302_0100, k1: 0x0f0e_0d0c_0b0a_0908 };
        assert_eq!(bytes(secret, &[]), 0xabac_0158_050f_c4dc);
    }

    #[test]
    fn source_ports_cover_their_range_and_nothing_else() {
        let mut seen = vec![false; 65536];
        (0..2_000_000).for_each(|attempt| seen[usize::from(source_port(7, attempt))] = true);
        assert!(seen[..1024].iter().all(|seen| !seen) && seen[1024..].iter().all(|seen| *seen));
    }

    #[test]
    fn every_part_of_the_tuple_and_the_secret_counts() {
        let key = FlowKey {
            src: Addr::v4([10, 0, 0, 1]),
            dst: Addr::v4([10, 0, 0, 2]),
            src_port: Be16::new(1000),
            dst_port: Be16::new(80),
            proto: 6,
            _pad: 0,
            _tail: 0,
        };
        let secret = Secret { k0: 1, k1: 2 };
        let base = flow(secret, &key, 7);
        assert_ne!(base, flow(secret, &key, 8));
        assert_ne!(base, flow(Secret { k0: 1, k1: 3 }, &key, 7));
        assert_ne!(base, flow(secret, &FlowKey { proto: 17, ..key }, 7));
        assert_ne!(base, flow(secret, &FlowKey { src_port: Be16::new(1001), ..key }, 7));
        assert_ne!(base, flow(secret, &FlowKey { dst_port: Be16::new(81), ..key }, 7));
        assert_ne!(base, flow(secret, &FlowKey { src: Addr::v4([10, 0, 0, 3]), ..key }, 7));
        assert_ne!(base, flow(secret, &FlowKey { dst: Addr::v4([10, 0, 0, 3]), ..key }, 7));
    }
}
