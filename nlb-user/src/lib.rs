//! The controller of a node, and everything the command line does.
//!
//! Desired state goes one way: [`model`] -> [`store`] -> [`reconcile`] -> [`dataplane`]. [`run`] is the loop that
//! drives it, with what [`net`] knows of the network; [`control`] is how commands reach it; [`cli`] is the commands.

pub mod model;

pub mod ops;

pub mod manifest;

pub mod serving;

pub mod store;

pub mod reconcile;

pub mod dataplane;

pub mod net;

pub mod run;

pub mod api;

pub mod audit;

pub mod node;

pub mod control;

pub mod cli;

pub mod explain;
