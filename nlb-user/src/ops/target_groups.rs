//! Target groups: making, describing, changing and deleting them (guide, "Target groups for your Network Load
//! Balancers").

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    Context, Void, checks, find,
    health_check::{self, Matcher},
    names,
    paging::Paging,
    tags::{self, Tag},
};
use crate::model::{Arn, ArnKind, Code, Family, Fault, HealthCheck, Protocol, State, TargetGroup, TargetType, new_id};

/// Protocols of the API that target groups of other kinds of load balancers have, or that are not there yet.
const OTHER_PROTOCOLS: [&str; 5] = ["HTTP", "HTTPS", "GENEVE", "QUIC", "TCP_QUIC"];
/// The most ARNs or names in one call.
const MOST_NAMED: usize = 400;

/// `CreateTargetGroup`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateInput {
    name: String,
    protocol: Option<String>,
    protocol_version: Option<String>,
    port: Option<i64>,
    vpc_id: Option<String>,
    health_check_protocol: Option<String>,
    health_check_port: Option<String>,
    health_check_enabled: Option<bool>,
    health_check_path: Option<String>,
    health_check_interval_seconds: Option<i64>,
    health_check_timeout_seconds: Option<i64>,
    healthy_threshold_count: Option<i64>,
    unhealthy_threshold_count: Option<i64>,
    matcher: Option<Matcher>,
    target_type: Option<String>,
    tags: Option<Vec<Tag>>,
    ip_address_type: Option<String>,
    target_control_port: Option<i64>,
}

/// `DescribeTargetGroups`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeInput {
    load_balancer_arn: Option<String>,
    #[serde(default)]
    target_group_arns: Vec<String>,
    #[serde(default)]
    names: Vec<String>,
    marker: Option<String>,
    page_size: Option<i64>,
}

/// `ModifyTargetGroup`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ModifyInput {
    target_group_arn: String,
    health_check_protocol: Option<String>,
    health_check_port: Option<String>,
    health_check_path: Option<String>,
    health_check_enabled: Option<bool>,
    health_check_interval_seconds: Option<i64>,
    health_check_timeout_seconds: Option<i64>,
    healthy_threshold_count: Option<i64>,
    unhealthy_threshold_count: Option<i64>,
    matcher: Option<Matcher>,
}

/// `DeleteTargetGroup`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DeleteInput {
    target_group_arn: String,
}

/// Target groups as a caller is told them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    target_groups: Vec<Told>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    target_group_arn: Arn,
    target_group_name: String,
    protocol: Protocol,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc_id: Option<String>,
    health_check_protocol: &'static str,
    health_check_port: String,
    health_check_enabled: bool,
    health_check_interval_seconds: u16,
    health_check_timeout_seconds: u16,
    healthy_threshold_count: u8,
    unhealthy_threshold_count: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    health_check_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matcher: Option<ToldMatcher>,
    load_balancer_arns: Vec<Arn>,
    target_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_address_type: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ToldMatcher {
    http_code: String,
}

/// A target group as a caller wants it: what is `None` was not mentioned.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// `Name`.
    pub name: String,
    /// `Protocol`.
    pub protocol: Option<String>,
    /// `Port`.
    pub port: Option<i64>,
    /// `TargetType`.
    pub target_type: Option<String>,
    /// `IpAddressType`.
    pub ip_address_type: Option<String>,
    /// `VpcId`.
    pub vpc: Option<String>,
    /// Health check settings.
    pub health_check: health_check::Wanted,
    /// Whether it stands in a file: that may leave out the VPC, and of a group of addresses the family; such a group's
    /// targets may be of both.
    pub of_file: bool,
}

