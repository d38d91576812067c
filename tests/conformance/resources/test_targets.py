"""Registering and deregistering targets: which may be targets, ports, zones."""

import pytest

from inventory import (
    ALB,
    ALB_2,
    ALB_OTHER,
    I1,
    I2,
    I3,
    I_OTHER,
    I_PENDING,
    I_SHUTTING,
    I_STOPPED,
    I_STOPPING,
    I_TERMINATED,
)
from inventory import NO_GROUP, OTHER_VPC, ZONE_A, ZONE_B, alb_arn


def targets(elb, group):
    """The registered targets as pairs of id and port."""
    found = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return {(one["Target"]["Id"], one["Target"]["Port"]) for one in found}


@pytest.fixture
def instances(make):
    """A group of instances."""
    return make.group()["TargetGroupArn"]


@pytest.fixture
def ips(make):
    """A group of addresses."""
    return make.group(TargetType="ip")["TargetGroupArn"]


def test_the_port_is_the_group_s_unless_it_is_named(elb, instances):
    elb.register_targets(TargetGroupArn=instances, Targets=[{"Id": I1}, {"Id": I2, "Port": 8080}])
    assert targets(elb, instances) == {(I1, 80), (I2, 8080)}


def test_one_instance_on_several_ports(elb, instances):
    elb.register_targets(TargetGroupArn=instances, Targets=[{"Id": I1, "Port": port} for port in (1, 80, 65535)])
    assert targets(elb, instances) == {(I1, 1), (I1, 80), (I1, 65535)}


def test_again_changes_nothing(elb, instances):
    for _ in range(2):
        elb.register_targets(TargetGroupArn=instances, Targets=[{"Id": I1}, {"Id": I1, "Port": 80}])
    assert targets(elb, instances) == {(I1, 80)}


@pytest.mark.parametrize(
    "address",
    [
        "198.18.0.50",  # a subnet of the group's VPC
        "198.18.4.50",
        "10.0.0.1",
        "10.255.255.254",
        "100.64.0.1",
        "100.127.255.254",
        "172.16.0.1",
        "172.31.255.254",
        "192.168.0.1",
        "192.168.255.254",
    ],
)
def test_addresses_that_may_be_targets(elb, ips, address):
    elb.register_targets(TargetGroupArn=ips, Targets=[{"Id": address, "Port": 80}])
    assert targets(elb, ips) == {(address, 80)}


@pytest.mark.parametrize(
    "address",
    [
        "198.18.9.50",  # another VPC's
        "8.8.8.8",
        "203.0.113.7",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "127.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "169.254.169.254",
        "2001:db8:1::50",  # the group is IPv4
        "10.0.0.256",
        "10.0.0",
        "10.0.0.1:80",
        "10.0.0.0/24",
        "010.0.0.1",
        "web.example.com",
        "",
        I1,
        ALB,
    ],
)
def test_addresses_that_may_not(elb, ips, refused, address):
    refused("InvalidTarget", elb.register_targets, TargetGroupArn=ips, Targets=[{"Id": address, "Port": 80}])
    assert targets(elb, ips) == set()


@pytest.mark.parametrize(
    "address, is_allowed",
    [
        ("2001:db8:1::50", True),
        ("2001:db8:3::50", True),
        ("2001:db8:9::50", True),  # another VPC's, which may be peered
        ("2001:4860:4860::8888", False),
        ("fe80::1", False),
        ("::1", False),
        ("::ffff:10.0.0.1", False),
        ("198.18.0.50", False),
        (I1, False),
    ],
)
def test_ipv6_addresses(elb, make, refused, address, is_allowed):
    group = make.group(TargetType="ip", IpAddressType="ipv6")["TargetGroupArn"]
    wanted = [{"Id": address, "Port": 80}]
    if is_allowed:
        elb.register_targets(TargetGroupArn=group, Targets=wanted)
        assert targets(elb, group) == {(address, 80)}
    else:
        refused("InvalidTarget", elb.register_targets, TargetGroupArn=group, Targets=wanted)


