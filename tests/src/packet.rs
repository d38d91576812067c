//! Packets made byte by byte, with checksums computed in full by another implementation than the one under test.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, Ethernet2Header, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpFragOffset, IpNumber, Ipv4Header,
    Ipv6Header, TcpHeader, UdpHeader,
};

/// TCP flags, as [`nlb_common::tcp`] names them.
pub use nlb_common::tcp::{ACK, FIN, PSH, RST, SYN};

/// An Ethernet address.
pub type Mac = [u8; 6];

/// What follows the IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A TCP segment.
    Tcp {
        /// Flags, all eight.
        flags: u8,
        /// Sequence number.
        seq: u32,
        /// Acknowledgement number.
        ack: u32,
        /// Options, a multiple of four bytes.
        options: Vec<u8>,
        /// Window.
        window: u16,
    },
    /// A UDP datagram.
    Udp {
        /// Whether it carries a checksum. Only over IPv4 it need not (RFC 768).
        checksum: bool,
    },
    /// An ICMP or ICMPv6 message, by type.
    Icmp(u8),
    /// Anything else, by protocol number: the payload is all of it.
    Other(u8),
}

/// A packet. Fields are what a test may want to change; [`Self::bytes`] puts it together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Ethernet source.
    pub eth_src: Mac,
    /// Ethernet destination.
    pub eth_dst: Mac,
    /// Source address and, of TCP and UDP, port.
    pub src: SocketAddr,
    /// Destination, of the same family.
    pub dst: SocketAddr,
    /// Time to live or hop limit.
    pub hops: u8,
    /// What follows the IP header.
    pub layer: Layer,
    /// What follows that.
    pub payload: Vec<u8>,
    /// IPv4 options, a multiple of four bytes.
    pub ip_options: Vec<u8>,
    /// IPv4 identification.
    pub id: u16,
    /// IPv4 fragment offset in units of 8 bytes, and whether more fragments follow.
    pub fragment: (u16, bool),
    /// Bytes behind the packet that only fill the frame.
    pub padding: usize,
}

impl Packet {
    fn new(src: SocketAddr, dst: SocketAddr, layer: Layer) -> Self {
        Self {
            eth_src: [0; 6],
            eth_dst: [0; 6],
            src,
            dst,
            hops: 63,
            layer,
            payload: Vec::new(),
            ip_options: Vec::new(),
            id: 0x1234,
            fragment: (0, false),
            padding: 0,
        }
    }

    /// A TCP segment without payload.
    pub fn tcp(src: SocketAddr, dst: SocketAddr, flags: u8, seq: u32, ack: u32) -> Self {
        Self::new(src, dst, Layer::Tcp { flags, seq, ack, options: Vec::new(), window: 64_000 })
    }

    /// A UDP datagram.
    pub fn udp(src: SocketAddr, dst: SocketAddr, payload: &[u8]) -> Self {
        Self::new(src, dst, Layer::Udp { checksum: true }).carrying(payload)
    }

    /// An ICMP or ICMPv6 message of a type, with code 0 and eight bytes of body.
    pub fn icmp(src: IpAddr, dst: IpAddr, icmp_type: u8) -> Self {
        Self::new(SocketAddr::new(src, 0), SocketAddr::new(dst, 0), Layer::Icmp(icmp_type)).carrying(b"whatever")
    }

    /// Any other protocol.
    pub fn other(src: IpAddr, dst: IpAddr, proto: u8, payload: &[u8]) -> Self {
        Self::new(SocketAddr::new(src, 0), SocketAddr::new(dst, 0), Layer::Other(proto)).carrying(payload)
    }

    /// With these Ethernet addresses.
    pub const fn between(mut self, src: Mac, dst: Mac) -> Self {
        (self.eth_src, self.eth_dst) = (src, dst);
        self
    }

    /// With this payload.
    pub fn carrying(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// From this port.
    pub const fn from_port(mut self, port: u16) -> Self {
        match &mut self.src {
            SocketAddr::V4(src) => src.set_port(port),
            SocketAddr::V6(src) => src.set_port(port),
        }
        self
    }

    /// With this hop count.
    pub const fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// The same packet after a router or a balancer: other addresses, one hop less.
    pub fn forwarded(&self, src: SocketAddr, dst: SocketAddr) -> Self {
        Self { src, dst, hops: self.hops - 1, ..self.clone() }
    }

    /// Bytes from the IP header on, padding not counted: what rows and flows count.
    pub fn ip_len(&self) -> u64 {
        (self.bytes().len() - 14 - self.padding) as u64
    }

    /// The frame.
    pub fn bytes(&self) -> Vec<u8> {
        let ether_type = if self.src.is_ipv4() { EtherType::IPV4 } else { EtherType::IPV6 };
        let eth = Ethernet2Header { source: self.eth_src, destination: self.eth_dst, ether_type };
        let mut bytes = eth.to_bytes().to_vec();
        match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => self.ipv4(src.octets(), dst.octets(), &mut bytes),
            (IpAddr::V6(src), IpAddr::V6(dst)) => self.ipv6(src.octets(), dst.octets(), &mut bytes),
            _ => panic!("{} and {} are not of one family", self.src, self.dst),
        }
        bytes.resize(bytes.len() + self.padding, 0);
        bytes
    }

