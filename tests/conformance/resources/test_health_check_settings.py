"""Health checks as settings: ranges at both edges, defaults by protocol, and ModifyTargetGroup. The guide's table."""

import pytest

from inventory import NO_GROUP, VPC

RANGES = [
    # member, least, most
    ("HealthCheckIntervalSeconds", 5, 300),
    ("HealthCheckTimeoutSeconds", 2, 120),
    ("HealthyThresholdCount", 2, 10),
    ("UnhealthyThresholdCount", 2, 10),
]
INSIDE = [(member, value) for member, least, most in RANGES for value in (least, most)]
OUTSIDE = [(member, value) for member, least, most in RANGES for value in (least - 1, most + 1, 0, -1, "x", "")]


def fitting(member, value):
    """A timeout is not longer than the interval."""
    params = {member: value}
    if member == "HealthCheckTimeoutSeconds":
        params["HealthCheckIntervalSeconds"] = 300
    if member == "HealthCheckIntervalSeconds" and isinstance(value, int):
        params["HealthCheckTimeoutSeconds"] = 2
    return params


@pytest.mark.parametrize("member, value", INSIDE)
def test_edges_inside(elb, make, member, value):
    assert make.group(**fitting(member, value))[member] == value
    arn = make.group()["TargetGroupArn"]
    assert elb.modify_target_group(TargetGroupArn=arn, **fitting(member, value))["TargetGroups"][0][member] == value
    assert elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0][member] == value


@pytest.mark.parametrize("member, value", OUTSIDE)
def test_edges_outside(elb, make, refused, member, value):
    params = {"Name": make.name(), "Protocol": "TCP", "Port": 80, "VpcId": VPC}
    refused("ValidationError", elb.create_target_group, **params, **fitting(member, value))
    before = make.group()
    refused(
        "ValidationError", elb.modify_target_group, TargetGroupArn=before["TargetGroupArn"], **fitting(member, value)
    )
    assert elb.describe_target_groups(TargetGroupArns=[before["TargetGroupArn"]])["TargetGroups"] == [before]


@pytest.mark.parametrize("protocol, timeout", [("TCP", 10), ("HTTP", 6), ("HTTPS", 10)])
def test_defaults_by_protocol(make, protocol, timeout):
    one = make.group(HealthCheckProtocol=protocol)
    assert (one["HealthCheckProtocol"], one["HealthCheckTimeoutSeconds"]) == (protocol, timeout)
    assert (one["HealthCheckIntervalSeconds"], one["HealthyThresholdCount"], one["UnhealthyThresholdCount"]) == (
        30,
        5,
        2,
    )
    if protocol == "TCP":
        assert "HealthCheckPath" not in one and "Matcher" not in one
    else:
        assert (one["HealthCheckPath"], one["Matcher"]) == ("/", {"HttpCode": "200-399"})


@pytest.mark.parametrize("group", ["TCP", "TLS", "UDP", "TCP_UDP"])
@pytest.mark.parametrize("check", ["TCP", "HTTP", "HTTPS"])
def test_every_group_takes_every_health_check(make, group, check):
    assert make.group(Protocol=group, HealthCheckProtocol=check)["HealthCheckProtocol"] == check


@pytest.mark.parametrize("protocol", ["UDP", "TLS", "TCP_UDP", "GENEVE", "ICMP", "http", ""])
def test_protocols_that_are_none_of_health_checks(elb, make, protocol):
    with pytest.raises(elb.exceptions.ClientError) as error:
        make.group(HealthCheckProtocol=protocol)
    assert error.value.response["Error"]["Code"] in ("ValidationError", "InvalidConfigurationRequest")


@pytest.mark.parametrize("port", ["traffic-port", "1", "8080", "65535"])
def test_ports_that_are_allowed(make, port):
    assert make.group(HealthCheckPort=port)["HealthCheckPort"] == port


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "", "80 ", "traffic port"])
def test_ports_that_are_not(elb, make, refused, port):
    params = {"Name": make.name(), "Protocol": "TCP", "Port": 80, "VpcId": VPC}
    refused("ValidationError", elb.create_target_group, **params, HealthCheckPort=port)


@pytest.mark.parametrize("path", ["/", "/a?b=c", "/" + "x" * 1023])
def test_paths_that_are_allowed(make, path):
    assert make.group(HealthCheckProtocol="HTTP", HealthCheckPath=path)["HealthCheckPath"] == path


@pytest.mark.parametrize("path", ["", "x", "http://a/", "/" + "x" * 1024])
def test_paths_that_are_not(elb, make, refused, path):
    params = {"Name": make.name(), "Protocol": "TCP", "Port": 80, "VpcId": VPC, "HealthCheckProtocol": "HTTP"}
    refused("ValidationError", elb.create_target_group, **params, HealthCheckPath=path)


@pytest.mark.parametrize("codes", ["200", "599", "200-399", "200-599", "200,202", "200,301-302", "204,404,500-599"])
def test_matchers_that_are_allowed(make, codes):
    assert make.group(HealthCheckProtocol="HTTP", Matcher={"HttpCode": codes})["Matcher"] == {"HttpCode": codes}


