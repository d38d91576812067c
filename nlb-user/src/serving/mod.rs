//! What this node serves: addresses, listeners, target groups and targets, as the data plane needs them.
//!
//! [`lower`] makes it of all resources and what stands around the node; [`warnings`] are sentences about what it does not
//! do. Read in this order: the types (`config`), `lower`, `warnings`.

mod config;
#[cfg(test)]
mod from_file;
mod lower;
mod warnings;

#[cfg(test)]
mod tests;

pub use config::{
    Config, HealthThreshold, Limits, Listener, LoadBalancer, Protocol, Target, TargetGroup, TargetId, TargetIdError,
};
pub use lower::{Served, lower, own_addresses};
pub use warnings::warnings;
