//! What was accepted, kept for good: the desired state, the operator's overrides, and the node's secret.
//!
//! Nothing outside this room knows which engine keeps them.

mod error;
mod memory;
mod reader;
mod schema;
mod sqlite;

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod sqlite_tests;

use std::{collections::BTreeMap, fmt, str::FromStr};

use nlb_common::hash::Secret;
use serde::{Deserialize, Serialize};

pub use error::StoreError;
pub use memory::MemoryStore;
pub use reader::Reader;
pub use sqlite::SqliteStore;

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
