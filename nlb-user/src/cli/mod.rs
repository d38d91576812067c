//! The command line: what can be asked for, and how answers look.
//!
//! One file a noun. Commands that change something ask the controller ([`crate::control`]); commands that only look
//! read the pinned maps themselves, so that they work with no controller alive.

pub mod apply;
pub mod counters;
pub mod explain;
pub mod failure;
pub mod flow;
pub mod inspect;
pub mod output;
pub mod run;
pub mod status;
pub mod store;
pub mod target;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use nlb_common::layout::LAYOUT_VERSION;
use serde::Serialize;

use crate::{
    control::{Answer, Request, client},
    node::Node,
};
use output::{Format, Output, Show};

/// A network load balancer: listens on virtual addresses and spreads connections over targets, in XDP.
#[derive(Parser, Debug)]
#[command(name = "nlb", version, max_term_width = 100)]
pub struct Cli {
    /// The node's settings [default: /etc/nlb/node.toml if it exists]
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
    /// How to print
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Format,
    /// What to log, on standard error: error, warn, info, debug, or directives as in RUST_LOG
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the controller of this node
    Run(run::Args),
    /// Show interfaces, load balancers, listeners and targets, and what is wrong with them
    Status,
    /// Make a file the desired state
    Apply(apply::Args),
    /// Change or list the targets of target groups
    #[command(subcommand)]
    Target(target::Command),
    /// List or end connections
    #[command(subcommand)]
    Flow(flow::Command),
    /// Count what happened to packets, and why
    Counters(counters::Args),
    /// Tell which target a connection would get or has, and why
    Explain(explain::Args),
    /// Export, import, check or back up what is stored
    Store(store::Args),
    /// Show the versions of this command and of the map layout it understands
    Version,
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    /// Whatever went wrong, in one line that says what to do.
    pub fn execute(self) -> Result<()> {
        let output = Output::new(self.output);
        if let Command::Version = self.command {
            return output.show(&Version::default());
        }
        let node = Node::load(self.config.as_deref())?;
        match self.command {
            Command::Run(args) => run::execute(args, node, self.log.as_deref()),
            Command::Status => status::execute(&node, &output),
            Command::Apply(args) => apply::execute(args, &node, &output),
            Command::Target(command) => target::execute(command, &node, &output),
            Command::Flow(command) => flow::execute(command, &node, &output),
            Command::Counters(args) => counters::execute(args, &node, &output),
            Command::Explain(args) => explain::execute(args, &node, &output),
            Command::Store(args) => store::execute(args, &node, &output),
            Command::Version => Ok(()),
        }
    }
}

/// A refusal of the controller's: nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Refused(Vec<String>);

/// Asks the node's controller; its refusal is an error.
fn ask(node: &Node, request: &Request) -> Result<Answer> {
    match client::ask(&node.socket, request)? {
        Answer::Refused(lines) => Err(Refused(lines).into()),
        answer => Ok(answer),
    }
}

#[derive(Serialize)]
struct Version {
    nlb: &'static str,
    map_layout: u32,
}

impl Default for Version {
    fn default() -> Self {
        Self { nlb: env!("CARGO_PKG_VERSION"), map_layout: LAYOUT_VERSION }
    }
}

impl Show for Version {
    fn text(&self) -> String {
        format!("nlb {}\nmap layout {}\n", self.nlb, self.map_layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn code(line: &str) -> i32 {
        match Cli::try_parse_from(line.split_whitespace()) {
            Ok(_) => 0,
            Err(error) => error.exit_code(),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_of_the_documents_are_understood() {
        for line in [
            "nlb run --iface eth0,eth1 --config node.toml --state /tmp/s --apply lb.json --xdp-mode generic",
            "nlb run --iface eth0 --fresh --detach-on-exit --log debug",
            "nlb run --detach",
            "nlb status --output json",
            "nlb apply -f lb.json --dry-run",
            "nlb target register web 10.0.1.11:8080",
            "nlb target deregister web [2001:db8::1]:8080",
            "nlb target set-state web 10.0.1.11:8080 unhealthy",
            "nlb target list web",
            "nlb flow list --client 10.0.0.1 --target [fd00::1]:80 --limit 5",
            "nlb flow list --count",
            "nlb flow delete --all",
            "nlb flow delete --client 10.0.0.1:4000",
            "nlb counters --all",
            "nlb counters --watch",
            "nlb explain tcp 198.18.1.1:40000 198.18.0.10:80 --seq 7",
            "nlb store export --with-secret",
            "nlb store import --force lb.json --state /tmp/s",
            "nlb store --state /tmp/s check --output json",
            "nlb store backup /tmp/b",
            "nlb version",
        ] {
            assert_eq!(code(line), 0, "{line}");
        }
    }

    #[test]
    fn misuse_is_code_2() {
        for line in [
            "nlb",
            "nlb frobnicate",
            "nlb run",
            "nlb run --iface eth0 --xdp-mode fast",
            "nlb apply",
            "nlb target register web 10.0.1.11",
            "nlb target set-state web 10.0.1.11:8080 sick",
            "nlb flow delete",
            "nlb flow list --client nonsense",
            "nlb explain icmp 198.18.1.1:1 198.18.0.10:80",
            "nlb explain tcp 198.18.1.1:1 [2001:db8::1]:80 --seq 5000000000",
        ] {
            assert_eq!(code(line), 2, "{line}");
        }
        assert_eq!(code("nlb --help"), 0);
    }

    #[test]
    fn version_in_both_formats() {
        let version = Version { nlb: "1.2.3", map_layout: 4 };
        assert_eq!(version.text(), "nlb 1.2.3\nmap layout 4\n");
        assert_eq!(serde_json::to_string(&version).unwrap(), r#"{"nlb":"1.2.3","map_layout":4}"#);
    }
}
