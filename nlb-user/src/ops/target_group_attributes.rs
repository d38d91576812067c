//! Attributes of target groups (guide, "Target group attributes"): which there are for a group, which go together, and
//! what they mean for the data plane.

use std::sync::Arc;

use nlb_common::layout::MAX_TARGETS;
use serde::{Deserialize, Serialize};

use super::{
    Context,
    attributes::{self, Allowed, Attribute, Given, Told},
    find, target_quotas,
};
use crate::model::{Fault, LoadBalancer, Protocol, State, TargetGroup, TargetType};

const DELAY: &str = "deregistration_delay.timeout_seconds";
const DELAY_TERMINATES: &str = "deregistration_delay.connection_termination.enabled";
const CROSS_ZONE: &str = "load_balancing.cross_zone.enabled";
const PRESERVE_CLIENT_IP: &str = "preserve_client_ip.enabled";
const PROXY_PROTOCOL: &str = "proxy_protocol_v2.enabled";
const STICKINESS: &str = "stickiness.enabled";
const STICKINESS_TYPE: &str = "stickiness.type";
const DNS_COUNT: &str = "target_group_health.dns_failover.minimum_healthy_targets.count";
const DNS_SHARE: &str = "target_group_health.dns_failover.minimum_healthy_targets.percentage";
const ROUTING_COUNT: &str = "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count";
const ROUTING_SHARE: &str = "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage";
const UNHEALTHY_TERMINATES: &str = "target_health_state.unhealthy.connection_termination.enabled";
const UNHEALTHY_DRAINING: &str = "target_health_state.unhealthy.draining_interval_seconds";

/// The keys whose number can be no larger than the number of targets in a group.
const COUNTS: [&str; 2] = [DNS_COUNT, ROUTING_COUNT];

/// TCP and TLS to addresses: the load balancer is the client that targets see.
static TO_ADDRESSES: [Attribute; 13] = table("false", "true");
/// TCP and TLS to instances.
static TO_INSTANCES: [Attribute; 13] = table("true", "true");
/// UDP, which has no connections that could be ended.
static OF_UDP: [Attribute; 13] = table("true", "false");
/// One Application Load Balancer: there is nothing to stick to, and it reads no PROXY header.
static TO_ALB: [Attribute; 10] = {
    let [
        delay,
        delay_terminates,
        cross_zone,
        preserve,
        _,
        _,
        _,
        dns_count,
        dns_share,
        count,
        share,
        terminates,
        draining,
    ] = table("true", "true");
    [delay, delay_terminates, cross_zone, preserve, dns_count, dns_share, count, share, terminates, draining]
};

const fn table(preserve_client_ip: &'static str, unhealthy_terminates: &'static str) -> [Attribute; 13] {
    const fn flag(key: &'static str, default: &'static str) -> Attribute {
        Attribute { key, allowed: Allowed::FLAG, default }
    }
    const fn count_or_off(key: &'static str, most: u32) -> Attribute {
        Attribute { key, allowed: Allowed::NumberOrOff(1..=most), default: "off" }
    }
    const fn number(key: &'static str, least: u32, most: u32, default: &'static str) -> Attribute {
        Attribute { key, allowed: Allowed::Number(least..=most), default }
    }
    const TARGETS: u32 = MAX_TARGETS as u32;
    let cross_zone = Allowed::Words(&["true", "false", "use_load_balancer_configuration"]);
    [
        number(DELAY, 0, 3600, "300"),
        flag(DELAY_TERMINATES, "false"),
        Attribute { key: CROSS_ZONE, allowed: cross_zone, default: "use_load_balancer_configuration" },
        flag(PRESERVE_CLIENT_IP, preserve_client_ip),
        flag(PROXY_PROTOCOL, "false"),
        flag(STICKINESS, "false"),
        Attribute { key: STICKINESS_TYPE, allowed: Allowed::Words(&["source_ip"]), default: "source_ip" },
        count_or_off(DNS_COUNT, TARGETS),
        count_or_off(DNS_SHARE, 100),
        number(ROUTING_COUNT, 1, TARGETS, "1"),
        count_or_off(ROUTING_SHARE, 100),
        flag(UNHEALTHY_TERMINATES, unhealthy_terminates),
        number(UNHEALTHY_DRAINING, 0, 360_000, "0"),
    ]
}

