//! The plan: every step from the maps as they are to the desired state, in an order that keeps the data plane whole.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use nlb_common::{
    flow::Hop,
    hash::Secret,
    layout::{Endpoint, LAYOUT_VERSION, MAX_TARGETS, Name, Node},
};

use super::{
    Actual, Step,
    addresses::Front,
    groups,
    slots::Rows,
    targets::{self, Records},
};
use crate::{
    serving::{Config, TargetId},
    store::Override,
};

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The desired state.
    pub config: &'a Config,
    /// The operator's word on targets. Those that are not registered are ignored.
    pub overrides: &'a BTreeMap<TargetId, Override>,
    /// Next hops of targets that are resolved.
    pub hops: &'a HashMap<IpAddr, Hop>,
    /// Addresses not to serve: somebody else has them.
    pub failed: &'a BTreeSet<IpAddr>,
    /// Key of the selection hash.
    pub secret: Secret,
    /// Indices of targets that some flow still uses, from a sweep that began after the last plan was applied; `None`
    /// until there is one. Draining targets that are not in it are let go.
    pub live_targets: Option<&'a HashSet<u32>>,
}

/// A desired state that can't be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlanError {
    /// More of something than its map holds.
    #[error("{needed} {what} are asked for, and the data plane holds {max}: {advice}")]
    Capacity {
        /// What there is too much of.
        what: &'static str,
        /// How many are needed.
        needed: usize,
        /// How many there can be.
        max: usize,
        /// What to do.
        advice: &'static str,
    },
    /// A listener whose target group is not in the configuration.
    #[error("the listener on port {} of {} names target group `{group}`, which does not exist", endpoint.port.get(), endpoint.addr)]
    NoGroup {
        /// The missing group.
        group: String,
        /// The listener.
        endpoint: Endpoint,
    },
    /// A name that the maps have no room for.
    #[error("the name `{0}` is longer than 32 characters")]
    Name(String),
}

/// A name as the maps hold it.
pub(super) fn name(text: &str) -> Result<Name, PlanError> {
    Name::new(text).ok_or_else(|| PlanError::Name(text.to_owned()))
}

/// The steps from `actual` to what `inputs` ask for; none if that is what there is.
///
/// # Errors
/// If the data plane has no room for it, or the configuration breaks a rule that [`crate::serving::lower`] keeps.
pub fn plan(inputs: &Inputs<'_>, actual: &Actual) -> Result<Vec<Step>, PlanError> {
    let front = Front::wanted(inputs)?;
    let records = Records::of(actual);
    let groups = groups::wanted(inputs, actual, &front, &records)?;
    let indices: BTreeMap<_, _> = groups.iter().map(|group| (group.key, group.index)).collect();
    let mut rows = Rows::keeping(front.kept_rows(actual).chain(records.kept_rows()));
    let targets = targets::next(inputs, &records, &groups, &mut rows)?;
    let (needed, max) = (targets.backends_needed(), MAX_TARGETS);
    if needed > max {
        let advice = "remove targets first, then apply again; targets of TCP_UDP groups count twice";
        return Err(PlanError::Capacity { what: "target endpoints", needed, max, advice });
    }
    let additions = front.additions(actual, &indices, &mut rows)?;
    let tables: Vec<_> = groups.iter().zip(&targets.serving).map(|(group, serving)| group.steps(serving)).collect();

    let mut steps = Vec::new();
    let node = Node { layout: LAYOUT_VERSION, _pad: 0, secret: inputs.secret };
    if actual.node != node {
        steps.push(Step::SetNode(node));
    }
    // What clients lose goes first and makes room; nothing else depends on it.
    steps.extend(front.removals(actual));
    steps.extend(rows.taken.iter().map(|row| Step::ClearRow(*row)));
    // Each thing after what it names: targets name groups, tables name targets, listeners name groups.
    steps.extend(tables.iter().flat_map(|group| group.before.iter().cloned()));
    steps.extend(targets.before());
    steps.extend(targets.backends_set());
    // Tables in one run, see `Maps::set_tables`; then the records that say that they are there.
    let after = tables.into_iter().flat_map(|group| group.after);
    let (swaps, records): (Vec<_>, Vec<_>) = after.partition(|step| matches!(step, Step::SetTable(..)));
    steps.extend(swaps);
    steps.extend(records);
    steps.extend(additions);
    // And the other way round: what nothing names any more.
    steps.extend(targets.after());
    let leaving = groups::leaving(actual, &indices);
    steps.extend(leaving.iter().flat_map(|(index, group)| groups::empty(*index, group)));
    steps.extend(targets.backends_removed());
    steps.extend(targets.gone());
    steps.extend(leaving.iter().map(|(index, _)| Step::ClearGroup(*index)));
    Ok(steps)
}
