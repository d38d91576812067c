"""Target groups: what creating one tells, protocols and types, idempotence, finding and deleting them."""

import re

import pytest

from inventory import ACCOUNT, NO_BALANCER, NO_GROUP, OTHER_VPC, REGION, VPC

# The guide's defaults of health checks by target group and health check protocol.
TCP_CHECK = {
    "HealthCheckProtocol": "TCP",
    "HealthCheckPort": "traffic-port",
    "HealthCheckEnabled": True,
    "HealthCheckIntervalSeconds": 30,
    "HealthCheckTimeoutSeconds": 10,
    "HealthyThresholdCount": 5,
    "UnhealthyThresholdCount": 2,
}


def test_what_creating_one_tells(elb, make):
    name = make.name("web")
    (one,) = elb.create_target_group(Name=name, Protocol="TCP", Port=80, VpcId=VPC)["TargetGroups"]
    arn = one.pop("TargetGroupArn")
    assert re.fullmatch(f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/{name}/[0-9a-f]{{16}}", arn)
    expected = {"TargetGroupName": name, "Protocol": "TCP", "Port": 80, "VpcId": VPC, "LoadBalancerArns": []}
    expected |= {"TargetType": "instance", "IpAddressType": "ipv4"} | TCP_CHECK
    # A TCP health check has no path and no matcher, and only HTTP groups have a protocol version.
    assert one == expected
    assert elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"] == [expected | {"TargetGroupArn": arn}]


@pytest.mark.parametrize("protocol", ["TCP", "TLS", "UDP", "TCP_UDP"])
@pytest.mark.parametrize("target_type", ["instance", "ip"])
def test_protocols_and_types(make, protocol, target_type):
    one = make.group(Protocol=protocol, TargetType=target_type)
    assert (one["Protocol"], one["TargetType"]) == (protocol, target_type)
    assert {key: one[key] for key in TCP_CHECK} == TCP_CHECK


def test_an_alb_group(make):
    one = make.group(TargetType="alb")
    assert one["HealthCheckProtocol"] == "HTTP"
    assert (one["HealthCheckTimeoutSeconds"], one["HealthCheckPath"]) == (6, "/")
    assert one["Matcher"] == {"HttpCode": "200-399"}
    assert make.group(TargetType="alb", HealthCheckProtocol="HTTPS")["HealthCheckTimeoutSeconds"] == 10


@pytest.mark.parametrize("protocol", ["TCP", "TLS"])
def test_an_ipv6_group(make, protocol):
    assert make.group(Protocol=protocol, TargetType="ip", IpAddressType="ipv6")["IpAddressType"] == "ipv6"


@pytest.mark.parametrize("port", [1, 80, 65535])
def test_ports_that_are_allowed(make, port):
    assert make.group(Port=port)["Port"] == port


@pytest.mark.parametrize("name", ["a", "Z9", "a" * 32, "a-b", "internal-a"])
def test_names_that_are_allowed(make, name):
    assert make.group(Name=name)["TargetGroupName"] == name


@pytest.mark.parametrize("name", ["", "a" * 33, "-a", "a-", "a_b", "a.b", "a b", "ä", "a/b", "a:b", "a\t"])
def test_names_that_are_not(elb, refused, name):
    refused("ValidationError", elb.create_target_group, Name=name, Protocol="TCP", Port=80, VpcId=VPC)


@pytest.mark.parametrize(
    "params, code",
    [
        ({"Name": None}, "ValidationError"),
        ({"Protocol": None}, "ValidationError"),
        ({"Protocol": "SCTP"}, "ValidationError"),
        ({"Protocol": "tcp"}, "ValidationError"),
        ({"Protocol": "HTTP"}, "InvalidConfigurationRequest"),
        ({"Protocol": "HTTPS"}, "InvalidConfigurationRequest"),
        ({"Protocol": "GENEVE", "Port": 6081}, "InvalidConfigurationRequest"),
        ({"Port": None}, "ValidationError"),
        ({"Port": 0}, "ValidationError"),
        ({"Port": 65536}, "ValidationError"),
        ({"Port": -1}, "ValidationError"),
        ({"Port": 2**63}, "ValidationError"),
        ({"Port": "http"}, "ValidationError"),
        ({"Port": 80.5}, "ValidationError"),
        ({"VpcId": None}, "ValidationError"),
        ({"VpcId": "vpc-none"}, "ValidationError"),
        ({"VpcId": ""}, "ValidationError"),
        ({"TargetType": "lambda"}, "InvalidConfigurationRequest"),
        ({"TargetType": "pod"}, "ValidationError"),
        ({"TargetType": "alb", "Protocol": "UDP"}, "InvalidConfigurationRequest"),
        ({"TargetType": "alb", "Protocol": "TLS"}, "InvalidConfigurationRequest"),
        ({"TargetType": "alb", "Protocol": "TCP_UDP"}, "InvalidConfigurationRequest"),
        ({"TargetType": "alb", "HealthCheckProtocol": "TCP"}, "InvalidConfigurationRequest"),
        ({"TargetType": "alb", "IpAddressType": "ipv6"}, "InvalidConfigurationRequest"),
        ({"TargetType": "instance", "IpAddressType": "ipv6"}, "InvalidConfigurationRequest"),
        ({"TargetType": "ip", "IpAddressType": "ipv6", "Protocol": "UDP"}, "InvalidConfigurationRequest"),
        ({"TargetType": "ip", "IpAddressType": "ipv6", "Protocol": "TCP_UDP"}, "InvalidConfigurationRequest"),
        ({"IpAddressType": "dualstack"}, "ValidationError"),
        ({"Tags": [{"Key": "a"}, {"Key": "a"}]}, "DuplicateTagKeys"),
        ({"Tags": [{"Key": f"k{n}"} for n in range(51)]}, "TooManyTags"),
    ],
    ids=str,
)
def test_what_is_refused(elb, make, refused, params, code):
    given = {"Name": make.name(), "Protocol": "TCP", "Port": 80, "VpcId": VPC} | params
    given = {key: value for key, value in given.items() if value is not None}
    refused(code, elb.create_target_group, **given)
    if "Name" in given:
        refused("TargetGroupNotFound", elb.describe_target_groups, Names=[given["Name"]])


def test_protocol_versions_are_for_http(elb, make):
    with pytest.raises(elb.exceptions.ClientError) as error:
        make.group(ProtocolVersion="GRPC")
    assert error.value.response["Error"]["Code"] in ("ValidationError", "InvalidConfigurationRequest")


@pytest.mark.parametrize(
    "change",
    [
        {"Protocol": "UDP"},
        {"Port": 81},
        {"VpcId": OTHER_VPC},
        {"TargetType": "ip"},
        {"HealthCheckIntervalSeconds": 10},
        {"HealthCheckProtocol": "HTTP"},
        {"HealthyThresholdCount": 2},
        {"HealthCheckPort": "8080"},
    ],
    ids=str,
)
def test_the_same_name_with_other_settings(elb, make, refused, change):
    params = {"Name": make.name(), "Protocol": "TCP", "Port": 80, "VpcId": VPC}
    elb.create_target_group(**params)
    refused("DuplicateTargetGroupName", elb.create_target_group, **params | change)


def test_the_same_again_is_the_same(elb, make):
    params = {"Name": make.name(), "Protocol": "TCP", "Port": 80, "VpcId": VPC}
    first = elb.create_target_group(**params, Tags=[{"Key": "a", "Value": "1"}])["TargetGroups"][0]
    again = elb.create_target_group(**params)["TargetGroups"][0]
    assert again == first
    # Defaults may be spelt out, and tags say nothing about sameness.
    again = elb.create_target_group(
        **params, **TCP_CHECK, TargetType="instance", IpAddressType="ipv4", Tags=[{"Key": "b"}]
    )
    assert again["TargetGroups"] == [first]
    tags = elb.describe_tags(ResourceArns=[first["TargetGroupArn"]])["TagDescriptions"][0]["Tags"]
    assert tags == [{"Key": "a", "Value": "1"}]


class TestFinding:
    """DescribeTargetGroups."""

    def test_by_name_by_arn_and_by_load_balancer(self, elb, make):
        one, two = make.group(), make.group(Protocol="UDP")
        found = elb.describe_target_groups(TargetGroupArns=[two["TargetGroupArn"]])["TargetGroups"]
        assert found == [two]
        found = elb.describe_target_groups(Names=[one["TargetGroupName"], two["TargetGroupName"]])["TargetGroups"]
        assert {it["TargetGroupName"] for it in found} == {one["TargetGroupName"], two["TargetGroupName"]}
        balancer = make.balancer()["LoadBalancerArn"]
        assert elb.describe_target_groups(LoadBalancerArn=balancer)["TargetGroups"] == []
        for port in (80, 81):
            make.listener(balancer, one["TargetGroupArn"], Port=port)
        make.listener(balancer, two["TargetGroupArn"], Protocol="UDP", Port=53)
        found = elb.describe_target_groups(LoadBalancerArn=balancer)["TargetGroups"]
        assert sorted(it["TargetGroupName"] for it in found) == sorted([one["TargetGroupName"], two["TargetGroupName"]])
        assert all(it["LoadBalancerArns"] == [balancer] for it in found)

    @pytest.mark.parametrize(
        "params, code",
        [
            ({"Names": ["none"]}, "TargetGroupNotFound"),
            ({"TargetGroupArns": [NO_GROUP]}, "TargetGroupNotFound"),
            ({"LoadBalancerArn": NO_BALANCER}, "LoadBalancerNotFound"),
            ({"TargetGroupArns": ["web"]}, "ValidationError"),
            ({"TargetGroupArns": [NO_BALANCER]}, "ValidationError"),
            ({"LoadBalancerArn": NO_GROUP}, "ValidationError"),
            ({"Names": ["a"], "TargetGroupArns": [NO_GROUP]}, "ValidationError"),
            ({"Names": ["a"], "LoadBalancerArn": NO_BALANCER}, "ValidationError"),
            ({"TargetGroupArns": [NO_GROUP], "LoadBalancerArn": NO_BALANCER}, "ValidationError"),
        ],
        ids=str,
    )
    def test_what_is_refused(self, elb, refused, params, code):
        refused(code, elb.describe_target_groups, **params)

    def test_one_that_is_not_there_among_others(self, elb, make, refused):
        name = make.group()["TargetGroupName"]
        assert "none" in refused("TargetGroupNotFound", elb.describe_target_groups, Names=[name, "none"])


class TestDeleting:
    """DeleteTargetGroup."""

    def test_it_is_gone_and_deleting_it_again_is_no_error(self, elb, make, refused):
        one = make.group()
        elb.delete_target_group(TargetGroupArn=one["TargetGroupArn"])
        refused("TargetGroupNotFound", elb.describe_target_groups, Names=[one["TargetGroupName"]])
        elb.delete_target_group(TargetGroupArn=one["TargetGroupArn"])
        assert make.group(Name=one["TargetGroupName"], Port=81)["TargetGroupArn"] != one["TargetGroupArn"]

    def test_not_while_a_listener_uses_it(self, elb, make, refused):
        group = make.group()["TargetGroupArn"]
        listener = make.listener(group=group)["ListenerArn"]
        refused("ResourceInUse", elb.delete_target_group, TargetGroupArn=group)
        elb.delete_listener(ListenerArn=listener)
        elb.delete_target_group(TargetGroupArn=group)

    @pytest.mark.parametrize("params", [{}, {"TargetGroupArn": ""}, {"TargetGroupArn": "web"}], ids=str)
    def test_what_is_no_arn(self, elb, refused, params):
        refused("ValidationError", elb.delete_target_group, **params)
