//! Attributes of listeners: a TCP listener has an idle timeout, the others have none.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Context,
    attributes::{self, Allowed, Attribute, Given, Told},
    find,
};
use crate::model::{Fault, Listener, Protocol, State};

const IDLE_TIMEOUT: &str = "tcp.idle_timeout.seconds";
/// Seconds until an idle TCP flow is forgotten, of listeners that were not told otherwise (guide, "Connection idle
/// timeout").
const DEFAULT_S: u16 = 350;

/// The attributes of TCP listeners; the smallest idle timeout is that of the node.
fn of_tcp(min_idle_s: u16) -> [Attribute; 1] {
    [Attribute { key: IDLE_TIMEOUT, allowed: Allowed::Number(u32::from(min_idle_s)..=6000), default: "350" }]
}

/// Seconds until an idle TCP flow of this listener is forgotten.
pub fn idle_timeout_s(listener: &Listener) -> u16 {
    match listener.protocol {
        Protocol::Tcp => {
            listener.attributes.get(IDLE_TIMEOUT).and_then(|value| value.parse().ok()).unwrap_or(DEFAULT_S)
        }
        Protocol::Tls | Protocol::Udp | Protocol::TcpUdp => DEFAULT_S,
    }
}

/// Attributes that a listener with this protocol is to have, by key, in the form they are kept in.
///
/// # Errors
/// `ValidationError` if there is none, or one is unknown, stands twice, or has a value that it can't have;
/// `InvalidConfigurationRequest` if listeners with this protocol have none.
pub fn checked(protocol: Protocol, given: Vec<Given>, min_idle_s: u16) -> Result<BTreeMap<String, String>, Fault> {
    let wanted = attributes::checked(&of_tcp(min_idle_s), given)?;
    match (protocol, wanted.keys().next()) {
        (Protocol::Tls | Protocol::Udp | Protocol::TcpUdp, Some(key)) => Err(Fault::configuration(format!(
            "the attribute {key} is for TCP listeners, and this is one of {protocol}: leave it out"
        ))),
        _ => Ok(wanted),
    }
}

/// Drops the attributes that a listener with this protocol does not have.
pub fn keep(protocol: Protocol, set: &mut BTreeMap<String, String>) {
    set.retain(|key, _| protocol == Protocol::Tcp && key == IDLE_TIMEOUT);
}

/// What `DescribeListenerAttributes` is asked.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeInput {
    listener_arn: String,
}

/// What `ModifyListenerAttributes` is asked.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ModifyInput {
    listener_arn: String,
    attributes: Vec<Given>,
}

/// What both answer: all attributes.
#[derive(Serialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    attributes: Vec<Told>,
}

fn output(listener: &Listener, context: &Context<'_>) -> Output {
    let attributes = match listener.protocol {
        Protocol::Tcp => attributes::effective(&of_tcp(context.min_idle_s), &listener.attributes),
        Protocol::Tls | Protocol::Udp | Protocol::TcpUdp => Vec::new(),
    };
    Output { attributes }
}

/// Runs `DescribeListenerAttributes`.
///
/// # Errors
/// `ListenerNotFound`; `ValidationError`.
pub fn describe(state: &State, input: DescribeInput, context: &Context<'_>) -> Result<Output, Fault> {
    Ok(output(find::listener(state, &input.listener_arn)?, context))
}

