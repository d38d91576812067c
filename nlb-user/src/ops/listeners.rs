//! Listeners: which there can be, and the operations on them.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

pub use super::listener_tls::TlsSettings;
use super::{
    Context, Void, actions, certificates, checks, find, listener_attributes, listener_tls::MutualAuthentication,
    paging::Paging, tags, target_group_attributes, target_quotas,
};
use crate::model::{
    Arn, Code, Family, Fault, IpAddressType, Listener, LoadBalancer, Protocol, Quotas, State, TargetGroup, TargetType,
    new_id,
};

/// Protocols of the API that are for other kinds of load balancers, or that there is no data path for.
const NOT_HERE: [&str; 5] = ["HTTP", "HTTPS", "GENEVE", "QUIC", "TCP_QUIC"];

/// The protocol that a caller gives a listener.
///
/// # Errors
/// `UnsupportedProtocol` if the API knows it, `ValidationError` if not.
pub fn protocol(text: &str) -> Result<Protocol, Fault> {
    let allowed = Protocol::ALL.map(Protocol::as_str).join(", ");
    match Protocol::from_text(text) {
        Some(protocol) => Ok(protocol),
        None if NOT_HERE.contains(&text) => Err(Fault::new(
            Code::UnsupportedProtocol,
            format!("the listener protocol {text} is not one of Network Load Balancers here: allowed are {allowed}"),
        )),
        None => Err(Fault::validation(format!("unknown listener protocol `{text}`: allowed are {allowed}"))),
    }
}

/// The port that a caller gives a listener.
///
/// # Errors
/// `ValidationError`.
pub fn port(port: i64) -> Result<u16, Fault> {
    Ok(checks::within("Port", port, 1..=i64::from(u16::MAX))? as u16)
}

/// What can be said of a listener of this load balancer before it is made, and without the others on its port: the
/// settings of TLS that it gets. An existing listener at this port and protocol is the one that is looked at.
///
/// # Errors
/// As [`goes_together`], [`TlsSettings::checked`] and `certificates::within_quota`.
pub fn checked(
    state: &State,
    balancer: &LoadBalancer,
    group: &TargetGroup,
    protocol: Protocol,
    port: u16,
    tls: TlsSettings,
    context: &Context<'_>,
) -> Result<TlsSettings, Fault> {
    goes_together(state, balancer, group, protocol)?;
    let tls = tls.checked(protocol, context)?;
    let others = state.listeners_of(&balancer.arn).filter(|other| (other.port, other.protocol) != (port, protocol));
    certificates::within_quota(tls.certificates.len().saturating_sub(1), others, context)?;
    Ok(tls)
}

/// Whether a listener of this load balancer with this protocol can forward to this target group.
///
/// # Errors
/// `IncompatibleProtocols`; `TargetGroupAssociationLimit` if another load balancer uses the group;
/// `InvalidConfigurationRequest` for what the addresses or the VPCs of the two rule out.
pub fn goes_together(
    state: &State,
    balancer: &LoadBalancer,
    group: &TargetGroup,
    protocol: Protocol,
) -> Result<(), Fault> {
    protocols(group, protocol)?;
    // Its addresses are the operator's own: whether UDP gets there over IPv6 is known here.
    let of_file = balancer.zones.is_empty() && !balancer.addresses.is_empty();
    let dualstack = balancer.ip_address_type == IpAddressType::Dualstack;
    if dualstack && !of_file && matches!(protocol, Protocol::Udp | Protocol::TcpUdp) {
        return Err(Fault::configuration(format!(
            "the load balancer {} is dualstack, and a listener of it can't have the protocol {protocol}: allowed are TCP \
             and TLS",
            balancer.name
        )));
    }
    if protocol == Protocol::Tls && target_group_attributes::is_sticky(group) {
        return Err(Fault::configuration(format!(
            "the target group {} has stickiness enabled, which TLS listeners do not support: switch it off first",
            group.name
        )));
    }
    let has_ipv6 = dualstack || balancer.addresses.iter().any(std::net::IpAddr::is_ipv6);
    if group.family == Family::Ipv6 && !has_ipv6 {
        return Err(Fault::configuration(format!(
            "the targets of {} are IPv6 and the load balancer {} is IPv4: make it dualstack with SetIpAddressType",
            group.name, balancer.name
        )));
    }
    if let (Some(of_balancer), Some(of_group)) = (&balancer.vpc, &group.vpc)
        && of_balancer != of_group
    {
        return Err(Fault::configuration(format!(
            "the load balancer {} is in {of_balancer} and the target group {} in {of_group}: both must be in one VPC",
            balancer.name, group.name
        )));
    }
    match state.load_balancer_of(&group.arn) {
        Some(user) if user.arn != balancer.arn => Err(Fault::new(
            Code::TargetGroupAssociationLimit,
            format!(
                "the load balancer {} forwards to the target group {}, and a group can belong to one load balancer: \
                 make another group",
                user.name, group.name
            ),
        )),
        _ => Ok(()),
    }
}

