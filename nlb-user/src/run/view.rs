//! What those who only look are shown: the state as of the last change, shared and never locked.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    model::{Account, Inventory, Quotas, State},
    ops::{Context, Observed},
};

/// The state at a moment, and what it is seen with.
#[derive(Clone, Debug)]
pub struct View {
    /// Revision of the stored state.
    pub revision: u64,
    /// All resources.
    pub state: Arc<State>,
    /// What stands around the node.
    pub inventory: Arc<Inventory>,
    /// Whose resources these are.
    pub account: Account,
    /// How many of each there may be.
    pub quotas: Quotas,
    /// The smallest idle timeout.
    pub min_idle_s: u16,
    /// What the node sees of them.
    pub observed: Observed,
}

impl View {
    /// What an operation is run in.
    pub fn context(&self, now: Timestamp) -> Context<'_> {
        Context {
            account: &self.account,
            inventory: &self.inventory,
            quotas: &self.quotas,
            observed: &self.observed,
            min_idle_s: self.min_idle_s,
            now,
        }
    }
}
