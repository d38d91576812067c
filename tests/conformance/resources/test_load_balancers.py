"""Load balancers: what creating one tells, names, idempotence, finding and deleting them."""

import datetime
import re

import pytest

from inventory import (
    EIP,
    OTHER_VPC,
    SG,
    SUBNET_A,
    SUBNET_A2,
    SUBNET_B,
    SUBNET_C,
    SUBNET_FULL,
    SUBNET_OTHER,
    SUBNET_TIGHT,
)
from inventory import ACCOUNT, NO_BALANCER, NO_GROUP, REGION, VPC, ZONE_A, ZONE_B


def test_what_creating_one_tells(elb, make):
    name = make.name("web")
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=2)
    answer = elb.create_load_balancer(Name=name, Type="network", Subnets=[SUBNET_A, SUBNET_B])
    (one,) = answer["LoadBalancers"]
    arn = re.fullmatch(
        f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/net/{name}/([0-9a-f]{{16}})",
        one["LoadBalancerArn"],
    )
    assert arn, one["LoadBalancerArn"]
    # The guide: name-id.elb.region.amazonaws.com
    assert one["DNSName"] == f"{name}-{arn.group(1)}.elb.{REGION}.amazonaws.com"
    assert one["LoadBalancerName"] == name
    assert one["Type"] == "network"
    assert one["Scheme"] == "internet-facing"
    assert one["IpAddressType"] == "ipv4"
    assert one["VpcId"] == VPC
    assert one["State"] == {"Code": "provisioning"}
    assert before < one["CreatedTime"] < before + datetime.timedelta(seconds=30)
    assert re.fullmatch("Z[A-Z0-9]+", one["CanonicalHostedZoneId"])
    zones = {zone["ZoneName"]: zone["SubnetId"] for zone in one["AvailabilityZones"]}
    assert zones == {ZONE_A: SUBNET_A, ZONE_B: SUBNET_B}
    assert "SecurityGroups" not in one or one["SecurityGroups"] == []
    for absent in ("CustomerOwnedIpv4Pool", "IpamPools"):
        assert absent not in one


def test_it_becomes_active(elb, make):
    arn = make.balancer()["LoadBalancerArn"]
    assert "Reason" not in make.wait(arn, "active")["State"]


def test_the_type_may_be_left_out(elb, make):
    answer = elb.create_load_balancer(Name=make.name(), Subnets=[SUBNET_A])
    assert answer["LoadBalancers"][0]["Type"] == "network"


@pytest.mark.parametrize(
    "name", ["a", "Z", "0", "a" * 32, "a-b-c", "9-lives", "internal", "internals", "my-internal-one"]
)
def test_names_that_are_allowed(make, elb, name):
    arn = make.balancer(Name=name)["LoadBalancerArn"]
    assert elb.describe_load_balancers(Names=[name])["LoadBalancers"][0]["LoadBalancerArn"] == arn


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 33,
        "-a",
        "a-",
        "-",
        "a_b",
        "a.b",
        "a b",
        " a",
        "a\n",
        "a/b",
        "ä",
        "日本",
        "internal-a",
        "internal-",
        "a:b",
        "%",
    ],
)
def test_names_that_are_not(elb, refused, name):
    refused("ValidationError", elb.create_load_balancer, Name=name, Type="network", Subnets=[SUBNET_A])


@pytest.mark.parametrize(
    "params, code",
    [
        ({"Name": None}, "ValidationError"),
        ({"Type": "application"}, "InvalidConfigurationRequest"),
        ({"Type": "gateway"}, "InvalidConfigurationRequest"),
        ({"Type": "classic"}, "ValidationError"),
        ({"Type": "Network"}, "ValidationError"),
        ({"Scheme": "public"}, "ValidationError"),
        ({"Scheme": ""}, "ValidationError"),
        ({"IpAddressType": "ipv6"}, "ValidationError"),
        ({"Subnets": None}, "ValidationError"),
        ({"Subnets": []}, "ValidationError"),
        ({"SubnetMappings": [{"SubnetId": SUBNET_A}]}, "ValidationError"),
        ({"Subnets": None, "SubnetMappings": [{}]}, "ValidationError"),
        ({"Subnets": ["subnet-none"]}, "SubnetNotFound"),
        ({"Subnets": [SUBNET_A, "subnet-none"]}, "SubnetNotFound"),
        ({"Subnets": [SUBNET_A, SUBNET_A2]}, "InvalidConfigurationRequest"),
        ({"Subnets": [SUBNET_A, SUBNET_OTHER]}, "InvalidConfigurationRequest"),
        ({"Subnets": [SUBNET_FULL]}, "InvalidSubnet"),
        ({"Subnets": [SUBNET_FULL], "Scheme": "internal"}, "InvalidSubnet"),
        ({"SecurityGroups": ["sg-none"]}, "InvalidSecurityGroup"),
        ({"SecurityGroups": [SG, "sg-none"]}, "InvalidSecurityGroup"),
        ({"Tags": [{"Key": "a"}, {"Key": "a"}]}, "DuplicateTagKeys"),
        ({"Tags": [{"Key": f"k{n}"} for n in range(51)]}, "TooManyTags"),
        ({"Tags": [{"Value": "x"}]}, "ValidationError"),
        ({"Tags": [{"Key": "aws:x"}]}, "ValidationError"),
    ],
    ids=str,
)
def test_what_is_refused(elb, make, refused, params, code):
    name = make.name()
    given = {"Name": name, "Type": "network", "Subnets": [SUBNET_A]} | params
    given = {key: value for key, value in given.items() if value is not None}
    refused(code, elb.create_load_balancer, **given)
    assert name not in {one["LoadBalancerName"] for one in elb.describe_load_balancers()["LoadBalancers"]}


