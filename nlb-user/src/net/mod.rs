//! The node's network as the kernel knows it: interfaces, next hops, and the addresses claimed for load balancers.
//!
//! Everything is asked of, and told to, the kernel over netlink. What netlink has no word for (probing an address
//! before using it, announcing it) are Ethernet frames, built in `frames` and sent on a packet socket.
//! The rest of the controller sees [`Net`], [`Interface`], [`Resolution`], [`Claim`] and [`preflight`].

mod claim;
mod error;
mod ethtool;
mod events;
mod frames;
mod hops;
mod interfaces;
mod neighbours;
mod packet;
mod preflight;
mod probe;
mod rtnl;

use std::{collections::HashMap, net::IpAddr};

use futures_util::{Stream, stream};
use tokio::{sync::watch, task::AbortHandle};

pub use claim::Claim;
pub use error::NetError;
pub use hops::Resolution;
pub use interfaces::Interface;
pub use preflight::{Finding, Severity, preflight, privileges};

/// An Ethernet address.
pub type Mac = [u8; 6];

/// An Ethernet address as people write it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MacText(pub Mac);

impl std::fmt::Display for MacText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The kernel's network configuration, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Net {
    rtnl: rtnl::Rtnl,
    changed: watch::Receiver<u64>,
    events: AbortHandle,
}

impl Net {
    /// Connects to the kernel and begins to watch for changes. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`NetError::Open`] if the kernel gives no netlink socket.
    pub async fn open() -> Result<Net, NetError> {
        let rtnl = rtnl::Rtnl::open().map_err(NetError::Open)?;
        let (changed, events) = events::watch().map_err(NetError::Open)?;
        Ok(Net { rtnl, changed, events })
    }

    /// All interfaces, in the order of their index.
    ///
    /// # Errors
    /// [`NetError::Query`] if the kernel doesn't answer.
    pub async fn interfaces(&self) -> Result<Vec<Interface>, NetError> {
        interfaces::all(&self.rtnl).await
    }

    /// The interface of that name.
    ///
    /// # Errors
    /// [`NetError::NoSuchInterface`], which says which there are; [`NetError::Query`] if the kernel doesn't answer.
    pub async fn interface(&self, name: &str) -> Result<Interface, NetError> {
        let all = self.interfaces().await?;
        let existing: Vec<String> = all.iter().map(|interface| interface.name.clone()).collect();
        all.into_iter()
            .find(|interface| interface.name == name)
            .ok_or_else(|| NetError::NoSuchInterface { name: name.to_owned(), existing })
    }

    /// The next hop of each address: by the kernel's routes, then its neighbour table.
    ///
    /// The kernel is asked to resolve the neighbours that it doesn't know, which are given half a second for all of
    /// them, and to confirm those it has not heard of lately, which are used meanwhile: traffic that the XDP program
    /// forwards doesn't keep an entry alive. Every address has an answer.
    pub async fn resolve(&self, addresses: impl IntoIterator<Item = IpAddr>) -> HashMap<IpAddr, Resolution> {
        hops::resolve(&self.rtnl, addresses.into_iter().collect()).await
    }

    /// An item each time that [`Net::resolve`] may have a new answer: a neighbour got another Ethernet address,
    /// appeared or was lost; routes, links or addresses changed; or entries wait to be confirmed.
    ///
    /// Events are gathered: at most two items a second.
    pub fn changes(&self) -> impl Stream<Item = ()> + Send + Unpin + use<> {
        let mut changed = self.changed.clone();
        changed.mark_unchanged();
        Box::pin(stream::unfold(changed, async |mut changed| changed.changed().await.ok().map(|()| ((), changed))))
    }

    /// Makes `address` one of this node's, on the interface, and tells the network.
    ///
    /// An address that the node has already, from an earlier controller or from its operator, is left as it is, which
    /// takes no time: claim again whatever should be there after links changed, since the kernel drops IPv6
    /// addresses of a link that goes down. One claimed on another interface moves to this one. Any other is probed for
    /// first, where the link has neighbours: it takes 0.7 s.
    ///
    /// # Errors
    /// [`NetError::Down`], [`NetError::Duplicate`], [`NetError::Probe`], [`NetError::Add`], [`NetError::Announce`],
    /// [`NetError::Remove`], [`NetError::Query`].
    pub async fn claim(&self, ifindex: u32, address: IpAddr) -> Result<Claim, NetError> {
        self.claim_all(ifindex, &[address]).await?.remove(&address).expect("every address has an answer")
    }

    /// [`Net::claim`] of many addresses, in the time of one; each has its own answer.
    ///
    /// # Errors
    /// [`NetError::Query`] if the kernel doesn't answer or there is no such interface: nothing was claimed.
    pub async fn claim_all(
        &self,
        ifindex: u32,
        addresses: &[IpAddr],
    ) -> Result<HashMap<IpAddr, Result<Claim, NetError>>, NetError> {
        claim::claim(&self.rtnl, ifindex, addresses).await
    }

    /// Gives up an address that [`Net::claim`] added to the interface, in this life of the controller or an earlier
    /// one. An address that somebody else configured stays; one that isn't there is no error.
    ///
    /// # Errors
    /// [`NetError::Remove`] or [`NetError::Query`].
    pub async fn release(&self, ifindex: u32, address: IpAddr) -> Result<(), NetError> {
        claim::release(&self.rtnl, ifindex, address).await
    }

    /// Tells the network, twice, that the address is here (gratuitous ARP, unsolicited neighbour advertisement).
    /// Does nothing on a link that has no such thing.
    ///
    /// # Errors
    /// [`NetError::Down`], [`NetError::Announce`] or [`NetError::Query`].
    pub async fn announce(&self, ifindex: u32, address: IpAddr) -> Result<(), NetError> {
        claim::announce(&interfaces::one(&self.rtnl, ifindex).await?, address).await
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.events.abort();
    }
}
