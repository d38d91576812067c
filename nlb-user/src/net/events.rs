//! Watching the kernel for changes that may move a next hop.

use std::{collections::HashMap, io, time::Duration};

use futures_util::StreamExt;
use rtnetlink::{MulticastGroup, packet_core::NetlinkPayload, packet_route::RouteNetlinkMessage};
use tokio::{
    sync::watch::{self, Receiver, Sender},
    task::AbortHandle,
    time::{Instant, sleep, timeout_at},
};

use super::{
    Mac,
    neighbours::{self, Key, Standing},
};

const GROUPS: [MulticastGroup; 6] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];

/// From the first event of a burst to the item.
const GATHER: Duration = Duration::from_millis(100);
/// From one item to the next, however much happens.
const GAP: Duration = Duration::from_millis(500);
/// How long entries that ask to be confirmed are gathered. The kernel keeps them for a minute at least.
const CONFIRM: Duration = Duration::from_secs(5);
/// Before watching anew after the socket was lost.
const REOPEN: Duration = Duration::from_secs(1);

/// How soon an event has to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Urgency {
    /// A next hop may be wrong.
    Now,
    /// A neighbour wants to be confirmed.
    Soon,
    /// Nothing that a next hop depends on.
    Never,
}

/// Begins to watch, in the calling thread's network namespace; the number counts the changes.
pub(super) fn watch() -> io::Result<(Receiver<u64>, AbortHandle)> {
    let first = subscribe()?;
    let (sender, receiver) = watch::channel(0);
    let task = tokio::spawn(async move {
        let mut events = first;
        loop {
            follow(&mut events, &sender).await;
            // Not seen in practice: the socket broke, or the kernel sent what can't be parsed.
            tracing::warn!("the stream of network changes broke; watching anew");
            sleep(REOPEN).await;
            if let Ok(again) = subscribe() {
                events = again;
            }
            sender.send_modify(|count| *count += 1);
        }
    });
    Ok((receiver, task.abort_handle()))
}

type Payload = NetlinkPayload<RouteNetlinkMessage>;

/// A subscription; its connection ends with it.
struct Events {
    payloads: std::pin::Pin<Box<dyn futures_util::Stream<Item = Payload> + Send>>,
    connection: AbortHandle,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn subscribe() -> io::Result<Events> {
    let (connection, _handle, messages) = rtnetlink::new_multicast_connection(&GROUPS)?;
    let connection = tokio::spawn(connection).abort_handle();
    Ok(Events { payloads: Box::pin(messages.map(|(message, _)| message.payload)), connection })
}

/// Tells of changes until the subscription ends.
async fn follow(events: &mut Events, sender: &Sender<u64>) {
    let mut known = HashMap::new();
    let mut last = Instant::now() - GAP;
    let mut due: Option<Instant> = None;
    loop {
        let payload = match due {
            None => events.payloads.next().await,
            Some(due_at) => match timeout_at(due_at, events.payloads.next()).await {
                Ok(payload) => payload,
                Err(_) => {
                    sender.send_modify(|count| *count += 1);
                    last = Instant::now();
                    due = None;
                    continue;
                }
            },
        };
        let Some(payload) = payload else { return };
        let at = match urgency(&payload, &mut known) {
            Urgency::Now => (Instant::now() + GATHER).max(last + GAP),
            Urgency::Soon => Instant::now() + CONFIRM,
            Urgency::Never => continue,
        };
        due = Some(due.map_or(at, |due| due.min(at)));
    }
}

/// How soon to tell of it, and what is known of neighbours after it.
fn urgency(payload: &Payload, known: &mut HashMap<Key, Option<Mac>>) -> Urgency {
    let message = match payload {
        NetlinkPayload::InnerMessage(message) => message,
        // Events were lost.
        NetlinkPayload::Overrun(_) => {
            known.clear();
            return Urgency::Now;
        }
        _ => return Urgency::Never,
    };
    match message {
        RouteNetlinkMessage::NewNeighbour(neighbour) => match neighbours::read(neighbour) {
            Some((key, standing)) => neighbour_urgency(known, key, standing),
            None => Urgency::Never,
        },
        RouteNetlinkMessage::DelNeighbour(neighbour) => match neighbours::read(neighbour) {
            // One that never answered was forgotten; nobody used it.
            Some((key, _)) if known.remove(&key) == Some(None) => Urgency::Never,
            Some(_) => Urgency::Now,
            None => Urgency::Never,
        },
        _ => Urgency::Now,
    }
}

fn neighbour_urgency(known: &mut HashMap<Key, Option<Mac>>, key: Key, standing: Standing) -> Urgency {
    // While the kernel asks, nothing is decided yet.
    if standing == Standing::Asked {
        return Urgency::Never;
    }
    match (known.insert(key, standing.mac()) == Some(standing.mac()), standing) {
        (false, _) => Urgency::Now,
        (true, Standing::Stale(_)) => Urgency::Soon,
        (true, _) => Urgency::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_move_a_next_hop_is_urgent() {
        let mut known = HashMap::new();
        let key = (2, std::net::IpAddr::from([10, 0, 1, 11]));
        let (one, other) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let mut see = |standing| neighbour_urgency(&mut known, key, standing);
        assert_eq!(see(Standing::Asked), Urgency::Never);
        assert_eq!(see(Standing::Fresh(one)), Urgency::Now, "it answered");
        assert_eq!(see(Standing::Fresh(one)), Urgency::Never);
        assert_eq!(see(Standing::Stale(one)), Urgency::Soon, "it wants to be confirmed");
        assert_eq!(see(Standing::Fresh(one)), Urgency::Never);
        assert_eq!(see(Standing::Fresh(other)), Urgency::Now, "it moved");
        assert_eq!(see(Standing::Silent), Urgency::Now, "it is lost");
        assert_eq!(see(Standing::Asked), Urgency::Never);
        assert_eq!(see(Standing::Silent), Urgency::Never, "it is still lost");
        assert_eq!(see(Standing::Stale(one)), Urgency::Now, "it is back");
    }

    #[test]
    fn lost_events_count_as_a_change() {
        let mut known = HashMap::from([((2, std::net::IpAddr::from([10, 0, 1, 11])), None)]);
        assert_eq!(urgency(&NetlinkPayload::Overrun(Vec::new()), &mut known), Urgency::Now);
        assert!(known.is_empty());
    }
}
