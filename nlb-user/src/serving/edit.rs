//! Single edits: a target comes, a target goes.

use super::{Config, Target, TargetGroup, TargetId, rules};

/// An edit that can't be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EditError {
    /// No group of this name.
    #[error("there is no target group `{group}`: {}", match .there.as_slice() {
        [] => "the node has none".to_owned(),
        names => format!("there are {}", names.join(", ")),
    })]
    NoGroup {
        /// The name.
        group: String,
        /// Names of the groups there are.
        there: Vec<String>,
    },
    /// It is registered already.
    #[error("target {target} is registered in `{group}` already")]
    Registered {
        /// The group.
        group: String,
        /// The target.
        target: Target,
    },
    /// It is not registered.
    #[error("target {target} is not registered in `{group}`: {}", match .there.as_slice() {
        [] => "the group has no target".to_owned(),
        targets => format!("there are {}", targets.iter().map(Target::to_string).collect::<Vec<_>>().join(", ")),
    })]
    NotRegistered {
        /// The group.
        group: String,
        /// The target.
        target: Target,
        /// Targets of the group, the first ten.
        there: Vec<Target>,
    },
    /// Not an address that a target can have.
    #[error("{target} can't be a target: {why}")]
    Address {
        /// The target.
        target: Target,
        /// The rule it breaks.
        why: String,
    },
}

impl Config {
    /// This configuration with one target more, at the end of its group.
    ///
    /// # Errors
    /// If there is no such group, it has the target already, or the address can't be a target's.
    pub fn register(&self, id: &TargetId) -> Result<Self, EditError> {
        let target = id.target();
        let balancer = self.load_balancers.iter().find(|balancer| balancer.addresses.contains(&id.addr));
        let ours = || balancer.map(|balancer| format!("it is an address of load balancer `{}`", balancer.name));
        if let Some(why) = rules::address(id.addr).or_else(ours) {
            return Err(EditError::Address { target, why });
        }
        let mut config = self.clone();
        let group = config.group_mut(&id.group)?;
        if group.targets.contains(&target) {
            return Err(EditError::Registered { group: id.group.clone(), target });
        }
        group.targets.push(target);
        Ok(config)
    }

    /// This configuration with one target less.
    ///
    /// # Errors
    /// If there is no such group, or it does not have the target.
    pub fn deregister(&self, id: &TargetId) -> Result<Self, EditError> {
        let target = id.target();
        let mut config = self.clone();
        let group = config.group_mut(&id.group)?;
        let Some(position) = group.targets.iter().position(|other| *other == target) else {
            let there = group.targets.iter().copied().take(10).collect();
            return Err(EditError::NotRegistered { group: id.group.clone(), target, there });
        };
        group.targets.remove(position);
        Ok(config)
    }

    /// The target group of this name.
    pub fn group(&self, name: &str) -> Option<&TargetGroup> {
        self.target_groups.iter().find(|group| group.name == name)
    }

    /// Whether this target is registered.
    pub fn has_target(&self, id: &TargetId) -> bool {
        self.group(&id.group).is_some_and(|group| group.targets.contains(&id.target()))
    }

    fn group_mut(&mut self, name: &str) -> Result<&mut TargetGroup, EditError> {
        let there: Vec<String> = self.target_groups.iter().map(|group| group.name.clone()).collect();
        let missing = || EditError::NoGroup { group: name.to_owned(), there };
        self.target_groups.iter_mut().find(|group| group.name == name).ok_or_else(missing)
    }
}
