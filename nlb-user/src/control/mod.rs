//! How commands reach the controller: a unix socket, a JSON request a line, a JSON answer a line.
//!
//! Only root may connect. The answer to a change comes after it is stored and in the maps.

pub mod client;
pub mod server;

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store::Override;

/// What an operator can hold a target's health to be.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Gets connections
    Healthy,
    /// Gets none; those it has are reset
    Unhealthy,
    /// No override
    Auto,
}

impl From<Health> for Option<Override> {
    fn from(health: Health) -> Self {
        match health {
            Health::Healthy => Some(Override::Healthy),
            Health::Unhealthy => Some(Override::Unhealthy),
            Health::Auto => None,
        }
    }
}

impl From<Override> for Health {
    fn from(value: Override) -> Self {
        match value {
            Override::Healthy => Self::Healthy,
            Override::Unhealthy => Self::Unhealthy,
        }
    }
}

/// What a command asks for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Make a file the desired state.
    Apply {
        /// The file's text.
        text: String,
        /// Its name, for messages and for its format.
        file: String,
        /// Only say what would change.
        dry_run: bool,
    },
    /// Run an operation of the API, or one of our own.
    Call {
        /// Its name, as in `CreateLoadBalancer`.
        operation: String,
        /// Its input.
        #[serde(default)]
        input: Value,
    },
    /// Override what is known of a target's health.
    SetState {
        /// The target group's name.
        group: String,
        /// The target, as it is registered: its id, with `:PORT` unless that is the group's.
        target: String,
        /// The override.
        state: Health,
    },
    /// Give the desired state in the form of a file.
    Export,
    /// Tell what is desired and what is wrong.
    Status,
    /// Read the file given with `--apply` again.
    Reload,
}

/// What the controller answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The change was made, or would be.
    Applied(Applied),
    /// The operation was run.
    Done {
        /// Its output; `null` if it has none.
        output: Value,
        /// What is accepted and yet hardly meant.
        warnings: Vec<String>,
    },
    /// The operation was refused: nothing was changed.
    Fault {
        /// The API's error code.
        code: String,
        /// What was found and what is allowed.
        message: String,
    },
    /// The desired state in the form of a file.
    Exported(Exported),
    /// What is desired and what is wrong.
    Status(Box<Desired>),
    /// Nothing was changed; one line a reason.
    Refused(Vec<String>),
}

/// What a change did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Applied {
    /// Revision of the stored state after it.
    pub revision: u64,
    /// Whether it was only tried.
    pub dry_run: bool,
    /// What changes, one line each: `+ target web 10.0.1.11:8080`.
    pub changes: Vec<String>,
    /// What is legal but hardly meant.
    pub warnings: Vec<String>,
    /// Addresses that the node does not serve, though desired.
    pub failed: Vec<Failed>,
}

/// The desired state in the form of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Exported {
    /// Revision of the stored state.
    pub revision: u64,
    /// The file, as a JSON value.
    pub manifest: Value,
}

/// An address that is not served, though desired.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failed {
    /// Its load balancer.
    pub load_balancer: String,
    /// The address.
    pub address: IpAddr,
    /// Why.
    pub reason: String,
}

/// An operator's override of a target's state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Overridden {
    /// The target group's name.
    pub group: String,
    /// The target.
    pub target: SocketAddr,
    /// What it is held to be.
    pub state: Health,
}

/// A next hop that is not known.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unresolved {
    /// The target's address.
    pub address: IpAddr,
    /// Why.
    pub reason: String,
}

/// A desired load balancer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DesiredLoadBalancer {
    /// Its name.
    pub name: String,
    /// Its addresses on this node.
    pub addresses: Vec<IpAddr>,
    /// `provisioning`, `active` or `failed`.
    pub state: String,
    /// Why it is failed.
    pub reason: Option<String>,
}

/// What the controller knows beyond what is in the maps.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Desired {
    /// The controller's process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// How long it has been running, in seconds.
    pub uptime_s: u64,
    /// Revision of the stored state.
    pub revision: u64,
    /// The desired load balancers.
    pub load_balancers: Vec<DesiredLoadBalancer>,
    /// The names of the desired target groups.
    pub target_groups: Vec<String>,
    /// Operators' overrides.
    pub overrides: Vec<Overridden>,
    /// Addresses that are not served.
    pub failed: Vec<Failed>,
    /// Targets whose next hop is not known.
    pub unresolved: Vec<Unresolved>,
    /// What is legal but hardly meant.
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts speak this protocol too: what is on the wire does not change by accident.
    #[test]
    fn requests_on_the_wire() {
        let cases = [
            (
                Request::Apply { text: "{}".into(), file: "lb.json".into(), dry_run: true },
                r#"{"do":"apply","text":"{}","file":"lb.json","dry_run":true}"#,
            ),
            (
                Request::Call { operation: "DescribeTags".into(), input: serde_json::json!({"ResourceArns": []}) },
                r#"{"do":"call","operation":"DescribeTags","input":{"ResourceArns":[]}}"#,
            ),
            (
                Request::SetState { group: "web".into(), target: "[2001:db8::1]:80".into(), state: Health::Auto },
                r#"{"do":"set_state","group":"web","target":"[2001:db8::1]:80","state":"auto"}"#,
            ),
            (Request::Export, r#"{"do":"export"}"#),
            (Request::Status, r#"{"do":"status"}"#),
            (Request::Reload, r#"{"do":"reload"}"#),
        ];
        for (request, text) in cases {
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
        }
    }
}
