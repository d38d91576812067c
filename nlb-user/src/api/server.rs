//! Connections: who may have one, for how long, and how they end.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::timeout,
};
use tracing::{debug, warn};

use super::{Backend, Error, Listen, SharedKeys, Tls, handler::Handler, stall::Stall};
use crate::{audit::Audit, model::Account};

/// How long to wait after a connection could not be accepted: the next one would fail as well.
const PAUSE: Duration = Duration::from_millis(100);

/// Sizes and times.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Bytes of a request's line and headers.
    pub head: usize,
    /// Bytes of a body.
    pub body: u64,
    /// From the beginning of a connection, or the end of its last answer, until a request's headers are there. So long
    /// a connection can be idle, too.
    pub head_time: Duration,
    /// Until the body is there.
    pub body_time: Duration,
    /// Until the backend answers.
    pub call: Duration,
    /// Until the client takes more of an answer.
    pub write_time: Duration,
    /// Until a TLS handshake is done.
    pub handshake: Duration,
    /// Until requests are answered when the server is stopped.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: 64 << 10,
            body: 1 << 20,
            head_time: Duration::from_secs(30),
            body_time: Duration::from_secs(30),
            call: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            handshake: Duration::from_secs(10),
            grace: Duration::from_secs(10),
        }
    }
}

/// Where and for whom the API is served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where.
    pub listen: Listen,
    /// Whose resources these are.
    pub account: Account,
    /// Sizes and times.
    pub limits: Limits,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    No,
    /// No new connections and requests.
    Gently,
    /// At once.
    Now,
}

/// The API, being served. Dropped, it ends at once; calls that were begun still run.
pub struct Server {
    addresses: Vec<SocketAddr>,
    grace: Duration,
    stop: watch::Sender<Stop>,
    /// Closed when nothing is left that was begun.
    alive: mpsc::Receiver<()>,
}

/// Serves the API.
///
/// # Errors
/// If it must not, or cannot, be served at an address.
pub async fn serve<B: Backend>(
    settings: Settings,
    keys: SharedKeys,
    backend: B,
    audit: Option<Audit>,
) -> Result<Server, Error> {
    let Settings { listen, account, limits } = settings;
    let listeners = listen.bind().await?;
    let addresses = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let (stop, stopping) = watch::channel(Stop::No);
    let (sender, alive) = mpsc::channel(1);
    let slots = Arc::new(Semaphore::new(limits.connections));
    let grace = limits.grace;
    let handler = Arc::new(Handler { backend, keys, account, audit, limits, tls: listen.tls.is_some() });
    for listener in listeners {
        let connections = Connections {
            handler: Arc::clone(&handler),
            tls: listen.tls.clone(),
            slots: Arc::clone(&slots),
            stopping: stopping.clone(),
            alive: sender.clone(),
        };
        tokio::spawn(connections.accept(listener));
    }
    Ok(Server { addresses, grace, stop, alive })
}

impl Server {
    /// The addresses that it is served at, with the ports that were chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends it: nothing new is taken, what was begun is answered, for as long as the settings say.
    pub async fn stop(mut self) {
        self.stop.send_replace(Stop::Gently);
        if timeout(self.grace, self.alive.recv()).await.is_err() {
            warn!("calls of the API have not ended within {} s and get no answer", self.grace.as_secs());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(Stop::Now);
    }
}

/// Waits until the server is to stop like this, or has gone away.
async fn reached(stopping: &mut watch::Receiver<Stop>, stop: Stop) {
    // An error is the server gone without a word.
    let _ = stopping.wait_for(|now| *now >= stop).await;
}

struct Connections<B> {
    handler: Arc<Handler<B>>,
    tls: Option<Tls>,
    slots: Arc<Semaphore>,
    stopping: watch::Receiver<Stop>,
    alive: mpsc::Sender<()>,
}

impl<B: Backend> Connections<B> {
    async fn accept(mut self, listener: TcpListener) {
        loop {
            let accepted = async {
                // The semaphore is never closed.
                let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
                Some((listener.accept().await, slot))
            };
            let accepted = tokio::select! {
                accepted = accepted => accepted,
                () = reached(&mut self.stopping, Stop::Gently) => return,
            };
            match accepted {
                Some((Ok((stream, peer)), slot)) => drop(tokio::spawn(self.connection(stream, peer, slot))),
                Some((Err(error), _)) => {
                    warn!("cannot accept connections to the API: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
                None => return,
            }
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        slot: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send + use<B> {
        let (handler, stopping, alive) = (Arc::clone(&self.handler), self.stopping.clone(), self.alive.clone());
        let acceptor = self.tls.as_ref().map(Tls::acceptor);
        async move {
            let _slot = slot;
            // Answers are small, and go out in one piece.
            if let Err(error) = stream.set_nodelay(true) {
                debug!("{peer}: {error}");
            }
            let (patience, mut now) = (handler.limits.write_time, stopping.clone());
            let stream = Stall::new(stream, patience);
            let served = async {
                let Some(acceptor) = acceptor else { return drive(stream, peer, handler, stopping, alive).await };
                match timeout(handler.limits.handshake, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => drive(stream, peer, handler, stopping, alive).await,
                    Ok(Err(error)) => debug!("{peer}: no TLS: {error}"),
                    Err(_) => debug!("{peer}: no TLS handshake in time"),
                }
            };
            tokio::select! {
                () = served => {}
                () = reached(&mut now, Stop::Now) => {}
            }
        }
    }
}

async fn drive<B: Backend>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    handler: Arc<Handler<B>>,
    mut stopping: watch::Receiver<Stop>,
    alive: mpsc::Sender<()>,
) {
    let limits = handler.limits.clone();
    let service = service_fn(move |request| {
        let response = Arc::clone(&handler).respond(request, peer, alive.clone());
        async { Ok::<_, Infallible>(response.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_header_size(limits.head)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = reached(&mut stopping, Stop::Gently) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!("{peer}: {error}");
    }
}
