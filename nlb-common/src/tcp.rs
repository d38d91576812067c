//! TCP flags (RFC 9293 section 3.1) and what a segment does to the connection it belongs to.

/// No more data from the sender.
pub const FIN: u8 = 0x01;
/// Synchronise sequence numbers.
pub const SYN: u8 = 0x02;
/// Reset the connection.
pub const RST: u8 = 0x04;
/// Push function.
pub const PSH: u8 = 0x08;
/// The acknowledgement field is significant.
pub const ACK: u8 = 0x10;

/// Whether a segment opens a connection: a SYN with none of the flags that speak of an existing one.
#[inline(always)]
pub const fn opens(flags: u8) -> bool {
    flags & (SYN | ACK | RST | FIN) == SYN
}

/// Whether a segment is a listener's answer to a SYN.
#[inline(always)]
pub const fn accepts(flags: u8) -> bool {
    flags & (SYN | ACK | RST | FIN) == SYN | ACK
}

/// How many sequence numbers a segment takes: its payload, and one each for SYN and FIN.
#[inline(always)]
pub const fn length(flags: u8, payload: u32) -> u32 {
    payload + (flags & SYN != 0) as u32 + (flags & FIN != 0) as u32
}

/// The fields of the reset that answers a segment: `(sequence, acknowledgement, flags)`.
///
/// RFC 9293 section 3.10.7.1: a segment with an acknowledgement is answered with the sequence number it
/// acknowledges, which is what its sender expects next and so accepts; any other with 0 and an acknowledgement of
/// everything it took.
#[inline(always)]
pub const fn reset_for(flags: u8, seq: u32, ack: u32, payload: u32) -> (u32, u32, u8) {
    if flags & ACK != 0 { (ack, 0, RST) } else { (0, seq.wrapping_add(length(flags, payload)), RST | ACK) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_syn_opens() {
        assert!(opens(SYN));
        assert!(opens(SYN | PSH), "TCP fast open carries data");
        assert!(opens(SYN | 0xc0), "ECN set-up (RFC 3168) sets CWR and ECE");
        for flags in [SYN | ACK, SYN | RST, SYN | FIN, ACK, 0, RST] {
            assert!(!opens(flags), "{flags:#x}");
        }
    }

    #[test]
    fn a_reset_is_acceptable_to_the_sender_of_the_segment() {
        assert_eq!(reset_for(ACK | PSH, 1000, 5000, 20), (5000, 0, RST));
        assert_eq!(reset_for(SYN, 1000, 0, 0), (0, 1001, RST | ACK));
        assert_eq!(reset_for(FIN, u32::MAX, 0, 3), (0, 3, RST | ACK));
    }
}