/// `CreateTargetGroup`. One that is there with the same settings is as good as a new one.
///
/// # Errors
/// `ValidationError`, `InvalidConfigurationRequest`, `DuplicateTargetGroupName`, `TooManyTargetGroups`, and what tags
/// are refused with.
pub fn create(state: &mut State, input: CreateInput, context: &Context<'_>) -> Result<Output, Fault> {
    let tags = tags::checked(input.tags)?;
    let of_others = [
        ("ProtocolVersion", input.protocol_version.is_some()),
        ("TargetControlPort", input.target_control_port.is_some()),
    ];
    if let Some((member, _)) = of_others.into_iter().find(|(_, given)| *given) {
        return Err(Fault::configuration(format!(
            "{member} is given: it is for target groups of Application Load Balancers, leave it out"
        )));
    }
    let wanted = Wanted {
        name: input.name,
        protocol: input.protocol,
        port: input.port,
        target_type: input.target_type,
        ip_address_type: input.ip_address_type,
        vpc: input.vpc_id,
        health_check: health_check::Wanted {
            protocol: input.health_check_protocol,
            port: input.health_check_port,
            path: input.health_check_path,
            matcher: input.matcher,
            enabled: input.health_check_enabled,
            interval_s: input.health_check_interval_seconds,
            timeout_s: input.health_check_timeout_seconds,
            healthy_threshold: input.healthy_threshold_count,
            unhealthy_threshold: input.unhealthy_threshold_count,
        },
        of_file: false,
    };
    let mut group = checked(wanted, context)?;
    if let Some(there) = state.target_group_named(&group.name) {
        return match same_settings(there, &group) {
            true => Ok(output(state, [there])),
            false => Err(Fault::new(
                Code::DuplicateTargetGroupName,
                format!("there is a target group {} with other settings: choose another name", group.name),
            )),
        };
    }
    let most = context.quotas.target_groups as usize;
    if state.target_groups.len() >= most {
        return Err(Fault::new(
            Code::TooManyTargetGroups,
            format!(
                "there are {} target groups: at most {most} are allowed, delete some first",
                state.target_groups.len()
            ),
        ));
    }
    group.tags = tags;
    let group = Arc::new(group);
    state.target_groups.insert(group.arn.clone(), group.clone());
    Ok(output(state, [&group]))
}

/// The target group that a caller wants, new and without targets and tags.
///
/// # Errors
/// `ValidationError` for a value that is not allowed, `InvalidConfigurationRequest` for values that do not go together.
pub fn checked(wanted: Wanted, context: &Context<'_>) -> Result<TargetGroup, Fault> {
    names::target_group(&wanted.name)?;
    let target_type = target_type(wanted.target_type.as_deref())?;
    let protocol = protocol(wanted.protocol.as_deref())?;
    let port =
        wanted.port.ok_or_else(|| Fault::validation("the parameter Port is required: allowed are 1 to 65535"))?;
    let port = checks::within("Port", port, 1..=65535)? as u16;
    let family = match wanted.ip_address_type.as_deref() {
        None if wanted.of_file && target_type == TargetType::Ip => Family::Any,
        None | Some("ipv4") => Family::Ipv4,
        Some("ipv6") => Family::Ipv6,
        Some(other) => {
            let other = other.escape_debug();
            return Err(Fault::validation(format!("IpAddressType is `{other}`: allowed are ipv4 and ipv6")));
        }
    };
    match &wanted.vpc {
        None if wanted.of_file => {}
        None => return Err(Fault::validation("the parameter VpcId is required: name the VPC of the targets")),
        Some(vpc) => check_vpc(vpc, context)?,
    }
    let health_check = health_check::settled(&wanted.health_check, target_type)?;
    let group = TargetGroup {
        arn: Arn::target_group(context.account, &wanted.name, &new_id()),
        name: wanted.name,
        target_type,
        protocol,
        port,
        vpc: wanted.vpc,
        family,
        health_check,
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
        targets: BTreeMap::new(),
        created: context.now,
    };
    goes_together(&group)?;
    Ok(group)
}

/// Whether the targets of a group can be in this VPC.
///
/// # Errors
/// `ValidationError`.
pub fn check_vpc(vpc: &str, context: &Context<'_>) -> Result<(), Fault> {
    match context.inventory.has_vpc(vpc) {
        true => Ok(()),
        false => {
            let vpc = vpc.escape_debug();
            Err(Fault::validation(format!("VpcId is `{vpc}`: no subnet of the inventory is in such a VPC")))
        }
    }
}

