//! Attributes of load balancers (guide, "Load balancer attributes").

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Context,
    attributes::{self, Allowed, Attribute, Given},
    find, target_quotas, zonal_shift,
};
use crate::model::{Fault, IpAddressType, LoadBalancer, Scheme, State};

const LOGS_ENABLED: &str = "access_logs.s3.enabled";
const LOGS_BUCKET: &str = "access_logs.s3.bucket";
const LOGS_PREFIX: &str = "access_logs.s3.prefix";
/// Whether it can be deleted.
pub const DELETION_PROTECTION: &str = "deletion_protection.enabled";
/// Whether clients beyond the internet gateway are kept out.
pub const DENY_ALL_IGW_TRAFFIC: &str = "ipv6.deny_all_igw_traffic";
/// Whether its nodes use targets of all zones.
pub const CROSS_ZONE: &str = "load_balancing.cross_zone.enabled";

/// The attributes of this load balancer.
pub fn table(balancer: &LoadBalancer) -> [Attribute; 6] {
    let deny = match balancer.scheme {
        Scheme::InternetFacing => "false",
        Scheme::Internal => "true",
    };
    [
        Attribute { key: LOGS_ENABLED, allowed: Allowed::FLAG, default: "false" },
        Attribute { key: LOGS_BUCKET, allowed: Allowed::Text(63), default: "" },
        Attribute { key: LOGS_PREFIX, allowed: Allowed::Text(1024), default: "" },
        Attribute { key: DELETION_PROTECTION, allowed: Allowed::FLAG, default: "false" },
        Attribute { key: DENY_ALL_IGW_TRAFFIC, allowed: Allowed::FLAG, default: deny },
        Attribute { key: CROSS_ZONE, allowed: Allowed::FLAG, default: "false" },
    ]
}

/// Whether its nodes use targets of all zones, where a target group does not say otherwise.
pub fn cross_zone(balancer: &LoadBalancer) -> bool {
    attributes::value(&table(balancer), &balancer.attributes, CROSS_ZONE) == "true"
}

/// `DescribeLoadBalancerAttributes`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeInput {
    load_balancer_arn: String,
}

/// `ModifyLoadBalancerAttributes`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ModifyInput {
    load_balancer_arn: String,
    attributes: Vec<Given>,
}

/// What both answer: all attributes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    attributes: Vec<attributes::Told>,
}

/// `DescribeLoadBalancerAttributes`.
///
/// # Errors
/// `LoadBalancerNotFound`, `ValidationError`.
pub fn describe(state: &State, input: DescribeInput, _: &Context<'_>) -> Result<Output, Fault> {
    let balancer = find::load_balancer(state, &input.load_balancer_arn)?;
    Ok(Output { attributes: attributes::effective(&table(balancer), &balancer.attributes) })
}

/// `ModifyLoadBalancerAttributes`: those named change, the others stay.
///
/// # Errors
/// `LoadBalancerNotFound`, `ValidationError`; `InvalidConfigurationRequest` if attributes don't go together, or with
/// the load balancer; `TooManyTargets` if cross-zone load balancing makes its targets too many.
pub fn modify(state: &mut State, input: ModifyInput, context: &Context<'_>) -> Result<Output, Fault> {
    let balancer = find::load_balancer(state, &input.load_balancer_arn)?;
    let table = table(balancer);
    let wanted = attributes::checked(&table, input.attributes)?;
    let mut set = balancer.attributes.clone();
    set.extend(wanted.clone());
    go_together(&table, balancer, &wanted, &set, context)?;
    let arn = balancer.arn.clone();
    let turned_on = attributes::value(&table, &set, CROSS_ZONE) == "true" && !cross_zone(balancer);
    let told = attributes::effective(&table, &set);
    if let Some(balancer) = state.load_balancers.get_mut(&arn) {
        Arc::make_mut(balancer).attributes = set;
    }
    if turned_on {
        // An Application Load Balancer counts more now.
        target_quotas::check(state, &arn, context)?;
    }
    Ok(Output { attributes: told })
}