fn of_udp(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Udp | Protocol::TcpUdp)
}

/// The attributes that a group has.
fn table_of(group: &TargetGroup) -> &'static [Attribute] {
    match group.target_type {
        TargetType::Alb => &TO_ALB,
        _ if of_udp(group.protocol) => &OF_UDP,
        TargetType::Instance => &TO_INSTANCES,
        TargetType::Ip => &TO_ADDRESSES,
    }
}

/// `DescribeTargetGroupAttributes`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeInput {
    target_group_arn: String,
}

/// `ModifyTargetGroupAttributes`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ModifyInput {
    target_group_arn: String,
    attributes: Vec<Given>,
}

/// All attributes of the group.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    attributes: Vec<Told>,
}

/// `DescribeTargetGroupAttributes`.
///
/// # Errors
/// `TargetGroupNotFound`.
pub fn describe(state: &State, input: DescribeInput, _: &Context<'_>) -> Result<Output, Fault> {
    let group = find::target_group(state, &input.target_group_arn)?;
    Ok(Output { attributes: effective(group) })
}

/// `ModifyTargetGroupAttributes`: all or none of them.
///
/// # Errors
/// `TargetGroupNotFound`, `ValidationError`, `InvalidConfigurationRequest`; `TooManyTargets` if cross-zone load balancing
/// makes the load balancer's targets count for more than it may have.
pub fn modify(state: &mut State, input: ModifyInput, context: &Context<'_>) -> Result<Output, Fault> {
    let found = find::target_group(state, &input.target_group_arn)?;
    let arn = found.arn.clone();
    let mut group = found.clone();
    let changed = Arc::make_mut(&mut group);
    let wanted = attributes::checked(table_of(changed), input.attributes)?;
    for key in COUNTS {
        let most = context.quotas.targets_per_target_group;
        if let Some(number) = wanted.get(key).and_then(|value| value.parse::<u32>().ok())
            && number > most
        {
            return Err(Fault::validation(format!(
                "the attribute {key} is `{number}`: a target group has at most {most} targets"
            )));
        }
    }
    changed.attributes.extend(wanted);
    agree(changed)?;
    let tls = |state: &State| {
        state.listeners.values().any(|listener| listener.target_group == arn && listener.protocol == Protocol::Tls)
    };
    if is_sticky(changed) && tls(state) {
        return Err(Fault::configuration(format!(
            "{STICKINESS} is true, and a TLS listener uses the target group: sticky sessions are for TCP and UDP listeners"
        )));
    }
    let attributes = effective(changed);
    let turned_on =
        value(changed, CROSS_ZONE) == "true" && value(find::target_group(state, arn.as_str())?, CROSS_ZONE) != "true";
    state.target_groups.insert(arn.clone(), group);
    // With cross-zone load balancing, an Application Load Balancer counts for more targets.
    if turned_on && let Some(balancer) = state.load_balancer_of(&arn) {
        target_quotas::check(state, &balancer.arn, context)?;
    }
    Ok(Output { attributes })
}

/// Sets one attribute of a group that is being made. Those that have to go together are checked with what is set so
/// far, so set them in the order of their keys.
///
/// # Errors
/// `ValidationError` if there is no such attribute or it can't have the value, `InvalidConfigurationRequest` if it does
/// not go with the group and its other attributes.
pub fn set(group: &mut TargetGroup, key: &str, value: &str) -> Result<(), Fault> {
    let given = Given { key: Some(key.to_owned()), value: Some(value.to_owned()) };
    let wanted = attributes::checked(table_of(group), vec![given])?;
    group.attributes.extend(wanted);
    agree(group)
}

/// All attributes of the group, with the values in effect.
pub fn effective(group: &TargetGroup) -> Vec<Told> {
    attributes::effective(table_of(group), &group.attributes)
}

