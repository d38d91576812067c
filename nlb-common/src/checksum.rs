//! The Internet checksum (RFC 1071), in full and as a precomputed difference (RFC 1624, equation 3).
//!
//! Sums are taken over 16-bit words as they lie in memory: the one's-complement sum does not care about byte order
//! as long as all terms share one.

use crate::{addr::Addr, be::Be16};

/// Folds a sum of 16-bit words into one word, carries added back in.
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

/// The sum of the words of `bytes`, an odd last byte padded with zero.
pub fn sum(bytes: &[u8]) -> u64 {
    let (words, last) = bytes.as_chunks::<2>();
    let tail = last.first().map_or(0, |&byte| u16::from_ne_bytes([byte, 0]));
    words.iter().fold(u64::from(tail), |sum, word| sum + u64::from(u16::from_ne_bytes(*word)))
}

/// The sum of an address as the pseudo header counts it: an IPv4 address is its four bytes.
#[inline(always)]
pub const fn sum_addr(addr: &Addr) -> u64 {
    if addr.is_v4() { addr.0[3].raw() as u64 } else { sum_words(addr) }
}

/// The sum of all sixteen bytes. Differences of two addresses of one family need no more: what IPv4-mapped
/// addresses have in common cancels.
#[inline(always)]
const fn sum_words(addr: &Addr) -> u64 {
    addr.0[0].raw() as u64 + addr.0[1].raw() as u64 + addr.0[2].raw() as u64 + addr.0[3].raw() as u64
}

/// The sum of the pseudo header of TCP or UDP (RFC 9293 section 3.1, RFC 8200 section 8.1).
#[inline(always)]
pub const fn sum_pseudo(src: &Addr, dst: &Addr, proto: u8, l4_len: u16) -> u64 {
    sum_addr(src) + sum_addr(dst) + Be16::new(proto as u16).raw() as u64 + Be16::new(l4_len).raw() as u64
}

/// What a rewrite adds to a checksum: the sum of all words that replace others, with those words' complements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Delta(u16);

impl Delta {
    /// No change.
    pub const NONE: Self = Self(0);

    /// The raw value, to be stored in a flow.
    #[inline(always)]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// From a stored raw value.
    #[inline(always)]
    pub const fn from_raw(raw: u16) -> Self {
        Self(raw)
    }

    /// Adds the replacement of the word `old` by `new`.
    #[inline(always)]
    pub const fn word(self, old: Be16, new: Be16) -> Self {
        Self(fold(self.0 as u64 + !old.raw() as u64 + new.raw() as u64))
    }

    /// Adds the replacement of the address `old` by `new`, of the same family.
    #[inline(always)]
    pub const fn addr(self, old: &Addr, new: &Addr) -> Self {
        Self(fold(self.0 as u64 + !fold(sum_words(old)) as u64 + sum_words(new)))
    }

    /// The checksum `check` after the change.
    #[inline(always)]
    pub const fn apply(self, check: Be16) -> Be16 {
        Be16::from_bytes((!fold(!check.raw() as u64 + self.0 as u64)).to_ne_bytes())
    }

    /// As [`Self::apply`] for UDP over IPv4, where 0 stands for "no checksum" and stays, and a computed 0 is sent
    /// as all ones (RFC 768).
    #[inline(always)]
    pub const fn apply_udp(self, check: Be16) -> Be16 {
        if check.raw() == 0 {
            return check;
        }
        let new = self.apply(check);
        if new.raw() == 0 { Be16::new(0xffff) } else { new }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The checksum field that makes `bytes` valid.
    fn full(bytes: &[u8]) -> Be16 {
        Be16::from_bytes((!fold(sum(bytes))).to_ne_bytes())
    }

    #[test]
    fn the_example_of_rfc_1071() {
        let sum = fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]));
        assert_eq!(sum.to_ne_bytes(), [0xdd, 0xf2]);
    }

    #[test]
    fn the_example_of_rfc_1624() {
        // Section 4: a header word 0x5555 becomes 0x3285, and the checksum 0xDD2F becomes 0x0000.
        let delta = Delta::NONE.word(Be16::new(0x5555), Be16::new(0x3285));
        assert_eq!(delta.apply(Be16::new(0xdd2f)), Be16::new(0x0000));
    }

    #[test]
    fn udp_zero_stays_and_computed_zero_becomes_all_ones() {
        let delta = Delta::NONE.word(Be16::new(0x5555), Be16::new(0x3285));
        assert_eq!(delta.apply_udp(Be16::new(0)), Be16::new(0));
        assert_eq!(delta.apply_udp(Be16::new(0xdd2f)), Be16::new(0xffff));
    }

    proptest! {
        #[test]
        fn incremental_equals_full(
            old in any::<[u8; 16]>(), new in any::<[u8; 16]>(), ports in any::<[u16; 2]>(),
            rest in proptest::collection::vec(any::<u8>(), 1..200),
        ) {
            // Not all zero: a real header never is, and the sum of nothing is the one case where 0 has two forms.
            let bytes = |addr: [u8; 16], port: u16| [&addr[..], &port.to_be_bytes(), &[1], &rest].concat();
            let before = full(&bytes(old, ports[0]));
            let after = full(&bytes(new, ports[1]));
            let delta = Delta::NONE
                .addr(&Addr::v6(old), &Addr::v6(new))
                .word(Be16::new(ports[0]), Be16::new(ports[1]));
            prop_assert_eq!(delta.apply(before), after);
        }

        #[test]
        fn mapped_addresses_change_a_checksum_as_their_four_bytes_do(
            old in any::<[u8; 4]>(), new in any::<[u8; 4]>(), rest in any::<[u8; 12]>(),
        ) {
            let before = full(&[&old[..], &rest, &[1, 0]].concat());
            let after = full(&[&new[..], &rest, &[1, 0]].concat());
            prop_assert_eq!(Delta::NONE.addr(&Addr::v4(old), &Addr::v4(new)).apply(before), after);
        }
    }
}