/// Whether attributes go together, and with the load balancer. `wanted` is what the caller names, `set` what would be set
/// after it.
///
/// # Errors
/// `ValidationError`, `InvalidConfigurationRequest`.
pub fn go_together(
    table: &[Attribute],
    balancer: &LoadBalancer,
    wanted: &BTreeMap<String, String>,
    set: &BTreeMap<String, String>,
    context: &Context<'_>,
) -> Result<(), Fault> {
    let value = |key: &str| attributes::value(table, set, key);
    if value(LOGS_PREFIX).contains("AWSLogs") {
        return Err(Fault::validation(format!(
            "{LOGS_PREFIX} has AWSLogs in it, where the names of log files begin: choose another prefix"
        )));
    }
    if value(LOGS_ENABLED) == "true" && value(LOGS_BUCKET).is_empty() {
        return Err(Fault::configuration(format!("{LOGS_ENABLED} is true without a bucket: set {LOGS_BUCKET} too")));
    }
    if wanted.contains_key(DENY_ALL_IGW_TRAFFIC) && balancer.ip_address_type == IpAddressType::Ipv4 {
        return Err(Fault::configuration(format!(
            "{DENY_ALL_IGW_TRAFFIC} can't be set for {}, which is ipv4: it is for dualstack load balancers",
            balancer.name
        )));
    }
    if value(CROSS_ZONE) == "true"
        && let Some(shift) = zonal_shift::active(balancer, context.now)
    {
        return Err(Fault::configuration(format!(
            "{CROSS_ZONE} can't be true while traffic is shifted away from {}: cancel the zonal shift first",
            shift.zone
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        model::{Arn, Code, Protocol, Target, TargetId, TargetKey, TargetType},
        ops::testing::{self, World},
    };

    fn pairs(output: &Value) -> BTreeMap<&str, &str> {
        let all = output["Attributes"].as_array().unwrap();
        all.iter().map(|one| (one["Key"].as_str().unwrap(), one["Value"].as_str().unwrap())).collect()
    }

    fn modify(arn: &Arn, pairs: &[(&str, &str)]) -> Value {
        let given: Vec<Value> = pairs.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        json!({"LoadBalancerArn": arn, "Attributes": given})
    }

    const MODIFY: &str = "ModifyLoadBalancerAttributes";

    #[test]
    fn defaults() {
        let mut world = World::new();
        let arn = testing::load_balancer(&mut world.state, "web");
        let describe =
            |world: &mut World| world.call("DescribeLoadBalancerAttributes", json!({"LoadBalancerArn": arn}));
        let mut expected = BTreeMap::from([
            (LOGS_ENABLED, "false"),
            (LOGS_BUCKET, ""),
            (LOGS_PREFIX, ""),
            (DELETION_PROTECTION, "false"),
            (DENY_ALL_IGW_TRAFFIC, "false"),
            (CROSS_ZONE, "false"),
        ]);
        assert_eq!(pairs(&describe(&mut world)), expected);
        Arc::make_mut(world.state.load_balancers.get_mut(&arn).unwrap()).scheme = Scheme::Internal;
        expected.insert(DENY_ALL_IGW_TRAFFIC, "true");
        assert_eq!(pairs(&describe(&mut world)), expected);
    }

    #[test]
    fn what_is_set_stays() {
        let mut world = World::new();
        let arn = testing::load_balancer(&mut world.state, "web");
        let logs = [(LOGS_ENABLED, "true"), (LOGS_BUCKET, "logs"), (LOGS_PREFIX, "a/b")];
        let output = world.call(MODIFY, modify(&arn, &logs));
        assert_eq!(pairs(&output).len(), 6, "the answer is all attributes");
        let output = world.call(MODIFY, modify(&arn, &[(CROSS_ZONE, "true")]));
        let told = pairs(&output);
        assert_eq!([told[LOGS_BUCKET], told[LOGS_PREFIX], told[CROSS_ZONE]], ["logs", "a/b", "true"]);
        assert_eq!(output, world.call("DescribeLoadBalancerAttributes", json!({"LoadBalancerArn": arn})));
        assert!(cross_zone(&world.state.load_balancers[&arn]));
    }

    #[test]
    fn refusals() {
        let mut world = World::new();
        let arn = testing::load_balancer(&mut world.state, "web");
        let bucket = "b".repeat(64);
        let wrong = [
            (LOGS_ENABLED, "yes"),
            (LOGS_BUCKET, bucket.as_str()),
            (LOGS_PREFIX, "a/AWSLogs"),
            (DELETION_PROTECTION, "TRUE"),
            (CROSS_ZONE, "use_load_balancer_configuration"),
            ("idle_timeout.timeout_seconds", "60"),
        ];
        for (key, value) in wrong {
            world.refused(Code::ValidationError, MODIFY, modify(&arn, &[(key, value)]));
        }
        world.refused(Code::ValidationError, MODIFY, modify(&arn, &[]));
        let none = Arn::load_balancer(&world.account, "web", "0");
        world.refused(Code::LoadBalancerNotFound, MODIFY, modify(&none, &[(CROSS_ZONE, "true")]));
        world.refused(Code::LoadBalancerNotFound, "DescribeLoadBalancerAttributes", json!({"LoadBalancerArn": none}));
        assert!(world.state.load_balancers[&arn].attributes.is_empty());
    }

    #[test]
    fn logs_need_a_bucket() {
        let mut world = World::new();
        let arn = testing::load_balancer(&mut world.state, "web");
        world.refused(Code::InvalidConfigurationRequest, MODIFY, modify(&arn, &[(LOGS_ENABLED, "true")]));
        world.call(MODIFY, modify(&arn, &[(LOGS_BUCKET, "logs")]));
        world.call(MODIFY, modify(&arn, &[(LOGS_ENABLED, "true")]));
        world.refused(Code::InvalidConfigurationRequest, MODIFY, modify(&arn, &[(LOGS_BUCKET, "")]));
    }

    /// It is told for all, as the guide has it, but is nothing that IPv4 load balancers could change.
    #[test]
    fn igw_traffic_is_for_dualstack() {
        let mut world = World::new();
        let arn = testing::load_balancer(&mut world.state, "web");
        world.refused(Code::InvalidConfigurationRequest, MODIFY, modify(&arn, &[(DENY_ALL_IGW_TRAFFIC, "true")]));
        testing::make_dualstack(&mut world.state, &arn);
        let output = world.call(MODIFY, modify(&arn, &[(DENY_ALL_IGW_TRAFFIC, "true")]));
        assert_eq!(pairs(&output)[DENY_ALL_IGW_TRAFFIC], "true");
        // Back to ipv4 it has its default again.
        world.call("SetIpAddressType", json!({"LoadBalancerArn": arn, "IpAddressType": "ipv4"}));
        let output = world.call("DescribeLoadBalancerAttributes", json!({"LoadBalancerArn": arn}));
        assert_eq!(pairs(&output)[DENY_ALL_IGW_TRAFFIC], "false");
    }

    /// An Application Load Balancer counts as 50 targets, and as 100 with cross-zone load balancing.
    #[test]
    fn cross_zone_and_quotas() {
        let mut world = World::new();
        let arn = testing::load_balancer(&mut world.state, "web");
        let group = testing::target_group(&mut world.state, "targets", Protocol::Tcp);
        testing::listener(&mut world.state, &arn, Protocol::Tcp, 80, &group);
        let change = Arc::make_mut(world.state.target_groups.get_mut(&group).unwrap());
        change.target_type = TargetType::Alb;
        let target = Target { zone: None, registered: change.created, draining_until: None };
        change.targets.insert(TargetKey { id: TargetId::Alb(testing::ALB.into()), port: 80 }, target);
        world.quotas.targets_per_load_balancer = 99;
        world.refused(Code::TooManyTargets, MODIFY, modify(&arn, &[(CROSS_ZONE, "true")]));
        world.quotas.targets_per_load_balancer = 100;
        world.call(MODIFY, modify(&arn, &[(CROSS_ZONE, "true")]));
        // What is on already is nobody's concern.
        world.quotas.targets_per_load_balancer = 99;
        world.call(MODIFY, modify(&arn, &[(CROSS_ZONE, "true"), (DELETION_PROTECTION, "true")]));
    }

    #[test]
    fn cross_zone_and_zonal_shift() {
        let mut world = World::new();
        let arn = testing::load_balancer(&mut world.state, "web");
        let shift = json!({"LoadBalancerArn": arn, "AwayFrom": "us-east-1a", "ExpiresIn": "1m"});
        world.call("StartZonalShift", shift);
        world.refused(Code::InvalidConfigurationRequest, MODIFY, modify(&arn, &[(CROSS_ZONE, "true")]));
        world.call(MODIFY, modify(&arn, &[(DELETION_PROTECTION, "true")]));
        world.call("CancelZonalShift", json!({"LoadBalancerArn": arn}));
        world.call(MODIFY, modify(&arn, &[(CROSS_ZONE, "true")]));
    }
}