def test_an_ipv6_address_has_one_name(elb, make):
    group = make.group(TargetType="ip", IpAddressType="ipv6")["TargetGroupArn"]
    for spelling in ("2001:db8:1::50", "2001:DB8:1:0:0:0:0:50"):
        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": spelling}])
    assert targets(elb, group) == {("2001:db8:1::50", 80)}


@pytest.mark.parametrize(
    "id",
    [
        "i-none",
        "i-0123456789abcdef0",
        I_STOPPED,
        I_TERMINATED,
        I_PENDING,
        I_STOPPING,
        I_SHUTTING,
        I_OTHER,
        "10.0.0.1",
        "",
        "web",
        ALB,
    ],
)
def test_instances_that_may_not(elb, instances, refused, id):
    refused("InvalidTarget", elb.register_targets, TargetGroupArn=instances, Targets=[{"Id": id}])
    assert targets(elb, instances) == set()


def test_an_instance_of_the_group_s_own_vpc(elb, make):
    group = make.group(VpcId=OTHER_VPC)["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": I_OTHER}])
    assert targets(elb, group) == {(I_OTHER, 80)}


@pytest.mark.parametrize(
    "wanted",
    [
        [{"Id": I1, "Port": 0}],
        [{"Id": I1, "Port": 65536}],
        [{"Id": I1, "Port": -1}],
        [{"Id": I1, "Port": "http"}],
        [{"Port": 80}],
        [],
        None,
    ],
    ids=str,
)
def test_what_is_refused(elb, instances, refused, wanted):
    params = {} if wanted is None else {"Targets": wanted}
    refused("ValidationError", elb.register_targets, TargetGroupArn=instances, **params)
    refused("ValidationError", elb.deregister_targets, TargetGroupArn=instances, **params)


def test_one_wrong_target_and_none_is_registered(elb, instances, refused):
    refused("InvalidTarget", elb.register_targets, TargetGroupArn=instances, Targets=[{"Id": I1}, {"Id": "i-none"}])
    assert targets(elb, instances) == set()


class TestZones:
    """AvailabilityZone of a target."""

    def zone(self, elb, group, id):
        found = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return next(one["Target"].get("AvailabilityZone") for one in found if one["Target"]["Id"] == id)

    def test_of_an_address_of_the_vpc(self, elb, ips):
        elb.register_targets(TargetGroupArn=ips, Targets=[{"Id": "198.18.2.60"}])
        assert self.zone(elb, ips, "198.18.2.60") == ZONE_B

    @pytest.mark.parametrize("zone", ["all", ZONE_A])
    def test_of_an_address_outside(self, elb, ips, zone):
        elb.register_targets(TargetGroupArn=ips, Targets=[{"Id": "10.1.1.1", "AvailabilityZone": zone}])
        assert self.zone(elb, ips, "10.1.1.1") == zone

    def test_an_unknown_one(self, elb, ips, refused):
        wanted = [{"Id": "10.1.1.1", "AvailabilityZone": "mars-1a"}]
        refused("ValidationError", elb.register_targets, TargetGroupArn=ips, Targets=wanted)


