//! The controller of a node, and everything the command line does.
//!
//! Desired state goes one way: [`model`] -> [`store`] -> [`reconcile`] -> [`dataplane`]. [`run`] is the loop that
//! drives it, with what [`net`] knows of the network; [`control`] is how commands reach it; [`cli`] is the commands.

/// The command line.
pub mod cli;
/// How commands reach the controller.
pub mod control;
/// The XDP program and its maps: load, attach, read, write.
pub mod dataplane;
/// Which target a connection gets, and why.
pub mod explain;
/// Desired state: what an operator asks for, checked.
pub mod model;
/// Interfaces, next hops, and the addresses claimed for load balancers.
pub mod net;
/// The node's own settings.
pub mod node;
/// From the desired state and the maps as they are to the steps between them.
pub mod reconcile;
/// The controller.
pub mod run;
/// What was accepted, kept for good.
pub mod store;
