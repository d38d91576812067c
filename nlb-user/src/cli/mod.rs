//! The command line: what can be asked for, and how answers look.
//!
//! One file a noun. Commands that change something ask the controller ([`crate::control`]); commands that only look
//! read the pinned maps themselves, so that they work with no controller alive.

pub mod apply;
pub mod audit;
pub mod call;
pub mod certificate;
pub mod counters;
pub mod documents;
pub mod explain;
pub mod export;
pub mod failure;
pub mod flow;
pub mod inspect;
pub mod inventory;
pub mod listener;
pub mod load_balancer;
pub mod output;
pub mod run;
pub mod status;
pub mod store;
pub mod tag;
pub mod target;
pub mod target_group;
pub mod zonal_shift;

use std::path::PathBuf;

use anyhow::Result;
use clap::{CommandFactory as _, Parser, Subcommand};
use nlb_common::layout::LAYOUT_VERSION;
use serde::Serialize;

use crate::{
    control::{Answer, Request, client},
    node::Node,
};
use output::{Format, Output, Show};

/// Where help lists what every command understands.
const GLOBAL: &str = "Options of all commands";

/// A network load balancer: listens on virtual addresses and spreads connections over targets, in XDP.
#[derive(Parser, Debug)]
#[command(name = "nlb", version, max_term_width = 100)]
pub struct Cli {
    /// The node's settings [default: /etc/nlb/node.toml if it exists]
    #[arg(long, global = true, value_name = "PATH", help_heading = GLOBAL)]
    config: Option<PathBuf>,
    /// How to print: as tables, or as one JSON value
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = true, value_name = "table|json")]
    #[arg(help_heading = GLOBAL)]
    output: Format,
    /// What to log, on standard error: error, warn, info, debug, or directives as in RUST_LOG
    #[arg(long, global = true, value_name = "LEVEL", help_heading = GLOBAL)]
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
    /// Print the desired state in the form of such a file
    Export(export::Args),
    /// Create, list, show, change or delete load balancers
    #[command(subcommand)]
    LoadBalancer(load_balancer::Command),
    /// Create, list, show, change or delete listeners
    #[command(subcommand)]
    Listener(listener::Command),
    /// Create, list, show, change or delete target groups
    #[command(subcommand)]
    TargetGroup(target_group::Command),
    /// Change or list the targets of target groups
    #[command(subcommand)]
    Target(target::Command),
    /// Add, list or remove tags
    #[command(subcommand)]
    Tag(tag::Command),
    /// Add, list or remove certificates of the inventory and of listeners
    #[command(subcommand)]
    Certificate(certificate::Command),
    /// Take traffic away from a zone for a time
    #[command(subcommand)]
    ZonalShift(zonal_shift::Command),
    /// Add, list, change or remove what is around the node: subnets, instances, addresses, certificates
    #[command(subcommand)]
    Inventory(inventory::Command),
    /// List or end connections
    #[command(subcommand)]
    Flow(flow::Command),
    /// Count what happened to packets, and why
    Counters(counters::Args),
    /// List calls of the API: who asked for what, and what came of it
    #[command(subcommand)]
    Audit(audit::Command),
    /// Tell which target a connection would get or has, and why
    Explain(explain::Args),
    /// Export, import, check or back up what is stored
    Store(store::Args),
    /// Print a shell's completions
    Completions(documents::Completions),
    /// Write the manual's pages
    Man(documents::Man),
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
        // What needs no node.
        match &self.command {
            Command::Version => return output.show(&Version::default()),
            Command::Completions(args) => return documents::completions(args, Self::command()),
            Command::Man(args) => return documents::man(args, Self::command()),
            _ => {}
        }
        let node = Node::load(self.config.as_deref())?;
        match self.command {
            Command::Run(args) => run::execute(args, node, self.config, self.log.as_deref()),
            Command::Status => status::execute(&node, &output),
            Command::Apply(args) => apply::execute(args, &node, &output),
            Command::Export(args) => export::execute(args, &node),
            Command::LoadBalancer(command) => call::with(&node, |api| load_balancer::execute(command, api, &output)),
            Command::Listener(command) => call::with(&node, |api| listener::execute(command, api, &output)),
            Command::TargetGroup(command) => call::with(&node, |api| target_group::execute(command, api, &output)),
            Command::Target(command) => target::execute(command, &node, &output),
            Command::Tag(command) => call::with(&node, |api| tag::execute(command, api, &output)),
            Command::Certificate(command) => call::with(&node, |api| certificate::execute(command, api, &output)),
            Command::ZonalShift(command) => call::with(&node, |api| zonal_shift::execute(command, api, &output)),
            Command::Inventory(command) => call::with(&node, |api| inventory::execute(command, api, &output)),
            Command::Flow(command) => flow::execute(command, &node, &output),
            Command::Counters(args) => counters::execute(args, &node, &output),
            Command::Audit(command) => audit::execute(command, &node, &output),
            Command::Explain(args) => explain::execute(args, &node, &output),
            Command::Store(args) => store::execute(args, &node, &output),
            Command::Version | Command::Completions(_) | Command::Man(_) => Ok(()),
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
            "nlb run --no-dataplane --api 127.0.0.1:9800 --config node.toml --state /tmp/s",
            "nlb run --api 127.0.0.1:9800 --api [::1]:9800",
            "nlb status --output json",
            "nlb apply -f lb.json --dry-run",
            "nlb apply -f lb.yaml",
            "nlb export",
            "nlb export --format yaml -f lb.yaml",
            "nlb target register web 10.0.1.11:8080",
            "nlb target deregister web [2001:db8::1]:8080",
            "nlb target set-state web 10.0.1.11:8080 unhealthy",
            "nlb target list web",
            "nlb target register web i-0a i-0b:8080 [2001:db8::1]:80 --zone all",
            "nlb target health web 10.0.1.11:8080 --output json",
            "nlb load-balancer create web --subnet subnet-a --subnet subnet-b,allocation-id=eipalloc-1 --tag a=b",
            "nlb load-balancer modify web --attribute deletion_protection.enabled=true",
            "nlb load-balancer list",
            "nlb load-balancer show web --output json",
            "nlb load-balancer delete web",
            "nlb listener create web TLS:443 app --certificate arn:c --ssl-policy P --alpn-policy HTTP2Only",
            "nlb listener modify web/TCP:80 --target-group other --listen TCP:81",
            "nlb listener list",
            "nlb target-group create app --protocol tcp --port 80 --vpc vpc-1 --health-check-protocol HTTP",
            "nlb target-group modify app --matcher 200,204 --unhealthy-threshold 3",
            "nlb tag create web a=b c=",
            "nlb tag delete target-group/web a c",
            "nlb certificate create arn:c --certificate-file a.pem --key-file a.key",
            "nlb certificate add web/TLS:443 arn:c arn:d",
            "nlb zonal-shift start web us-east-1a --expires-in 2h --comment power",
            "nlb zonal-shift cancel web",
            "nlb inventory create subnet id=subnet-a vpc=vpc-1 zone=a cidr=198.18.0.0/24",
            "nlb inventory list elastic-ip",
            "nlb completions bash",
            "nlb man --dir /tmp/man",
            "nlb flow list --client 10.0.0.1 --target [fd00::1]:80 --limit 5",
            "nlb flow list --count",
            "nlb flow delete --all",
            "nlb flow delete --client 10.0.0.1:4000",
            "nlb counters --all",
            "nlb counters --watch",
            "nlb audit list",
            "nlb audit list --state ./state",
            "nlb audit list --limit 5 --name CreateListener --errors --since 2h --output json",
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
            "nlb run --no-dataplane --iface eth0",
            "nlb run --api localhost",
            "nlb run --iface eth0 --xdp-mode fast",
            "nlb apply",
            "nlb export --format toml",
            "nlb target register web 10.0.1",
            "nlb target set-state web 10.0.1.11:8080 sick",
            "nlb load-balancer create web",
            "nlb load-balancer modify web",
            "nlb load-balancer create web --subnet subnet-a --tag novalue",
            "nlb listener create web TCP app",
            "nlb listener create web TCP:65536 app",
            "nlb target-group create app --protocol TCP",
            "nlb tag create web",
            "nlb inventory create mainframe id=1",
            "nlb zonal-shift start web us-east-1a",
            "nlb completions tcsh",
            "nlb flow delete",
            "nlb flow list --client nonsense",
            "nlb audit list --limit 0",
            "nlb audit list --since yesterday",
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
