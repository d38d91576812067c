//! Requests that go on in the background.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Result, bail, ensure};

use crate::topology::Host;

/// Requests that go on in the background until they are stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    errors: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Repeats `work` in `parallel` threads inside a host. Each thread gets a state of its own from `begin`; after an
    /// error, a new one.
    pub fn start<S>(
        from: &Host,
        parallel: usize,
        begin: impl Fn() -> Result<S> + Send + Sync + 'static,
        work: impl Fn(&mut S) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        let mut load = Self { stop: Arc::default(), done: Arc::default(), errors: Arc::default(), threads: Vec::new() };
        let shared = Arc::new((begin, work));
        for _ in 0..parallel {
            let (stop, done, errors) = (Arc::clone(&load.stop), Arc::clone(&load.done), Arc::clone(&load.errors));
            let shared = Arc::clone(&shared);
            let run = move || {
                let mut state = None;
                while !stop.load(Ordering::Relaxed) {
                    let step = match state.take().map_or_else(&shared.0, Ok) {
                        Ok(mut fresh) => shared.1(&mut fresh).map(|()| state = Some(fresh)),
                        Err(error) => Err(error),
                    };
                    match step {
                        Ok(()) => _ = done.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            errors.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{error:#}"));
                            thread::sleep(Duration::from_millis(10));
                        }
                    }
                }
            };
            // A thread inherits the namespaces of the one that starts it.
            load.threads.push(from.ns.run(|| thread::spawn(run)));
        }
        load
    }

    /// How much was done so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// What failed so far.
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops. Returns how much was done; fails if anything failed, or if nothing was done.
    pub fn finish(mut self) -> Result<u64> {
        self.halt();
        let errors = self.errors();
        if let Some(first) = errors.first() {
            bail!("{} of {} failed, the first: {first}", errors.len(), self.done() + errors.len() as u64);
        }
        ensure!(self.done() > 0, "nothing was done");
        Ok(self.done())
    }

    fn halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.halt();
    }
}