/// Whether a group's attributes go together.
fn agree(group: &TargetGroup) -> Result<(), Fault> {
    let protocol = group.protocol;
    if !preserves_client_ip(group) && (of_udp(protocol) || group.target_type == TargetType::Alb) {
        let what = match group.target_type {
            TargetType::Alb => "alb".to_owned(),
            _ => protocol.to_string(),
        };
        return Err(Fault::configuration(format!(
            "{PRESERVE_CLIENT_IP} is false: it can't be disabled for {what} target groups"
        )));
    }
    if is_sticky(group) && protocol == Protocol::Tls {
        return Err(Fault::configuration(format!("{STICKINESS} is true: TLS target groups have no sticky sessions")));
    }
    if terminates_unhealthy(group) && of_udp(protocol) {
        return Err(Fault::configuration(format!(
            "{UNHEALTHY_TERMINATES} is true: it can't be enabled for {protocol} target groups"
        )));
    }
    if terminates_unhealthy(group) && unhealthy_draining_s(group) > 0 {
        return Err(Fault::configuration(format!(
            "{UNHEALTHY_DRAINING} is {}, and {UNHEALTHY_TERMINATES} is true: connections that are ended at once don't \
             drain, set one to false or the other to 0",
            unhealthy_draining_s(group)
        )));
    }
    let (dns_count, dns_share) = dns_failover(group);
    let (routing_count, routing_share) = unhealthy_routing(group);
    let in_order = |dns: Option<u32>, dns_key: &str, routing: Option<u32>, routing_key: &str| match (dns, routing) {
        (Some(dns), Some(routing)) if dns < routing => Err(Fault::configuration(format!(
            "{dns_key} is {dns}, and {routing_key} is {routing}: the threshold of DNS failover must not be lower than \
             that of routing failover"
        ))),
        _ => Ok(()),
    };
    in_order(dns_count, DNS_COUNT, Some(routing_count), ROUTING_COUNT)?;
    in_order(dns_share.map(u32::from), DNS_SHARE, routing_share.map(u32::from), ROUTING_SHARE)
}

fn value<'a>(group: &'a TargetGroup, key: &str) -> &'a str {
    attributes::value(table_of(group), &group.attributes, key)
}

fn is_on(group: &TargetGroup, key: &str) -> bool {
    value(group, key) == "true"
}

/// A number, or `None` if it is off.
fn number<T: std::str::FromStr>(group: &TargetGroup, key: &str) -> Option<T> {
    value(group, key).parse().ok()
}

/// Whether targets see the client's address.
pub fn preserves_client_ip(group: &TargetGroup) -> bool {
    is_on(group, PRESERVE_CLIENT_IP)
}

/// How many seconds a deregistered target drains.
pub fn deregistration_delay_s(group: &TargetGroup) -> u32 {
    number(group, DELAY).unwrap_or(0)
}

/// Whether connections that are left when a target has drained are ended.
pub fn terminates_deregistered(group: &TargetGroup) -> bool {
    is_on(group, DELAY_TERMINATES)
}

/// With fewer healthy targets than this (number, percentage of all), all targets get traffic.
pub fn unhealthy_routing(group: &TargetGroup) -> (u32, Option<u8>) {
    (number(group, ROUTING_COUNT).unwrap_or(1), number(group, ROUTING_SHARE))
}

/// With fewer healthy targets than this (number, percentage of all), a zone leaves the DNS.
pub fn dns_failover(group: &TargetGroup) -> (Option<u32>, Option<u8>) {
    (number(group, DNS_COUNT), number(group, DNS_SHARE))
}

/// Whether each zone's traffic goes to the targets of all zones: as the group says, or else its load balancer.
pub fn cross_zone(group: &TargetGroup, balancer: &LoadBalancer) -> bool {
    match value(group, CROSS_ZONE) {
        "true" => true,
        "false" => false,
        _ => balancer.attributes.get(CROSS_ZONE).is_some_and(|value| value == "true"),
    }
}

/// Whether a client's connections go to the same target.
pub fn is_sticky(group: &TargetGroup) -> bool {
    is_on(group, STICKINESS)
}

/// Whether connections to targets begin with a PROXY header.
pub fn sends_proxy_header(group: &TargetGroup) -> bool {
    is_on(group, PROXY_PROTOCOL)
}

/// Whether connections to a target that becomes unhealthy are ended.
pub fn terminates_unhealthy(group: &TargetGroup) -> bool {
    is_on(group, UNHEALTHY_TERMINATES)
}

/// How many seconds a target that becomes unhealthy keeps its connections.
pub fn unhealthy_draining_s(group: &TargetGroup) -> u32 {
    number(group, UNHEALTHY_DRAINING).unwrap_or(0)
}

#[cfg(test)]
mod tests;
