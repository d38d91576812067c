//! The resources of the Elastic Load Balancing v2 API, as types: load balancers, listeners, target groups, targets,
//! and what they refer to.
//!
//! A resource that breaks a rule of the guide is not built: [`crate::ops`] and [`crate::manifest`] make them with the
//! functions of the files here, which answer with a [`Fault`] in the reference's words. [`State`] is all of them
//! together, cheap to copy: a change shares what it leaves alone.
//!
//! Read in this order: how things are named (`arn`), how a refusal is told (`fault`), what a node has around it
//! (`inventory`, `quotas`), the resources, and all of them as one value (`state`, `records`).

mod arn;
mod fault;
mod inventory;
mod listener;
mod load_balancer;
mod protocol;
mod quotas;
mod records;
mod state;
mod target_group;

pub use arn::{Arn, ArnKind, new_id};
pub use fault::{Code, Fault};
pub use inventory::{
    ApplicationLoadBalancer, Certificate, ElasticIp, Instance, InstanceState, Inventory, SecurityGroup, Subnet,
};
pub use listener::Listener;
pub use load_balancer::{IpAddressType, LoadBalancer, Scheme, ZonalShift, ZoneMapping};
pub use protocol::{HealthProtocol, Protocol};
pub use quotas::Quotas;
pub use records::RecordError;
pub use state::{Account, Added, State};
pub use target_group::{Family, HealthCheck, Target, TargetGroup, TargetId, TargetKey, TargetType};
