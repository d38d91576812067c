//! The XDP program that does nothing, for the other end of the balancer's interfaces.
//!
//! On veth, a frame sent by `XDP_TX` waits in the other end's queue until something else wakes it, unless an XDP
//! program is attached there (`veth_xdp_flush` in drivers/net/veth.c looks for one). GRO is enough for redirected
//! frames only. Real network cards need nothing of the kind.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::errno::Errno;

use crate::netns::Netns;

/// Attaches the program to an interface, in the driver. It stays there as long as the interface.
pub fn attach(ns: &Netns, interface: &str) -> Result<()> {
    let index = ns.index(interface)?;
    ns.run(|| attach_here(index)).with_context(|| format!("can't attach to {interface} of {}", ns.name()))
}

fn attach_here(index: u32) -> Result<()> {
    let program = load()?;
    // RTM_SETLINK (rtnetlink(7)) with IFLA_XDP { IFLA_XDP_FD, IFLA_XDP_FLAGS } (linux/if_link.h).
    const IFLA_XDP: u16 = 43 | libc::NLA_F_NESTED as u16;
    const IFLA_XDP_FD: u16 = 1;
    const IFLA_XDP_FLAGS: u16 = 3;
    const DRIVER: u32 = 1 << 2;
    let attribute = |kind: u16, payload: &[u8]| {
        let len = 4 + payload.len() as u16;
        [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), payload].concat()
    };
    let fd = attribute(IFLA_XDP_FD, &program.as_raw_fd().to_ne_bytes());
    let flags = attribute(IFLA_XDP_FLAGS, &DRIVER.to_ne_bytes());
    // struct ifinfomsg: family and type, index, flags and their mask.
    let link = [0, index, 0, 0].map(u32::to_ne_bytes).concat();
    let body = [link, attribute(IFLA_XDP, &[fd, flags].concat())].concat();
    let header_flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u32;
    let kind = u32::from(libc::RTM_SETLINK) | header_flags << 16;
    let request = [[16 + body.len() as u32, kind, 1, 0].map(u32::to_ne_bytes).concat(), body].concat();

    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointer is passed.
    let socket = Errno::result(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) })?;
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    nix::unistd::write(&socket, &request)?;
    let mut answer = [0; 4096];
    nix::unistd::read(&socket, &mut answer)?;
    // A header of 16 bytes, then the error, negative.
    let error = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if error != 0 { Err(std::io::Error::from_raw_os_error(-error).into()) } else { Ok(()) }
}

/// Loads `return XDP_PASS`.
fn load() -> Result<OwnedFd> {
    /// The beginning of the part of `union bpf_attr` that BPF_PROG_LOAD takes (linux/bpf.h).
    #[repr(C)]
    #[derive(Default)]
    struct Load {
        program_type: u32,
        instructions: u32,
        code: u64,
        license: u64,
        rest: [u64; 6],
    }
    const BPF_PROG_LOAD: i32 = 5;
    const BPF_PROG_TYPE_XDP: u32 = 6;
    // r0 = 2 (BPF_ALU64 | BPF_MOV | BPF_K); exit (BPF_JMP | BPF_EXIT).
    let code: [u64; 2] = [0x0000_0002_0000_00b7, 0x95];
    let load = Load {
        program_type: BPF_PROG_TYPE_XDP,
        instructions: code.len() as u32,
        code: code.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        rest: [0; 6],
    };
    // SAFETY: the attributes and what they point to live until the call returns, and the size is theirs.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const load, size_of::<Load>()) };
    let fd = Errno::result(fd).context("can't load a program")?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
