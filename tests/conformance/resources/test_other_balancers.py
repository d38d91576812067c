"""Operations of other kinds of load balancers: a clear error, not a missing page."""

import pytest

from inventory import NO_BALANCER, NO_LISTENER, NO_RULE

CALLS = {
    "create_rule": {"ListenerArn": NO_LISTENER, "Priority": 1, "Conditions": [], "Actions": []},
    "modify_rule": {"RuleArn": NO_RULE},
    "delete_rule": {"RuleArn": NO_RULE},
    "set_rule_priorities": {"RulePriorities": []},
    "create_trust_store": {"Name": "a", "CaCertificatesBundleS3Bucket": "b", "CaCertificatesBundleS3Key": "k"},
    "modify_trust_store": {"TrustStoreArn": "a", "CaCertificatesBundleS3Bucket": "b", "CaCertificatesBundleS3Key": "k"},
    "delete_trust_store": {"TrustStoreArn": "a"},
    "describe_trust_stores": {},
    "describe_trust_store_associations": {"TrustStoreArn": "a"},
    "describe_trust_store_revocations": {"TrustStoreArn": "a"},
    "add_trust_store_revocations": {"TrustStoreArn": "a"},
    "remove_trust_store_revocations": {"TrustStoreArn": "a", "RevocationIds": [1]},
    "get_trust_store_ca_certificates_bundle": {"TrustStoreArn": "a"},
    "get_trust_store_revocation_content": {"TrustStoreArn": "a", "RevocationId": 1},
    "delete_shared_trust_store_association": {"TrustStoreArn": "a", "ResourceArn": "b"},
    "get_resource_policy": {"ResourceArn": "a"},
    "describe_capacity_reservation": {"LoadBalancerArn": NO_BALANCER},
    "modify_capacity_reservation": {"LoadBalancerArn": NO_BALANCER},
    "modify_ip_pools": {"LoadBalancerArn": NO_BALANCER},
}


@pytest.mark.parametrize("call", CALLS)
def test_it_is_said_that_they_are_not_for_this_kind(elb, refused, call):
    refused("UnsupportedOperation", getattr(elb, call), **CALLS[call])


def test_every_operation_of_the_api_is_known(elb, caller):
    """None is answered with InvalidAction: whatever botocore knows, the server has heard of."""
    unknown = []
    for operation in elb.meta.service_model.operation_names:
        answer = caller.call(operation)
        assert answer.status < 500, (operation, answer)
        if answer.status != 200 and answer.code == "InvalidAction":
            unknown.append(operation)
    assert unknown == []
