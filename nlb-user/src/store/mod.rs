//! What was accepted, kept for good: the desired state, the operator's overrides, and the node's secret.
//!
//! Nothing outside this room knows which engine keeps them.

mod file;
pub mod legacy;

#[cfg(test)]
mod kill;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, io, path::PathBuf, str::FromStr};

use nlb_common::hash::Secret;
use serde::{Deserialize, Serialize};

pub use file::FileStore;

use crate::serving::Invalid;

/// The operator's word on a target's health, above all probes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Override {
    /// Healthy, whatever probes say.
    Healthy,
    /// Unhealthy, whatever probes say.
    Unhealthy,
}

impl Override {
    /// Its name in commands and files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no override.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no health state: allowed are healthy and unhealthy")]
pub struct OverrideError(String);

impl FromStr for Override {
    type Err = OverrideError;

    fn from_str(text: &str) -> Result<Self, OverrideError> {
        match text {
            "healthy" => Ok(Self::Healthy),
            "unhealthy" => Ok(Self::Unhealthy),
            _ => Err(OverrideError(text.to_owned())),
        }
    }
}

/// A record to write, or to remove if it has no value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Its key: the kind of thing, a slash, and the thing's name.
    pub key: String,
    /// What to write: a JSON text.
    pub value: Option<String>,
}

/// All records, as they were at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Records {
    /// 0 for a store that nothing was ever written to, then 1 and so on.
    pub revision: u64,
    /// Values by key.
    pub records: BTreeMap<String, String>,
}

/// Where accepted changes are kept: records by key, all of one revision.
///
/// An engine that several nodes share can take the place of the one that is here, if it can do this.
pub trait Store: Send {
    /// The last acknowledged records.
    ///
    /// # Errors
    /// If they can't be read or are damaged.
    fn get(&self) -> Result<Records, StoreError>;

    /// Makes all of `changes`, if the last revision is `revision`, and gives the new one. Once it returns, they
    /// survive the process's death and power loss; if it fails, none of them was made.
    ///
    /// # Errors
    /// If another revision is there, or they can't be written.
    fn compare_and_set(&mut self, revision: u64, changes: &[Change]) -> Result<u64, StoreError>;

    /// Tells the last revision, whoever wrote it, from now on.
    fn watch(&self) -> tokio::sync::watch::Receiver<u64>;

    /// The key of the selection hash, the same ever after. The first call makes it, or takes `proposed`.
    ///
    /// # Errors
    /// If it can't be read, made or kept.
    fn secret(&mut self, proposed: Option<Secret>) -> Result<Secret, StoreError>;
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried: "write", "read" ...
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another process has the store open.
    #[error("{} is in use by another controller: stop it first, or give this one a `state_dir` of its own", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Somebody else stored something in between.
    #[error("the desired state is at revision {found}, not {expected}: it was changed meanwhile, try again")]
    Conflict {
        /// What the caller had seen.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// The file is not what the store had written.
    #[error("{} is damaged ({why}): restore it from a backup, or remove it and apply lb.json again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file of a later version.
    #[error("{} has format {found}, and this version knows {known}: use the version that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The last format known.
        known: u64,
    },
    /// The configuration in it breaks a rule.
    #[error("{} is damaged: restore it from a backup, or remove it and apply lb.json again. Found:\n{why}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Which rules.
        why: Invalid,
    },
    /// The secret is not what the store had written.
    #[error("{} is damaged: it must hold 16 bytes and has {len}. Restore it from a backup; or remove it, and \
             the next start makes another one, which moves new connections to other targets", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        len: usize,
    },
}
