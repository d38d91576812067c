//! The controller of a node, and everything the command line does.