@pytest.mark.parametrize(
    "params",
    [
        {"CustomerOwnedIpv4Pool": "ipv4pool-coip-1"},
        {"EnablePrefixForIpv6SourceNat": "on"},
        {"IpamPools": {"Ipv4IpamPoolId": "ipam-pool-1"}},
        {"IpAddressType": "dualstack-without-public-ipv4"},
    ],
    ids=str,
)
def test_what_this_version_does_not_do_is_said(elb, make, params):
    """Later additions of the API are refused rather than ignored."""
    with pytest.raises(elb.exceptions.ClientError) as error:
        make.balancer(**params)
    assert error.value.response["Error"]["Code"] in ("ValidationError", "InvalidConfigurationRequest")


def test_eight_free_addresses_are_enough_and_seven_are_not(elb, make, refused):
    make.balancer(Subnets=[SUBNET_TIGHT])
    refused("InvalidSubnet", elb.create_load_balancer, Name=make.name(), Type="network", Subnets=[SUBNET_TIGHT])


@pytest.mark.parametrize(
    "change",
    [
        {"Subnets": [SUBNET_B]},
        {"Subnets": [SUBNET_A, SUBNET_B]},
        {"Scheme": "internal"},
        {"IpAddressType": "dualstack"},
        {"SecurityGroups": [SG]},
    ],
    ids=str,
)
def test_the_same_name_with_other_settings(elb, make, refused, change):
    name = make.name()
    params = {"Name": name, "Type": "network", "Subnets": [SUBNET_A]}
    elb.create_load_balancer(**params)
    refused("DuplicateLoadBalancerName", elb.create_load_balancer, **params | change)


def test_the_same_again_is_the_same(elb, make):
    params = {"Name": make.name(), "Type": "network", "Subnets": [SUBNET_B, SUBNET_A], "Scheme": "internal"}
    first = elb.create_load_balancer(**params, Tags=[{"Key": "a", "Value": "1"}])["LoadBalancers"][0]
    again = elb.create_load_balancer(**params)["LoadBalancers"][0]
    assert again["LoadBalancerArn"] == first["LoadBalancerArn"]
    # The order of subnets says nothing, and defaults may be spelt out.
    params |= {"Subnets": [SUBNET_A, SUBNET_B], "IpAddressType": "ipv4"}
    again = elb.create_load_balancer(**params, Tags=[{"Key": "b", "Value": "2"}])["LoadBalancers"][0]
    assert again["LoadBalancerArn"] == first["LoadBalancerArn"]
    tags = elb.describe_tags(ResourceArns=[first["LoadBalancerArn"]])["TagDescriptions"][0]["Tags"]
    assert tags == [{"Key": "a", "Value": "1"}]


def test_a_name_is_free_again_once_its_load_balancer_is_deleted(elb, make):
    first = make.balancer(Name="phoenix")["LoadBalancerArn"]
    elb.delete_load_balancer(LoadBalancerArn=first)
    assert make.balancer(Name="phoenix", Scheme="internal")["LoadBalancerArn"] != first


class TestFinding:
    """DescribeLoadBalancers."""

    def test_by_name_and_by_arn(self, elb, make):
        one, two = make.balancer(), make.balancer(Subnets=[SUBNET_C])
        found = elb.describe_load_balancers(LoadBalancerArns=[two["LoadBalancerArn"]])["LoadBalancers"]
        assert [it["LoadBalancerName"] for it in found] == [two["LoadBalancerName"]]
        names = [one["LoadBalancerName"], two["LoadBalancerName"]]
        found = elb.describe_load_balancers(Names=names)["LoadBalancers"]
        assert {it["LoadBalancerName"] for it in found} == set(names)
        everything = elb.describe_load_balancers()["LoadBalancers"]
        assert set(names) <= {it["LoadBalancerName"] for it in everything}

    def test_it_is_as_its_creation_told(self, elb, make):
        created = make.balancer(Subnets=[SUBNET_A, SUBNET_B])
        found = make.wait(created["LoadBalancerArn"], "active")
        for varying in ("State", "AvailabilityZones"):
            created.pop(varying), found.pop(varying)
        assert found == created

    @pytest.mark.parametrize(
        "params, code",
        [
            ({"Names": ["none"]}, "LoadBalancerNotFound"),
            ({"LoadBalancerArns": [NO_BALANCER]}, "LoadBalancerNotFound"),
            ({"LoadBalancerArns": [NO_BALANCER.replace(ACCOUNT, "999999999999")]}, "LoadBalancerNotFound"),
            ({"LoadBalancerArns": ["web"]}, "ValidationError"),
            ({"LoadBalancerArns": [""]}, "ValidationError"),
            ({"LoadBalancerArns": [NO_GROUP]}, "ValidationError"),
            ({"LoadBalancerArns": [NO_BALANCER], "Names": ["none"]}, "ValidationError"),
            ({"LoadBalancerArns": [NO_BALANCER] * 21}, "ValidationError"),
            ({"Names": [f"n{n}" for n in range(21)]}, "ValidationError"),
        ],
        ids=str,
    )
    def test_what_is_refused(self, elb, refused, params, code):
        refused(code, elb.describe_load_balancers, **params)

    def test_one_that_is_not_there_among_others(self, elb, make, refused):
        name = make.balancer()["LoadBalancerName"]
        assert "none" in refused("LoadBalancerNotFound", elb.describe_load_balancers, Names=[name, "none"])

    def test_twenty_are_allowed(self, elb, make):
        name = make.balancer()["LoadBalancerName"]
        assert len(elb.describe_load_balancers(Names=[name] * 20)["LoadBalancers"]) in (1, 20)


