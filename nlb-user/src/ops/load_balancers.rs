//! `CreateLoadBalancer`, `DescribeLoadBalancers` and `DeleteLoadBalancer`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    Context, Void, addresses, attributes, checks, find, load_balancer_attributes,
    load_balancer_output::LoadBalancer as Told,
    names,
    paging::Paging,
    security_groups,
    subnet_mappings::{self, Asked, Network, SubnetMapping},
    tags::{self, Tag},
    zones,
};
use crate::model::{Arn, ArnKind, Code, Fault, IpAddressType, LoadBalancer, Scheme, State, new_id};

pub use super::load_balancer_state::{StateCode, Statuses, address_conflicts, status};

/// The most load balancers that a call can name.
const NAMED: usize = 20;

/// `CreateLoadBalancer`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateInput {
    name: String,
    #[serde(default)]
    subnets: Vec<String>,
    #[serde(default)]
    subnet_mappings: Vec<SubnetMapping>,
    #[serde(default)]
    security_groups: Vec<String>,
    scheme: Option<String>,
    tags: Option<Vec<Tag>>,
    r#type: Option<String>,
    ip_address_type: Option<String>,
    customer_owned_ipv4_pool: Option<String>,
    enable_prefix_for_ipv6_source_nat: Option<String>,
    ipam_pools: Option<IpamPools>,
}

/// Pools of addresses, which only other kinds of load balancers have.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct IpamPools {
    ipv4_ipam_pool_id: Option<String>,
}

/// What `CreateLoadBalancer` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateOutput {
    load_balancers: Vec<Told>,
}

/// `DescribeLoadBalancers`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeInput {
    #[serde(default)]
    load_balancer_arns: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
    marker: Option<String>,
    page_size: Option<i64>,
}

/// What `DescribeLoadBalancers` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeOutput {
    load_balancers: Vec<Told>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

/// `DeleteLoadBalancer`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DeleteInput {
    load_balancer_arn: String,
}

/// `CreateLoadBalancer`. One of the same name and settings is answered with what is there already; tags are no
/// settings.
///
/// # Errors
/// `ValidationError`, `InvalidConfigurationRequest`, `DuplicateLoadBalancerName`, `TooManyLoadBalancers`,
/// `SubnetNotFound`, `InvalidSubnet`, `AllocationIdNotFound`, `ResourceInUse`, `InvalidSecurityGroup`,
/// `DuplicateTagKeys`, `TooManyTags`.
pub fn create(state: &mut State, input: CreateInput, context: &Context<'_>) -> Result<CreateOutput, Fault> {
    names::load_balancer(&input.name)?;
    of_this_kind(&input)?;
    let scheme = match input.scheme.as_deref() {
        None | Some("internet-facing") => Scheme::InternetFacing,
        Some("internal") => Scheme::Internal,
        Some(other) => return Err(checks::not_one_of("Scheme", other, &["internet-facing", "internal"])),
    };
    let ip_address_type = input.ip_address_type.as_deref().map(zones::ip_address_type).transpose()?.unwrap_or_default();
    let asked = subnet_mappings::asked(input.subnets, input.subnet_mappings)?;
    let tags = tags::checked(input.tags)?;
    if let Some(present) = state.load_balancer_named(&input.name) {
        is_the_same(present, scheme, ip_address_type, &asked, &input.security_groups)?;
        let told = Told::new(present, status(present, state, context), context);
        return Ok(CreateOutput { load_balancers: vec![told] });
    }
    let most = context.quotas.load_balancers as usize;
    if state.load_balancers.len() >= most {
        return Err(Fault::new(
            Code::TooManyLoadBalancers,
            format!(
                "there are {} load balancers: at most {most} are allowed (quota load_balancers)",
                state.load_balancers.len()
            ),
        ));
    }
    let network = Network { scheme, ip_address_type, present: None };
    let (vpc, zones) = subnet_mappings::enable(&asked, network, state, context, &mut addresses::at_random)?;
    let security_groups = security_groups::checked(input.security_groups, Some(&vpc), context.inventory)?;
    let balancer = LoadBalancer {
        arn: Arn::load_balancer(context.account, &input.name, &new_id()),
        name: input.name,
        scheme,
        ip_address_type,
        vpc: Some(vpc),
        zones,
        addresses: Vec::new(),
        security_groups,
        attributes: BTreeMap::new(),
        tags,
        zonal_shift: None,
        created: context.now,
    };
    let told = Told::new(&balancer, (StateCode::Provisioning, None), context);
    state.load_balancers.insert(balancer.arn.clone(), Arc::new(balancer));
    Ok(CreateOutput { load_balancers: vec![told] })
}

