//! Frames of one's own making, sent and received on a real interface.

use std::{
    io::ErrorKind,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use crate::netns::Netns;

/// A packet socket on an interface.
#[derive(Debug)]
pub struct Wire(OwnedFd);

impl Wire {
    /// Opens it. From now on it keeps all frames that come in.
    pub fn open(ns: &Netns, interface: &str) -> Result<Self> {
        let index = ns.index(interface)?;
        ns.run(|| Self::open_here(index)).with_context(|| format!("packet socket on {interface} of {}", ns.name()))
    }

    fn open_here(index: u32) -> Result<Self> {
        let all = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: no pointer is passed.
        let fd = Errno::result(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(all)) })?;
        // SAFETY: the descriptor is new and nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: all bytes of the structure may be zero.
        let mut addr: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        addr.sll_family = libc::AF_PACKET as u16;
        addr.sll_protocol = all;
        addr.sll_ifindex = index as i32;
        let len = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: the address lives until the call returns, and `len` is its size.
        Errno::result(unsafe { libc::bind(fd, (&raw const addr).cast(), len) })?;
        Ok(Self(socket))
    }

    /// Sends a frame, Ethernet header and all.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        nix::unistd::write(&self.0, frame)?;
        Ok(())
    }

    /// The first frame that `wanted` says yes to, if one comes in time. What this host sends is seen, too.
    pub fn receive(&self, patience: Duration, wanted: impl Fn(&[u8]) -> bool) -> Result<Option<Vec<u8>>> {
        let (end, mut buffer) = (Instant::now() + patience, vec![0; 65536]);
        nix::sys::socket::setsockopt(
            &self.0,
            nix::sys::socket::sockopt::ReceiveTimeout,
            &nix::sys::time::TimeVal::new(0, 20_000),
        )?;
        while Instant::now() < end {
            match nix::sys::socket::recv(self.0.as_raw_fd(), &mut buffer, nix::sys::socket::MsgFlags::empty()) {
                Ok(len) if wanted(&buffer[..len]) => return Ok(Some(buffer[..len].to_vec())),
                Ok(_) => {}
                Err(error) if std::io::Error::from(error).kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}
