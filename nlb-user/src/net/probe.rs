//! Asking the link whether an address is taken, and telling it that it is ours.

use std::{io, net::IpAddr, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use super::{Mac, frames, packet::PacketSocket};

/// Probes sent (RFC 5227 section 1.1, `PROBE_NUM`).
const PROBES: u32 = 3;
/// From one probe to the next, and from the last to the verdict. The RFC takes 1 to 2 s, made for links of its time;
/// a host that doesn't answer within this on a data centre's link will defend its address once we announce ours.
const INTERVAL: Duration = Duration::from_millis(200);
/// Announcements sent (RFC 5227 section 1.1, `ANNOUNCE_NUM`).
const ANNOUNCEMENTS: u32 = 2;
/// Between announcements, so that one burst of loss doesn't take both.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(100);
/// Longer than any frame that is read.
const FRAME: usize = 128;

/// Who else uses the address on the link; `None` after 0.6 s of silence. `own` is the interface's Ethernet address.
pub(super) async fn probe(ifindex: u32, own: Mac, address: IpAddr) -> io::Result<Option<Mac>> {
    let socket = PacketSocket::open(ifindex, address)?;
    if let IpAddr::V6(address) = address {
        // A rival's probes go to the group of the address, which nobody on this node listens to yet.
        socket.join(frames::multicast_mac(frames::solicited_node(address)))?;
    }
    for _ in 0..PROBES {
        match address {
            IpAddr::V4(address) => socket.send(&frames::arp_probe(own, address)).await?,
            IpAddr::V6(address) => socket.send(&frames::neighbour_solicitation(own, address)).await?,
        }
        if let Some(other) = listen(&socket, own, address, Instant::now() + INTERVAL).await? {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

/// The first other host to claim the address before `deadline`.
async fn listen(socket: &PacketSocket, own: Mac, address: IpAddr, deadline: Instant) -> io::Result<Option<Mac>> {
    let mut buffer = [0; FRAME];
    while let Ok(received) = timeout_at(deadline, socket.receive(&mut buffer)).await {
        let frame = &buffer[..received?];
        // Our own frames come back too: from the socket's own tap, and from a link that reflects them.
        if let Some(other) = frames::claimant(frame, address).filter(|other| *other != own) {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

/// Tells the link that the address is at `own` now.
pub(super) async fn announce(ifindex: u32, own: Mac, address: IpAddr) -> io::Result<()> {
    let socket = PacketSocket::open(ifindex, address)?;
    for number in 0..ANNOUNCEMENTS {
        if number > 0 {
            sleep(ANNOUNCE_INTERVAL).await;
        }
        match address {
            IpAddr::V4(address) => socket.send(&frames::arp_announcement(own, address)).await?,
            IpAddr::V6(address) => socket.send(&frames::neighbour_advertisement(own, address)).await?,
        }
    }
    Ok(())
}
