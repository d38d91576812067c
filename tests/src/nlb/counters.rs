//! What a node has counted.

use std::collections::BTreeMap;

use nlb_common::{Reason, reason::Verdict};

/// What a node has counted: how often packets ended for each reason, and how often each event happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(pub BTreeMap<String, u64>);

impl Counters {
    /// One of them, by its label.
    pub fn get(&self, label: &str) -> u64 {
        self.0.get(label).copied().unwrap_or_default()
    }

    /// What was counted since `before`; nothing that stayed the same.
    pub fn since(&self, before: &Self) -> Self {
        let grown = self.0.iter().map(|(label, count)| (label.clone(), count - before.get(label)));
        Self(grown.filter(|(_, count)| *count > 0).collect())
    }

    /// How many packets ended.
    pub fn packets(&self) -> u64 {
        Reason::ALL.iter().map(|reason| self.get(reason.label())).sum()
    }

    /// How many packets were answered with a reset.
    pub fn resets(&self) -> u64 {
        Reason::ALL.iter().filter(|it| it.verdict() == Verdict::Reset).map(|reason| self.get(reason.label())).sum()
    }
}