@pytest.mark.parametrize(
    "codes", ["", "199", "600", "100-200", "200-600", "399-200", "200-", "abc", "200,,201", "2 00", "200;201"]
)
def test_matchers_that_are_not(elb, make, refused, codes):
    params = {"Name": make.name(), "Protocol": "TCP", "Port": 80, "VpcId": VPC, "HealthCheckProtocol": "HTTP"}
    refused("ValidationError", elb.create_target_group, **params, Matcher={"HttpCode": codes})


@pytest.mark.parametrize("params", [{"HealthCheckPath": "/x"}, {"Matcher": {"HttpCode": "200"}}], ids=str)
def test_tcp_has_neither_path_nor_matcher(elb, make, refused, params):
    base = {"Name": make.name(), "Protocol": "TCP", "Port": 80, "VpcId": VPC}
    refused("InvalidConfigurationRequest", elb.create_target_group, **base, **params)
    arn = make.group()["TargetGroupArn"]
    refused("InvalidConfigurationRequest", elb.modify_target_group, TargetGroupArn=arn, **params)


@pytest.mark.parametrize("target_type", ["instance", "ip", "alb"])
def test_they_cannot_be_switched_off(elb, make, refused, target_type):
    params = {"Name": make.name(), "Protocol": "TCP", "Port": 80, "VpcId": VPC, "TargetType": target_type}
    refused("InvalidConfigurationRequest", elb.create_target_group, **params, HealthCheckEnabled=False)
    arn = make.group(TargetType=target_type)["TargetGroupArn"]
    refused("InvalidConfigurationRequest", elb.modify_target_group, TargetGroupArn=arn, HealthCheckEnabled=False)


def test_a_timeout_longer_than_the_interval(elb, make, refused):
    params = {"Name": make.name(), "Protocol": "TCP", "Port": 80, "VpcId": VPC}
    refused(
        "ValidationError",
        elb.create_target_group,
        **params,
        HealthCheckIntervalSeconds=10,
        HealthCheckTimeoutSeconds=11
    )
    assert make.group(HealthCheckIntervalSeconds=10, HealthCheckTimeoutSeconds=10)["HealthCheckTimeoutSeconds"] == 10


@pytest.mark.parametrize("params", [{"HealthCheckIntervalSeconds": 5}, {"HealthCheckTimeoutSeconds": 120}], ids=str)
def test_nobody_is_refused_over_a_default(make, params):
    assert make.group(**params).items() >= params.items()


class TestModifying:
    """ModifyTargetGroup."""

    def test_everything_at_once(self, elb, make):
        arn = make.group()["TargetGroupArn"]
        changes = {
            "HealthCheckProtocol": "HTTP",
            "HealthCheckPort": "8080",
            "HealthCheckPath": "/health",
            "HealthCheckIntervalSeconds": 20,
            "HealthCheckTimeoutSeconds": 4,
            "HealthyThresholdCount": 3,
            "UnhealthyThresholdCount": 4,
            "Matcher": {"HttpCode": "200-299"},
            "HealthCheckEnabled": True,
        }
        one = elb.modify_target_group(TargetGroupArn=arn, **changes)["TargetGroups"][0]
        assert {key: one[key] for key in changes} == changes
        assert elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"] == [one]

    def test_what_is_not_named_stays(self, elb, make):
        arn = make.group(HealthCheckProtocol="HTTP", HealthCheckPath="/a", HealthCheckIntervalSeconds=15)[
            "TargetGroupArn"
        ]
        one = elb.modify_target_group(TargetGroupArn=arn, HealthyThresholdCount=2)["TargetGroups"][0]
        assert (one["HealthCheckPath"], one["HealthCheckIntervalSeconds"], one["HealthyThresholdCount"]) == (
            "/a",
            15,
            2,
        )

    def test_to_tcp_and_back(self, elb, make):
        arn = make.group(HealthCheckProtocol="HTTP", HealthCheckPath="/a")["TargetGroupArn"]
        one = elb.modify_target_group(TargetGroupArn=arn, HealthCheckProtocol="TCP")["TargetGroups"][0]
        assert one["HealthCheckProtocol"] == "TCP" and "HealthCheckPath" not in one and "Matcher" not in one
        one = elb.modify_target_group(TargetGroupArn=arn, HealthCheckProtocol="HTTPS")["TargetGroups"][0]
        assert one["HealthCheckProtocol"] == "HTTPS" and one["HealthCheckPath"].startswith("/")

    def test_an_alb_group_has_no_tcp_checks(self, elb, make, refused):
        arn = make.group(TargetType="alb")["TargetGroupArn"]
        refused("InvalidConfigurationRequest", elb.modify_target_group, TargetGroupArn=arn, HealthCheckProtocol="TCP")

    def test_nothing_named(self, elb, make):
        one = make.group()
        assert elb.modify_target_group(TargetGroupArn=one["TargetGroupArn"])["TargetGroups"] == [one]

    def test_of_what_is_not_there(self, elb, refused):
        refused("TargetGroupNotFound", elb.modify_target_group, TargetGroupArn=NO_GROUP, HealthyThresholdCount=2)
        refused("ValidationError", elb.modify_target_group, TargetGroupArn="web", HealthyThresholdCount=2)
        refused("ValidationError", elb.modify_target_group, HealthyThresholdCount=2)
