//! Operations of the API that are for other kinds of load balancers: known, and refused.

use crate::model::{Code, Fault};

/// Each operation and why a Network Load Balancer has none of it.
const OPERATIONS: [(&str, &str); 19] = [
    ("CreateRule", RULES),
    ("ModifyRule", RULES),
    ("DeleteRule", RULES),
    ("SetRulePriorities", RULES),
    ("AddTrustStoreRevocations", TRUST),
    ("CreateTrustStore", TRUST),
    ("DeleteSharedTrustStoreAssociation", TRUST),
    ("DeleteTrustStore", TRUST),
    ("DescribeTrustStoreAssociations", TRUST),
    ("DescribeTrustStoreRevocations", TRUST),
    ("DescribeTrustStores", TRUST),
    ("GetResourcePolicy", TRUST),
    ("GetTrustStoreCaCertificatesBundle", TRUST),
    ("GetTrustStoreRevocationContent", TRUST),
    ("ModifyTrustStore", TRUST),
    ("RemoveTrustStoreRevocations", TRUST),
    ("DescribeCapacityReservation", CAPACITY),
    ("ModifyCapacityReservation", CAPACITY),
    ("ModifyIpPools", POOLS),
];

const RULES: &str =
    "a listener of a Network Load Balancer has its default rule and no other: ModifyListener changes it";
const TRUST: &str = "trust stores are for mutual TLS, which Network Load Balancers do not do: with a TCP listener the \
                     targets can do it themselves";
const CAPACITY: &str = "capacity is that of this node: there is none to reserve";
const POOLS: &str = "address pools are for Application Load Balancers: name addresses with SubnetMappings";

/// Whether the operation of this name is for another kind of load balancer.
pub fn has(operation: &str) -> bool {
    OPERATIONS.iter().any(|(name, _)| *name == operation)
}

/// Why the operation of this name is not done.
pub fn refusal(operation: &str) -> Fault {
    let why = OPERATIONS.iter().find(|(name, _)| *name == operation).map_or("", |(_, why)| why);
    Fault::new(Code::UnsupportedOperation, format!("{operation} is for other kinds of load balancers: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::World;
    use serde_json::json;

    /// Whatever the input is, even one that no operation could read.
    #[test]
    fn each_is_refused_with_a_reason() {
        let mut world = World::new();
        for (name, why) in OPERATIONS {
            for input in [json!({}), json!({"Nonsense": 1})] {
                let message = world.refused(Code::UnsupportedOperation, name, input);
                assert!(message.starts_with(name) && message.ends_with(why), "{message}");
            }
        }
        world.refused(Code::InvalidAction, "CreateRules", json!({}));
    }
}
