//! Resources by the ARN that a caller gave.

use std::sync::Arc;

use crate::model::{Arn, ArnKind, Code, Fault, Listener, LoadBalancer, State, TargetGroup};

/// The load balancer of this ARN.
///
/// # Errors
/// `ValidationError` if it is no ARN of a load balancer, `LoadBalancerNotFound` if there is no such load balancer.
pub fn load_balancer<'a>(state: &'a State, arn: &str) -> Result<&'a Arc<LoadBalancer>, Fault> {
    let arn = self::arn(arn, ArnKind::LoadBalancer)?;
    state
        .load_balancers
        .get(&arn)
        .ok_or_else(|| Fault::new(Code::LoadBalancerNotFound, format!("there is no load balancer {arn}")))
}

/// The target group of this ARN.
///
/// # Errors
/// `ValidationError` if it is no ARN of a target group, `TargetGroupNotFound` if there is no such target group.
pub fn target_group<'a>(state: &'a State, arn: &str) -> Result<&'a Arc<TargetGroup>, Fault> {
    let arn = self::arn(arn, ArnKind::TargetGroup)?;
    state
        .target_groups
        .get(&arn)
        .ok_or_else(|| Fault::new(Code::TargetGroupNotFound, format!("there is no target group {arn}")))
}

/// The listener of this ARN.
///
/// # Errors
/// `ValidationError` if it is no ARN of a listener, `ListenerNotFound` if there is no such listener.
pub fn listener<'a>(state: &'a State, arn: &str) -> Result<&'a Arc<Listener>, Fault> {
    let arn = self::arn(arn, ArnKind::Listener)?;
    state.listeners.get(&arn).ok_or_else(|| Fault::new(Code::ListenerNotFound, format!("there is no listener {arn}")))
}

/// The listener whose default rule has this ARN: there are no other rules.
///
/// # Errors
/// `ValidationError` if it is no ARN of a rule, `RuleNotFound` if there is no such rule.
pub fn rule<'a>(state: &'a State, arn: &str) -> Result<&'a Arc<Listener>, Fault> {
    let arn = self::arn(arn, ArnKind::Rule)?;
    let listener = arn.as_str().replacen(":listener-rule/", ":listener/", 1);
    let listener = listener.rsplit_once('/').and_then(|(listener, _)| state.listeners.get(listener));
    listener
        .filter(|listener| listener.default_rule == arn)
        .ok_or_else(|| Fault::new(Code::RuleNotFound, format!("there is no rule {arn}")))
}

/// Text that must be an ARN of this kind.
///
/// # Errors
/// `ValidationError`.
pub fn arn(text: &str, kind: ArnKind) -> Result<Arn, Fault> {
    match Arn::parse(text) {
        Some((arn, found)) if found == kind => Ok(arn),
        _ => {
            let (what, form) = match kind {
                ArnKind::LoadBalancer => ("a load balancer", "loadbalancer/net/NAME/ID"),
                ArnKind::Listener => ("a listener", "listener/net/NAME/ID/ID"),
                ArnKind::Rule => ("a rule", "listener-rule/net/NAME/ID/ID/ID"),
                ArnKind::TargetGroup => ("a target group", "targetgroup/NAME/ID"),
            };
            Err(Fault::validation(format!(
                "`{text}` is not the ARN of {what}: its form is arn:aws:elasticloadbalancing:REGION:ACCOUNT:{form}"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Protocol,
        ops::testing::{self, World},
    };

    #[test]
    fn by_arn() {
        let mut world = World::new();
        let balancer = testing::load_balancer(&mut world.state, "web");
        let group = testing::target_group(&mut world.state, "web", Protocol::Tcp);
        let arn = testing::listener(&mut world.state, &balancer, Protocol::Tcp, 80, &group);
        let state = &world.state;
        let listener = super::listener(state, arn.as_str()).unwrap();
        assert_eq!(listener.arn, arn);
        assert_eq!(super::rule(state, listener.default_rule.as_str()).unwrap().arn, arn);
        assert_eq!(super::load_balancer(state, balancer.as_str()).unwrap().arn, balancer);
        assert_eq!(super::target_group(state, group.as_str()).unwrap().arn, group);

        let code = |fault: Result<(), Fault>| fault.unwrap_err().code;
        let other = |arn: &Arn| format!("{arn}0");
        let rule = other(&listener.default_rule);
        assert_eq!(code(super::load_balancer(state, &other(&balancer)).map(drop)), Code::LoadBalancerNotFound);
        assert_eq!(code(super::target_group(state, &other(&group)).map(drop)), Code::TargetGroupNotFound);
        assert_eq!(code(super::listener(state, &other(&arn)).map(drop)), Code::ListenerNotFound);
        assert_eq!(code(super::rule(state, &rule).map(drop)), Code::RuleNotFound);
        for text in ["", "web", group.as_str(), arn.as_str(), "arn:aws:s3:::web"] {
            assert_eq!(code(super::load_balancer(state, text).map(drop)), Code::ValidationError, "{text}");
        }
        assert_eq!(code(super::target_group(state, balancer.as_str()).map(drop)), Code::ValidationError);
        assert_eq!(code(super::listener(state, balancer.as_str()).map(drop)), Code::ValidationError);
        assert_eq!(code(super::rule(state, arn.as_str()).map(drop)), Code::ValidationError);
    }
}
