//! The store before there were records: goes when nothing uses it any more.

use std::collections::BTreeMap;

use nlb_common::hash::Secret;

use super::{Override, StoreError};
use crate::serving::{Config, TargetId};

/// Everything of the desired state that is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stored {
    /// The accepted configuration.
    pub config: Config,
    /// The operator's overrides.
    pub overrides: BTreeMap<TargetId, Override>,
}

/// A value and the revision that it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Versioned<T> {
    /// 1 for the first value ever stored, then 2 and so on.
    pub revision: u64,
    /// The value.
    pub value: T,
}

/// Where accepted changes are kept.
pub trait Store {
    /// The last acknowledged value; `None` if there never was one.
    ///
    /// # Errors
    /// If it can't be read or is damaged.
    fn get(&self) -> Result<Option<Versioned<Stored>>, StoreError>;

    /// Stores `new` if the last revision is `revision` (0: none yet), and gives the new revision. Once it returns,
    /// the value survives the process's death and power loss.
    ///
    /// # Errors
    /// If another revision is there, or it can't be written.
    fn compare_and_set(&mut self, revision: u64, new: &Stored) -> Result<u64, StoreError>;

    /// The key of the selection hash, made at the first call and the same ever after.
    ///
    /// # Errors
    /// If it can't be read, made or kept.
    fn secret(&mut self) -> Result<Secret, StoreError>;
}
