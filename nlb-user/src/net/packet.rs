//! A packet socket: whole Ethernet frames on one interface, as a tokio resource.

use std::{
    io, mem,
    net::IpAddr,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use tokio::io::unix::AsyncFd;

use super::{
    Mac,
    frames::{ETHERTYPE_ARP, ETHERTYPE_IPV6, offset},
};

/// A socket that receives only what can tell who uses one address.
pub(super) struct PacketSocket {
    fd: AsyncFd<OwnedFd>,
    ifindex: i32,
}

impl PacketSocket {
    /// Listens on the interface for frames about `address`.
    pub(super) fn open(ifindex: u32, address: IpAddr) -> io::Result<Self> {
        let ifindex = i32::try_from(ifindex).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
        // SAFETY: takes integers only. Protocol 0 receives nothing until the socket is bound, with its filter on.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made it, and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let ethertype = if address.is_ipv4() { ETHERTYPE_ARP } else { ETHERTYPE_IPV6 };
        let filter = filter(address);
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        set(&fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)?;
        let name = link_address(ifindex, ethertype);
        // SAFETY: a valid sockaddr_ll and its size; the kernel only reads it.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const name).cast(), size_of_val(&name) as u32) };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `OwnedFd` gives the same descriptor on every call, and is never replaced while it is registered.
        let fd = unsafe { AsyncFd::register(fd) }?;
        Ok(Self { fd, ifindex })
    }

    /// Has the interface receive frames to this multicast address, as long as the socket lives.
    pub(super) fn join(&self, group: Mac) -> io::Result<()> {
        let mut address = [0; 8];
        address[..6].copy_from_slice(&group);
        let request = libc::packet_mreq {
            mr_ifindex: self.ifindex,
            mr_type: libc::PACKET_MR_MULTICAST as u16,
            mr_alen: 6,
            mr_address: address,
        };
        set(self.fd.get_ref(), libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
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
            if let Ok(result) = sent {
                return result;
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

/// Classic BPF that lets through only frames about the address, so that neither all IPv6 traffic of the node nor
/// other people's ARP wakes the prober.
fn filter(address: IpAddr) -> Vec<libc::sock_filter> {
    const WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let step = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    match address {
        IpAddr::V4(address) => vec![
            step(WORD, offset::ARP_SENDER as u32, 0, 0),
            step(EQUAL, address.to_bits(), 2, 0),
            step(WORD, offset::ARP_TARGET as u32, 0, 0),
            step(EQUAL, address.to_bits(), 0, 1),
            step(RETURN, u32::MAX, 0, 0),
            step(RETURN, 0, 0, 0),
        ],
        IpAddr::V6(address) => vec![
            step(BYTE, offset::NEXT_HEADER as u32, 0, 0),
            step(EQUAL, libc::IPPROTO_ICMPV6 as u32, 0, 3),
            // The last word of the address is enough here; the whole of it is compared later.
            step(WORD, offset::ND_TARGET as u32 + 12, 0, 0),
            step(EQUAL, address.to_bits() as u32, 0, 1),
            step(RETURN, u32::MAX, 0, 0),
            step(RETURN, 0, 0, 0),
        ],
    }
}
