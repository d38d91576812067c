//! The action of a listener's default rule: to forward to one target group. It is the only one of this kind of load
//! balancer; the API has others, and forms for several groups.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checks;
use crate::model::{Arn, Code, Fault, Quotas};

/// What the API knows besides `forward`.
const OF_OTHER_KINDS: [&str; 5] =
    ["authenticate-oidc", "authenticate-cognito", "redirect", "fixed-response", "jwt-validation"];

/// An action as a caller gives it.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct Given {
    r#type: Option<String>,
    target_group_arn: Option<String>,
    forward_config: Option<GivenForward>,
    order: Option<i64>,
    authenticate_oidc_config: Option<Value>,
    authenticate_cognito_config: Option<Value>,
    redirect_config: Option<Value>,
    fixed_response_config: Option<Value>,
    jwt_validation_config: Option<Value>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct GivenForward {
    target_groups: Vec<GivenGroup>,
    target_group_stickiness_config: Option<GivenStickiness>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct GivenGroup {
    target_group_arn: Option<String>,
    weight: Option<i64>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct GivenStickiness {
    enabled: Option<bool>,
    duration_seconds: Option<i64>,
}

/// An action as a caller is told it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Told {
    r#type: &'static str,
    target_group_arn: Arn,
    forward_config: ToldForward,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ToldForward {
    target_groups: [ToldGroup; 1],
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ToldGroup {
    target_group_arn: Arn,
}

/// The actions of a rule that forwards to this target group.
pub fn told(group: &Arn) -> [Told; 1] {
    [Told {
        r#type: "forward",
        target_group_arn: group.clone(),
        forward_config: ToldForward { target_groups: [ToldGroup { target_group_arn: group.clone() }] },
    }]
}

/// The ARN of the target group that the actions forward to, as the caller wrote it.
///
/// # Errors
/// `TooManyActions`; `InvalidLoadBalancerAction` for anything but forwarding to one target group; `ValidationError` if
/// something is missing, unknown or out of range.
pub fn target_group(actions: Vec<Given>) -> Result<String, Fault> {
    let count = actions.len();
    let mut actions = actions.into_iter();
    match (actions.next(), actions.next()) {
        (Some(action), None) => of_action(action),
        (None, _) => Err(Fault::validation("DefaultActions is empty: name one action, of type forward")),
        (Some(_), Some(_)) => {
            let message = format!("{count} actions: a Network Load Balancer has one, which forwards to a target group");
            Err(Fault::new(Code::TooManyActions, message))
        }
    }
}

fn of_action(action: Given) -> Result<String, Fault> {
    match action.r#type.as_deref() {
        Some("forward") => {}
        None => return Err(Fault::validation("an action has no Type: a Network Load Balancer has forward")),
        Some(other) if OF_OTHER_KINDS.contains(&other) => {
            return invalid(format!("the action {other} is for other kinds of load balancers: here is forward"));
        }
        Some(other) => return Err(Fault::validation(format!("unknown action type `{other}`: allowed is forward"))),
    }
    let others = [
        ("AuthenticateOidcConfig", &action.authenticate_oidc_config),
        ("AuthenticateCognitoConfig", &action.authenticate_cognito_config),
        ("RedirectConfig", &action.redirect_config),
        ("FixedResponseConfig", &action.fixed_response_config),
        ("JwtValidationConfig", &action.jwt_validation_config),
    ];
    if let Some((name, _)) = others.iter().find(|(_, config)| config.is_some()) {
        return invalid(format!("{name} is for other kinds of load balancers: leave it out"));
    }
    if let Some(order) = action.order {
        checks::within("Order", order, 1..=50_000)?;
    }
    let forward = action.forward_config.map(of_forward).transpose()?.flatten();
    match (action.target_group_arn, forward) {
        (Some(alone), Some(listed)) if alone != listed => invalid(format!(
            "TargetGroupArn is {alone} and ForwardConfig names {listed}: name one target group, either way"
        )),
        (Some(group), _) | (None, Some(group)) => Ok(group),
        (None, None) => Err(Fault::validation("the action names no target group: give its TargetGroupArn")),
    }
}

fn of_forward(forward: GivenForward) -> Result<Option<String>, Fault> {
    if let Some(stickiness) = forward.target_group_stickiness_config {
        if let Some(duration) = stickiness.duration_seconds {
            checks::within("DurationSeconds", duration, 1..=604_800)?;
        }
        if stickiness.enabled == Some(true) {
            return invalid(
                "stickiness between target groups is for other kinds of load balancers: a target group's \
                            attribute stickiness.enabled keeps a client at its target",
            );
        }
    }
    let count = forward.target_groups.len();
    if count > Quotas::TARGET_GROUPS_PER_ACTION {
        return invalid(format!("ForwardConfig names {count} target groups: a Network Load Balancer forwards to one"));
    }
    let Some(GivenGroup { target_group_arn, weight }) = forward.target_groups.into_iter().next() else {
        return Ok(None);
    };
    if let Some(weight) = weight {
        checks::within("Weight", weight, 0..=999)?;
        if weight == 0 {
            return invalid("the only target group has the Weight 0: it gets all connections, leave Weight out");
        }
    }
    match target_group_arn {
        Some(group) => Ok(Some(group)),
        None => Err(Fault::validation("a target group of ForwardConfig has no TargetGroupArn")),
    }
}

fn invalid<T>(message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::new(Code::InvalidLoadBalancerAction, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::params;
    use serde_json::json;

    fn group(action: Value) -> Result<String, Fault> {
        target_group(vec![params::read(&action)?])
    }

    #[test]
    fn forms_of_the_same() {
        let forms = [
            json!({"Type": "forward", "TargetGroupArn": "web"}),
            json!({"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": "web"}]}}),
            json!({"Type": "forward", "TargetGroupArn": "web", "Order": 1,
                "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": "web", "Weight": 1}],
                    "TargetGroupStickinessConfig": {"Enabled": false, "DurationSeconds": 3600}}}),
            json!({"Type": "forward", "TargetGroupArn": "web", "ForwardConfig": {"TargetGroups": []}}),
            json!({"Type": "forward", "TargetGroupArn": "web", "Order": "50000"}),
        ];
        for form in forms {
            assert_eq!(group(form.clone()).as_deref(), Ok("web"), "{form}");
        }
    }

    #[test]
    fn refusals() {
        let forward = |members: Value| {
            let mut action = json!({"Type": "forward"});
            action.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            action
        };
        let groups = |groups: Value| forward(json!({"ForwardConfig": {"TargetGroups": groups}}));
        let sticky = |sticky: Value| {
            forward(json!({"TargetGroupArn": "web", "ForwardConfig": {"TargetGroupStickinessConfig": sticky}}))
        };
        let invalid = [
            json!({"Type": "redirect"}),
            json!({"Type": "fixed-response"}),
            json!({"Type": "authenticate-oidc"}),
            json!({"Type": "authenticate-cognito"}),
            json!({"Type": "jwt-validation"}),
            forward(json!({"TargetGroupArn": "web", "RedirectConfig": {"StatusCode": "HTTP_301"}})),
            forward(json!({"TargetGroupArn": "a", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": "b"}]}})),
            groups(json!([{"TargetGroupArn": "a"}, {"TargetGroupArn": "b"}])),
            groups(json!([{"TargetGroupArn": "a"}, {"TargetGroupArn": "a"}])),
            groups(json!([{"TargetGroupArn": "a", "Weight": 0}])),
            sticky(json!({"Enabled": true})),
        ];
        for action in invalid {
            assert_eq!(group(action.clone()).unwrap_err().code, Code::InvalidLoadBalancerAction, "{action}");
        }
        let malformed = [
            json!({}),
            json!({"TargetGroupArn": "web"}),
            json!({"Type": "Forward", "TargetGroupArn": "web"}),
            json!({"Type": "forward", "TargetGroup": "web"}),
            forward(json!({})),
            forward(json!({"TargetGroupArn": "web", "Order": 0})),
            forward(json!({"TargetGroupArn": "web", "Order": 50_001})),
            groups(json!([])),
            groups(json!([{"Weight": 1}])),
            groups(json!([{"TargetGroupArn": "a", "Weight": -1}])),
            groups(json!([{"TargetGroupArn": "a", "Weight": 1000}])),
            sticky(json!({"DurationSeconds": 0})),
            sticky(json!({"DurationSeconds": 604_801})),
        ];
        for action in malformed {
            assert_eq!(group(action.clone()).unwrap_err().code, Code::ValidationError, "{action}");
        }
        assert_eq!(target_group(vec![]).unwrap_err().code, Code::ValidationError);
        let action: Given = params::read(&json!({"Type": "forward", "TargetGroupArn": "web"})).unwrap();
        assert_eq!(target_group(vec![action; 2]).unwrap_err().code, Code::TooManyActions);
    }
}