/// Runs `ModifyListenerAttributes`.
///
/// # Errors
/// `ListenerNotFound`; otherwise as [`checked`].
pub fn modify(state: &mut State, input: ModifyInput, context: &Context<'_>) -> Result<Output, Fault> {
    let mut listener = Arc::clone(find::listener(state, &input.listener_arn)?);
    let wanted = checked(listener.protocol, input.attributes, context.min_idle_s)?;
    Arc::make_mut(&mut listener).attributes.extend(wanted);
    let output = output(&listener, context);
    state.listeners.insert(listener.arn.clone(), listener);
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Arn, Code},
        ops::testing::{self, World},
    };
    use serde_json::{Value, json};

    fn world(protocol: Protocol) -> (World, Arn) {
        let mut world = World::new();
        let balancer = testing::load_balancer(&mut world.state, "web");
        let group = testing::target_group(&mut world.state, "web", protocol);
        let listener = testing::listener(&mut world.state, &balancer, protocol, 80, &group);
        (world, listener)
    }

    fn idle(listener: &Arn, value: &str) -> Value {
        json!({"ListenerArn": listener, "Attributes": [{"Key": IDLE_TIMEOUT, "Value": value}]})
    }

    #[test]
    fn the_idle_timeout() {
        let (mut world, arn) = world(Protocol::Tcp);
        let told = |value: &str| json!({"Attributes": [{"Key": IDLE_TIMEOUT, "Value": value}]});
        assert_eq!(world.call("DescribeListenerAttributes", json!({"ListenerArn": arn})), told("350"));
        assert_eq!(idle_timeout_s(&world.state.listeners[&arn]), 350);
        for (value, seconds) in [("60", 60), ("6000", 6000), ("0350", 350)] {
            let kept = seconds.to_string();
            assert_eq!(world.call("ModifyListenerAttributes", idle(&arn, value)), told(&kept));
            assert_eq!(world.call("DescribeListenerAttributes", json!({"ListenerArn": arn})), told(&kept));
            assert_eq!(idle_timeout_s(&world.state.listeners[&arn]), seconds);
        }
        for value in ["59", "6001", "0", "", "-60", "60.5", "sixty"] {
            world.refused(Code::ValidationError, "ModifyListenerAttributes", idle(&arn, value));
        }
        assert_eq!(idle_timeout_s(&world.state.listeners[&arn]), 350);
    }

    #[test]
    fn a_node_can_allow_less() {
        let given = |value: &str| vec![Given { key: Some(IDLE_TIMEOUT.into()), value: Some(value.into()) }];
        assert_eq!(checked(Protocol::Tcp, given("2"), 2).unwrap()[IDLE_TIMEOUT], "2");
        assert_eq!(checked(Protocol::Tcp, given("1"), 2).unwrap_err().code, Code::ValidationError);
    }

    #[test]
    fn other_protocols_have_none() {
        for protocol in [Protocol::Udp, Protocol::Tls, Protocol::TcpUdp] {
            let (mut world, arn) = world(protocol);
            let output = world.call("DescribeListenerAttributes", json!({"ListenerArn": arn}));
            assert_eq!(output, json!({"Attributes": []}), "{protocol}");
            world.refused(Code::InvalidConfigurationRequest, "ModifyListenerAttributes", idle(&arn, "60"));
            assert_eq!(idle_timeout_s(&world.state.listeners[&arn]), 350, "{protocol}");
        }
    }

    #[test]
    fn refusals() {
        let (mut world, arn) = world(Protocol::Tcp);
        let operation = "ModifyListenerAttributes";
        for attributes in [
            json!([]),
            json!([{"Key": "routing.http.response.server.enabled", "Value": "true"}]),
            json!([{"Key": IDLE_TIMEOUT}]),
            json!([{"Value": "60"}]),
            json!([{"Key": IDLE_TIMEOUT, "Value": "60"}, {"Key": IDLE_TIMEOUT, "Value": "60"}]),
        ] {
            world.refused(Code::ValidationError, operation, json!({"ListenerArn": arn, "Attributes": attributes}));
        }
        world.refused(Code::ValidationError, operation, json!({"ListenerArn": arn}));
        world.refused(Code::ValidationError, operation, json!({"Attributes": []}));
        let gone = Arn::parse(&format!("{arn}0")).unwrap().0;
        world.refused(Code::ListenerNotFound, operation, idle(&gone, "60"));
        world.refused(Code::ListenerNotFound, "DescribeListenerAttributes", json!({"ListenerArn": gone}));
        world.refused(Code::ValidationError, "DescribeListenerAttributes", json!({"ListenerArn": "web"}));
    }
}