class TestAlb:
    """An Application Load Balancer as a target."""

    def test_one(self, elb, make):
        group = make.group(TargetType="alb")["TargetGroupArn"]
        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": ALB}])
        assert targets(elb, group) == {(ALB, 80)}
        elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": ALB}])
        assert targets(elb, group) == set()

    def test_only_one_a_group(self, elb, make, refused):
        group = make.group(TargetType="alb")["TargetGroupArn"]
        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": ALB}])
        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": ALB}])
        refused("TooManyTargets", elb.register_targets, TargetGroupArn=group, Targets=[{"Id": ALB_2}])
        other = make.group(TargetType="alb")["TargetGroupArn"]
        refused("TooManyTargets", elb.register_targets, TargetGroupArn=other, Targets=[{"Id": ALB}, {"Id": ALB_2}])

    @pytest.mark.parametrize(
        "params, wanted",
        [
            ({}, {"Id": alb_arn("none")}),
            ({}, {"Id": ALB_OTHER}),
            ({}, {"Id": I1}),
            ({}, {"Id": "10.0.0.1"}),
            ({}, {"Id": ALB.replace("loadbalancer/app", "loadbalancer/net")}),
            ({"Port": 8080}, {"Id": ALB}),  # it has no listener there
            ({"Port": 443}, {"Id": ALB_2}),
        ],
        ids=str,
    )
    def test_what_is_refused(self, elb, make, refused, params, wanted):
        group = make.group(TargetType="alb", **params)["TargetGroupArn"]
        refused("InvalidTarget", elb.register_targets, TargetGroupArn=group, Targets=[wanted])

    def test_its_port_is_the_group_s(self, elb, make):
        group = make.group(TargetType="alb")["TargetGroupArn"]
        with pytest.raises(elb.exceptions.ClientError) as error:
            elb.register_targets(TargetGroupArn=group, Targets=[{"Id": ALB, "Port": 443}])
        assert error.value.response["Error"]["Code"] in (
            "ValidationError",
            "InvalidTarget",
            "InvalidConfigurationRequest",
        )


class TestDeregistering:
    """DeregisterTargets."""

    def test_without_a_listener_they_are_gone_at_once(self, elb, instances):
        elb.register_targets(TargetGroupArn=instances, Targets=[{"Id": I1}, {"Id": I2}])
        elb.deregister_targets(TargetGroupArn=instances, Targets=[{"Id": I1}])
        assert targets(elb, instances) == {(I2, 80)}

    def test_only_the_port_that_is_named(self, elb, instances):
        elb.register_targets(TargetGroupArn=instances, Targets=[{"Id": I1}, {"Id": I1, "Port": 81}])
        elb.deregister_targets(TargetGroupArn=instances, Targets=[{"Id": I1, "Port": 81}])
        assert targets(elb, instances) == {(I1, 80)}

    def test_the_group_s_port_if_none_is_named(self, elb, instances):
        elb.register_targets(TargetGroupArn=instances, Targets=[{"Id": I1}, {"Id": I1, "Port": 81}])
        elb.deregister_targets(TargetGroupArn=instances, Targets=[{"Id": I1}])
        assert targets(elb, instances) == {(I1, 81)}

    def test_what_is_not_registered(self, elb, instances):
        """The reference: if the specified target does not exist, the action returns successfully."""
        elb.register_targets(TargetGroupArn=instances, Targets=[{"Id": I1, "Port": 8080}])
        elb.deregister_targets(TargetGroupArn=instances, Targets=[{"Id": I2}])
        elb.deregister_targets(TargetGroupArn=instances, Targets=[{"Id": I1, "Port": 81}, {"Id": I3, "Port": 82}])
        assert targets(elb, instances) == {(I1, 8080)}

    def test_who_names_no_port_is_told_of_others(self, elb, instances, refused):
        """The reference: if you specified a port override, you must specify both the target ID and the port."""
        elb.register_targets(TargetGroupArn=instances, Targets=[{"Id": I1, "Port": 8080}])
        said = refused("InvalidTarget", elb.deregister_targets, TargetGroupArn=instances, Targets=[{"Id": I1}])
        assert "8080" in said
        assert targets(elb, instances) == {(I1, 8080)}


def test_of_what_is_not_there(elb, refused):
    for call in (elb.register_targets, elb.deregister_targets):
        refused("TargetGroupNotFound", call, TargetGroupArn=NO_GROUP, Targets=[{"Id": I1}])
        refused("ValidationError", call, TargetGroupArn="web", Targets=[{"Id": I1}])
        refused("ValidationError", call, Targets=[{"Id": I1}])