/// The table of the guide, "Routing configuration".
///
/// # Errors
/// `IncompatibleProtocols`.
pub fn protocols(group: &TargetGroup, protocol: Protocol) -> Result<(), Fault> {
    let refused = |allowed: String| {
        let message = format!("a listener with the protocol {protocol} can't forward to {}: {allowed}", group.name);
        Err(Fault::new(Code::IncompatibleProtocols, message))
    };
    let allowed = protocol.of_groups();
    if !allowed.contains(&group.protocol) {
        let allowed = allowed.iter().map(|protocol| protocol.as_str()).collect::<Vec<_>>().join(" or ");
        return refused(format!("the group has the protocol {}, allowed is {allowed}", group.protocol));
    }
    if group.target_type == TargetType::Alb && protocol != Protocol::Tcp {
        return refused("its target is an Application Load Balancer, which only TCP listeners forward to".to_owned());
    }
    Ok(())
}

/// The listener that has the port: each has one, whatever its protocol.
pub fn at<'a>(state: &'a State, balancer: &'a Arn, port: u16) -> Option<&'a Arc<Listener>> {
    state.listeners_of(balancer).find(|listener| listener.port == port)
}

/// Whether a load balancer may have so many listeners.
///
/// # Errors
/// `TooManyListeners`.
pub fn within_quota(balancer: &LoadBalancer, count: usize) -> Result<(), Fault> {
    let most = Quotas::LISTENERS_PER_LOAD_BALANCER;
    match count > most {
        false => Ok(()),
        true => Err(Fault::new(
            Code::TooManyListeners,
            format!("the load balancer {} has {most} listeners, which is the most: delete one first", balancer.name),
        )),
    }
}

fn taken(other: &Listener) -> Fault {
    Fault::new(
        Code::DuplicateListener,
        format!(
            "the listener {} has the port {} already, with the protocol {} or other settings: a port has one listener, \
             and TCP_UDP serves both",
            other.arn, other.port, other.protocol
        ),
    )
}

/// What `CreateListener` is asked.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateInput {
    load_balancer_arn: String,
    protocol: Option<String>,
    port: Option<i64>,
    ssl_policy: Option<String>,
    certificates: Option<Vec<certificates::Given>>,
    default_actions: Vec<actions::Given>,
    alpn_policy: Option<Vec<String>>,
    tags: Option<Vec<tags::Tag>>,
    mutual_authentication: Option<MutualAuthentication>,
}

/// What `CreateListener` and `ModifyListener` answer.
#[derive(Serialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    listeners: [Described; 1],
}

