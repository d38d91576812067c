//! The Ethernet frames that claim an address: ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861, RFC 4862).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Mac;

/// EtherType of ARP.
pub(super) const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub(super) const ETHERTYPE_IPV6: u16 = 0x86dd;

const BROADCAST: Mac = [0xff; 6];
const ARP_REQUEST: u16 = 1;
const ICMPV6: u8 = 58;
/// ICMPv6 type.
pub(super) const NEIGHBOUR_SOLICITATION: u8 = 135;
/// ICMPv6 type.
pub(super) const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
/// The receiver shall replace what it has (RFC 4861 section 4.4).
const OVERRIDE: u8 = 0x20;
/// Proof that no router forwarded the packet (RFC 4861 section 7.1.1).
const HOP_LIMIT: u8 = 255;

/// An address family, and with it the protocol that finds its neighbours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    /// IPv4, with ARP.
    V4,
    /// IPv6, with neighbour discovery.
    V6,
}

/// Where things are in an Ethernet frame; the packet socket's filter uses these too.
pub(super) mod offset {
    /// Ethernet: source.
    pub const SOURCE_MAC: usize = 6;
    /// Ethernet: type.
    pub const ETHERTYPE: usize = 12;
    /// ARP: operation.
    pub const ARP_OPERATION: usize = 20;
    /// ARP: the sender's Ethernet address.
    pub const ARP_SENDER_MAC: usize = 22;
    /// ARP: the sender's IPv4 address.
    pub const ARP_SENDER: usize = 28;
    /// ARP: the IPv4 address asked for.
    pub const ARP_TARGET: usize = 38;
    /// IPv6: next header, and after it the hop limit.
    pub const NEXT_HEADER: usize = 20;
    /// IPv6: source address.
    pub const SOURCE: usize = 22;
    /// ICMPv6: type, if no extension header comes before.
    pub const ICMP_TYPE: usize = 54;
    /// Neighbour discovery: the address in question.
    pub const ND_TARGET: usize = 62;
    /// Neighbour discovery: options.
    pub const ND_OPTIONS: usize = 78;
}

/// Asks whether anybody uses the address, without claiming it: the sender's IPv4 address is zero.
pub(super) fn arp_probe(sender: Mac, address: Ipv4Addr) -> [u8; 42] {
    arp(sender, Ipv4Addr::UNSPECIFIED, address)
}

/// A gratuitous ARP: sender and target are the address (RFC 5227 section 2.3).
pub(super) fn arp_announcement(sender: Mac, address: Ipv4Addr) -> [u8; 42] {
    arp(sender, address, address)
}

