//! From a file to what a node serves of it, for tests of all rooms.

use jiff::Timestamp;

use super::*;
use crate::{
    manifest,
    model::{Account, Inventory, Quotas, State},
    ops::{Context, Observed},
};

impl Config {
    /// What a node with nothing around it serves of a file, in the file's order.
    ///
    /// # Errors
    /// As [`manifest::read`] and [`manifest::apply`].
    pub fn from_json(text: &str, file: &str, limits: &Limits) -> Result<Self, manifest::Invalid> {
        let state = state(text, file, limits)?;
        let mut config = lower(&state, &Inventory::default()).config;
        let order = |kind: &str, name: &str| {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            value[kind].as_array().unwrap().iter().position(|thing| thing["name"] == name)
        };
        config.load_balancers.sort_by_cached_key(|balancer| order("load_balancers", &balancer.name));
        config.target_groups.sort_by_cached_key(|group| order("target_groups", &group.name));
        Ok(config)
    }
}

/// The state that a file asks of a node with nothing around it and no quotas.
///
/// # Errors
/// As [`manifest::read`] and [`manifest::apply`].
pub fn state(text: &str, file: &str, limits: &Limits) -> Result<State, manifest::Invalid> {
    let most = u32::MAX;
    let context = Context {
        account: &Account { region: "us-east-1".into(), id: "000000000000".into() },
        inventory: &Inventory::default(),
        quotas: &Quotas {
            load_balancers: most,
            target_groups: most,
            certificates_per_load_balancer: most,
            targets_per_load_balancer: most,
            targets_per_zone_per_load_balancer: most,
            targets_per_target_group: most,
            enis_per_vpc: most,
        },
        observed: &Observed::default(),
        min_idle_s: limits.min_idle_s,
        now: Timestamp::UNIX_EPOCH,
    };
    manifest::apply(&manifest::read(text, file)?, &State::default(), &context)
}
