//! `DescribeAccountLimits`: the quotas in effect.

use serde::{Deserialize, Serialize};

use super::{Context, paging::Paging};
use crate::model::{Fault, Quotas, State};

/// `DescribeAccountLimits`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeInput {
    marker: Option<String>,
    page_size: Option<i64>,
}

/// What `DescribeAccountLimits` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeOutput {
    limits: Vec<Limit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

/// A quota. The API writes the number as text.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Limit {
    name: &'static str,
    max: String,
}

/// `DescribeAccountLimits`.
///
/// # Errors
/// `ValidationError` if the page is none.
pub fn describe(_: &State, input: DescribeInput, context: &Context<'_>) -> Result<DescribeOutput, Fault> {
    let paging = Paging::new("limits", input.page_size, input.marker.as_deref())?;
    let limits = limits(context.quotas).into_iter().map(|(name, max)| Limit { name, max: max.to_string() });
    let (limits, next_marker) = paging.page_of_list(limits);
    Ok(DescribeOutput { limits, next_marker })
}

/// By the names of the reference, where it has one.
fn limits(quotas: &Quotas) -> [(&'static str, usize); 9] {
    [
        ("network-load-balancers", quotas.load_balancers as usize),
        ("target-groups", quotas.target_groups as usize),
        ("listeners-per-network-load-balancer", Quotas::LISTENERS_PER_LOAD_BALANCER),
        ("target-groups-per-action-on-network-load-balancer", Quotas::TARGET_GROUPS_PER_ACTION),
        ("targets-per-network-load-balancer", quotas.targets_per_load_balancer as usize),
        ("targets-per-availability-zone-per-network-load-balancer", quotas.targets_per_zone_per_load_balancer as usize),
        ("targets-per-target-group", quotas.targets_per_target_group as usize),
        ("certificates-per-network-load-balancer", quotas.certificates_per_load_balancer as usize),
        ("network-load-balancer-enis-per-vpc", quotas.enis_per_vpc as usize),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{model::Code, ops::testing::World};

    fn pairs(output: &Value) -> Vec<(&str, &str)> {
        let limits = output["Limits"].as_array().unwrap();
        limits.iter().map(|limit| (limit["Name"].as_str().unwrap(), limit["Max"].as_str().unwrap())).collect()
    }

    /// The numbers of the guide's quotas chapter.
    #[test]
    fn defaults() {
        let output = World::new().call("DescribeAccountLimits", json!({}));
        let expected = [
            ("network-load-balancers", "50"),
            ("target-groups", "3000"),
            ("listeners-per-network-load-balancer", "50"),
            ("target-groups-per-action-on-network-load-balancer", "1"),
            ("targets-per-network-load-balancer", "3000"),
            ("targets-per-availability-zone-per-network-load-balancer", "500"),
            ("targets-per-target-group", "1000"),
            ("certificates-per-network-load-balancer", "25"),
            ("network-load-balancer-enis-per-vpc", "1200"),
        ];
        assert_eq!(pairs(&output), expected);
        assert_eq!(output.get("NextMarker"), None);
    }

    #[test]
    fn adjusted_and_paged() {
        let mut world = World::new();
        world.quotas.load_balancers = 7;
        let first = world.call("DescribeAccountLimits", json!({"PageSize": 8}));
        assert_eq!((pairs(&first).len(), pairs(&first)[0]), (8, ("network-load-balancers", "7")));
        let second = world.call("DescribeAccountLimits", json!({"PageSize": 8, "Marker": first["NextMarker"]}));
        assert_eq!(pairs(&second), [("network-load-balancer-enis-per-vpc", "1200")]);
        assert_eq!(second.get("NextMarker"), None);
        for input in [json!({"PageSize": 0}), json!({"PageSize": 401}), json!({"Marker": "x"})] {
            world.refused(Code::ValidationError, "DescribeAccountLimits", input);
        }
    }
}
