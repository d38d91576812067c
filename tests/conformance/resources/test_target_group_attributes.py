"""Attributes of target groups: the guide's list with defaults, ranges at both edges, and what goes together."""

import pytest

from inventory import NO_GROUP

HEALTH = "target_group_health."
DNS, ROUTING = (
    HEALTH + "dns_failover.minimum_healthy_targets.",
    HEALTH + "unhealthy_state_routing.minimum_healthy_targets.",
)
DEFAULTS = {
    "deregistration_delay.timeout_seconds": "300",
    "deregistration_delay.connection_termination.enabled": "false",
    "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    "proxy_protocol_v2.enabled": "false",
    "stickiness.enabled": "false",
    "stickiness.type": "source_ip",
    DNS + "count": "off",
    DNS + "percentage": "off",
    ROUTING + "count": "1",
    ROUTING + "percentage": "off",
}
BOOLS = ["true", "false"]


@pytest.mark.parametrize("target_type", ["instance", "ip"])
@pytest.mark.parametrize("protocol", ["TCP", "TLS"])
def test_defaults(make, target_type, protocol):
    attributes = make.attributes(make.group(TargetType=target_type, Protocol=protocol)["TargetGroupArn"])
    if protocol == "TLS":
        attributes |= {
            key: value for key, value in DEFAULTS.items() if key.startswith("stickiness") and key not in attributes
        }
    assert {key: attributes.get(key) for key in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize(
    "target_type, protocol, value",
    [
        ("instance", "TCP", "true"),
        ("instance", "TLS", "true"),
        ("instance", "UDP", "true"),
        ("instance", "TCP_UDP", "true"),
        ("ip", "TCP", "false"),
        ("ip", "TLS", "false"),
        ("ip", "UDP", "true"),
        ("ip", "TCP_UDP", "true"),
        ("alb", "TCP", "true"),
    ],
)
def test_client_addresses_are_kept_by_default_or_not(make, target_type, protocol, value):
    attributes = make.attributes(make.group(TargetType=target_type, Protocol=protocol)["TargetGroupArn"])
    assert attributes.get("preserve_client_ip.enabled", "true") == value


ALLOWED = {
    "deregistration_delay.timeout_seconds": ["0", "1", "3600"],
    "deregistration_delay.connection_termination.enabled": BOOLS,
    "load_balancing.cross_zone.enabled": [*BOOLS, "use_load_balancer_configuration"],
    "preserve_client_ip.enabled": BOOLS,
    "proxy_protocol_v2.enabled": BOOLS,
    "stickiness.enabled": BOOLS,
    "stickiness.type": ["source_ip"],
    DNS + "count": ["off", "1", "1000"],
    DNS + "percentage": ["off", "1", "100"],
    ROUTING + "count": ["1"],
    ROUTING + "percentage": ["off", "1", "100"],
    "target_health_state.unhealthy.connection_termination.enabled": BOOLS,
}


@pytest.mark.parametrize("key, value", [(key, value) for key, values in ALLOWED.items() for value in values])
def test_values_that_are_allowed(make, key, value):
    arn = make.group()["TargetGroupArn"]
    if key == ROUTING + "percentage" and value != "off":
        # The threshold of DNS failover is not lower.
        make.set_attributes(arn, {DNS + "percentage": "100"})
    answer = make.set_attributes(arn, {key: value})
    assert answer[key] == value
    # The answer tells all attributes, not only those that were set.
    assert make.attributes(arn) == answer


@pytest.mark.parametrize("value", ["1", "1000"])
def test_the_count_of_routing(make, value):
    arn = make.group()["TargetGroupArn"]
    answer = make.set_attributes(arn, {DNS + "count": "1000", ROUTING + "count": value})
    assert answer[ROUTING + "count"] == value


@pytest.mark.parametrize("value", ["0", "360000"])
def test_draining_of_unhealthy_targets(make, value):
    arn = make.group()["TargetGroupArn"]
    values = {
        "target_health_state.unhealthy.connection_termination.enabled": "false",
        "target_health_state.unhealthy.draining_interval_seconds": value,
    }
    assert make.set_attributes(arn, values).items() >= values.items()


REFUSED = {
    "deregistration_delay.timeout_seconds": ["-1", "3601", "", "off", "1.5", "0x10", " 1", "99999999999999999999"],
    "deregistration_delay.connection_termination.enabled": ["", "yes", "TRUE", "1"],
    "load_balancing.cross_zone.enabled": ["", "use", "True"],
    "preserve_client_ip.enabled": ["", "on"],
    "proxy_protocol_v2.enabled": ["", "v2"],
    "stickiness.enabled": ["", "source_ip"],
    "stickiness.type": ["", "lb_cookie", "app_cookie", "source_ip_dest_ip", "source_ip_dest_ip_proto"],
    DNS + "count": ["0", "-1", "", "on", "1.0"],
    DNS + "percentage": ["0", "101", "", "50%"],
    ROUTING + "count": ["0", "off", "", "-1"],
    ROUTING + "percentage": ["0", "101", ""],
    "target_health_state.unhealthy.draining_interval_seconds": ["-1", "360001", "x"],
    "slow_start.duration_seconds": ["30"],
    "load_balancing.algorithm.type": ["round_robin"],
    "no.such.attribute": ["true"],
    "Deregistration_Delay.Timeout_Seconds": ["10"],
}


@pytest.mark.parametrize("key, value", [(key, value) for key, values in REFUSED.items() for value in values])
def test_values_that_are_not(elb, make, refused, key, value):
    arn = make.group()["TargetGroupArn"]
    before = make.attributes(arn)
    attributes = [{"Key": key, "Value": value}]
    refused("ValidationError", elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=attributes)
    assert make.attributes(arn) == before


@pytest.mark.parametrize("protocol", ["UDP", "TCP_UDP"])
@pytest.mark.parametrize("target_type", ["instance", "ip"])
def test_client_addresses_of_udp_are_always_kept(elb, make, refused, protocol, target_type):
    arn = make.group(Protocol=protocol, TargetType=target_type)["TargetGroupArn"]
    attributes = [{"Key": "preserve_client_ip.enabled", "Value": "false"}]
    refused(
        "InvalidConfigurationRequest", elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=attributes
    )
    assert make.set_attributes(arn, {"preserve_client_ip.enabled": "true"})["preserve_client_ip.enabled"] == "true"


def test_tls_groups_are_not_sticky(elb, make, refused):
    arn = make.group(Protocol="TLS")["TargetGroupArn"]
    attributes = [{"Key": "stickiness.enabled", "Value": "true"}]
    refused(
        "InvalidConfigurationRequest", elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=attributes
    )


def test_tls_listeners_take_no_sticky_groups(elb, make, refused):
    group = make.group()["TargetGroupArn"]
    make.set_attributes(group, {"stickiness.enabled": "true"})
    params = {
        "LoadBalancerArn": make.balancer()["LoadBalancerArn"],
        "Protocol": "TLS",
        "Port": 443,
        "Certificates": [{"CertificateArn": "arn:aws:acm:us-east-2:123456789012:certificate/rsa-0"}],
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}],
    }
    refused("InvalidConfigurationRequest", elb.create_listener, **params)