fn arp(sender_mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> [u8; 42] {
    let mut frame = Frame::<42>::ethernet(BROADCAST, sender_mac, ETHERTYPE_ARP);
    frame.put(&[0, 1]); // Ethernet addresses
    frame.put(&[8, 0]); // for IPv4 addresses
    frame.put(&[6, 4]); // of these lengths
    frame.put(&ARP_REQUEST.to_be_bytes());
    frame.put(&sender_mac);
    frame.put(&sender.octets());
    frame.put(&[0; 6]); // the target's, unknown
    frame.put(&target.octets());
    frame.bytes
}

/// Asks whether anybody uses the address, without claiming it: the source is the unspecified address (RFC 4862
/// section 5.4.2).
pub(super) fn neighbour_solicitation(sender: Mac, address: Ipv6Addr) -> [u8; 78] {
    let group = solicited_node(address);
    let mut message = [0; 24];
    message[0] = NEIGHBOUR_SOLICITATION;
    message[8..].copy_from_slice(&address.octets());
    let mut frame = Frame::ethernet(multicast_mac(group), sender, ETHERTYPE_IPV6);
    frame.icmpv6(Ipv6Addr::UNSPECIFIED, group, &mut message);
    frame.bytes
}

/// Tells all nodes of the link that the address is at `sender` now (RFC 4861 section 7.2.6).
pub(super) fn neighbour_advertisement(sender: Mac, address: Ipv6Addr) -> [u8; 86] {
    let mut message = [0; 32];
    message[0] = NEIGHBOUR_ADVERTISEMENT;
    message[4] = OVERRIDE;
    message[8..24].copy_from_slice(&address.octets());
    message[24..26].copy_from_slice(&[TARGET_LINK_LAYER_ADDRESS, 1]);
    message[26..].copy_from_slice(&sender);
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut frame = Frame::ethernet(multicast_mac(all_nodes), sender, ETHERTYPE_IPV6);
    frame.icmpv6(address, all_nodes, &mut message);
    frame.bytes
}

/// The multicast group that owners of the address listen to (RFC 4291 section 2.7.1).
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// The Ethernet address of an IPv6 multicast group (RFC 2464 section 7).
fn multicast_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

/// An address, and the host that uses it or is about to, by this frame; `None` if the frame doesn't say.
pub(super) fn claimant(frame: &[u8]) -> Option<(IpAddr, Mac)> {
    match u16::from_be_bytes(bytes(frame, offset::ETHERTYPE)?) {
        ETHERTYPE_ARP => arp_claimant(frame),
        ETHERTYPE_IPV6 => nd_claimant(frame),
        _ => None,
    }
}

/// RFC 5227 section 2.1.1: a sender with an address owns it; one without it that asks is a rival.
fn arp_claimant(frame: &[u8]) -> Option<(IpAddr, Mac)> {
    let sender: [u8; 4] = bytes(frame, offset::ARP_SENDER)?;
    let target: [u8; 4] = bytes(frame, offset::ARP_TARGET)?;
    let request = bytes(frame, offset::ARP_OPERATION)? == ARP_REQUEST.to_be_bytes();
    let address = if sender != [0; 4] { sender } else { Some(target).filter(|_| request)? };
    Some((address.into(), bytes(frame, offset::ARP_SENDER_MAC)?))
}

/// RFC 4862 section 5.4.3 and 5.4.4: an advertisement comes from the owner; a solicitation from nobody, from a rival.
fn nd_claimant(frame: &[u8]) -> Option<(IpAddr, Mac)> {
    let genuine = bytes(frame, offset::NEXT_HEADER)? == [ICMPV6, HOP_LIMIT];
    let target: [u8; 16] = bytes(frame, offset::ND_TARGET)?;
    let mac = match bytes::<1>(frame, offset::ICMP_TYPE)?[0] {
        NEIGHBOUR_SOLICITATION if bytes(frame, offset::SOURCE)? == [0_u8; 16] => bytes(frame, offset::SOURCE_MAC)?,
        NEIGHBOUR_ADVERTISEMENT if bytes(frame, offset::ND_OPTIONS) == Some([TARGET_LINK_LAYER_ADDRESS, 1]) => {
            bytes(frame, offset::ND_OPTIONS + 2)?
        }
        NEIGHBOUR_ADVERTISEMENT => bytes(frame, offset::SOURCE_MAC)?,
        _ => return None,
    };
    genuine.then_some((target.into(), mac))
}

/// `N` bytes of the frame, if it has them.
fn bytes<const N: usize>(frame: &[u8], at: usize) -> Option<[u8; N]> {
    frame.get(at..)?.first_chunk().copied()
}

/// A frame being written.
struct Frame<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Frame<N> {
    fn ethernet(to: Mac, from: Mac, ethertype: u16) -> Self {
        let mut frame = Self { bytes: [0; N], len: 0 };
        frame.put(&to);
        frame.put(&from);
        frame.put(&ethertype.to_be_bytes());
        frame
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// An IPv6 header, and the message with its checksum filled in.
    fn icmpv6<const M: usize>(&mut self, source: Ipv6Addr, destination: Ipv6Addr, message: &mut [u8; M]) {
        // `M` is 24 or 32.
        let length = M as u16;
        let checksum = icmpv6_checksum(source, destination, message);
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        self.put(&[0x60, 0, 0, 0]);
        self.put(&length.to_be_bytes());
        self.put(&[ICMPV6, HOP_LIMIT]);
        self.put(&source.octets());
        self.put(&destination.octets());
        self.put(message);
    }
}

/// The Internet checksum over pseudo header and message (RFC 8200 section 8.1). The message has an even length.
fn icmpv6_checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let words = message.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let addresses = source.segments().into_iter().chain(destination.segments()).map(u32::from);
    let mut sum: u32 = words.chain(addresses).sum::<u32>() + u32::from(ICMPV6) + message.len() as u32;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [0x02, 0, 0, 0, 0, 0x01];
    const V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 10);
    const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);

    fn hex(text: &str) -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn arp_frames_are_these_bytes() {
        let probe =
            hex("ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 00000000 000000000000 c612000a");
        assert_eq!(arp_probe(MAC, V4).as_slice(), probe);
        let told =
            hex("ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 c612000a 000000000000 c612000a");
        assert_eq!(arp_announcement(MAC, V4).as_slice(), told);
    }

    #[test]
    fn solicitations_are_these_bytes() {
        let bytes = hex("3333ff000010 020000000001 86dd 60000000 0018 3a ff \
             00000000000000000000000000000000 ff0200000000000000000001ff000010 \
             87 00 4ccf 00000000 20010db8000000000000000000000010");
        assert_eq!(neighbour_solicitation(MAC, V6).as_slice(), bytes);
    }

    #[test]
    fn advertisements_are_these_bytes() {
        let bytes = hex("333300000001 020000000001 86dd 60000000 0020 3a ff \
             20010db8000000000000000000000010 ff020000000000000000000000000001 \
             88 00 f90c 20000000 20010db8000000000000000000000010 02 01 020000000001");
        assert_eq!(neighbour_advertisement(MAC, V6).as_slice(), bytes);
    }

    #[test]
    fn owners_and_rivals_are_told_from_bystanders() {
        let other = Ipv4Addr::new(198, 18, 0, 11);
        assert_eq!(claimant(&arp_announcement(MAC, V4)), Some((V4.into(), MAC)), "the owner speaks");
        assert_eq!(claimant(&arp_probe(MAC, V4)), Some((V4.into(), MAC)), "a rival probes");
        assert_eq!(claimant(&arp(MAC, other, V4)), Some((other.into(), MAC)), "a bystander looks for the owner");
        assert_eq!(claimant(&neighbour_advertisement(MAC, V6)), Some((V6.into(), MAC)), "the owner speaks");
        assert_eq!(claimant(&neighbour_solicitation(MAC, V6)), Some((V6.into(), MAC)), "a rival probes");
        let mut bystander = neighbour_solicitation(MAC, V6);
        bystander[offset::SOURCE] = 0xfe;
        assert_eq!(claimant(&bystander), None, "a bystander looks for the owner");
    }

    #[test]
    fn replies_to_a_probe_name_the_owner() {
        let mut reply = arp(MAC, V4, Ipv4Addr::UNSPECIFIED);
        reply[offset::ARP_OPERATION + 1] = 2;
        assert_eq!(claimant(&reply), Some((V4.into(), MAC)));
        reply[offset::ARP_SENDER..offset::ARP_SENDER + 4].fill(0);
        assert_eq!(claimant(&reply), None, "a reply from nobody");
    }

    #[test]
    fn forwarded_or_short_frames_claim_nothing() {
        let mut forwarded = neighbour_advertisement(MAC, V6);
        forwarded[offset::NEXT_HEADER + 1] = 254;
        assert_eq!(claimant(&forwarded), None);
        for len in 0..42 {
            assert_eq!(claimant(&arp_announcement(MAC, V4)[..len]), None);
        }
        for len in 0..78 {
            assert_eq!(claimant(&neighbour_advertisement(MAC, V6)[..len]), None);
        }
    }
}