class TestDeleting:
    """DeleteLoadBalancer."""

    def test_it_is_gone_and_deleting_it_again_is_no_error(self, elb, make, refused):
        one = make.balancer()
        elb.delete_load_balancer(LoadBalancerArn=one["LoadBalancerArn"])
        refused("LoadBalancerNotFound", elb.describe_load_balancers, Names=[one["LoadBalancerName"]])
        elb.delete_load_balancer(LoadBalancerArn=one["LoadBalancerArn"])
        elb.delete_load_balancer(LoadBalancerArn=NO_BALANCER)

    def test_its_listeners_go_with_it_and_its_target_groups_stay(self, elb, make, refused):
        balancer, group = make.balancer()["LoadBalancerArn"], make.group()["TargetGroupArn"]
        listener = make.listener(balancer, group)["ListenerArn"]
        elb.delete_load_balancer(LoadBalancerArn=balancer)
        refused("ListenerNotFound", elb.describe_listeners, ListenerArns=[listener])
        refused("LoadBalancerNotFound", elb.describe_listeners, LoadBalancerArn=balancer)
        found = elb.describe_target_groups(TargetGroupArns=[group])["TargetGroups"][0]
        assert found["LoadBalancerArns"] == []
        elb.delete_target_group(TargetGroupArn=group)

    def test_protected_ones_stay(self, elb, make, refused):
        arn = make.balancer()["LoadBalancerArn"]
        make.set_attributes(arn, {"deletion_protection.enabled": "true"})
        refused("OperationNotPermitted", elb.delete_load_balancer, LoadBalancerArn=arn)
        assert elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"]
        make.set_attributes(arn, {"deletion_protection.enabled": "false"})
        elb.delete_load_balancer(LoadBalancerArn=arn)
        refused("LoadBalancerNotFound", elb.describe_load_balancers, LoadBalancerArns=[arn])

    @pytest.mark.parametrize("params", [{}, {"LoadBalancerArn": ""}, {"LoadBalancerArn": "web"}], ids=str)
    def test_what_is_no_arn(self, elb, refused, params):
        refused("ValidationError", elb.delete_load_balancer, **params)


class TestSecurityGroups:
    """They are kept and told. They filter nothing here."""

    def test_they_are_told(self, elb, make):
        one = make.balancer(SecurityGroups=[SG])
        assert one["SecurityGroups"] == [SG]
        arn = one["LoadBalancerArn"]
        assert elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]["SecurityGroups"] == [SG]

    def test_they_can_be_changed(self, elb, make):
        arn = make.balancer(SecurityGroups=[SG])["LoadBalancerArn"]
        answer = elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=["sg-2"])
        assert answer["SecurityGroupIds"] == ["sg-2"]
        assert elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]["SecurityGroups"] == ["sg-2"]

    def test_what_is_refused(self, elb, make, refused):
        arn = make.balancer(SecurityGroups=[SG])["LoadBalancerArn"]
        refused("InvalidSecurityGroup", elb.set_security_groups, LoadBalancerArn=arn, SecurityGroups=["sg-none"])
        refused("LoadBalancerNotFound", elb.set_security_groups, LoadBalancerArn=NO_BALANCER, SecurityGroups=[SG])
        refused("ValidationError", elb.set_security_groups, LoadBalancerArn="web", SecurityGroups=[SG])
        without = make.balancer()["LoadBalancerArn"]
        refused("InvalidConfigurationRequest", elb.set_security_groups, LoadBalancerArn=without, SecurityGroups=[SG])


def test_vpcs_are_told_apart(make):
    assert make.balancer(Subnets=[SUBNET_OTHER])["VpcId"] == OTHER_VPC


def test_an_elastic_address_is_named_in_a_mapping(make):
    one = make.balancer(SubnetMappings=[{"SubnetId": SUBNET_A, "AllocationId": EIP}])
    assert one["AvailabilityZones"][0]["SubnetId"] == SUBNET_A