/// Refuses what only other kinds of load balancers have.
fn of_this_kind(input: &CreateInput) -> Result<(), Fault> {
    match input.r#type.as_deref() {
        None | Some("network") => {}
        Some(other @ ("application" | "gateway")) => {
            return Err(Fault::configuration(format!(
                "Type is {other}: only Network Load Balancers can be created here, with Type network"
            )));
        }
        Some(other) => return Err(checks::not_one_of("Type", other, &["network"])),
    }
    let only_for =
        |name: &str| Err(Fault::configuration(format!("{name} is for Application Load Balancers: leave it out")));
    if input.customer_owned_ipv4_pool.is_some() {
        return only_for("CustomerOwnedIpv4Pool");
    }
    if input.ipam_pools.as_ref().is_some_and(|pools| pools.ipv4_ipam_pool_id.is_some()) {
        return only_for("IpamPools");
    }
    zones::source_nat(input.enable_prefix_for_ipv6_source_nat.as_deref())
}

/// Whether what is there was made with these settings.
fn is_the_same(
    present: &LoadBalancer,
    scheme: Scheme,
    ip_address_type: IpAddressType,
    asked: &[Asked],
    security_groups: &[String],
) -> Result<(), Fault> {
    let mut differ = Vec::new();
    if present.scheme != scheme {
        differ.push("scheme");
    }
    if present.ip_address_type != ip_address_type {
        differ.push("IP address type");
    }
    let sorted = |mut asked: Vec<Asked>| {
        asked.sort();
        asked
    };
    if sorted(present.zones.iter().map(Asked::of).collect()) != sorted(asked.to_vec()) {
        differ.push("subnets");
    }
    if present.security_groups.iter().collect::<BTreeSet<_>>() != security_groups.iter().collect() {
        differ.push("security groups");
    }
    if differ.is_empty() {
        return Ok(());
    }
    Err(Fault::new(
        Code::DuplicateLoadBalancerName,
        format!(
            "there is a load balancer {} with other settings: {}. Choose another name",
            present.name,
            differ.join(", ")
        ),
    ))
}

/// `DescribeLoadBalancers`: all, or those named, in the order of their ARNs.
///
/// # Errors
/// `ValidationError`, `LoadBalancerNotFound`.
pub fn describe(state: &State, input: DescribeInput, context: &Context<'_>) -> Result<DescribeOutput, Fault> {
    let paging = Paging::new("load-balancers", input.page_size, input.marker.as_deref())?;
    if !input.load_balancer_arns.is_empty() && !input.names.is_empty() {
        return Err(Fault::validation("both LoadBalancerArns and Names are given: give one of them, or none for all"));
    }
    checks::at_most("LoadBalancerArns", input.load_balancer_arns.len(), NAMED)?;
    checks::at_most("Names", input.names.len(), NAMED)?;
    let mut wanted: BTreeMap<&str, &Arc<LoadBalancer>> = BTreeMap::new();
    for arn in &input.load_balancer_arns {
        let balancer = find::load_balancer(state, arn)?;
        wanted.insert(balancer.arn.as_str(), balancer);
    }
    for name in &input.names {
        let balancer = state.load_balancer_named(name).ok_or_else(|| {
            Fault::new(Code::LoadBalancerNotFound, format!("there is no load balancer of the name `{name}`"))
        })?;
        wanted.insert(balancer.arn.as_str(), balancer);
    }
    let (page, next_marker) = match wanted.is_empty() {
        true => paging.page(state.load_balancers.values(), |balancer| balancer.arn.as_str()),
        false => paging.page(wanted.into_values(), |balancer| balancer.arn.as_str()),
    };
    let statuses = Statuses::new(state, context);
    let load_balancers = page.into_iter().map(|balancer| Told::new(balancer, statuses.of(balancer), context)).collect();
    Ok(DescribeOutput { load_balancers, next_marker })
}

/// `DeleteLoadBalancer`, with its listeners. One that is not there is deleted already.
///
/// # Errors
/// `ValidationError` if it is no ARN of a load balancer, `OperationNotPermitted` with deletion protection.
pub fn delete(state: &mut State, input: DeleteInput, _: &Context<'_>) -> Result<Void, Fault> {
    let arn = find::arn(&input.load_balancer_arn, ArnKind::LoadBalancer)?;
    let Some(balancer) = state.load_balancers.get(&arn) else { return Ok(Void {}) };
    check_deletion(balancer)?;
    state.load_balancers.remove(&arn);
    state.listeners.retain(|_, listener| listener.load_balancer != arn);
    Ok(Void {})
}

/// Whether it can be deleted.
///
/// # Errors
/// `OperationNotPermitted` with deletion protection.
pub fn check_deletion(balancer: &LoadBalancer) -> Result<(), Fault> {
    let table = load_balancer_attributes::table(balancer);
    if attributes::value(&table, &balancer.attributes, load_balancer_attributes::DELETION_PROTECTION) == "true" {
        return Err(Fault::new(
            Code::OperationNotPermitted,
            format!(
                "the load balancer {} has deletion protection: set its attribute {} to false first",
                balancer.name,
                load_balancer_attributes::DELETION_PROTECTION
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
