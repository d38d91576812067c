//! A packet socket: whole Ethernet frames on one interface, as a tokio resource.

use std::{
    io, mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use tokio::io::unix::AsyncFd;

use super::frames::{ETHERTYPE_ARP, ETHERTYPE_IPV6, Family, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, offset};

/// A socket for the frames that claim addresses of one family.
pub(super) struct PacketSocket {
    fd: AsyncFd<OwnedFd>,
}

impl PacketSocket {
    /// Sends on the interface, and listens there to what its hosts say about addresses of the family.
    ///
    /// Closing it waits for the kernel to forget it, some 10 ms: open few.
    pub(super) fn open(ifindex: u32, family: Family) -> io::Result<Self> {
        let ifindex = i32::try_from(ifindex).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
        // SAFETY: takes integers only. Protocol 0 receives nothing until the socket is bound, with its filter on.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made it, and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let ethertype = match family {
            Family::V4 => ETHERTYPE_ARP,
            Family::V6 => {
                let filter = neighbour_discovery_only();
                let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
                set(&fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)?;
                // A rival's probes go to the group of the address, which nobody on this node listens to yet.
                let all_multicast = libc::packet_mreq {
                    mr_ifindex: ifindex,
                    mr_type: libc::PACKET_MR_ALLMULTI as u16,
                    mr_alen: 0,
                    mr_address: [0; 8],
                };
                set(&fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &all_multicast)?;
                ETHERTYPE_IPV6
            }
        };
        let name = link_address(ifindex, ethertype);
        // SAFETY: a valid sockaddr_ll and its size; the kernel only reads it.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const name).cast(), size_of_val(&name) as u32) };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `OwnedFd` gives the same descriptor on every call, and is never replaced while it is registered.
        let fd = unsafe { AsyncFd::register(fd) }?;
        Ok(Self { fd })
    }

    /// Sends a frame.
    pub(super) async fn send(&self, frame: &[u8]) -> io::Result<()> {
        loop {
            let mut ready = self.fd.writable().await?;
            let sent = ready.try_io(|fd| {
                // SAFETY: pointer and length of a live slice, which the kernel only reads.
                let sent = unsafe { libc::send(fd.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
                if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
            });
            match sent {
                // The queue is full: the frame is lost here instead of on the link, and is repeated as there.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(()),
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }

    /// The next frame, cut to the buffer; its length.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.fd.readable().await?;
            let received = ready.try_io(|fd| {
                // SAFETY: pointer and length of a live slice that nobody else uses.
                let received = unsafe { libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
                usize::try_from(received).map_err(|_| io::Error::last_os_error())
            });
            if let Ok(result) = received {
                return result;
            }
        }
    }
}

fn link_address(ifindex: i32, ethertype: u16) -> libc::sockaddr_ll {
    // SAFETY: made of integers and an array, for which zeros are valid values.
    let mut name: libc::sockaddr_ll = unsafe { mem::zeroed() };
    name.sll_family = libc::AF_PACKET as u16;
    name.sll_protocol = ethertype.to_be();
    name.sll_ifindex = ifindex;
    name
}

fn set<T>(fd: &OwnedFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    // SAFETY: `value` is the structure of that option, of that size, and outlives the call, which only reads it.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const *value).cast(), size_of::<T>() as u32) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Classic BPF that lets through only neighbour solicitations and advertisements, so that the node's IPv6 traffic
/// doesn't wake the prober. All ARP is let through.
fn neighbour_discovery_only() -> [libc::sock_filter; 7] {
    const BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const JUMP: u32 = libc::BPF_JMP | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let step = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    [
        step(BYTE, offset::NEXT_HEADER as u32, 0, 0),
        step(JUMP | libc::BPF_JEQ, libc::IPPROTO_ICMPV6 as u32, 0, 4),
        step(BYTE, offset::ICMP_TYPE as u32, 0, 0),
        step(JUMP | libc::BPF_JGE, NEIGHBOUR_SOLICITATION.into(), 0, 2),
        step(JUMP | libc::BPF_JGT, NEIGHBOUR_ADVERTISEMENT.into(), 1, 0),
        step(RETURN, u32::MAX, 0, 0),
        step(RETURN, 0, 0, 0),
    ]
}
