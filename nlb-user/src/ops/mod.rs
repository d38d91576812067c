//! The operations of the Elastic Load Balancing v2 API, version 2015-12-01: from a state and an input to an output and
//! the next state.
//!
//! Pure: nothing here knows a socket, a file or a map. The HTTP server, the command line and tests run the same
//! functions through [`run`]. One file a noun; `params` reads inputs, and what several nouns share is in `checks`,
//! `names`, `find`, `paging`, `attributes` and `tags`. `testing` is a world for their tests.

mod actions;
pub(crate) mod addresses;
pub(crate) mod attributes;
pub(crate) mod certificates;
mod checks;
mod find;
pub mod health_check;
pub mod inventory;
pub mod limits;
pub mod listener_attributes;
mod listener_tls;
pub mod listeners;
pub mod load_balancer_attributes;
mod load_balancer_output;
mod load_balancer_state;
pub mod load_balancers;
pub(crate) mod names;
mod other_kinds;
mod overrides;
mod paging;
mod params;
pub mod policies;
mod rules;
pub mod security_groups;
pub(crate) mod subnet_mappings;
pub mod tags;
pub mod target_group_attributes;
pub mod target_groups;
pub mod target_health;
pub mod target_quotas;
pub mod targets;
#[cfg(test)]
pub(crate) mod testing;
pub mod zonal_shift;
pub mod zones;

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::model::{Account, Code, Fault, Inventory, Quotas, State};

/// What an operation is run in.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Whose resources these are.
    pub account: &'a Account,
    /// What there is around the node: of node.toml and of commands, together.
    pub inventory: &'a Inventory,
    /// How many of each there may be.
    pub quotas: &'a Quotas,
    /// What the node sees.
    pub observed: &'a Observed,
    /// The smallest `tcp.idle_timeout.seconds`: 60, unless a test lowers it.
    pub min_idle_s: u16,
    /// The time of the call.
    pub now: Timestamp,
}

/// What a node sees of its resources.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Observed {
    /// Whether packets are forwarded; not with `--no-dataplane`.
    pub forwards: bool,
    /// Addresses of this node that are not served, and why.
    pub failed: std::collections::BTreeMap<std::net::IpAddr, String>,
    /// Addresses of this node that are about to be served.
    pub pending: std::collections::BTreeSet<std::net::IpAddr>,
}

/// What an operation did.
#[derive(Clone, PartialEq, Debug)]
pub struct Done {
    /// Its output, in the members and types of the API; `Null` if it has none.
    pub output: Value,
    /// The next state; `None` if the operation only looks.
    pub next: Option<State>,
}

/// What an operation answers that has nothing to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Void {}

/// Whether the operation of this name only looks.
pub fn only_looks(operation: &str) -> bool {
    operation.starts_with("Describe") || operation.starts_with("List")
}

