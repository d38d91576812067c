//! `SetTargetState`, an operation of our own: the operator's word on a target's health.

use serde::{Deserialize, Serialize};

use super::Context;
use crate::{
    model::{Code, Fault, State, TargetGroup, TargetKey},
    store::Override,
};

/// What is asked for.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SetInput {
    /// The target group: its name, or its ARN.
    target_group: String,
    /// The target's id, with `:PORT` unless that is the group's; IPv6 addresses with a port in brackets.
    target: String,
    /// `healthy` or `unhealthy`; left out, checks decide again.
    state: Option<String>,
}

/// What came of it.
#[derive(Serialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct SetOutput {
    target_group_arn: String,
    id: String,
    port: u16,
    state: &'static str,
}

/// Runs the operation.
///
/// # Errors
/// `TargetGroupNotFound` if there is no such group, `InvalidTarget` if it has no such target.
pub fn set(state: &mut State, input: SetInput, _: &Context<'_>) -> Result<SetOutput, Fault> {
    let named = state.target_group_named(&input.target_group);
    let Some(group) = named.or_else(|| state.target_groups.get(input.target_group.as_str())) else {
        let message = format!("there is no target group {}; `nlb target-group list` shows them", input.target_group);
        return Err(Fault::new(Code::TargetGroupNotFound, message));
    };
    let Some(key) = registered(group, &input.target) else {
        let message = format!("{} is no target of group {}; `nlb target list` shows them", input.target, group.name);
        return Err(Fault::new(Code::InvalidTarget, message));
    };
    let word = input.state.map(|text| text.parse::<Override>()).transpose();
    let word = word.map_err(|error| Fault::validation(error.to_string()))?;
    let output = SetOutput {
        target_group_arn: group.arn.to_string(),
        id: key.id.to_string(),
        port: key.port,
        state: word.map_or("auto", Override::as_str),
    };
    let id = (group.arn.clone(), key);
    match word {
        Some(word) => state.overrides.insert(id, word),
        None => state.overrides.remove(&id),
    };
    Ok(output)
}

/// The registered target of this name.
fn registered(group: &TargetGroup, text: &str) -> Option<TargetKey> {
    let is = |key: &&TargetKey| {
        let id = key.id.to_string();
        let plain = text == id && key.port == group.port;
        plain || text == format!("{id}:{}", key.port) || text == format!("[{id}]:{}", key.port)
    };
    let found = group.targets.iter().filter(|(_, target)| target.draining_until.is_none());
    found.map(|(key, _)| key).find(is).cloned()
}
