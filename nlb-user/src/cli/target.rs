//! `nlb target`: change or list the targets of target groups.

use std::net::SocketAddr;

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;

use super::{
    apply,
    output::{Output, Show},
    status::{self, GroupReport},
};
use crate::{
    control::{GroupTarget, Health, Request},
    node::Node,
};

/// What can be done with targets.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Put a target into a target group
    Register(Which),
    /// Take a target out of its target group: it gets no new connections, its old ones go on
    Deregister(Which),
    /// Override what is known of a target's health
    SetState {
        /// Which target
        #[command(flatten)]
        which: Which,
        /// The state to hold it in
        #[arg(value_enum)]
        state: Health,
    },
    /// List targets and their states
    List {
        /// Only this target group's
        group: Option<String>,
    },
}

/// A target of a group.
#[derive(clap::Args, Debug)]
pub struct Which {
    /// The target group's name
    group: String,
    /// The target: ADDR:PORT, IPv6 as [ADDR]:PORT
    #[arg(value_name = "ADDR:PORT")]
    target: SocketAddr,
}

impl From<Which> for GroupTarget {
    fn from(which: Which) -> Self {
        Self { group: which.group, target: which.target }
    }
}

/// Does it.
///
/// # Errors
/// If the controller refuses, is not there, or (to list) if there are no maps.
pub fn execute(command: Command, node: &Node, output: &Output) -> Result<()> {
    match command {
        Command::Register(which) => apply::change(node, output, &Request::Register(which.into())),
        Command::Deregister(which) => apply::change(node, output, &Request::Deregister(which.into())),
        Command::SetState { which, state } => {
            apply::change(node, output, &Request::SetState { target: which.into(), state })
        }
        Command::List { group } => {
            let mut groups = status::report(node)?.target_groups;
            if let Some(name) = group {
                groups.retain(|group| group.name == name);
                anyhow::ensure!(!groups.is_empty(), "no target group {name}; `nlb target list` shows all");
            }
            output.show(&Targets { target_groups: groups })
        }
    }
}

#[derive(Serialize)]
struct Targets {
    target_groups: Vec<GroupReport>,
}

impl Show for Targets {
    fn text(&self) -> String {
        match status::targets(&self.target_groups) {
            text if text.is_empty() => "no target groups\n".to_owned(),
            text => text,
        }
    }
}
