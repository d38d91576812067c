//! The state as records of the store: one for each resource, so that a call writes what it changes and no more.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Arn, State, TargetKey};
use crate::store::{Change, Override};

/// A record that is not what was written.
#[derive(Debug, thiserror::Error)]
#[error("the record {key} is damaged: {why}")]
pub struct RecordError {
    /// Its key.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

#[derive(Serialize, Deserialize)]
struct OverrideRecord {
    group: Arn,
    target: TargetKey,
    state: Override,
}

impl State {
    /// The state that these records are. Keys of other rooms are left alone.
    ///
    /// # Errors
    /// If a record cannot be read, or refers to a resource that is not there.
    pub fn from_records(records: &BTreeMap<String, String>) -> Result<Self, RecordError> {
        let mut state = Self::default();
        for (key, text) in records {
            match key.split_once('/').map(|(kind, _)| kind) {
                Some("load-balancer") => {
                    let it: super::LoadBalancer = read(key, text)?;
                    state.load_balancers.insert(it.arn.clone(), Arc::new(it));
                }
                Some("listener") => {
                    let it: super::Listener = read(key, text)?;
                    state.listeners.insert(it.arn.clone(), Arc::new(it));
                }
                Some("target-group") => {
                    let it: super::TargetGroup = read(key, text)?;
                    state.target_groups.insert(it.arn.clone(), Arc::new(it));
                }
                Some("override") => {
                    let it: OverrideRecord = read(key, text)?;
                    state.overrides.insert((it.group, it.target), it.state);
                }
                Some("inventory") => state.inventory = read(key, text)?,
                _ => {}
            }
        }
        for listener in state.listeners.values() {
            let lost = |what: &str, arn: &Arn| RecordError {
                key: listener_key(&listener.arn),
                why: format!("its {what} {arn} is not there"),
            };
            if !state.load_balancers.contains_key(&listener.load_balancer) {
                return Err(lost("load balancer", &listener.load_balancer));
            }
            if !state.target_groups.contains_key(&listener.target_group) {
                return Err(lost("target group", &listener.target_group));
            }
        }
        Ok(state)
    }

    /// What to write so that records of `self` become records of `new`. What the two share is not looked at.
    pub fn changes_to(&self, new: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        compare(&self.load_balancers, &new.load_balancers, |arn| format!("load-balancer/{arn}"), &mut changes);
        compare(&self.listeners, &new.listeners, listener_key, &mut changes);
        compare(&self.target_groups, &new.target_groups, |arn| format!("target-group/{arn}"), &mut changes);
        let key = |(group, target): &(Arn, TargetKey)| format!("override/{group}/{}/{}", target.id, target.port);
        for id in self.overrides.keys().filter(|id| !new.overrides.contains_key(id)) {
            changes.push(Change { key: key(id), value: None });
        }
        for (id, state) in new.overrides.iter().filter(|(id, state)| self.overrides.get(id) != Some(state)) {
            let record = OverrideRecord { group: id.0.clone(), target: id.1.clone(), state: *state };
            changes.push(Change { key: key(id), value: Some(write(&record)) });
        }
        if self.inventory != new.inventory {
            changes.push(Change { key: "inventory/added".to_owned(), value: Some(write(&new.inventory)) });
        }
        changes
    }
}

fn listener_key(arn: &Arn) -> String {
    format!("listener/{arn}")
}

fn compare<T: Serialize + PartialEq>(
    old: &BTreeMap<Arn, Arc<T>>,
    new: &BTreeMap<Arn, Arc<T>>,
    key: impl Fn(&Arn) -> String,
    changes: &mut Vec<Change>,
) {
    for arn in old.keys().filter(|arn| !new.contains_key(*arn)) {
        changes.push(Change { key: key(arn), value: None });
    }
    for (arn, value) in new {
        let same = old.get(arn).is_some_and(|old| Arc::ptr_eq(old, value) || old == value);
        if !same {
            changes.push(Change { key: key(arn), value: Some(write(&**value)) });
        }
    }
}

fn read<T: DeserializeOwned>(key: &str, text: &str) -> Result<T, RecordError> {
    serde_json::from_str(text).map_err(|error| RecordError { key: key.to_owned(), why: error.to_string() })
}

#[expect(clippy::expect_used, reason = "records are plain structs with text keys, which serde_json always writes")]
fn write<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("a record is JSON")
}

/// Targets as a list: JSON has no maps with such keys.
pub(super) mod targets {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::super::{Target, TargetKey};

    #[derive(Serialize, Deserialize)]
    struct Entry<T> {
        #[serde(flatten)]
        key: TargetKey,
        #[serde(flatten)]
        target: T,
    }

    pub fn serialize<S: Serializer>(targets: &BTreeMap<TargetKey, Target>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(targets.iter().map(|(key, target)| Entry { key: key.clone(), target: target.clone() }))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<TargetKey, Target>, D::Error> {
        let entries: Vec<Entry<Target>> = Vec::deserialize(d)?;
        Ok(entries.into_iter().map(|Entry { key, target }| (key, target)).collect())
    }
}