/// A time as the API writes it.
pub fn time(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// The state after time has passed: targets whose draining is over have left, and zonal shifts that are over have
/// ended. `None` if nothing has changed.
pub fn expire(state: &State, now: Timestamp) -> Option<State> {
    let mut next = state.clone();
    let left = targets::expire(&mut next, now);
    let ended = zonal_shift::end_expired(&mut next, now);
    (left || ended).then_some(next)
}

/// Runs an operation by its name.
///
/// # Errors
/// As the operation says; `InvalidAction` if there is none of this name.
pub fn run(state: &State, operation: &str, input: &Value, context: &Context<'_>) -> Result<Done, Fault> {
    let call = Call { state, input, context };
    match operation {
        // Load balancers.
        "CreateLoadBalancer" => call.change(load_balancers::create),
        "DescribeLoadBalancers" => call.look(load_balancers::describe),
        "DeleteLoadBalancer" => call.change(load_balancers::delete),
        "DescribeLoadBalancerAttributes" => call.look(load_balancer_attributes::describe),
        "ModifyLoadBalancerAttributes" => call.change(load_balancer_attributes::modify),
        // Zones and addresses of load balancers.
        "SetSubnets" => call.change(zones::set_subnets),
        "SetIpAddressType" => call.change(zones::set_ip_address_type),
        "SetSecurityGroups" => call.change(security_groups::set),
        // Zonal shifts.
        "StartZonalShift" => call.change(zonal_shift::start),
        "UpdateZonalShift" => call.change(zonal_shift::update),
        "CancelZonalShift" => call.change(zonal_shift::cancel),
        "ListZonalShifts" => call.look(zonal_shift::list),
        // Tags.
        "AddTags" => call.change(tags::add),
        "RemoveTags" => call.change(tags::remove),
        "DescribeTags" => call.look(tags::describe),
        // Limits.
        "DescribeAccountLimits" => call.look(limits::describe),
        // Target groups.
        "CreateTargetGroup" => call.change(target_groups::create),
        "DescribeTargetGroups" => call.look(target_groups::describe),
        "ModifyTargetGroup" => call.change(target_groups::modify),
        "DeleteTargetGroup" => call.change(target_groups::delete),
        "DescribeTargetGroupAttributes" => call.look(target_group_attributes::describe),
        "ModifyTargetGroupAttributes" => call.change(target_group_attributes::modify),
        // Targets.
        "SetTargetState" => call.change(overrides::set),
        "RegisterTargets" => call.change(targets::register),
        "DeregisterTargets" => call.change(targets::deregister),
        "DescribeTargetHealth" => call.look(target_health::describe),
        // Listeners.
        "CreateListener" => call.change(listeners::create),
        "DescribeListeners" => call.look(listeners::describe),
        "ModifyListener" => call.change(listeners::modify),
        "DeleteListener" => call.change(listeners::delete),
        "DescribeListenerAttributes" => call.look(listener_attributes::describe),
        "ModifyListenerAttributes" => call.change(listener_attributes::modify),
        "DescribeRules" => call.look(rules::describe),
        // Certificates and policies.
        "AddListenerCertificates" => call.change(certificates::add),
        "RemoveListenerCertificates" => call.change(certificates::remove),
        "DescribeListenerCertificates" => call.look(certificates::describe),
        "DescribeSSLPolicies" => call.look(policies::describe),
        // Inventory.
        "CreateInventory" => call.change(inventory::create),
        "ListInventory" => call.look(inventory::list),
        "ModifyInventory" => call.change(inventory::modify),
        "DeleteInventory" => call.change(inventory::delete),
        // What is for other kinds of load balancers.
        other if other_kinds::has(other) => Err(other_kinds::refusal(other)),
        _ => Err(unknown(operation)),
    }
}

/// Whether the operation of this name is one of our own, for commands and not for the API.
pub fn is_local(operation: &str) -> bool {
    matches!(
        operation,
        "StartZonalShift"
            | "UpdateZonalShift"
            | "CancelZonalShift"
            | "ListZonalShifts"
            | "CreateInventory"
            | "ListInventory"
            | "ModifyInventory"
            | "DeleteInventory"
            | "SetTargetState"
    )
}

/// That there is no operation of this name.
pub fn unknown(operation: &str) -> Fault {
    let message = format!("there is no operation {operation} in version 2015-12-01 of the API");
    Fault::new(Code::InvalidAction, message)
}

/// A call: what [`run`] hands to an operation.
struct Call<'a> {
    state: &'a State,
    input: &'a Value,
    context: &'a Context<'a>,
}

impl Call<'_> {
    /// Runs an operation that only looks.
    fn look<I: DeserializeOwned, O: Serialize>(
        &self,
        operation: impl Fn(&State, I, &Context<'_>) -> Result<O, Fault>,
    ) -> Result<Done, Fault> {
        let output = operation(self.state, params::read(self.input)?, self.context)?;
        Ok(Done { output: written(&output)?, next: None })
    }

    /// Runs an operation that changes its copy of the state.
    fn change<I: DeserializeOwned, O: Serialize>(
        &self,
        operation: impl Fn(&mut State, I, &Context<'_>) -> Result<O, Fault>,
    ) -> Result<Done, Fault> {
        let mut next = self.state.clone();
        let output = operation(&mut next, params::read(self.input)?, self.context)?;
        Ok(Done { output: written(&output)?, next: Some(next) })
    }
}

fn written(output: &impl Serialize) -> Result<Value, Fault> {
    serde_json::to_value(output).map_err(|error| Fault::new(Code::InternalFailure, error.to_string()))
}
