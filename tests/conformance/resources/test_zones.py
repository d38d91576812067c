"""Zones of load balancers: their addresses, and SetSubnets."""

import ipaddress

import pytest

from inventory import (
    ACCOUNT,
    EIP,
    EIP_B,
    EIP_C,
    EIP_D,
    I1,
    NO_BALANCER,
    REGION,
    SUBNET_A,
    SUBNET_A2,
    SUBNET_B,
    SUBNET_C,
)
from inventory import SUBNET_FULL, SUBNET_OTHER, SUBNET_V4, ZONE_A, ZONE_B, ZONE_C


def internal(make, mapping, **params):
    return make.balancer(Scheme="internal", SubnetMappings=[{"SubnetId": SUBNET_A} | mapping], **params)


class TestAddresses:
    """Which address a load balancer gets in a zone."""

    def test_an_internal_one_gets_one_of_its_subnet(self, elb, make):
        arn = make.balancer(Scheme="internal", Subnets=[SUBNET_A, SUBNET_B])["LoadBalancerArn"]
        found = make.addresses(arn)
        for zone, subnet in ((ZONE_A, "198.18.0.0/24"), (ZONE_B, "198.18.2.0/24")):
            (one,) = found[zone]
            assert ipaddress.ip_address(one["PrivateIPv4Address"]) in ipaddress.ip_network(subnet)
            assert set(one) == {"PrivateIPv4Address"}

    def test_addresses_differ_and_are_nobody_else_s(self, elb, make):
        reserved = {f"198.18.3.{last}" for last in (0, 1, 2, 3, 255)} | {"198.18.3.21"}
        seen = set()
        for _ in range(20):
            arn = make.balancer(Scheme="internal", Subnets=[SUBNET_C])["LoadBalancerArn"]
            (one,) = make.addresses(arn)[ZONE_C]
            address = one["PrivateIPv4Address"]
            assert address not in reserved | seen
            seen.add(address)

    def test_they_do_not_change(self, elb, make):
        arn = make.balancer(Scheme="internal")["LoadBalancerArn"]
        before = make.addresses(arn)
        make.set_attributes(arn, {"load_balancing.cross_zone.enabled": "true"})
        assert make.addresses(arn) == before

    def test_an_internet_facing_one_tells_its_address(self, elb, make):
        arn = make.balancer(Subnets=[SUBNET_A])["LoadBalancerArn"]
        (one,) = make.addresses(arn)[ZONE_A]
        assert ipaddress.ip_address(one["IpAddress"])
        assert "AllocationId" not in one and "PrivateIPv4Address" not in one

    def test_an_elastic_one(self, elb, make, refused):
        mappings = [{"SubnetId": SUBNET_A, "AllocationId": EIP}, {"SubnetId": SUBNET_B}]
        arn = make.balancer(SubnetMappings=mappings)["LoadBalancerArn"]
        found = make.addresses(arn)
        assert found[ZONE_A] == [{"IpAddress": "203.0.113.7", "AllocationId": EIP}]
        assert "AllocationId" not in found[ZONE_B][0]
        # It is in use as long as the load balancer is there.
        taken = [{"SubnetId": SUBNET_A, "AllocationId": EIP}]
        refused("ResourceInUse", elb.create_load_balancer, Name=make.name(), Type="network", SubnetMappings=taken)
        elb.delete_load_balancer(LoadBalancerArn=arn)
        assert make.addresses(make.balancer(SubnetMappings=taken)["LoadBalancerArn"])[ZONE_A][0]["AllocationId"] == EIP

    def test_the_same_elastic_one_again_is_the_same_load_balancer(self, elb, make):
        params = {"Name": make.name(), "SubnetMappings": [{"SubnetId": SUBNET_A, "AllocationId": EIP_B}]}
        assert make.balancer(**params)["LoadBalancerArn"] == make.balancer(**params)["LoadBalancerArn"]

    def test_a_private_one(self, elb, make):
        arn = internal(make, {"PrivateIPv4Address": "198.18.0.200"})["LoadBalancerArn"]
        assert make.addresses(arn)[ZONE_A] == [{"PrivateIPv4Address": "198.18.0.200"}]

    def test_a_private_one_needs_no_free_addresses_beside_it(self, elb, make):
        mapping = {"SubnetId": SUBNET_FULL, "PrivateIPv4Address": "198.18.5.10"}
        arn = make.balancer(Scheme="internal", SubnetMappings=[mapping])["LoadBalancerArn"]
        make.wait(arn, "active")

    def test_dualstack_ones_have_ipv6_addresses(self, elb, make):
        arn = make.balancer(IpAddressType="dualstack")["LoadBalancerArn"]
        (one,) = make.addresses(arn)[ZONE_A]
        assert ipaddress.ip_address(one["IPv6Address"]) in ipaddress.ip_network("2001:db8:1::/64")
        assert "IpAddress" in one
        arn = internal(make, {"IPv6Address": "2001:db8:1::1234"}, IpAddressType="dualstack")["LoadBalancerArn"]
        assert make.addresses(arn)[ZONE_A][0]["IPv6Address"] == "2001:db8:1::1234"

    @pytest.mark.parametrize(
        "scheme, mapping, code",
        [
            ("internet-facing", {"AllocationId": "eipalloc-none"}, "AllocationIdNotFound"),
            ("internal", {"AllocationId": EIP_C}, "InvalidConfigurationRequest"),
            ("internet-facing", {"PrivateIPv4Address": "198.18.0.201"}, "InvalidConfigurationRequest"),
            ("internal", {"PrivateIPv4Address": "198.18.1.5"}, "ValidationError"),
            ("internal", {"PrivateIPv4Address": "203.0.113.5"}, "ValidationError"),
            ("internal", {"PrivateIPv4Address": "198.18.0.0"}, "ValidationError"),
            ("internal", {"PrivateIPv4Address": "198.18.0.1"}, "ValidationError"),
            ("internal", {"PrivateIPv4Address": "198.18.0.3"}, "ValidationError"),
            ("internal", {"PrivateIPv4Address": "198.18.0.255"}, "ValidationError"),
            ("internal", {"PrivateIPv4Address": "nonsense"}, "ValidationError"),
            ("internal", {"PrivateIPv4Address": "198.18.0.256"}, "ValidationError"),
            ("internal", {"PrivateIPv4Address": "2001:db8:1::5"}, "ValidationError"),
            ("internal", {"IPv6Address": "2001:db8:1::5"}, "InvalidConfigurationRequest"),
            ("internal", {"SubnetId": "subnet-none"}, "SubnetNotFound"),
        ],
        ids=str,
    )
    def test_what_is_refused(self, elb, make, refused, scheme, mapping, code):
        mappings = [{"SubnetId": SUBNET_A} | mapping]
        params = {"Name": make.name(), "Type": "network", "Scheme": scheme, "SubnetMappings": mappings}
        refused(code, elb.create_load_balancer, **params)

    def test_the_first_and_the_last_that_are_allowed(self, elb, make):
        for last in (4, 254):
            mapping = {"PrivateIPv4Address": f"198.18.0.{last}"}
            make.wait(internal(make, mapping)["LoadBalancerArn"], "active")

    def test_one_elastic_address_cannot_be_in_two_zones(self, elb, make):
        mappings = [{"SubnetId": subnet, "AllocationId": EIP_C} for subnet in (SUBNET_A, SUBNET_B)]
        with pytest.raises(elb.exceptions.ClientError):
            make.balancer(SubnetMappings=mappings)

    def test_ipv6_addresses_outside_their_subnet(self, elb, make, refused):
        mapping = [{"SubnetId": SUBNET_A, "IPv6Address": "2001:db8:2::5"}]
        params = {"Name": make.name(), "Type": "network", "IpAddressType": "dualstack", "SubnetMappings": mapping}
        refused("ValidationError", elb.create_load_balancer, **params)


