//! The node's data plane as the loop sees it: the maps, the jobs that watch the network, and the sweeper.

use futures_util::{StreamExt as _, stream::BoxStream};
use tokio::{sync::mpsc, task::JoinError};

use super::{
    jobs::{Done, Jobs},
    sweeper::Swept,
};
use crate::dataplane::Dataplane;

/// The data plane and what reports about it.
pub struct Plane {
    /// The maps.
    pub dataplane: Dataplane,
    /// What runs beside the loop.
    pub jobs: Jobs,
    sweeps: mpsc::Receiver<Swept>,
    changes: BoxStream<'static, ()>,
}

/// What happened around the data plane.
pub enum Event {
    /// A job reports.
    Job(Result<Done, JoinError>),
    /// Links, addresses, routes or neighbours have changed.
    Network,
    /// The flows were swept.
    Swept(Swept),
}

impl Plane {
    /// A data plane that is attached.
    pub fn new(dataplane: Dataplane, jobs: Jobs, sweeps: mpsc::Receiver<Swept>) -> Self {
        let changes = jobs.net().changes().boxed();
        Self { dataplane, jobs, sweeps, changes }
    }

    /// The next event.
    pub async fn event(&mut self) -> Event {
        tokio::select! {
            Some(done) = self.jobs.next() => Event::Job(done),
            Some(()) = self.changes.next() => Event::Network,
            Some(swept) = self.sweeps.recv() => Event::Swept(swept),
            else => std::future::pending().await,
        }
    }
}
