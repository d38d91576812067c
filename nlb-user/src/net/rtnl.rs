//! One way to ask the kernel something over netlink, with a bound on the wait.

use std::{io, time::Duration};

use futures_util::StreamExt;
use rtnetlink::{
    Handle,
    packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::RouteNetlinkMessage,
};
use tokio::{sync::Mutex, task::AbortHandle};

/// How long the kernel has for an answer. It takes microseconds; only an answer lost for want of socket buffer
/// takes longer, and that one would never come.
const ANSWER: Duration = Duration::from_secs(2);

/// A connection to the kernel.
#[derive(Debug)]
pub(super) struct Rtnl {
    handle: Handle,
    connection: AbortHandle,
    /// The kernel has one dump at a time under way on a socket, and refuses others with EBUSY.
    dumping: Mutex<()>,
}

impl Rtnl {
    /// Opens a socket in the calling thread's network namespace.
    pub(super) fn open() -> io::Result<Self> {
        let (connection, handle, _unsolicited) = rtnetlink::new_connection()?;
        Ok(Self { handle, connection: tokio::spawn(connection).abort_handle(), dumping: Mutex::new(()) })
    }

    /// All answers to a question for a whole table.
    pub(super) async fn dump(&self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        let _one_at_a_time = self.dumping.lock().await;
        self.request(message, NLM_F_REQUEST | NLM_F_DUMP).await
    }

    /// The answer to a question for one thing.
    pub(super) async fn get(&self, message: RouteNetlinkMessage) -> io::Result<RouteNetlinkMessage> {
        let answers = self.request(message, NLM_F_REQUEST).await?;
        answers.into_iter().next().ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    /// Has the kernel do something; `flags` are added to those of every request.
    pub(super) async fn act(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.request(message, NLM_F_REQUEST | NLM_F_ACK | flags).await.map(drop)
    }

    async fn request(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = flags;
        let mut answers = self.handle.clone().request(request).map_err(io::Error::other)?;
        let collect = async {
            let mut collected = Vec::new();
            while let Some(answer) = answers.next().await {
                match answer.payload {
                    NetlinkPayload::InnerMessage(message) => collected.push(message),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    NetlinkPayload::Overrun(_) => return Err(io::Error::from_raw_os_error(libc::ENOBUFS)),
                    _ => {}
                }
            }
            Ok(collected)
        };
        match tokio::time::timeout(ANSWER, collect).await {
            Ok(collected) => collected,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Drop for Rtnl {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
