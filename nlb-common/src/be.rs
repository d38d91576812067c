//! Integers as they stand in packets: most significant byte first.

/// A 16-bit integer in network byte order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct Be16(u16);

impl Be16 {
    /// From a value in the host's order.
    #[inline(always)]
    pub const fn new(host: u16) -> Self {
        Self(host.to_be())
    }

    /// From the two bytes of a header field.
    #[inline(always)]
    pub const fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_ne_bytes(bytes))
    }

    /// The two bytes of a header field.
    #[inline(always)]
    pub const fn to_bytes(self) -> [u8; 2] {
        self.0.to_ne_bytes()
    }

    /// The value in the host's order.
    #[inline(always)]
    pub const fn get(self) -> u16 {
        u16::from_be(self.0)
    }

    /// The bits as they lie in memory: what one's-complement sums are made of (RFC 1071 section 2(B)).
    #[inline(always)]
    pub const fn raw(self) -> u16 {
        self.0
    }
}

/// A 32-bit integer in network byte order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct Be32(u32);

impl Be32 {
    /// From a value in the host's order.
    #[inline(always)]
    pub const fn new(host: u32) -> Self {
        Self(host.to_be())
    }

    /// From the four bytes of a header field.
    #[inline(always)]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_ne_bytes(bytes))
    }

    /// The four bytes of a header field.
    #[inline(always)]
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0.to_ne_bytes()
    }

    /// The value in the host's order.
    #[inline(always)]
    pub const fn get(self) -> u32 {
        u32::from_be(self.0)
    }

    /// The bits as they lie in memory.
    #[inline(always)]
    pub const fn raw(self) -> u32 {
        self.0
    }
}

impl core::fmt::Debug for Be16 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.get().fmt(f)
    }
}

impl core::fmt::Debug for Be32 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_most_significant_first() {
        assert_eq!(Be16::new(0x1234).to_bytes(), [0x12, 0x34]);
        assert_eq!(Be16::from_bytes([0x12, 0x34]).get(), 0x1234);
        assert_eq!(Be32::new(0x1234_5678).to_bytes(), [0x12, 0x34, 0x56, 0x78]);
        assert_eq!(Be32::from_bytes([1, 2, 3, 4]).get(), 0x0102_0304);
    }
}
