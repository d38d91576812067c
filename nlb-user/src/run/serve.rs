//! The controller's loop: one task that owns data plane, store and desired state, so that nothing needs a lock.
//!
//! What takes time (probing for addresses, resolving next hops, sweeping flows) runs elsewhere and reports back. An
//! answer to a change waits for what the change needs: its addresses claimed and its targets' next hops known.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
    task::JoinError,
    time::MissedTickBehavior,
};
use tracing::{error, info, warn};

use super::{
    controller::{ChangeError, Controller},
    jobs::{Done, Jobs},
    sweeper::Swept,
};
use crate::{
    cli::failure,
    control::{Answer, Applied, Request, server::Call},
    dataplane::Dataplane,
    serving::read_text,
    store::legacy::Store,
};

/// How often everything is compared and asked for again, whether anything is known to have changed or not.
const TICK: Duration = Duration::from_secs(10);
/// How long an answer waits for addresses and next hops.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer that waits.
struct Waiting {
    addresses: BTreeSet<IpAddr>,
    resolve: u64,
    until: Instant,
    applied: Applied,
    answer: oneshot::Sender<Answer>,
}

/// The signals that the loop listens to. One that comes before they are received ends the process.
pub struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Receives them from now on.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn receive() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// The loop's state.
pub struct Loop<S> {
    controller: Controller<S>,
    dataplane: Dataplane,
    jobs: Jobs,
    file: Option<PathBuf>,
    started: Instant,
    waiting: Vec<Waiting>,
    trouble: Option<String>,
}

impl<S: Store> Loop<S> {
    /// A loop that is about to begin. `file` is what SIGHUP reads again.
    pub fn new(controller: Controller<S>, dataplane: Dataplane, jobs: Jobs, file: Option<PathBuf>) -> Self {
        Self { controller, dataplane, jobs, file, started: Instant::now(), waiting: Vec::new(), trouble: None }
    }

    /// Claims the addresses and resolves the next hops for the first time, and writes what comes of it.
    pub async fn prepare(&mut self) {
        let first = self.jobs.want_hops();
        self.refresh(true);
        let until = Instant::now() + PATIENCE;
        let addresses = self.all_addresses();
        while (!self.jobs.has_resolved(first) || self.controller.addresses.is_open(&addresses))
            && Instant::now() < until
        {
            match tokio::time::timeout(until - Instant::now(), self.jobs.next()).await {
                Ok(Some(done)) => self.done(done),
                Ok(None) | Err(_) => break,
            }
        }
        self.reconcile();
    }

