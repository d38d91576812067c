//! The packet in memory. The only file that touches packet pointers.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::xdp_md,
    helpers::generated::{bpf_xdp_adjust_tail, bpf_xdp_get_buff_len},
};
use network_types::{
    eth::EthHdr,
    ip::{Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
    udp::UdpHdr,
};
use nlb_common::{Addr, Be16, FlowKey, flow::Hop};

/// Length of the Ethernet header.
pub const ETH: usize = EthHdr::LEN;

/// The raw frame.
#[derive(Clone, Copy)]
pub struct Frame {
    ctx: *mut xdp_md,
}

impl Frame {
    pub const fn new(ctx: *mut xdp_md) -> Self {
        Self { ctx }
    }

    /// The kernel's context of the packet.
    #[inline(always)]
    pub const fn context(&self) -> *mut xdp_md {
        self.ctx
    }

    /// A header of type `T` at `offset`, if the linear part of the frame holds all of it.
    #[inline(always)]
    pub fn at<T>(&self, offset: usize) -> Option<*mut T> {
        // SAFETY: the kernel passes a valid context.
        let (data, end) = unsafe { ((*self.ctx).data as usize, (*self.ctx).data_end as usize) };
        if data + offset + size_of::<T>() > end { None } else { Some((data + offset) as *mut T) }
    }

    /// Whether the frame, all of its buffers taken together, is at least `len` bytes long.
    #[inline(always)]
    pub fn holds(&self, len: usize) -> bool {
        // SAFETY: the kernel passes a valid context.
        let linear = unsafe { (*self.ctx).data_end as usize - (*self.ctx).data as usize };
        // SAFETY: as above. Asked only for jumbo frames, whose rest is in fragments, and for truncated ones.
        linear >= len || unsafe { bpf_xdp_get_buff_len(self.ctx) } as usize >= len
    }

    /// Makes the frame exactly `len` bytes long, which must be less than it is. All header pointers are void after this.
    #[inline(always)]
    pub fn shrink_to(&self, len: usize) -> bool {
        // SAFETY: the kernel passes a valid context, and checks the new length.
        unsafe {
            let now = bpf_xdp_get_buff_len(self.ctx) as i32;
            bpf_xdp_adjust_tail(self.ctx, len as i32 - now) == 0
        }
    }

    /// Index of the interface the packet came in by.
    #[inline(always)]
    pub fn interface(&self) -> u32 {
        // SAFETY: the kernel passes a valid context.
        unsafe { (*self.ctx).ingress_ifindex }
    }
}

/// What follows the IP header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Udp,
    /// ICMP or ICMPv6: an error about an earlier packet, neighbour discovery, or anything else.
    IcmpError,
    Neighbor,
    Icmp,
    /// A part of a larger packet.
    Fragment,
    /// An IPv6 extension header.
    Extension,
    /// Any other protocol.
    Other,
}

/// A yes or no that the verifier must not lose sight of: which headers it has seen depends on it.
///
/// The verifier follows constants through the stack in whole words only, while the compiler would make bytes of them,
/// or none at all where it can tell from something else.
struct Known(u64);

impl Known {
    #[inline(always)]
    fn set(&mut self, value: bool) {
        // SAFETY: a valid reference.
        unsafe { core::ptr::write_volatile(&mut self.0, value as u64) }
    }

    #[inline(always)]
    fn get(&self) -> bool {
        // SAFETY: a valid reference.
        unsafe { core::ptr::read_volatile(&self.0) != 0 }
    }
}

/// A parsed packet: where its headers are, and what the stages need of them.
pub struct Packet {
    pub frame: Frame,
    eth: *mut EthHdr,
    ip: *mut u8,
    l4: *mut u8,
    v6: Known,
    tcp: Known,
    pub transport: Transport,
    /// Not cleared first: that takes as long as parsing.
    key: MaybeUninit<FlowKey>,
    /// Bytes from the IP header on, padding of the frame not counted.
    pub len: u32,
    /// Bytes behind the TCP header.
    pub payload: u32,
    /// Time of arrival, by the coarse monotonic clock.
    pub now: u64,
    /// TCP's flags, else 0.
    pub flags: u8,
}

impl Packet {
    /// A packet of which nothing is known yet. Written field by field, where it stays: a packet that was made whole and
    /// handed on would take its place on the stack twice.
    #[inline(always)]
    pub const fn new(ctx: *mut xdp_md) -> Self {
        Self {
            frame: Frame { ctx },
            eth: core::ptr::null_mut(),
            ip: core::ptr::null_mut(),
            l4: core::ptr::null_mut(),
            v6: Known(0),
            tcp: Known(0),
            transport: Transport::Other,
            key: MaybeUninit::uninit(),
            len: 0,
            payload: 0,
            now: 0,
            flags: 0,
        }
    }

