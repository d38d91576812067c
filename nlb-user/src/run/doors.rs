//! The ways in: the unix socket of commands and the HTTP API. Both end in the loop's queue.
//!
//! Addresses are bound before anything in the kernel is touched, and heard once the loop is ready.

use std::sync::Arc;

use anyhow::Result;
use tokio::sync::{mpsc, watch};

use super::{Options, backend::Backend, view::View};
use crate::{
    api, audit,
    control::server::{Call, Server},
    node::Node,
};

/// Doors that are bound and not heard yet.
pub struct Doors {
    api: Option<api::Bound>,
    audit: audit::Log,
}

/// Doors that are open.
pub struct Open {
    control: Server,
    api: Option<api::Server>,
}
