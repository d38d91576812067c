//! The way back to text: lb.json as the node understands it, every default that matters written out.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Config, HealthThreshold, Limits, Listener, LoadBalancer, Protocol, Target, TargetGroup, attributes};

/// The shape of the file.
#[derive(Serialize)]
struct File<'a> {
    load_balancers: Vec<LoadBalancerShape<'a>>,
    target_groups: Vec<TargetGroupShape<'a>>,
}

#[derive(Serialize)]
struct LoadBalancerShape<'a> {
    name: &'a str,
    addresses: &'a [IpAddr],
    listeners: Vec<ListenerShape<'a>>,
}

#[derive(Serialize)]
struct ListenerShape<'a> {
    protocol: &'static str,
    port: u16,
    target_group: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
struct TargetGroupShape<'a> {
    name: &'a str,
    protocol: &'static str,
    port: u16,
    target_type: &'static str,
    attributes: BTreeMap<&'a str, String>,
    targets: Vec<TargetShape>,
}

#[derive(Serialize)]
struct TargetShape {
    id: IpAddr,
    port: u16,
}

impl Config {
    /// The configuration in the shape of lb.json, indented; [`Config::from_json`] reads it back as it was.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings, numbers, lists and maps with string keys are JSON")
    }
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        File {
            load_balancers: self.load_balancers.iter().map(LoadBalancer::shape).collect(),
            target_groups: self.target_groups.iter().map(TargetGroup::shape).collect(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Config {
    /// A configuration that was accepted before, out of a larger JSON text. All rules hold but that for the smallest
    /// idle timeout, which a test may have lowered.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = serde_json::Value::deserialize(deserializer)?.to_string();
        Self::from_json(&text, "config", &Limits::accepted()).map_err(serde::de::Error::custom)
    }
}

impl LoadBalancer {
    fn shape(&self) -> LoadBalancerShape<'_> {
        let listeners = self.listeners.iter().map(Listener::shape).collect();
        LoadBalancerShape { name: &self.name, addresses: &self.addresses, listeners }
    }
}

impl Listener {
    fn shape(&self) -> ListenerShape<'_> {
        ListenerShape {
            protocol: self.protocol.as_str(),
            port: self.port,
            target_group: &self.target_group,
            attributes: self.attributes(),
        }
    }

    /// Its attributes as keys and values of the reference.
    pub fn attributes(&self) -> BTreeMap<&str, String> {
        let idle =
            (self.protocol == Protocol::Tcp).then(|| (attributes::IDLE_TIMEOUT, self.idle_timeout_s.to_string()));
        idle.into_iter().collect()
    }
}

impl TargetGroup {
    fn shape(&self) -> TargetGroupShape<'_> {
        TargetGroupShape {
            name: &self.name,
            protocol: self.protocol.as_str(),
            port: self.port,
            target_type: self.target_type.as_str(),
            attributes: self.all_attributes(),
            targets: self.targets.iter().map(|&Target { id, port }| TargetShape { id, port }).collect(),
        }
    }

    /// Its attributes as keys and values of the reference: client IP preservation always, others if they were given or
    /// differ from their default.
    pub fn all_attributes(&self) -> BTreeMap<&str, String> {
        let mut all: BTreeMap<&str, String> = self.attributes.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        all.insert(attributes::PRESERVE_CLIENT_IP, self.preserve_client_ip.to_string());
        let HealthThreshold { count, percentage } = self.unhealthy_routing;
        if count != HealthThreshold::default().count {
            all.insert(attributes::ROUTING_COUNT, count.to_string());
        }
        if let Some(percentage) = percentage {
            all.insert(attributes::ROUTING_SHARE, percentage.to_string());
        }
        all
    }
}