/// A listener as callers are told it.
#[derive(Serialize, Debug)]
#[serde(rename_all = "PascalCase")]
struct Described {
    listener_arn: Arn,
    load_balancer_arn: Arn,
    port: u16,
    protocol: Protocol,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<[certificates::Told; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ssl_policy: Option<String>,
    default_actions: [actions::Told; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    alpn_policy: Option<[String; 1]>,
}

fn described(listener: &Listener) -> Described {
    Described {
        listener_arn: listener.arn.clone(),
        load_balancer_arn: listener.load_balancer.clone(),
        port: listener.port,
        protocol: listener.protocol,
        certificates: certificates::default_of(listener),
        ssl_policy: listener.ssl_policy.clone(),
        default_actions: actions::told(&listener.target_group),
        alpn_policy: listener.alpn_policy.clone().map(|policy| [policy]),
    }
}

/// Runs `CreateListener`. One with the same port and settings is not made again.
///
/// # Errors
/// `LoadBalancerNotFound`, `TargetGroupNotFound`, `DuplicateListener`, `TooManyListeners`, `TooManyTargets`; as
/// [`checked`], [`protocol()`], `actions::target_group` and [`tags::checked`]; `ValidationError`.
pub fn create(state: &mut State, input: CreateInput, context: &Context<'_>) -> Result<Output, Fault> {
    let required = |name: &str| Fault::validation(format!("the parameter {name} is required"));
    let protocol = protocol(&input.protocol.ok_or_else(|| required("Protocol"))?)?;
    let port = port(input.port.ok_or_else(|| required("Port"))?)?;
    let group = actions::target_group(input.default_actions)?;
    let tls = TlsSettings::given(input.certificates, input.ssl_policy, input.alpn_policy)?;
    input.mutual_authentication.unwrap_or_default().check()?;
    let tags = tags::checked(input.tags)?;

    let balancer = Arc::clone(find::load_balancer(state, &input.load_balancer_arn)?);
    let group = Arc::clone(find::target_group(state, &group)?);
    let tls = checked(state, &balancer, &group, protocol, port, tls, context)?;
    if let Some(other) = at(state, &balancer.arn, port) {
        let mut settings = TlsSettings::of(other);
        // The certificate list has operations of its own.
        settings.certificates.truncate(1);
        let same = other.protocol == protocol && other.target_group == group.arn && settings == tls;
        return if same { Ok(Output { listeners: [described(other)] }) } else { Err(taken(other)) };
    }
    within_quota(&balancer, state.listeners_of(&balancer.arn).count() + 1)?;

    let arn = balancer.arn.listener(&new_id());
    let listener = Listener {
        default_rule: arn.rule(&new_id()),
        arn: arn.clone(),
        load_balancer: balancer.arn.clone(),
        protocol,
        port,
        target_group: group.arn.clone(),
        certificates: tls.certificates,
        ssl_policy: tls.ssl_policy,
        alpn_policy: tls.alpn_policy,
        attributes: BTreeMap::new(),
        tags,
    };
    let output = Output { listeners: [described(&listener)] };
    state.listeners.insert(arn, Arc::new(listener));
    target_quotas::check(state, &balancer.arn, context)?;
    Ok(output)
}

/// What `ModifyListener` is asked: what is not given stays.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ModifyInput {
    listener_arn: String,
    port: Option<i64>,
    protocol: Option<String>,
    ssl_policy: Option<String>,
    certificates: Option<Vec<certificates::Given>>,
    default_actions: Option<Vec<actions::Given>>,
    alpn_policy: Option<Vec<String>>,
    mutual_authentication: Option<MutualAuthentication>,
}

/// Runs `ModifyListener`. With another protocol, the settings and attributes go that it does not have.
///
/// # Errors
/// `ListenerNotFound`; otherwise as [`create`].
pub fn modify(state: &mut State, input: ModifyInput, context: &Context<'_>) -> Result<Output, Fault> {
    let wanted_protocol = input.protocol.as_deref().map(protocol).transpose()?;
    let wanted_port = input.port.map(port).transpose()?;
    let wanted_group = input.default_actions.map(actions::target_group).transpose()?;
    let tls = TlsSettings::given(input.certificates, input.ssl_policy, input.alpn_policy)?;
    input.mutual_authentication.unwrap_or_default().check()?;

    let before = Arc::clone(find::listener(state, &input.listener_arn)?);
    let mut after = Listener::clone(&before);
    after.protocol = wanted_protocol.unwrap_or(before.protocol);
    after.port = wanted_port.unwrap_or(before.port);
    if let Some(group) = wanted_group {
        after.target_group = find::target_group(state, &group)?.arn.clone();
    }
    let balancer = find::load_balancer(state, before.load_balancer.as_str())?;
    let group = find::target_group(state, after.target_group.as_str())?;
    goes_together(state, balancer, group, after.protocol)?;
    if (after.port, after.protocol) != (before.port, before.protocol) {
        let other = state.listeners_of(&before.load_balancer).find(|it| it.port == after.port && it.arn != before.arn);
        other.map_or(Ok(()), |other| Err(taken(other)))?;
    }
    let tls = tls.replacing(TlsSettings::of(&before), after.protocol, context)?;
    (after.certificates, after.ssl_policy, after.alpn_policy) = (tls.certificates, tls.ssl_policy, tls.alpn_policy);
    listener_attributes::keep(after.protocol, &mut after.attributes);

    let output = Output { listeners: [described(&after)] };
    let other_group = after.target_group != before.target_group;
    state.listeners.insert(after.arn.clone(), Arc::new(after));
    if other_group {
        target_quotas::check(state, &before.load_balancer, context)?;
    }
    Ok(output)
}

/// What `DeleteListener` is asked.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DeleteInput {
    listener_arn: String,
}

