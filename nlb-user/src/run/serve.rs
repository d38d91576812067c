//! The controller's loop: one task that owns data plane, store and desired state, so that nothing needs a lock.
//!
//! What takes time (probing for addresses, resolving next hops, sweeping flows) runs elsewhere and reports back. A
//! command's answer to a change waits for what the change needs: its addresses claimed and its targets' next hops
//! known. An API call is answered once it is stored and in the maps. Who only looks does not come here: see `view`.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    task::JoinError,
    time::MissedTickBehavior,
};
use tracing::{error, info, warn};

use super::{
    controller::{ChangeError, Controller, Settings},
    jobs::Done,
    plane::{Event, Plane},
    view::View,
};
use crate::{
    cli::failure,
    control::{Answer, Applied, Exported, Request, server::Call},
    manifest,
    model::{Code, Fault},
    node::Node,
    ops,
    reconcile::Maps,
    store::Store,
};

/// How often everything is compared and asked for again, whether anything is known to have changed or not.
const TICK: Duration = Duration::from_secs(10);
/// How often targets whose draining is over are let go.
const SECOND: Duration = Duration::from_secs(1);
/// How long an answer waits for addresses and next hops.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer that waits.
struct Waiting {
    addresses: BTreeSet<IpAddr>,
    resolve: u64,
    until: Instant,
    told: Answer,
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

/// What SIGHUP reads again.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// node.toml, if it was named.
    pub node: Option<PathBuf>,
    /// The file that is the desired state, if there is one.
    pub desired: Option<PathBuf>,
}

/// Told of a node.toml that was read again.
pub type OnReload = Box<dyn FnMut(&Node) + Send>;

/// The loop's state.
pub struct Loop<S> {
    controller: Controller<S>,
    plane: Option<Plane>,
    files: Files,
    on_reload: OnReload,
    view: watch::Sender<Arc<View>>,
    started: Instant,
    waiting: Vec<Waiting>,
    trouble: Option<String>,
}

impl<S: Store> Loop<S> {
    /// A loop that is about to begin; without a plane, nothing is forwarded.
    pub fn new(controller: Controller<S>, plane: Option<Plane>, files: Files, on_reload: OnReload) -> Self {
        let view = watch::Sender::new(Arc::new(controller.view()));
        Self { controller, plane, files, on_reload, view, started: Instant::now(), waiting: Vec::new(), trouble: None }
    }

    /// What those who only look are shown, always up to date.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    /// Claims the addresses and resolves the next hops for the first time, and writes what comes of it.
    pub async fn prepare(&mut self) {
        let Some(plane) = &mut self.plane else { return };
        let first = plane.jobs.want_hops();
        self.refresh(true);
        let until = Instant::now() + PATIENCE;
        let addresses = self.all_addresses();
        while let Some(plane) = &mut self.plane
            && (!plane.jobs.has_resolved(first) || self.controller.addresses.is_open(&addresses))
            && Instant::now() < until
        {
            match tokio::time::timeout(until - Instant::now(), plane.jobs.next()).await {
                Ok(Some(done)) => self.done(done),
                Ok(None) | Err(_) => break,
            }
        }
        self.reconcile();
        self.show();
    }

    /// Runs until the process is told to stop.
    pub async fn run(&mut self, mut calls: mpsc::Receiver<Call>, mut signals: Signals) {
        let mut tick = interval(TICK);
        let mut second = interval(SECOND);
        let mut stored = self.controller.watch();
        loop {
            let patience = self.waiting.iter().map(|waiting| waiting.until).min();
            tokio::select! {
                Some(call) = calls.recv() => self.call(call),
                event = event(self.plane.as_mut()) => self.event(event),
                Ok(()) = stored.changed() => self.reread(*stored.borrow_and_update()),
                _ = second.tick() => self.expire(),
                _ = tick.tick() => {
                    self.look_again();
                    self.refresh_ports();
                    self.reconcile();
                }
                _ = signals.hangup.recv() => self.reload_on_signal(),
                () = sleep_until(patience) => {}
                _ = signals.terminate.recv() => break info!("told to stop (SIGTERM)"),
                _ = signals.interrupt.recv() => break info!("told to stop (SIGINT)"),
            }
            self.show();
            self.answer_waiting();
        }
    }

    /// Gives all addresses up.
    pub async fn release(&mut self) {
        let addresses = self.all_addresses();
        if let Some(plane) = &mut self.plane {
            plane.jobs.end(addresses).await;
        }
    }