/// Whether type, protocol and family of a group go together.
///
/// # Errors
/// `InvalidConfigurationRequest`.
pub fn goes_together(group: &TargetGroup) -> Result<(), Fault> {
    let TargetGroup { target_type, protocol, family, .. } = *group;
    if target_type == TargetType::Alb && protocol != Protocol::Tcp {
        return Err(Fault::configuration(format!("Protocol is {protocol}: target groups of type alb have TCP only")));
    }
    if family == Family::Ipv6 && target_type != TargetType::Ip {
        let target_type = target_type.as_str();
        return Err(Fault::configuration(format!(
            "IpAddressType is ipv6, and TargetType {target_type}: IPv6 target groups have targets of type ip only"
        )));
    }
    if family == Family::Ipv6 && !matches!(protocol, Protocol::Tcp | Protocol::Tls) {
        return Err(Fault::configuration(format!(
            "IpAddressType is ipv6, and Protocol {protocol}: IPv6 target groups have TCP or TLS only"
        )));
    }
    Ok(())
}

fn target_type(text: Option<&str>) -> Result<TargetType, Fault> {
    match text {
        None | Some("instance") => Ok(TargetType::Instance),
        Some("ip") => Ok(TargetType::Ip),
        Some("alb") => Ok(TargetType::Alb),
        Some("lambda") => Err(Fault::configuration(
            "TargetType is lambda: target groups of Network Load Balancers have instance, ip and alb",
        )),
        Some(other) => {
            let other = other.escape_debug();
            Err(Fault::validation(format!("TargetType is `{other}`: allowed are instance, ip and alb")))
        }
    }
}

fn protocol(text: Option<&str>) -> Result<Protocol, Fault> {
    let allowed = "allowed are TCP, TLS, UDP and TCP_UDP";
    let Some(text) = text else {
        return Err(Fault::validation(format!("the parameter Protocol is required: {allowed}")));
    };
    match Protocol::from_text(text) {
        Some(protocol) => Ok(protocol),
        None if OTHER_PROTOCOLS.contains(&text) => Err(Fault::configuration(format!(
            "Protocol is {text}, which target groups of Network Load Balancers don't have here: {allowed}"
        ))),
        None => Err(Fault::validation(format!("Protocol is `{}`: {allowed}", text.escape_debug()))),
    }
}

/// Whether a group is what another call for its name wants.
fn same_settings(there: &TargetGroup, wanted: &TargetGroup) -> bool {
    fn settings(group: &TargetGroup) -> (TargetType, Protocol, u16, &Option<String>, Family, &HealthCheck) {
        let TargetGroup { target_type, protocol, port, vpc, family, health_check, .. } = group;
        (*target_type, *protocol, *port, vpc, *family, health_check)
    }
    settings(there) == settings(wanted)
}

/// `DescribeTargetGroups`: all of them, those of a load balancer, or those named.
///
/// # Errors
/// `LoadBalancerNotFound`, `TargetGroupNotFound`, `ValidationError`.
pub fn describe(state: &State, input: DescribeInput, _: &Context<'_>) -> Result<Output, Fault> {
    let paging = Paging::new("target-groups", input.page_size, input.marker.as_deref())?;
    let filters = [input.load_balancer_arn.is_some(), !input.target_group_arns.is_empty(), !input.names.is_empty()];
    if filters.into_iter().filter(|given| *given).count() > 1 {
        return Err(Fault::validation("give at most one of LoadBalancerArn, TargetGroupArns and Names"));
    }
    for (member, list) in [("TargetGroupArns", &input.target_group_arns), ("Names", &input.names)] {
        if list.len() > MOST_NAMED {
            let count = list.len();
            return Err(Fault::validation(format!("{member} has {count} members: at most {MOST_NAMED} are allowed")));
        }
    }
    let (groups, next_marker) = match wanted(state, &input)? {
        Some(arns) => {
            paging.page(arns.iter().filter_map(|arn| state.target_groups.get(*arn)), |group| group.arn.as_str())
        }
        None => paging.page(state.target_groups.values(), |group| group.arn.as_str()),
    };
    Ok(Output { next_marker, ..output(state, groups) })
}

