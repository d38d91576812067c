//! The controller of a node, and everything the command line does.

pub mod model;
/// Interfaces, next hops, and the addresses claimed for load balancers.
pub mod net;
pub mod reconcile;
pub mod store;