def test_groups_of_tls_listeners_do_not_become_sticky(elb, make, refused):
    group = make.group()["TargetGroupArn"]
    make.listener(group=group, Protocol="TLS", Port=443)
    attributes = [{"Key": "stickiness.enabled", "Value": "true"}]
    refused(
        "InvalidConfigurationRequest", elb.modify_target_group_attributes, TargetGroupArn=group, Attributes=attributes
    )


@pytest.mark.parametrize(
    "values, is_allowed",
    [
        ({DNS + "percentage": "50", ROUTING + "percentage": "50"}, True),
        ({DNS + "percentage": "51", ROUTING + "percentage": "50"}, True),
        ({DNS + "percentage": "49", ROUTING + "percentage": "50"}, False),
        ({DNS + "count": "3", ROUTING + "count": "3"}, True),
        ({DNS + "count": "2", ROUTING + "count": "3"}, False),
        ({ROUTING + "percentage": "50"}, True),
        ({ROUTING + "count": "5"}, True),
    ],
    ids=str,
)
def test_dns_fails_over_no_later_than_routing(elb, make, refused, values, is_allowed):
    """The guide: the threshold for DNS failover must be greater than or equal to that for routing failover."""
    arn = make.group()["TargetGroupArn"]
    if is_allowed:
        assert make.set_attributes(arn, values).items() >= values.items()
    else:
        attributes = [{"Key": key, "Value": value} for key, value in values.items()]
        refused(
            "InvalidConfigurationRequest", elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=attributes
        )


def test_one_after_the_other_is_as_both_at_once(elb, make, refused):
    arn = make.group()["TargetGroupArn"]
    make.set_attributes(arn, {DNS + "percentage": "20"})
    attributes = [{"Key": ROUTING + "percentage", "Value": "50"}]
    refused(
        "InvalidConfigurationRequest", elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=attributes
    )


def test_the_guide_s_examples(make):
    arn = make.group(TargetType="ip")["TargetGroupArn"]
    make.set_attributes(arn, {"preserve_client_ip.enabled": "false"})
    make.set_attributes(arn, {DNS + "percentage": "50", ROUTING + "percentage": "50"})
    expected = {
        "proxy_protocol_v2.enabled": "false",
        "preserve_client_ip.enabled": "false",
        "deregistration_delay.timeout_seconds": "300",
    }
    assert make.attributes(arn).items() >= expected.items()


def test_one_wrong_attribute_and_none_is_set(elb, make, refused):
    arn = make.group()["TargetGroupArn"]
    before = make.attributes(arn)
    attributes = [{"Key": "proxy_protocol_v2.enabled", "Value": "true"}, {"Key": "no.such", "Value": "true"}]
    refused("ValidationError", elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=attributes)
    refused("ValidationError", elb.modify_target_group_attributes, TargetGroupArn=arn, Attributes=[])
    assert make.attributes(arn) == before


def test_of_what_is_not_there(elb, refused):
    refused("TargetGroupNotFound", elb.describe_target_group_attributes, TargetGroupArn=NO_GROUP)
    attributes = [{"Key": "stickiness.enabled", "Value": "true"}]
    refused("TargetGroupNotFound", elb.modify_target_group_attributes, TargetGroupArn=NO_GROUP, Attributes=attributes)
    refused("ValidationError", elb.describe_target_group_attributes, TargetGroupArn="web")
    refused("ValidationError", elb.describe_target_group_attributes)