    /// Finds the Ethernet header: the first thing to look for.
    #[inline(always)]
    pub fn find_eth(&mut self) -> Option<&mut EthHdr> {
        self.v6.set(false);
        self.tcp.set(false);
        self.eth = self.frame.at(0)?;
        Some(self.eth())
    }

    /// Finds the IPv4 header.
    #[inline(always)]
    pub fn find_ipv4(&mut self) -> Option<&mut Ipv4Hdr> {
        let ip: *mut Ipv4Hdr = self.frame.at(ETH)?;
        self.ip = ip.cast();
        Some(self.ipv4())
    }

    /// Finds the IPv6 header.
    #[inline(always)]
    pub fn find_ipv6(&mut self) -> Option<&mut Ipv6Hdr> {
        let ip: *mut Ipv6Hdr = self.frame.at(ETH)?;
        self.ip = ip.cast();
        self.v6.set(true);
        Some(self.ipv6())
    }

    /// Finds the TCP header at `offset`.
    #[inline(always)]
    pub fn find_tcp(&mut self, offset: usize) -> Option<&mut TcpHdr> {
        let tcp: *mut TcpHdr = self.frame.at(offset)?;
        self.l4 = tcp.cast();
        self.tcp.set(true);
        Some(self.tcp())
    }

    /// Finds the UDP header at `offset`.
    #[inline(always)]
    pub fn find_udp(&mut self, offset: usize) -> Option<&mut UdpHdr> {
        let udp: *mut UdpHdr = self.frame.at(offset)?;
        self.l4 = udp.cast();
        Some(self.udp())
    }

    /// Reads `N` bytes at `offset`.
    #[inline(always)]
    pub fn bytes<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let bytes: *mut [u8; N] = self.frame.at(offset)?;
        // SAFETY: `at` has checked the bounds.
        Some(unsafe { *bytes })
    }

    /// The 5-tuple; without ports unless [`Self::transport`] is TCP or UDP.
    #[inline(always)]
    pub fn key(&self) -> &FlowKey {
        // SAFETY: written by `set_key` before the parser lets a packet go on.
        unsafe { self.key.assume_init_ref() }
    }

    /// Sets the 5-tuple, as far as the IP header has it.
    #[inline(always)]
    pub fn set_key(&mut self, src: Addr, dst: Addr, proto: u8) {
        self.key.write(FlowKey::new(src, dst, Be16::new(0), Be16::new(0), proto));
    }

    /// Sets the ports of a 5-tuple that has been set.
    #[inline(always)]
    pub fn set_ports(&mut self, src: Be16, dst: Be16) {
        // SAFETY: as for `key`.
        let key = unsafe { self.key.assume_init_mut() };
        (key.src_port, key.dst_port) = (src, dst);
    }

    /// Whether this is a TCP segment, of a packet that is TCP or UDP.
    #[inline(always)]
    pub fn is_tcp(&self) -> bool {
        self.tcp.get()
    }

    /// Whether this is an IPv6 packet.
    #[inline(always)]
    pub fn is_v6(&self) -> bool {
        self.v6.get()
    }

    #[inline(always)]
    pub fn eth(&mut self) -> &mut EthHdr {
        // SAFETY: bounds were checked when the packet was parsed, and nothing has moved it since: headers have
        // alignment 1, and the borrow is the packet's.
        unsafe { &mut *self.eth }
    }

    /// The IPv4 header, of a packet that is not `v6`.
    #[inline(always)]
    pub fn ipv4(&mut self) -> &mut Ipv4Hdr {
        // SAFETY: as for `eth`.
        unsafe { &mut *self.ip.cast() }
    }

    /// The IPv6 header, of a packet that is `v6`.
    #[inline(always)]
    pub fn ipv6(&mut self) -> &mut Ipv6Hdr {
        // SAFETY: as for `eth`.
        unsafe { &mut *self.ip.cast() }
    }

    /// The TCP header, of a TCP segment.
    #[inline(always)]
    pub fn tcp(&mut self) -> &mut TcpHdr {
        // SAFETY: as for `eth`.
        unsafe { &mut *self.l4.cast() }
    }

    /// The UDP header, of a UDP datagram.
    #[inline(always)]
    pub fn udp(&mut self) -> &mut UdpHdr {
        // SAFETY: as for `eth`.
        unsafe { &mut *self.l4.cast() }
    }

    /// The TCP sequence number, in host order.
    #[inline(always)]
    pub fn seq(&mut self) -> u32 {
        u32::from_be_bytes(self.tcp().seq)
    }

    /// The TCP acknowledgement number, in host order.
    #[inline(always)]
    pub fn ack(&mut self) -> u32 {
        u32::from_be_bytes(self.tcp().ack_seq)
    }

    /// How to answer whoever sent this packet: through the interface and to the address it came from.
    #[inline(always)]
    pub fn way_back(&mut self) -> Hop {
        let ifindex = self.frame.interface();
        let eth = self.eth();
        Hop { ifindex, dst_mac: eth.src_addr, src_mac: eth.dst_addr }
    }
}
