//! Security groups of load balancers: `SetSecurityGroups`. They are kept and told, and filter nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Context, find};
use crate::model::{Code, Fault, Inventory, State};

/// `SetSecurityGroups`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SetInput {
    load_balancer_arn: String,
    security_groups: Vec<String>,
    enforce_security_group_inbound_rules_on_private_link_traffic: Option<String>,
}

/// What `SetSecurityGroups` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetOutput {
    security_group_ids: Vec<String>,
}

/// `SetSecurityGroups`.
///
/// # Errors
/// `LoadBalancerNotFound`, `InvalidSecurityGroup`, `ValidationError`; `InvalidConfigurationRequest` if the load
/// balancer was created without any.
pub fn set(state: &mut State, input: SetInput, context: &Context<'_>) -> Result<SetOutput, Fault> {
    const PRIVATE_LINK: &str = "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic";
    let balancer = find::load_balancer(state, &input.load_balancer_arn)?;
    match input.enforce_security_group_inbound_rules_on_private_link_traffic.as_deref() {
        None | Some("on") => {}
        Some("off") => {
            return Err(Fault::configuration(format!("{PRIVATE_LINK} can't be off: there is no PrivateLink here")));
        }
        Some(other) => return Err(Fault::validation(format!("{PRIVATE_LINK} is `{other}`: allowed are on, off"))),
    }
    if balancer.security_groups.is_empty() {
        return Err(Fault::configuration(format!(
            "the load balancer {} was created without security groups, so it can't have any: create another with them",
            balancer.name
        )));
    }
    if input.security_groups.is_empty() {
        return Err(Fault::validation(
            "SecurityGroups is empty: a load balancer that has security groups keeps at least one",
        ));
    }
    let checked = checked(input.security_groups, balancer.vpc.as_deref(), context.inventory)?;
    let arn = balancer.arn.clone();
    if let Some(balancer) = state.load_balancers.get_mut(&arn) {
        Arc::make_mut(balancer).security_groups.clone_from(&checked);
    }
    Ok(SetOutput { security_group_ids: checked })
}

/// Security groups that a load balancer of this VPC can have, each once.
///
/// # Errors
/// `InvalidSecurityGroup` if there is none of an id, `InvalidConfigurationRequest` if it is of another VPC.
pub fn checked(ids: Vec<String>, vpc: Option<&str>, inventory: &Inventory) -> Result<Vec<String>, Fault> {
    let mut checked: Vec<String> = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(group) = inventory.security_groups.get(&id) else {
            let sentence = format!("there is no security group {id} in the inventory");
            return Err(Fault::new(Code::InvalidSecurityGroup, sentence));
        };
        if let (Some(of), Some(vpc)) = (group.vpc.as_deref(), vpc)
            && of != vpc
        {
            return Err(Fault::configuration(format!(
                "the security group {id} is of the VPC {of}, the load balancer of {vpc}: choose one of {vpc}"
            )));
        }
        if !checked.contains(&id) {
            checked.push(id);
        }
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ops::testing::World;

    fn create(world: &mut World, groups: &[&str]) -> Value {
        let input = json!({"Name": "web", "Subnets": ["subnet-a"], "SecurityGroups": groups});
        world.call("CreateLoadBalancer", input)["LoadBalancers"][0]["LoadBalancerArn"].clone()
    }

    #[test]
    fn set_again() {
        let mut world = World::new();
        let arn = create(&mut world, &["sg-1", "sg-1"]);
        let told = |world: &mut World| world.call("DescribeLoadBalancers", json!({}))["LoadBalancers"][0].clone();
        assert_eq!(told(&mut world)["SecurityGroups"], json!(["sg-1"]));
        let input = json!({"LoadBalancerArn": arn, "SecurityGroups": ["sg-2", "sg-any", "sg-2"]});
        let output = world.call("SetSecurityGroups", input);
        assert_eq!(output, json!({"SecurityGroupIds": ["sg-2", "sg-any"]}));
        assert_eq!(told(&mut world)["SecurityGroups"], json!(["sg-2", "sg-any"]));
    }

    #[test]
    fn refusals() {
        let mut world = World::new();
        let arn = create(&mut world, &["sg-1"]);
        let mut refused = |code: Code, groups: Value| {
            world.refused(code, "SetSecurityGroups", json!({"LoadBalancerArn": arn, "SecurityGroups": groups}));
        };
        refused(Code::InvalidSecurityGroup, json!(["sg-none"]));
        refused(Code::InvalidConfigurationRequest, json!(["sg-x"]));
        refused(Code::ValidationError, json!([]));
        let with = |value: &str| {
            json!({"LoadBalancerArn": arn, "SecurityGroups": ["sg-1"],
                "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic": value})
        };
        world.call("SetSecurityGroups", with("on"));
        world.refused(Code::InvalidConfigurationRequest, "SetSecurityGroups", with("off"));
        world.refused(Code::ValidationError, "SetSecurityGroups", with("maybe"));
        let none = format!("{}0", arn.as_str().unwrap());
        let input = json!({"LoadBalancerArn": none, "SecurityGroups": ["sg-1"]});
        world.refused(Code::LoadBalancerNotFound, "SetSecurityGroups", input);
    }

    /// One that was created without any can't have any.
    #[test]
    fn created_without() {
        let mut world = World::new();
        let arn = create(&mut world, &[]);
        let input = json!({"LoadBalancerArn": arn, "SecurityGroups": ["sg-1"]});
        world.refused(Code::InvalidConfigurationRequest, "SetSecurityGroups", input);
        let told = world.call("DescribeLoadBalancers", json!({}));
        assert_eq!(told["LoadBalancers"][0].get("SecurityGroups"), None);
    }
}
