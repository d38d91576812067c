//! The controller of a node, and everything the command line does.

/// Interfaces, next hops, and the addresses claimed for load balancers.
pub mod net;