    /// Runs until the process is told to stop.
    pub async fn run(
        &mut self,
        mut calls: mpsc::Receiver<Call>,
        mut sweeps: mpsc::Receiver<Swept>,
        mut signals: Signals,
    ) {
        let mut changes = self.jobs.net().changes();
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let patience = self.waiting.iter().map(|waiting| waiting.until).min();
            tokio::select! {
                Some(call) = calls.recv() => self.call(call),
                Some(done) = self.jobs.next() => self.done(done),
                Some(()) = changes.next() => {
                    self.jobs.want_hops();
                    // A link that went down may have taken addresses with it.
                    self.refresh(true);
                }
                Some(swept) = sweeps.recv() => { self.controller.swept(swept.live_targets, swept.began); }
                _ = tick.tick() => {
                    self.jobs.want_hops();
                    self.refresh(true);
                    self.refresh_ports();
                    self.reconcile();
                }
                _ = signals.hangup.recv() => self.reload_on_signal(),
                () = sleep_until(patience) => {}
                _ = signals.terminate.recv() => break info!("told to stop (SIGTERM)"),
                _ = signals.interrupt.recv() => break info!("told to stop (SIGINT)"),
            }
            self.answer_waiting();
        }
    }

    /// Gives all addresses up.
    pub async fn release(&mut self) {
        self.jobs.end(self.all_addresses()).await;
    }

    fn call(&mut self, call: Call) {
        match &call.request {
            Request::Status => {
                let status = Answer::Status(Box::new(self.controller.desired(self.started)));
                // A command that has gone away needs no answer.
                let _ = call.answer.send(status);
            }
            // Taken over by the loop that runs operations.
            Request::Call { operation, .. } => {
                let message = format!("this controller does not run {operation}");
                let _ = call.answer.send(Answer::Fault { code: "ServiceUnavailable".to_owned(), message });
            }
            Request::Reload => match self.reread() {
                Ok(request) => self.change(&request, call.answer),
                Err(problem) => refuse(call.answer, &problem),
            },
            request => self.change(request, call.answer),
        }
    }

    fn change(&mut self, request: &Request, answer: oneshot::Sender<Answer>) {
        let dry_run = matches!(request, Request::Apply { dry_run: true, .. });
        let known = self.controller.config().warnings();
        let outcome = self.controller.after(request);
        let outcome = outcome.and_then(|new| self.controller.change(self.dataplane.maps(), new, dry_run));
        match outcome {
            Ok(applied) if dry_run => {
                let _ = answer.send(Answer::Applied(applied));
            }
            Ok(mut applied) => {
                if !matches!(request, Request::Apply { .. }) {
                    // Who changes a target is not told again what is odd about the rest.
                    applied.warnings.retain(|warning| !known.contains(warning));
                }
                let resolve = if self.controller.knows_all_hops() { 0 } else { self.jobs.want_hops() };
                let addresses = match request {
                    Request::Apply { .. } => self.all_addresses(),
                    _ => BTreeSet::new(),
                };
                self.refresh(false);
                self.waiting.push(Waiting { addresses, resolve, until: Instant::now() + PATIENCE, applied, answer });
            }
            Err(error) => {
                if matches!(error, ChangeError::Unfinished { .. }) {
                    self.refresh(false);
                }
                refuse(answer, &failure::text(&error));
            }
        }
    }

    /// Sends the answers whose changes have all they need, or have waited long enough.
    fn answer_waiting(&mut self) {
        let now = Instant::now();
        for mut waiting in std::mem::take(&mut self.waiting) {
            let ready =
                !self.controller.addresses.is_open(&waiting.addresses) && self.jobs.has_resolved(waiting.resolve);
            if !ready && now < waiting.until {
                self.waiting.push(waiting);
                continue;
            }
            waiting.applied.failed = self.controller.addresses.failed(self.controller.config());
            waiting.applied.failed.retain(|failed| waiting.addresses.contains(&failed.address));
            let _ = waiting.answer.send(Answer::Applied(waiting.applied));
        }
    }

    fn reload_on_signal(&mut self) {
        let (answer, _) = oneshot::channel();
        let request = self.reread();
        let outcome = request.and_then(|request| {
            self.controller.after(&request).map(|_| request).map_err(|error| failure::text(&error))
        });
        match outcome {
            Ok(request) => {
                info!("reading the desired state again (SIGHUP)");
                self.change(&request, answer);
            }
            Err(problem) => problem.lines().for_each(|line| error!("nothing is changed (SIGHUP): {line}")),
        }
    }

    fn reread(&self) -> Result<Request, String> {
        let Some(path) = &self.file else {
            return Err("there is no file to read again: the controller was started without --apply".to_owned());
        };
        let json = read_text(path).map_err(|error| failure::text(&error))?;
        Ok(Request::Apply { json, file: path.display().to_string(), dry_run: false })
    }

    /// Takes in what a task reports, and all others that have something to report by now: the maps are compared once.
    fn done(&mut self, first: Result<Done, JoinError>) {
        let (mut next, mut stale) = (Some(first), false);
        while let Some(done) = next {
            match done {
                Ok(done) => stale |= self.take_in(done),
                Err(error) => error!("a task of the controller failed: {error}"),
            }
            next = self.jobs.try_next();
        }
        if stale {
            self.reconcile();
        }
        self.refresh(false);
    }

    /// Whether the report may change the maps.
    fn take_in(&mut self, done: Done) -> bool {
        match done {
            Done::Claimed(outcomes) => {
                let (addresses, now) = (&mut self.controller.addresses, Instant::now());
                outcomes
                    .into_iter()
                    .fold(false, |stale, (address, outcome)| addresses.claimed(address, outcome, now) | stale)
            }
            Done::Released(address) => {
                self.controller.addresses.released(address);
                false
            }
            Done::Resolved(resolutions) => {
                self.controller.resolved(resolutions);
                true
            }
        }
    }

    /// Starts what is to be claimed, released and resolved.
    fn refresh(&mut self, confirm: bool) {
        let addresses = &mut self.controller.addresses;
        self.jobs.claim(addresses.take_unclaimed(Instant::now(), confirm));
        self.jobs.release(addresses.take_unwanted());
        self.jobs.resolve(|| self.controller.target_addresses());
    }

    /// Makes the maps what they should be. Trouble is logged when it begins, when it changes and when it ends.
    fn reconcile(&mut self) {
        let trouble = self.controller.reconcile(self.dataplane.maps()).err().map(|error| failure::text(&error));
        if trouble != self.trouble {
            match &trouble {
                Some(text) => error!("the maps are not up to date: {text}"),
                None => info!("the maps are up to date again"),
            }
            self.trouble = trouble;
        }
    }

    /// Tells the program which ports the host's own sockets have.
    fn refresh_ports(&mut self) {
        if let Err(error) = super::start::refresh_ports(&mut self.dataplane) {
            warn!("{}", failure::text(error.as_ref()));
        }
    }

    fn all_addresses(&self) -> BTreeSet<IpAddr> {
        self.controller.config().load_balancers.iter().flat_map(|it| &it.addresses).copied().collect()
    }
}

fn refuse(answer: oneshot::Sender<Answer>, problem: &str) {
    let _ = answer.send(Answer::Refused(problem.lines().map(str::to_owned).collect()));
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
