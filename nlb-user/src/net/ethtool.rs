//! What only the ethtool ioctl tells: the driver, large receive offload, and the number of queues.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// `ETHTOOL_GDRVINFO` and its relatives (linux/ethtool.h).
const GET_DRIVER: u32 = 0x3;
const GET_FLAGS: u32 = 0x25;
const GET_CHANNELS: u32 = 0x3c;
/// `ETH_FLAG_LRO`.
const FLAG_LRO: u32 = 1 << 15;
/// `SIOCETHTOOL` (linux/sockios.h).
const SIOCETHTOOL: u64 = 0x8946;

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    cmd: u32,
    driver: [u8; 32],
    _rest: [u8; 160],
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    cmd: u32,
    data: u32,
}

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct RawChannels {
    cmd: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// How many queues packets are received on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Queues {
    /// Now.
    pub(super) now: u32,
    /// At most.
    pub(super) max: u32,
}

/// The driver's name; `None` for interfaces that don't say.
pub(super) fn driver(name: &str) -> Option<String> {
    let mut info = DriverInfo { cmd: GET_DRIVER, driver: [0; 32], _rest: [0; 160] };
    ask(name, &mut info)?;
    let end = info.driver.iter().position(|&byte| byte == 0).unwrap_or(info.driver.len());
    Some(String::from_utf8_lossy(&info.driver[..end]).into_owned()).filter(|driver| !driver.is_empty())
}

/// Whether the interface merges received packets (large receive offload).
pub(super) fn lro(name: &str) -> Option<bool> {
    let mut value = Value { cmd: GET_FLAGS, data: 0 };
    ask(name, &mut value)?;
    Some(value.data & FLAG_LRO != 0)
}

/// The receive queues; `None` if their number is fixed.
pub(super) fn queues(name: &str) -> Option<Queues> {
    let mut channels = RawChannels { cmd: GET_CHANNELS, ..RawChannels::default() };
    ask(name, &mut channels)?;
    Some(Queues { now: channels.rx + channels.combined, max: channels.max_rx.max(channels.max_combined) })
}

/// Does the ioctl; `None` if the interface or its driver knows no answer. `T` is the structure of its command.
fn ask<T>(name: &str, question: &mut T) -> Option<()> {
    let socket: OwnedFd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).ok()?;
    // SAFETY: `ifreq` is made of integers, arrays and a pointer, for which zeros are valid values.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero.
    let room = request.ifr_name.len() - 1;
    if name.len() > room {
        return None;
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(question).cast();
    // SAFETY: the kernel reads the request, and writes no more than the structure that belongs to the command in the
    // first word of `question`, which `T` is; both outlive the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    (result == 0).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!(size_of::<DriverInfo>(), 196);
        assert_eq!(size_of::<RawChannels>(), 36);
    }

    #[test]
    fn unknown_interfaces_have_no_driver() {
        assert_eq!(driver("nlb-none"), None);
        assert_eq!(driver("a-name-longer-than-interfaces-have"), None);
        assert_eq!(queues("nlb-none"), None);
    }
}