/// Runs `DeleteListener`.
///
/// # Errors
/// `ListenerNotFound`; `ValidationError`.
pub fn delete(state: &mut State, input: DeleteInput, _: &Context<'_>) -> Result<Void, Fault> {
    let arn = find::listener(state, &input.listener_arn)?.arn.clone();
    state.listeners.remove(&arn);
    Ok(Void {})
}

/// What `DescribeListeners` is asked.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeInput {
    load_balancer_arn: Option<String>,
    listener_arns: Option<Vec<String>>,
    marker: Option<String>,
    page_size: Option<i64>,
}

/// What it answers.
#[derive(Serialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeOutput {
    listeners: Vec<Described>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

/// Runs `DescribeListeners`.
///
/// # Errors
/// `LoadBalancerNotFound`, `ListenerNotFound`; `ValidationError` also if both or neither are asked for.
pub fn describe(state: &State, input: DescribeInput, _: &Context<'_>) -> Result<DescribeOutput, Fault> {
    let paging = Paging::new("listeners", input.page_size, input.marker.as_deref())?;
    let found: BTreeMap<&Arn, &Arc<Listener>> = match (input.load_balancer_arn, input.listener_arns.unwrap_or_default())
    {
        (Some(balancer), listeners) if listeners.is_empty() => {
            let balancer = find::load_balancer(state, &balancer)?;
            state.listeners_of(&balancer.arn).map(|listener| (&listener.arn, listener)).collect()
        }
        (None, listeners) if !listeners.is_empty() => {
            checks::within("the number of ListenerArns", listeners.len() as i64, 1..=400)?;
            let found = listeners.iter().map(|arn| find::listener(state, arn).map(|found| (&found.arn, found)));
            found.collect::<Result<_, _>>()?
        }
        (None, _) => {
            return Err(Fault::validation("name a load balancer with LoadBalancerArn, or listeners with ListenerArns"));
        }
        (Some(_), _) => {
            return Err(Fault::validation("LoadBalancerArn and ListenerArns are both given: name one of them"));
        }
    };
    let (page, next_marker) = paging.page(found, |(arn, _)| arn.as_str());
    Ok(DescribeOutput { listeners: page.into_iter().map(|(_, listener)| described(listener)).collect(), next_marker })
}

#[cfg(test)]
mod tests;
