//! Attributes of listeners and target groups: the reference's keys, ranges and defaults.

use std::collections::BTreeMap;

use nlb_common::layout::MAX_TARGETS;

use super::{HealthThreshold, Limits, Listener, Protocol};
use crate::manifest::tree::{Reader, Value, list};

/// Key of a listener's idle timeout.
pub(super) const IDLE_TIMEOUT: &str = "tcp.idle_timeout.seconds";
/// Key of a group's client IP preservation.
pub(super) const PRESERVE_CLIENT_IP: &str = "preserve_client_ip.enabled";
/// Keys of a group's routing failover.
pub(super) const ROUTING_COUNT: &str = "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count";
pub(super) const ROUTING_SHARE: &str = "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage";

/// What values an attribute can have.
enum Allowed {
    /// One of these words.
    Words(&'static [&'static str]),
    /// A whole number, from the first to the last.
    Number(u32, u32),
    /// A whole number in a range, or `off`.
    NumberOrOff(u32, u32),
}

impl Allowed {
    fn holds(&self, text: &str) -> bool {
        // Only the shortest form of a number: "007" and "+7" are slips.
        let within =
            |first, last| text.parse().is_ok_and(|n: u32| (first..=last).contains(&n) && n.to_string() == text);
        match *self {
            Self::Words(words) => words.contains(&text),
            Self::Number(first, last) => within(first, last),
            Self::NumberOrOff(first, last) => text == "off" || within(first, last),
        }
    }

    /// For error texts.
    fn describe(&self) -> String {
        match self {
            Self::Words(words) => words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", "),
            Self::Number(first, last) => format!("\"{first}\" to \"{last}\""),
            Self::NumberOrOff(first, last) => format!("\"{first}\" to \"{last}\", and \"off\""),
        }
    }
}

/// An attribute of target groups.
struct Attribute {
    key: &'static str,
    allowed: Allowed,
    /// What is not there yet and so can't be asked for: the only value that works today, and the name of the function.
    later: Option<(&'static str, &'static str)>,
}

const BOOLEAN: Allowed = Allowed::Words(&["true", "false"]);
const TARGETS: u32 = MAX_TARGETS as u32;

/// Guide, "Target group attributes".
const GROUP: [Attribute; 11] = [
    Attribute { key: "deregistration_delay.timeout_seconds", allowed: Allowed::Number(0, 3600), later: None },
    Attribute {
        key: "deregistration_delay.connection_termination.enabled",
        allowed: BOOLEAN,
        later: Some(("false", "ending connections after the deregistration delay")),
    },
    Attribute {
        key: "load_balancing.cross_zone.enabled",
        allowed: Allowed::Words(&["true", "false", "use_load_balancer_configuration"]),
        later: None,
    },
    Attribute { key: PRESERVE_CLIENT_IP, allowed: BOOLEAN, later: None },
    Attribute { key: "proxy_protocol_v2.enabled", allowed: BOOLEAN, later: Some(("false", "PROXY protocol")) },
    Attribute { key: "stickiness.enabled", allowed: BOOLEAN, later: Some(("false", "stickiness")) },
    Attribute { key: "stickiness.type", allowed: Allowed::Words(&["source_ip"]), later: None },
    Attribute {
        key: "target_group_health.dns_failover.minimum_healthy_targets.count",
        allowed: Allowed::NumberOrOff(1, TARGETS),
        later: Some(("off", "DNS failover")),
    },
    Attribute {
        key: "target_group_health.dns_failover.minimum_healthy_targets.percentage",
        allowed: Allowed::NumberOrOff(1, 100),
        later: Some(("off", "DNS failover")),
    },
    Attribute { key: ROUTING_COUNT, allowed: Allowed::Number(1, TARGETS), later: None },
    Attribute { key: ROUTING_SHARE, allowed: Allowed::NumberOrOff(1, 100), later: None },
];

/// The attributes of a target group, read.
pub(super) struct GroupAttributes {
    pub preserve_client_ip: bool,
    pub unhealthy_routing: HealthThreshold,
    pub others: BTreeMap<String, String>,
}

/// Reads a group's attributes; `value` is `None` if the group has no such field.
pub(super) fn of_group<'a>(
    reader: &mut Reader,
    value: Option<&Value<'a>>,
    protocol: Option<Protocol>,
) -> Option<GroupAttributes> {
    let always = protocol.is_some_and(Protocol::always_preserves_client_ip);
    let default = HealthThreshold::default();
    let mut read = GroupAttributes { preserve_client_ip: always, unhealthy_routing: default, others: BTreeMap::new() };
    let Some(value) = value else { return Some(read) };
    for (key, at) in reader.map(value)?.into_fields() {
        let Some(attribute) = GROUP.iter().find(|attribute| attribute.key == key) else {
            unknown(reader, &at, &GROUP.each_ref().map(|attribute| attribute.key));
            continue;
        };
        let Some(text) = self::text(reader, &at, &attribute.allowed) else { continue };
        match (attribute.later, key) {
            (Some((works, function)), _) if text != works => {
                reader.problem(&at, format!("found {text:?}, but {function} is not there yet: allowed is {works:?}"));
            }
            (_, PRESERVE_CLIENT_IP) => match (protocol, text == "true") {
                (Some(protocol), false) if always => reader.problem(
                    &at,
                    format!("found \"false\", but client IP preservation can't be disabled for {protocol} target groups: allowed is \"true\""),
                ),
                (_, preserve) => read.preserve_client_ip = preserve,
            },
            (_, ROUTING_COUNT) => read.unhealthy_routing.count = text.parse().unwrap_or(default.count),
            (_, ROUTING_SHARE) => read.unhealthy_routing.percentage = text.parse().ok(),
            _ => {
                read.others.insert(key.to_owned(), text);
            }
        }
    }
    Some(read)
}

/// Reads a listener's attributes and gives its idle timeout in seconds.
pub(super) fn of_listener<'a>(
    reader: &mut Reader,
    value: &Value<'a>,
    protocol: Option<Protocol>,
    limits: &Limits,
) -> Option<u16> {
    let mut idle_s = Listener::DEFAULT_IDLE_S;
    for (key, at) in reader.map(value)?.into_fields() {
        if key != IDLE_TIMEOUT {
            unknown(reader, &at, &[IDLE_TIMEOUT]);
            continue;
        }
        let range = Allowed::Number(limits.min_idle_s.into(), Listener::MAX_IDLE_S.into());
        match protocol {
            Some(protocol) if protocol != Protocol::Tcp => reader
                .problem(&at, format!("this attribute is for TCP listeners, and this one is {protocol}: remove it")),
            _ => idle_s = text(reader, &at, &range)?.parse().unwrap_or(idle_s),
        }
    }
    Some(idle_s)
}

fn unknown<'a>(reader: &mut Reader, at: &Value<'a>, keys: &[&str]) {
    reader.problem(at, format!("found an unknown attribute, allowed are {}", list(keys)));
}

/// A value that is allowed; it must be a string, as all attributes are.
fn text<'a>(reader: &mut Reader, at: &Value<'a>, allowed: &Allowed) -> Option<String> {
    let text = reader.string(at, &format!("a string: {}", allowed.describe()))?;
    if !allowed.holds(&text) {
        reader.problem(at, format!("found {}, allowed are {}", at.found(), allowed.describe()));
        return None;
    }
    Some(text)
}
