//! The typed desired state: load balancers, listeners, target groups, targets.
//!
//! Names, ranges, defaults and combinations are the reference's. [`Config::from_json`] is the only way in from outside:
//! it finds every problem of a file and says where each one stands; a configuration that breaks a rule can't be had
//! from it.
//!
//! Read in this order: the types (`config`), how a file's values keep their positions (`json`, `problem`), attributes,
//! the rules (`rules`, `parse`), the way back to text (`write`), single edits, and differences.

mod attributes;
mod config;
mod diff;
mod edit;
mod lower;
mod parse;
mod parse_group;
mod rules;
mod warnings;
mod write;

#[cfg(test)]
mod tests;

pub use config::{
    Config, HealthThreshold, Limits, Listener, LoadBalancer, Protocol, Target, TargetGroup, TargetId, TargetIdError,
    TargetType,
};
pub use diff::{Change, ChangeKind, changes};
pub use edit::EditError;
pub use crate::manifest::{Invalid, MAX_BYTES, Problem, ReadError, read_text};
pub use lower::{Served, lower, own_addresses};
pub use warnings::warnings;