class TestTaken:
    """The guide's troubleshooting: an address that something else has makes the load balancer fail."""

    def test_an_instance_s(self, elb, make):
        arn = internal(make, {"PrivateIPv4Address": "198.18.0.21"})["LoadBalancerArn"]
        state = make.wait(arn, "failed")["State"]
        assert "198.18.0.21" in state["Reason"], (state, I1)

    def test_another_load_balancer_s_until_that_is_deleted(self, elb, make):
        mapping = {"PrivateIPv4Address": "198.18.0.210"}
        first = internal(make, mapping)["LoadBalancerArn"]
        second = internal(make, mapping)["LoadBalancerArn"]
        make.wait(second, "failed")
        make.wait(first, "active")
        elb.delete_load_balancer(LoadBalancerArn=first)
        make.wait(second, "active")


class TestSetSubnets:
    """Zones can be added; none can be taken away, and none can change its subnet."""

    def test_a_zone_is_added_and_addresses_stay(self, elb, make):
        arn = make.balancer(Scheme="internal")["LoadBalancerArn"]
        before = make.addresses(arn)
        answer = elb.set_subnets(LoadBalancerArn=arn, Subnets=[SUBNET_A, SUBNET_B])
        assert {zone["ZoneName"] for zone in answer["AvailabilityZones"]} == {ZONE_A, ZONE_B}
        after = make.addresses(arn)
        assert after[ZONE_A] == before[ZONE_A]
        assert after[ZONE_B][0]["PrivateIPv4Address"].startswith("198.18.2.")

    def test_with_an_elastic_address(self, elb, make):
        arn = make.balancer()["LoadBalancerArn"]
        mappings = [{"SubnetId": SUBNET_A}, {"SubnetId": SUBNET_B, "AllocationId": EIP_D}]
        elb.set_subnets(LoadBalancerArn=arn, SubnetMappings=mappings)
        assert make.addresses(arn)[ZONE_B] == [{"IpAddress": "203.0.113.10", "AllocationId": EIP_D}]

    def test_the_same_again_changes_nothing(self, elb, make):
        arn = make.balancer(Subnets=[SUBNET_A, SUBNET_B])["LoadBalancerArn"]
        before = make.addresses(arn)
        elb.set_subnets(LoadBalancerArn=arn, Subnets=[SUBNET_B, SUBNET_A])
        assert make.addresses(arn) == before

    @pytest.mark.parametrize(
        "params, code",
        [
            ({"Subnets": [SUBNET_A]}, "InvalidConfigurationRequest"),
            ({"Subnets": [SUBNET_C]}, "InvalidConfigurationRequest"),
            ({"Subnets": [SUBNET_A2, SUBNET_B]}, "InvalidConfigurationRequest"),
            ({"Subnets": [SUBNET_A, SUBNET_B, SUBNET_A2]}, "InvalidConfigurationRequest"),
            ({"Subnets": [SUBNET_A, SUBNET_B, SUBNET_OTHER]}, "InvalidConfigurationRequest"),
            ({"Subnets": [SUBNET_A, SUBNET_B, "subnet-none"]}, "SubnetNotFound"),
            ({"Subnets": [SUBNET_A, SUBNET_B, SUBNET_FULL]}, "InvalidSubnet"),
            ({"Subnets": []}, "ValidationError"),
            ({}, "ValidationError"),
            ({"Subnets": [SUBNET_A], "SubnetMappings": [{"SubnetId": SUBNET_B}]}, "ValidationError"),
            (
                {
                    "SubnetMappings": [
                        {"SubnetId": SUBNET_A},
                        {"SubnetId": SUBNET_B},
                        {"SubnetId": SUBNET_C, "AllocationId": "eipalloc-none"},
                    ]
                },
                "AllocationIdNotFound",
            ),
        ],
        ids=str,
    )
    def test_what_is_refused(self, elb, make, refused, params, code):
        arn = make.balancer(Subnets=[SUBNET_A, SUBNET_B])["LoadBalancerArn"]
        before = make.addresses(arn)
        refused(code, elb.set_subnets, LoadBalancerArn=arn, **params)
        assert make.addresses(arn) == before

    def test_dualstack_ones_need_ipv6_in_every_zone(self, elb, make, refused):
        arn = make.balancer(IpAddressType="dualstack")["LoadBalancerArn"]
        refused("InvalidSubnet", elb.set_subnets, LoadBalancerArn=arn, Subnets=[SUBNET_A, SUBNET_V4])

    def test_of_what_is_not_there(self, elb, refused):
        refused("LoadBalancerNotFound", elb.set_subnets, LoadBalancerArn=NO_BALANCER, Subnets=[SUBNET_A])
        refused(
            "ValidationError",
            elb.set_subnets,
            LoadBalancerArn=f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:x",
            Subnets=[SUBNET_A],
        )
