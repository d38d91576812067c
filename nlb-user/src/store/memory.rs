//! The store without a disk, for tests.

use std::collections::BTreeMap;

use nlb_common::hash::Secret;
use tokio::sync::watch;

use super::{Change, Records, Store, StoreError, sqlite::random};

/// Records that end with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    records: BTreeMap<String, String>,
    revision: watch::Sender<u64>,
    secret: Option<Secret>,
}

impl Store for MemoryStore {
    fn get(&self) -> Result<Records, StoreError> {
        Ok(Records { revision: *self.revision.borrow(), records: self.records.clone() })
    }

    fn compare_and_set(&mut self, revision: u64, changes: &[Change]) -> Result<u64, StoreError> {
        let found = *self.revision.borrow();
        if found != revision {
            return Err(StoreError::Conflict { expected: revision, found });
        }
        for Change { key, value } in changes {
            match value {
                Some(value) => self.records.insert(key.clone(), value.clone()),
                None => self.records.remove(key),
            };
        }
        self.revision.send_replace(revision + 1);
        Ok(revision + 1)
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    fn secret(&mut self, proposed: Option<Secret>) -> Result<Secret, StoreError> {
        let secret = match self.secret.or(proposed) {
            Some(secret) => secret,
            None => random()?,
        };
        self.secret = Some(secret);
        Ok(secret)
    }
}