/// The groups that a caller asks for; `None` is all.
fn wanted<'a>(state: &'a State, input: &DescribeInput) -> Result<Option<BTreeSet<&'a Arn>>, Fault> {
    if let Some(balancer) = &input.load_balancer_arn {
        let balancer = find::load_balancer(state, balancer)?;
        return Ok(Some(state.listeners_of(&balancer.arn).map(|listener| &listener.target_group).collect()));
    }
    if !input.target_group_arns.is_empty() {
        let found = input.target_group_arns.iter().map(|arn| Ok(&find::target_group(state, arn)?.arn));
        return Ok(Some(found.collect::<Result<_, Fault>>()?));
    }
    if input.names.is_empty() {
        return Ok(None);
    }
    let by_name: HashMap<&str, &Arn> =
        state.target_groups.values().map(|group| (group.name.as_str(), &group.arn)).collect();
    let found = input.names.iter().map(|name| {
        by_name.get(name.as_str()).copied().ok_or_else(|| {
            Fault::new(Code::TargetGroupNotFound, format!("there is no target group `{}`", name.escape_debug()))
        })
    });
    Ok(Some(found.collect::<Result<_, Fault>>()?))
}

/// `ModifyTargetGroup`: health check settings.
///
/// # Errors
/// `TargetGroupNotFound`, `ValidationError`, `InvalidConfigurationRequest`.
pub fn modify(state: &mut State, input: ModifyInput, _: &Context<'_>) -> Result<Output, Fault> {
    let mut group = find::target_group(state, &input.target_group_arn)?.clone();
    let wanted = health_check::Wanted {
        protocol: input.health_check_protocol,
        port: input.health_check_port,
        path: input.health_check_path,
        matcher: input.matcher,
        enabled: input.health_check_enabled,
        interval_s: input.health_check_interval_seconds,
        timeout_s: input.health_check_timeout_seconds,
        healthy_threshold: input.healthy_threshold_count,
        unhealthy_threshold: input.unhealthy_threshold_count,
    };
    let changed = health_check::changed(&group.health_check, &wanted, group.target_type)?;
    if changed != group.health_check {
        Arc::make_mut(&mut group).health_check = changed;
        state.target_groups.insert(group.arn.clone(), group.clone());
    }
    Ok(output(state, [&group]))
}

/// `DeleteTargetGroup`. One that is not there is deleted already.
///
/// # Errors
/// `ResourceInUse` if a listener forwards to it.
pub fn delete(state: &mut State, input: DeleteInput, _: &Context<'_>) -> Result<Void, Fault> {
    let arn = find::arn(&input.target_group_arn, ArnKind::TargetGroup)?;
    if let Some(user) = state.listeners.values().find(|listener| listener.target_group == arn) {
        return Err(Fault::new(
            Code::ResourceInUse,
            format!(
                "the target group {arn} is in use by the listener {}: delete or change the listener first",
                user.arn
            ),
        ));
    }
    state.target_groups.remove(&arn);
    state.overrides.retain(|(group, _), _| *group != arn);
    Ok(Void {})
}

fn output<'a>(state: &State, groups: impl IntoIterator<Item = &'a Arc<TargetGroup>>) -> Output {
    let users: HashMap<&Arn, &Arn> =
        state.listeners.values().map(|listener| (&listener.target_group, &listener.load_balancer)).collect();
    let told = groups.into_iter().map(|group| told(group, users.get(&group.arn).copied())).collect();
    Output { target_groups: told, next_marker: None }
}

fn told(group: &TargetGroup, user: Option<&Arn>) -> Told {
    let check = &group.health_check;
    Told {
        target_group_arn: group.arn.clone(),
        target_group_name: group.name.clone(),
        protocol: group.protocol,
        port: group.port,
        vpc_id: group.vpc.clone(),
        health_check_protocol: check.protocol.as_str(),
        health_check_port: check.port.map_or_else(|| health_check::TRAFFIC_PORT.to_owned(), |port| port.to_string()),
        health_check_enabled: true,
        health_check_interval_seconds: check.interval_s,
        health_check_timeout_seconds: check.timeout_s,
        healthy_threshold_count: check.healthy_threshold,
        unhealthy_threshold_count: check.unhealthy_threshold,
        health_check_path: check.path.clone(),
        matcher: check.matcher.clone().map(|http_code| ToldMatcher { http_code }),
        load_balancer_arns: user.cloned().into_iter().collect(),
        target_type: group.target_type.as_str(),
        ip_address_type: match group.family {
            Family::Ipv4 => Some("ipv4"),
            Family::Ipv6 => Some("ipv6"),
            Family::Any => None,
        },
    }
}

#[cfg(test)]
mod tests;
