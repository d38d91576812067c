"""Attributes of load balancers: defaults, values, and what goes together."""

import pytest

from inventory import NO_BALANCER

DEFAULTS = {
    "access_logs.s3.enabled": "false",
    "access_logs.s3.bucket": "",
    "access_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "load_balancing.cross_zone.enabled": "false",
}
IGW = "ipv6.deny_all_igw_traffic"


def test_defaults(make):
    attributes = make.attributes(make.balancer()["LoadBalancerArn"])
    assert {key: attributes.get(key) for key in DEFAULTS} == DEFAULTS
    assert attributes.get(IGW, "false") == "false"


@pytest.mark.parametrize("scheme, value", [("internet-facing", "false"), ("internal", "true")])
def test_the_default_that_depends_on_the_scheme(make, scheme, value):
    arn = make.balancer(Scheme=scheme, IpAddressType="dualstack")["LoadBalancerArn"]
    assert make.attributes(arn)[IGW] == value


@pytest.mark.parametrize("key", ["deletion_protection.enabled", "load_balancing.cross_zone.enabled"])
def test_switches(make, key):
    arn = make.balancer()["LoadBalancerArn"]
    for value in ("true", "false"):
        # The answer tells all attributes, not only those that were set.
        assert make.set_attributes(arn, {key: value}) == make.attributes(arn)
        assert make.attributes(arn)[key] == value
    make.set_attributes(arn, {"deletion_protection.enabled": "false"})


def test_others_stay_as_they_were(make):
    arn = make.balancer()["LoadBalancerArn"]
    make.set_attributes(arn, {"load_balancing.cross_zone.enabled": "true"})
    make.set_attributes(arn, {"access_logs.s3.prefix": "nlb"})
    attributes = make.attributes(arn)
    assert attributes["load_balancing.cross_zone.enabled"] == "true"
    assert attributes["access_logs.s3.prefix"] == "nlb"


def test_access_logs_need_a_bucket(make, elb, refused):
    arn = make.balancer()["LoadBalancerArn"]
    enable = [{"Key": "access_logs.s3.enabled", "Value": "true"}]
    refused("InvalidConfigurationRequest", elb.modify_load_balancer_attributes, LoadBalancerArn=arn, Attributes=enable)
    attributes = make.set_attributes(arn, {"access_logs.s3.enabled": "true", "access_logs.s3.bucket": "logs"})
    assert (attributes["access_logs.s3.enabled"], attributes["access_logs.s3.bucket"]) == ("true", "logs")
    # Nor can it go while they are on.
    away = [{"Key": "access_logs.s3.bucket", "Value": ""}]
    refused("InvalidConfigurationRequest", elb.modify_load_balancer_attributes, LoadBalancerArn=arn, Attributes=away)


@pytest.mark.parametrize(
    "attributes",
    [
        [],
        [{"Key": "no.such.attribute", "Value": "true"}],
        [{"Key": "idle_timeout.timeout_seconds", "Value": "60"}],
        [{"Key": "routing.http2.enabled", "Value": "true"}],
        [{"Key": "deletion_protection.enabled", "Value": "yes"}],
        [{"Key": "deletion_protection.enabled", "Value": "TRUE"}],
        [{"Key": "deletion_protection.enabled", "Value": ""}],
        [{"Key": "deletion_protection.enabled", "Value": "1"}],
        [{"Key": "load_balancing.cross_zone.enabled", "Value": "use_load_balancer_configuration"}],
        [{"Key": "access_logs.s3.prefix", "Value": "x" * 1025}],
        [{"Value": "true"}],
        [{"Key": "", "Value": "true"}],
        [{"Key": "access_logs.s3.prefix", "Value": "x"}] * 21,
    ],
    ids=lambda attributes: str(attributes)[:80],
)
def test_what_is_refused(elb, make, refused, attributes):
    arn = make.balancer()["LoadBalancerArn"]
    before = make.attributes(arn)
    refused("ValidationError", elb.modify_load_balancer_attributes, LoadBalancerArn=arn, Attributes=attributes)
    assert make.attributes(arn) == before


def test_one_wrong_attribute_and_none_is_set(elb, make, refused):
    arn = make.balancer()["LoadBalancerArn"]
    attributes = [
        {"Key": "load_balancing.cross_zone.enabled", "Value": "true"},
        {"Key": "deletion_protection.enabled", "Value": "maybe"},
    ]
    refused("ValidationError", elb.modify_load_balancer_attributes, LoadBalancerArn=arn, Attributes=attributes)
    assert make.attributes(arn)["load_balancing.cross_zone.enabled"] == "false"


def test_of_what_is_not_there(elb, refused):
    refused("LoadBalancerNotFound", elb.describe_load_balancer_attributes, LoadBalancerArn=NO_BALANCER)
    attributes = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    refused(
        "LoadBalancerNotFound", elb.modify_load_balancer_attributes, LoadBalancerArn=NO_BALANCER, Attributes=attributes
    )
    refused("ValidationError", elb.describe_load_balancer_attributes, LoadBalancerArn="web")
    refused("ValidationError", elb.describe_load_balancer_attributes)
