//! How many of each there may be (guide, "Quotas").

use serde::Deserialize;

/// The adjustable quotas. Those that the reference does not adjust are constants.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Load balancers.
    pub load_balancers: u32,
    /// Target groups.
    pub target_groups: u32,
    /// Certificates of a load balancer's listeners, default certificates not counted.
    pub certificates_per_load_balancer: u32,
    /// Targets of all of a load balancer's groups; one in N groups counts N times.
    pub targets_per_load_balancer: u32,
    /// The same in one zone.
    pub targets_per_zone_per_load_balancer: u32,
    /// Targets of a group.
    pub targets_per_target_group: u32,
    /// Load balancers' addresses in a VPC: one for each zone of each load balancer.
    pub enis_per_vpc: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            load_balancers: 50,
            target_groups: 3000,
            certificates_per_load_balancer: 25,
            targets_per_load_balancer: 3000,
            targets_per_zone_per_load_balancer: 500,
            targets_per_target_group: 1000,
            enis_per_vpc: 1200,
        }
    }
}

impl Quotas {
    /// Listeners of a load balancer.
    pub const LISTENERS_PER_LOAD_BALANCER: usize = 50;
    /// Target groups of a listener's action.
    pub const TARGET_GROUPS_PER_ACTION: usize = 1;
    /// Targets of a group of type `alb`.
    pub const TARGETS_PER_ALB_GROUP: usize = 1;
    /// Tags of a resource, those of the system not counted.
    pub const TAGS_PER_RESOURCE: usize = 50;
}
