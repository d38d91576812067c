//! The audit log: who asked for what, when, from where, and what came of it.
//!
//! One JSON line a call, in the record format of the guide's chapter on logging API calls (`record`), appended by a thread
//! of its own (`writer`) to a file that is rotated by size. Reading it (`read`) needs no controller.
//!
//! Calls never wait for the log and never fail because of it: what cannot be written is counted, see [`Stats`].

mod read;
mod record;
mod writer;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::warn;

use crate::{
    model::Account,
    node::{self, Node},
};

pub use read::{Filter, ReadError, Reading, read};
pub use record::{Call, Identity, Refusal};
pub use writer::Stats;
use writer::Writer;

/// Records of unidentified callers that are written at once, whatever comes after them.
const STRANGERS: u32 = 1000;
/// How often after that one more is written.
const STRANGER_EVERY: Duration = Duration::from_secs(1);

/// Where the audit log is and how much of it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The file; older ones have `.1`, `.2` and so on appended.
    pub file: PathBuf,
    /// How large it may become, in bytes.
    pub max_bytes: u64,
    /// How many older files are kept.
    pub keep: u32,
}

impl Settings {
    /// The default of `max_bytes`.
    pub const MAX_BYTES: u64 = 16 << 20;
    /// The default of `keep`.
    pub const KEEP: u32 = 8;

    /// Those of a node. Without a file of its own, the log is in the state directory.
    pub fn of(node: &Node) -> Self {
        let node::Audit { file, max_bytes, keep } = node.audit.clone();
        Self { file: file.unwrap_or_else(|| node.state_dir.join("audit.log")), max_bytes, keep }
    }

    /// This file, with the defaults.
    #[cfg(test)]
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file, max_bytes: Self::MAX_BYTES, keep: Self::KEEP }
    }
}

/// The audit log. Copies write to the same file; the last one to go waits until all is written.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    account: Account,
    writer: Writer,
    strangers: Mutex<Strangers>,
}

impl Audit {
    /// The log of an account's calls. The file is made when there is something to write.
    ///
    /// # Errors
    /// If there can be no thread to write it.
    pub fn open(settings: Settings, account: Account) -> std::io::Result<Self> {
        let writer = Writer::start(settings)?;
        Ok(Self(Arc::new(Inner { account, writer, strangers: Mutex::new(Strangers::new(Instant::now())) })))
    }

    /// Records a call.
    pub fn record(&self, call: &Call<'_>) {
        if matches!(call.identity, Identity::Unknown { .. }) {
            let mut strangers = self.0.strangers.lock().unwrap_or_else(PoisonError::into_inner);
            if !strangers.admit(Instant::now()) {
                self.0.writer.lose("more calls with no valid signature than are recorded: one a second");
                return;
            }
        }
        self.0.writer.write(record::line(call, &self.0.account));
    }

    /// What became of the records so far.
    pub fn stats(&self) -> Stats {
        self.0.writer.stats()
    }

    /// Waits until all that was recorded is written, or counted as lost.
    pub fn flush(&self) {
        self.0.writer.flush();
    }
}

/// Keeps callers who need no key from filling the log, and so from driving others' records out of it.
struct Strangers {
    left: u32,
    since: Instant,
}

impl Strangers {
    fn new(now: Instant) -> Self {
        Self { left: STRANGERS, since: now }
    }

    fn admit(&mut self, now: Instant) -> bool {
        let more = now.duration_since(self.since).as_secs() / STRANGER_EVERY.as_secs();
        if more > 0 {
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(STRANGERS)).min(STRANGERS);
            self.since = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

/// Says once that records are lost, and once that they are not any more.
fn warn_lost(why: &str) {
    warn!("audit log: {why}; calls go on, and records that are lost are counted");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_file_of_its_own_the_log_is_with_the_state() {
        let mut node = Node::default();
        node.state_dir = "/s".into();
        assert_eq!(Settings::of(&node), Settings::new("/s/audit.log".into()));
        node.audit = node::Audit { file: Some("/l/calls".into()), max_bytes: 5, keep: 1 };
        assert_eq!(Settings::of(&node), Settings { file: "/l/calls".into(), max_bytes: 5, keep: 1 });
    }

    #[test]
    fn strangers_get_what_is_left_and_then_one_a_second() {
        let start = Instant::now();
        let mut strangers = Strangers::new(start);
        let admitted = (0..2000).filter(|_| strangers.admit(start)).count();
        assert_eq!(admitted, 1000);
        let later = start + Duration::from_millis(2500);
        assert_eq!((0..10).filter(|_| strangers.admit(later)).count(), 2);
        let much_later = start + Duration::from_secs(1_000_000);
        assert_eq!((0..2000).filter(|_| strangers.admit(much_later)).count(), 1000);
    }
}
