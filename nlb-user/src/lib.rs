//! The controller of a node, and everything the command line does.

/// Desired state: what an operator asks for, checked.
pub mod model;
/// Interfaces, next hops, and the addresses claimed for load balancers.
pub mod net;
/// From the desired state and the maps as they are to the steps between them.
pub mod reconcile;
/// What was accepted, kept for good.
pub mod store;