    fn ipv4(&self, src: [u8; 4], dst: [u8; 4], bytes: &mut Vec<u8>) {
        let mut ip = Ipv4Header::new(0, self.hops, self.proto(), src, dst).expect("no length yet");
        ip.options = self.ip_options[..].try_into().expect("a multiple of four bytes, at most 40");
        ip.identification = self.id;
        ip.fragment_offset = IpFragOffset::try_new(self.fragment.0).expect("below 8192");
        ip.more_fragments = self.fragment.1;
        ip.dont_fragment = self.fragment == (0, false);
        let body = match &self.layer {
            Layer::Tcp { .. } => {
                let mut tcp = self.tcp_header();
                tcp.checksum = tcp.calc_checksum_ipv4(&ip, &self.payload).expect("short enough");
                [&tcp.to_bytes()[..], &self.payload].concat()
            }
            Layer::Udp { checksum } => {
                let mut udp = self.udp_header();
                if *checksum {
                    udp.checksum = udp.calc_checksum_ipv4(&ip, &self.payload).expect("short enough");
                }
                [&udp.to_bytes()[..], &self.payload].concat()
            }
            Layer::Icmp(icmp_type) => {
                let kind = Icmpv4Type::Unknown { type_u8: *icmp_type, code_u8: 0, bytes5to8: [0; 4] };
                [&Icmpv4Header::with_checksum(kind, &self.payload).to_bytes()[..], &self.payload].concat()
            }
            Layer::Other(_) => self.payload.clone(),
        };
        ip.set_payload_len(body.len()).expect("short enough");
        ip.header_checksum = ip.calc_header_checksum();
        bytes.extend_from_slice(&ip.to_bytes());
        bytes.extend_from_slice(&body);
    }

    fn ipv6(&self, source: [u8; 16], destination: [u8; 16], bytes: &mut Vec<u8>) {
        let next_header = self.proto();
        let mut ip = Ipv6Header { hop_limit: self.hops, next_header, source, destination, ..Ipv6Header::default() };
        let body = match &self.layer {
            Layer::Tcp { .. } => {
                let mut tcp = self.tcp_header();
                tcp.checksum = tcp.calc_checksum_ipv6(&ip, &self.payload).expect("short enough");
                [&tcp.to_bytes()[..], &self.payload].concat()
            }
            Layer::Udp { .. } => {
                let mut udp = self.udp_header();
                udp.checksum = udp.calc_checksum_ipv6(&ip, &self.payload).expect("short enough");
                [&udp.to_bytes()[..], &self.payload].concat()
            }
            Layer::Icmp(icmp_type) => {
                let kind = Icmpv6Type::Unknown { type_u8: *icmp_type, code_u8: 0, bytes5to8: [0; 4] };
                let icmp = Icmpv6Header::with_checksum(kind, source, destination, &self.payload).expect("short enough");
                [&icmp.to_bytes()[..], &self.payload].concat()
            }
            Layer::Other(_) => self.payload.clone(),
        };
        ip.set_payload_length(body.len()).expect("short enough");
        bytes.extend_from_slice(&ip.to_bytes());
        bytes.extend_from_slice(&body);
    }

    fn proto(&self) -> IpNumber {
        match &self.layer {
            Layer::Tcp { .. } => IpNumber::TCP,
            Layer::Udp { .. } => IpNumber::UDP,
            Layer::Icmp(_) if self.src.is_ipv4() => IpNumber::ICMP,
            Layer::Icmp(_) => IpNumber::IPV6_ICMP,
            Layer::Other(proto) => IpNumber(*proto),
        }
    }

    fn tcp_header(&self) -> TcpHeader {
        let Layer::Tcp { flags, seq, ack, options, window } = &self.layer else { panic!("not TCP: {self:?}") };
        let mut tcp = TcpHeader::new(self.src.port(), self.dst.port(), *seq, *window);
        tcp.acknowledgment_number = *ack;
        let bit = |bit: u8| flags & bit != 0;
        (tcp.fin, tcp.syn, tcp.rst, tcp.psh) = (bit(FIN), bit(SYN), bit(RST), bit(PSH));
        (tcp.ack, tcp.urg, tcp.ece, tcp.cwr) = (bit(ACK), bit(0x20), bit(0x40), bit(0x80));
        tcp.set_options_raw(options).expect("at most 40 bytes");
        tcp
    }

    fn udp_header(&self) -> UdpHeader {
        UdpHeader {
            source_port: self.src.port(),
            destination_port: self.dst.port(),
            length: 8 + self.payload.len() as u16,
            checksum: 0,
        }
    }
}

/// The reset that answers `segment`: back where it came from, as RFC 9293 section 3.10.7.1 says.
pub fn reset_for(segment: &Packet) -> Packet {
    let Layer::Tcp { flags, seq, ack, .. } = &segment.layer else { panic!("not TCP: {segment:?}") };
    let taken = segment.payload.len() as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
    let (flags, seq, ack) = if flags & ACK != 0 { (RST, *ack, 0) } else { (RST | ACK, 0, seq.wrapping_add(taken)) };
    let mut reset = Packet::tcp(segment.dst, segment.src, flags, seq, ack).between(segment.eth_dst, segment.eth_src);
    reset.hops = 64;
    reset.id = 0;
    if let Layer::Tcp { window, .. } = &mut reset.layer {
        *window = 0;
    }
    reset
}