    /// Shows the state as it is to those who only look.
    fn show(&self) {
        let view = self.controller.view();
        self.view.send_if_modified(|shown| {
            let same = shown.revision == view.revision
                && shown.observed == view.observed
                && Arc::ptr_eq(&shown.inventory, &view.inventory);
            if !same {
                *shown = Arc::new(view);
            }
            !same
        });
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Job(done) => self.done(done),
            // A link that went down may have taken addresses with it.
            Event::Network => self.look_again(),
            Event::Swept(swept) => {
                self.controller.swept(swept.live_targets, swept.began);
            }
        }
    }

    /// Resolves next hops and confirms addresses again.
    fn look_again(&mut self) {
        if let Some(plane) = &mut self.plane {
            plane.jobs.want_hops();
        }
        self.refresh(true);
    }

    fn call(&mut self, call: Call) {
        let answer = match &call.request {
            Request::Status => Answer::Status(Box::new(self.controller.desired(self.started))),
            Request::Export => {
                let view = self.controller.view();
                let manifest = manifest::export(&view.state);
                Answer::Exported(Exported { revision: view.revision, manifest })
            }
            Request::Reload => match self.reload() {
                Ok(Some(request)) => return self.change(&request, call.answer, true),
                Ok(None) => Answer::Applied(Applied::default()),
                Err(problem) => refused(&problem),
            },
            Request::Call { operation, input } if ops::only_looks(operation) => {
                super::backend::look(&self.controller.view(), operation, input)
            }
            request => return self.change(request, call.answer, call.patient),
        };
        // A command that has gone away needs no answer.
        let _ = call.answer.send(answer);
    }

    fn change(&mut self, request: &Request, answer: oneshot::Sender<Answer>, patient: bool) {
        let dry_run = matches!(request, Request::Apply { dry_run: true, .. });
        let known = self.controller.warnings().to_vec();
        let outcome = self.controller.after(request).and_then(|(new, output)| {
            let maps = self.plane.as_mut().map(|plane| plane.dataplane.maps() as &mut dyn Maps);
            Ok((self.controller.change(maps, new, dry_run)?, output))
        });
        let (mut applied, output) = match outcome {
            Ok(done) => done,
            Err(error) => {
                let unfinished = matches!(error, ChangeError::Unfinished { .. });
                if unfinished {
                    self.refresh(false);
                }
                self.show();
                let _ = answer.send(not_done(request, error));
                return;
            }
        };
        if !matches!(request, Request::Apply { .. }) {
            // Who changes one thing is not told again what is odd about the rest.
            applied.warnings.retain(|warning| !known.contains(warning));
        }
        let told = match request {
            Request::Call { .. } => Answer::Done { output, warnings: applied.warnings },
            _ => Answer::Applied(applied),
        };
        // What was changed is seen by whoever asks after the answer.
        self.show();
        if dry_run || self.plane.is_none() {
            let _ = answer.send(told);
            return;
        }
        let resolve = match (&mut self.plane, self.controller.knows_all_hops()) {
            (Some(plane), false) => plane.jobs.want_hops(),
            _ => 0,
        };
        self.refresh(false);
        if !patient {
            let _ = answer.send(told);
            return;
        }
        let addresses = match request {
            Request::Apply { .. } => self.all_addresses(),
            _ => BTreeSet::new(),
        };
        self.waiting.push(Waiting { addresses, resolve, until: Instant::now() + PATIENCE, told, answer });
    }

    /// Sends the answers whose changes have all they need, or have waited long enough.
    fn answer_waiting(&mut self) {
        let now = Instant::now();
        for mut waiting in std::mem::take(&mut self.waiting) {
            let resolved = self.plane.as_ref().is_none_or(|plane| plane.jobs.has_resolved(waiting.resolve));
            let ready = resolved && !self.controller.addresses.is_open(&waiting.addresses);
            if !ready && now < waiting.until {
                self.waiting.push(waiting);
                continue;
            }
            if let Answer::Applied(applied) = &mut waiting.told {
                applied.failed = self.controller.addresses.failed(self.controller.config());
                applied.failed.retain(|failed| waiting.addresses.contains(&failed.address));
            }
            let _ = waiting.answer.send(waiting.told);
        }
    }

    fn reload_on_signal(&mut self) {
        info!("reading the files again (SIGHUP)");
        let (answer, _) = oneshot::channel();
        let outcome = self.reload().and_then(|request| match request {
            Some(request) => {
                self.controller.after(&request).map(|_| Some(request)).map_err(|error| failure::text(&error))
            }
            None => Ok(None),
        });
        match outcome {
            Ok(Some(request)) => self.change(&request, answer, true),
            Ok(None) => {}
            Err(problem) => problem.lines().for_each(|line| error!("nothing is changed (SIGHUP): {line}")),
        }
    }

    /// Takes up node.toml as it is now; gives the request that the file of the desired state is, if there is one.
    fn reload(&mut self) -> Result<Option<Request>, String> {
        let node = Node::load(self.files.node.as_deref()).map_err(|error| failure::text(&error))?;
        let desired = self.files.desired.as_deref().map(super::read_request).transpose();
        let desired = desired.map_err(|error| failure::text(error.as_ref()))?;
        self.controller.configure(Settings::of(&node));
        (self.on_reload)(&node);
        self.look_again();
        self.reconcile();
        Ok(desired)
    }

    /// Takes up revision `revision` of the store, if somebody else has written it.
    fn reread(&mut self, revision: u64) {
        if self.controller.has(revision) {
            return;
        }
        match self.controller.reread() {
            Ok(true) => {
                info!("the stored state was changed by somebody else: taking it up");
                self.look_again();
                self.reconcile();
            }
            Ok(false) => {}
            Err(error) => error!("{}", failure::text(&error)),
        }
    }

    /// Lets go of targets whose draining is over.
    fn expire(&mut self) {
        let maps = self.plane.as_mut().map(|plane| plane.dataplane.maps() as &mut dyn Maps);
        match self.controller.expire(maps) {
            Ok(true) => self.refresh(false),
            Ok(false) => {}
            Err(error) => warn!("targets stay draining: {}", failure::text(&error)),
        }
    }

    /// Takes in what a task reports, and all others that have something to report by now: the maps are compared once.
    fn done(&mut self, first: Result<Done, JoinError>) {
        let (mut next, mut stale) = (Some(first), false);
        while let Some(done) = next {
            match done {
                Ok(done) => stale |= self.take_in(done),
                Err(error) => error!("a task of the controller failed: {error}"),
            }
            next = self.plane.as_mut().and_then(|plane| plane.jobs.try_next());
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
        let Some(plane) = &mut self.plane else { return };
        let unclaimed = self.controller.addresses.take_unclaimed(Instant::now(), confirm);
        plane.jobs.claim(unclaimed, self.controller.inventory());
        plane.jobs.release(self.controller.addresses.take_unwanted());
        plane.jobs.resolve(|| self.controller.target_addresses());
    }

    /// Makes the maps what they should be. Trouble is logged when it begins, when it changes and when it ends.
    fn reconcile(&mut self) {
        let Some(plane) = &mut self.plane else { return };
        let trouble = self.controller.reconcile(plane.dataplane.maps()).err().map(|error| failure::text(&error));
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
        if let Some(plane) = &mut self.plane
            && let Err(error) = super::start::refresh_ports(&mut plane.dataplane)
        {
            warn!("{}", failure::text(error.as_ref()));
        }
    }

    fn all_addresses(&self) -> BTreeSet<IpAddr> {
        self.controller.config().load_balancers.iter().flat_map(|it| &it.addresses).copied().collect()
    }
}

/// What a caller is told of a change that was not made, or not wholly.
fn not_done(request: &Request, error: ChangeError) -> Answer {
    if !matches!(request, Request::Call { .. }) {
        return refused(&failure::text(&error));
    }
    let code = match &error {
        ChangeError::Fault(fault) => {
            return Answer::Fault { code: fault.code.to_string(), message: fault.message.clone() };
        }
        ChangeError::Refused(_) => Code::ValidationError,
        ChangeError::Plan(_) => Code::InvalidConfigurationRequest,
        // Whoever can do nothing about it is asked to come again.
        ChangeError::Store(_) | ChangeError::Records(_) | ChangeError::Maps(_) | ChangeError::Unfinished { .. } => {
            Code::ServiceUnavailable
        }
    };
    let Fault { code, message } = Fault::new(code, failure::text(&error));
    Answer::Fault { code: code.to_string(), message }
}

fn refused(problem: &str) -> Answer {
    Answer::Refused(problem.lines().map(str::to_owned).collect())
}

fn interval(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn event(plane: Option<&mut Plane>) -> Event {
    match plane {
        Some(plane) => plane.event().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
