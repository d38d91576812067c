//! Rules of listeners: each has its default rule, and there are no others on this kind of load balancer.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Context, actions, checks, find, paging::Paging};
use crate::model::{Arn, Fault, Listener, State};

/// What `DescribeRules` is asked.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeInput {
    listener_arn: Option<String>,
    rule_arns: Option<Vec<String>>,
    marker: Option<String>,
    page_size: Option<i64>,
}

/// What it answers.
#[derive(Serialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeOutput {
    rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    rule_arn: Arn,
    priority: &'static str,
    /// A default rule has none.
    conditions: [(); 0],
    actions: [actions::Told; 1],
    is_default: bool,
}

/// Runs `DescribeRules`.
///
/// # Errors
/// `ListenerNotFound`, `RuleNotFound`; `ValidationError` also if both or neither are asked for.
pub fn describe(state: &State, input: DescribeInput, _: &Context<'_>) -> Result<DescribeOutput, Fault> {
    let paging = Paging::new("rules", input.page_size, input.marker.as_deref())?;
    let found: BTreeMap<&Arn, &Arc<Listener>> = match (input.listener_arn, input.rule_arns.unwrap_or_default()) {
        (Some(listener), rules) if rules.is_empty() => {
            let listener = find::listener(state, &listener)?;
            [(&listener.default_rule, listener)].into()
        }
        (None, rules) if !rules.is_empty() => {
            checks::within("the number of RuleArns", rules.len() as i64, 1..=400)?;
            let listeners = rules.iter().map(|arn| find::rule(state, arn));
            listeners.map(|found| found.map(|listener| (&listener.default_rule, listener))).collect::<Result<_, _>>()?
        }
        (None, _) => return Err(Fault::validation("name a listener with ListenerArn, or rules with RuleArns")),
        (Some(_), _) => return Err(Fault::validation("ListenerArn and RuleArns are both given: name one of them")),
    };
    let (page, next_marker) = paging.page(found, |(arn, _)| arn.as_str());
    let rules = page.into_iter().map(|(arn, listener)| Rule {
        rule_arn: arn.clone(),
        priority: "default",
        conditions: [],
        actions: actions::told(&listener.target_group),
        is_default: true,
    });
    Ok(DescribeOutput { rules: rules.collect(), next_marker })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Code, Protocol},
        ops::testing::{self, World},
    };
    use serde_json::json;

    #[test]
    fn the_default_rule_and_no_other() {
        let mut world = World::new();
        let balancer = testing::load_balancer(&mut world.state, "web");
        let group = testing::target_group(&mut world.state, "web", Protocol::Tcp);
        let listener = testing::listener(&mut world.state, &balancer, Protocol::Tcp, 80, &group);
        let other = testing::listener(&mut world.state, &balancer, Protocol::Tcp, 81, &group);
        let rule = world.state.listeners[&listener].default_rule.clone();
        let other = world.state.listeners[&other].default_rule.clone();

        let expected = json!([{
            "RuleArn": rule, "Priority": "default", "Conditions": [], "IsDefault": true,
            "Actions": [{"Type": "forward", "TargetGroupArn": group,
                "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": group}]}}],
        }]);
        for input in [json!({"ListenerArn": listener}), json!({"RuleArns": [rule]}), json!({"RuleArns": [rule, rule]})]
        {
            let output = world.call("DescribeRules", input.clone());
            assert_eq!(output, json!({"Rules": expected}), "{input}");
        }

        let mut sorted = [rule.clone(), other.clone()];
        sorted.sort();
        let both = json!({"RuleArns": [rule, other], "PageSize": 1});
        let first = world.call("DescribeRules", both.clone());
        assert_eq!(first["Rules"][0]["RuleArn"], json!(sorted[0]));
        let mut next = both;
        next["Marker"] = first["NextMarker"].clone();
        let second = world.call("DescribeRules", next);
        assert_eq!(second["Rules"][0]["RuleArn"], json!(sorted[1]));
        assert_eq!(second.get("NextMarker"), None);
    }

    #[test]
    fn refusals() {
        let mut world = World::new();
        let balancer = testing::load_balancer(&mut world.state, "web");
        let group = testing::target_group(&mut world.state, "web", Protocol::Tcp);
        let listener = testing::listener(&mut world.state, &balancer, Protocol::Tcp, 80, &group);
        let rule = world.state.listeners[&listener].default_rule.clone();
        let many: Vec<&Arn> = vec![&rule; 401];
        for input in [
            json!({}),
            json!({"RuleArns": []}),
            json!({"RuleArns": many}),
            json!({"ListenerArn": listener, "RuleArns": [rule]}),
            json!({"ListenerArn": rule}),
            json!({"RuleArns": [listener]}),
            json!({"ListenerArn": listener, "PageSize": 0}),
            json!({"ListenerArn": listener, "PageSize": 401}),
            json!({"ListenerArn": listener, "Marker": "x"}),
        ] {
            world.refused(Code::ValidationError, "DescribeRules", input);
        }
        world.refused(Code::ListenerNotFound, "DescribeRules", json!({"ListenerArn": balancer.listener("0")}));
        world.refused(Code::RuleNotFound, "DescribeRules", json!({"RuleArns": [rule, listener.rule("0")]}));
    }
}
