"""Dualstack: what a load balancer with IPv4 and IPv6 addresses may have, and SetIpAddressType."""

import pytest

from inventory import NO_BALANCER, SUBNET_A, SUBNET_B, SUBNET_V4, ZONE_A


def test_its_subnets_need_ipv6_addresses(elb, make, refused):
    params = {"Name": make.name(), "Type": "network", "IpAddressType": "dualstack"}
    refused("InvalidSubnet", elb.create_load_balancer, **params, Subnets=[SUBNET_V4])
    refused("InvalidSubnet", elb.create_load_balancer, **params, Subnets=[SUBNET_A, SUBNET_V4])


@pytest.mark.parametrize("protocol", ["TCP", "TLS"])
def test_listeners_that_it_may_have(make, protocol):
    balancer = make.balancer(IpAddressType="dualstack")["LoadBalancerArn"]
    assert make.listener(balancer, Protocol=protocol)["Protocol"] == protocol


@pytest.mark.parametrize("protocol", ["UDP", "TCP_UDP"])
def test_listeners_that_it_may_not_have(elb, make, refused, protocol):
    balancer = make.balancer(IpAddressType="dualstack")["LoadBalancerArn"]
    group = make.group(Protocol=protocol)["TargetGroupArn"]
    actions = [{"Type": "forward", "TargetGroupArn": group}]
    params = {"LoadBalancerArn": balancer, "Protocol": protocol, "Port": 53, "DefaultActions": actions}
    refused("InvalidConfigurationRequest", elb.create_listener, **params)


@pytest.mark.parametrize("protocol", ["UDP", "TCP_UDP"])
def test_a_listener_cannot_become_one_that_it_may_not_have(elb, make, refused, protocol):
    balancer = make.balancer(IpAddressType="dualstack")["LoadBalancerArn"]
    group = make.group(Protocol="TCP_UDP")["TargetGroupArn"]
    listener = make.listener(balancer, group)["ListenerArn"]
    refused("InvalidConfigurationRequest", elb.modify_listener, ListenerArn=listener, Protocol=protocol)


class TestSetIpAddressType:
    """There and back."""

    def test_to_dualstack_and_back(self, elb, make):
        arn = make.balancer(Subnets=[SUBNET_A, SUBNET_B])["LoadBalancerArn"]
        before = make.addresses(arn)
        assert elb.set_ip_address_type(LoadBalancerArn=arn, IpAddressType="dualstack")["IpAddressType"] == "dualstack"
        found = elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]
        assert found["IpAddressType"] == "dualstack"
        assert all("IPv6Address" in one for zone in make.addresses(arn).values() for one in zone)
        assert make.addresses(arn)[ZONE_A][0]["IpAddress"] == before[ZONE_A][0]["IpAddress"]
        assert elb.set_ip_address_type(LoadBalancerArn=arn, IpAddressType="ipv4")["IpAddressType"] == "ipv4"
        assert make.addresses(arn) == before

    def test_what_it_is_already(self, elb, make):
        arn = make.balancer()["LoadBalancerArn"]
        assert elb.set_ip_address_type(LoadBalancerArn=arn, IpAddressType="ipv4")["IpAddressType"] == "ipv4"

    def test_subnets_without_ipv6(self, elb, make, refused):
        arn = make.balancer(Subnets=[SUBNET_A, SUBNET_V4])["LoadBalancerArn"]
        refused("InvalidSubnet", elb.set_ip_address_type, LoadBalancerArn=arn, IpAddressType="dualstack")

    @pytest.mark.parametrize("protocol", ["UDP", "TCP_UDP"])
    def test_listeners_that_hinder_it(self, elb, make, refused, protocol):
        arn = make.balancer()["LoadBalancerArn"]
        make.listener(arn, Protocol=protocol)
        refused("InvalidConfigurationRequest", elb.set_ip_address_type, LoadBalancerArn=arn, IpAddressType="dualstack")

    def test_ipv6_target_groups_hinder_the_way_back(self, elb, make, refused):
        arn = make.balancer(IpAddressType="dualstack")["LoadBalancerArn"]
        make.listener(arn, make.group(TargetType="ip", IpAddressType="ipv6")["TargetGroupArn"])
        refused("InvalidConfigurationRequest", elb.set_ip_address_type, LoadBalancerArn=arn, IpAddressType="ipv4")

    @pytest.mark.parametrize("value", ["ipv6", "", "IPV4", None])
    def test_other_values(self, elb, make, refused, value):
        arn = make.balancer()["LoadBalancerArn"]
        params = {} if value is None else {"IpAddressType": value}
        refused("ValidationError", elb.set_ip_address_type, LoadBalancerArn=arn, **params)

    def test_of_what_is_not_there(self, elb, refused):
        refused("LoadBalancerNotFound", elb.set_ip_address_type, LoadBalancerArn=NO_BALANCER, IpAddressType="ipv4")


class TestIpv6TargetGroups:
    """They need a dualstack load balancer."""

    def test_with_a_dualstack_load_balancer(self, make):
        group = make.group(TargetType="ip", IpAddressType="ipv6")["TargetGroupArn"]
        make.listener(make.balancer(IpAddressType="dualstack")["LoadBalancerArn"], group)

    def test_with_an_ipv4_one(self, elb, make, refused):
        group = make.group(TargetType="ip", IpAddressType="ipv6")["TargetGroupArn"]
        actions = [{"Type": "forward", "TargetGroupArn": group}]
        params = {"LoadBalancerArn": make.balancer()["LoadBalancerArn"], "DefaultActions": actions}
        refused("InvalidConfigurationRequest", elb.create_listener, Protocol="TCP", Port=80, **params)

    def test_ipv4_groups_go_with_both(self, make):
        make.listener(make.balancer(IpAddressType="dualstack")["LoadBalancerArn"], make.group()["TargetGroupArn"])
