//! Asking a link whether addresses are taken, and telling it that they are ours.
//!
//! All addresses of a family share one socket and one wait.

use std::{collections::HashMap, io, net::IpAddr, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Mac,
    frames::{self, Family},
    packet::PacketSocket,
};

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

/// One family's side of a link.
pub(super) struct Prober {
    socket: PacketSocket,
    own: Mac,
}

impl Prober {
    /// On the interface, whose Ethernet address is `own`.
    pub(super) fn open(ifindex: u32, own: Mac, family: Family) -> io::Result<Self> {
        Ok(Self { socket: PacketSocket::open(ifindex, family)?, own })
    }

    /// Those of the addresses that other hosts use, with these hosts. Takes 0.6 s.
    pub(super) async fn probe(&self, addresses: &[IpAddr]) -> io::Result<HashMap<IpAddr, Mac>> {
        let mut taken: HashMap<IpAddr, Mac> = HashMap::new();
        for _ in 0..PROBES {
            for &address in addresses.iter().filter(|address| !taken.contains_key(address)) {
                match address {
                    IpAddr::V4(address) => self.socket.send(&frames::arp_probe(self.own, address)).await?,
                    IpAddr::V6(address) => self.socket.send(&frames::neighbour_solicitation(self.own, address)).await?,
                }
            }
            self.listen(Instant::now() + INTERVAL, addresses, &mut taken).await?;
        }
        Ok(taken)
    }

    /// Notes who claims the addresses until `deadline`, or until all are taken.
    async fn listen(
        &self,
        deadline: Instant,
        addresses: &[IpAddr],
        taken: &mut HashMap<IpAddr, Mac>,
    ) -> io::Result<()> {
        let mut buffer = [0; FRAME];
        while taken.len() < addresses.len() && Instant::now() < deadline {
            let Ok(received) = timeout_at(deadline, self.socket.receive(&mut buffer)).await else { break };
            // Our own frames come back too: from the socket's own tap, and from a link that reflects them.
            if let Some((address, other)) = frames::claimant(&buffer[..received?])
                && other != self.own
                && addresses.contains(&address)
            {
                taken.entry(address).or_insert(other);
            }
        }
        Ok(())
    }

    /// Tells the link, twice, that the addresses are here now.
    pub(super) async fn announce(&self, addresses: &[IpAddr]) -> io::Result<()> {
        for number in 0..ANNOUNCEMENTS {
            if number > 0 {
                sleep(ANNOUNCE_INTERVAL).await;
            }
            for &address in addresses {
                match address {
                    IpAddr::V4(address) => self.socket.send(&frames::arp_announcement(self.own, address)).await?,
                    IpAddr::V6(address) => {
                        self.socket.send(&frames::neighbour_advertisement(self.own, address)).await?;
                    }
                }
            }
        }
        Ok(())
    }
}
