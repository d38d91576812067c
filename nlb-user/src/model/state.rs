//! Everything that was asked for, as one value.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    ApplicationLoadBalancer, Arn, Certificate, ElasticIp, Instance, Listener, LoadBalancer, SecurityGroup, Subnet,
    TargetGroup, TargetKey,
};
use crate::store::Override;

/// Whose resources these are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// As in `us-east-1`.
    pub region: String,
    /// 12 digits.
    pub id: String,
}

/// All resources, and what commands have added to the inventory. Copies share what they have in common.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// Load balancers, by ARN.
    pub load_balancers: BTreeMap<Arn, Arc<LoadBalancer>>,
    /// Listeners, by ARN: those of a load balancer stand together.
    pub listeners: BTreeMap<Arn, Arc<Listener>>,
    /// Target groups, by ARN.
    pub target_groups: BTreeMap<Arn, Arc<TargetGroup>>,
    /// The operator's word on targets' health.
    pub overrides: BTreeMap<(Arn, TargetKey), Override>,
    /// What commands have added to the inventory of node.toml.
    pub inventory: Added,
}

/// What commands have added to the inventory, by id.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Added {
    /// Subnets.
    pub subnets: BTreeMap<String, Subnet>,
    /// Instances.
    pub instances: BTreeMap<String, Instance>,
    /// Elastic addresses.
    pub elastic_ips: BTreeMap<String, ElasticIp>,
    /// Security groups.
    pub security_groups: BTreeMap<String, SecurityGroup>,
    /// Certificates.
    pub certificates: BTreeMap<String, Certificate>,
    /// Application Load Balancers.
    pub application_load_balancers: BTreeMap<String, ApplicationLoadBalancer>,
}

impl State {
    /// The load balancer of this name.
    pub fn load_balancer_named(&self, name: &str) -> Option<&Arc<LoadBalancer>> {
        self.load_balancers.values().find(|balancer| balancer.name == name)
    }

    /// The target group of this name.
    pub fn target_group_named(&self, name: &str) -> Option<&Arc<TargetGroup>> {
        self.target_groups.values().find(|group| group.name == name)
    }

    /// The listeners of a load balancer.
    pub fn listeners_of<'a>(&'a self, balancer: &'a Arn) -> impl Iterator<Item = &'a Arc<Listener>> + 'a {
        self.listeners.values().filter(move |listener| listener.load_balancer == *balancer)
    }

    /// Drops the operator's word on targets that are not registered any more.
    pub fn forget_overrides(&mut self) {
        let groups = &self.target_groups;
        let registered = |group: &Arn, key: &TargetKey| {
            groups.get(group).and_then(|group| group.targets.get(key)).is_some_and(|it| it.draining_until.is_none())
        };
        self.overrides.retain(|(group, key), _| registered(group, key));
    }

    /// The load balancer that uses a target group: there is at most one.
    pub fn load_balancer_of(&self, group: &Arn) -> Option<&Arc<LoadBalancer>> {
        let user = self.listeners.values().find(|listener| listener.target_group == *group)?;
        self.load_balancers.get(&user.load_balancer)
    }
}
