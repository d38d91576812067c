"""Quotas, lowered in node.toml so that they are soon reached."""

import pytest

from inventory import (
    ALB,
    CERT,
    CERT_2,
    CERT_3,
    I1,
    I3,
    OTHER_VPC,
    SUBNET_A,
    SUBNET_B,
    SUBNET_C,
    SUBNET_OTHER,
    certificate_arn,
)

LOW = {
    "load_balancers": 6,
    "target_groups": 12,
    "certificates_per_load_balancer": 2,
    "targets_per_load_balancer": 55,
    "targets_per_zone_per_load_balancer": 53,
    "targets_per_target_group": 52,
    "enis_per_vpc": 8,
}
SERVER = {"quotas": LOW}


@pytest.fixture(autouse=True)
def empty(elb):
    """Every test begins with nothing."""
    yield
    for it in elb.describe_load_balancers()["LoadBalancers"]:
        elb.delete_load_balancer(LoadBalancerArn=it["LoadBalancerArn"])
    for it in elb.describe_target_groups()["TargetGroups"]:
        elb.delete_target_group(TargetGroupArn=it["TargetGroupArn"])


def ips(zone, first, count):
    """Addresses of the subnet of a zone: 0 is zone a's, 2 is zone b's."""
    return [{"Id": f"198.18.{zone}.{n}"} for n in range(first, first + count)]


def test_they_are_told(elb):
    limits = {it["Name"]: it["Max"] for it in elb.describe_account_limits()["Limits"]}
    assert limits["network-load-balancers"] == "6"
    assert limits["target-groups"] == "12"
    assert limits["certificates-per-network-load-balancer"] == "2"
    assert limits["targets-per-network-load-balancer"] == "55"
    assert limits["targets-per-availability-zone-per-network-load-balancer"] == "53"
    assert limits["network-load-balancer-enis-per-vpc"] == "8"


def test_load_balancers(elb, make, refused):
    made = [make.balancer() for _ in range(6)]
    refused("TooManyLoadBalancers", elb.create_load_balancer, Name="x", Type="network", Subnets=[SUBNET_A])
    # One that is there already is no new one.
    make.balancer(Name=made[0]["LoadBalancerName"])


def test_target_groups(elb, make, refused):
    made = [make.group() for _ in range(12)]
    refused("TooManyTargetGroups", elb.create_target_group, Name="x", Protocol="TCP", Port=80, VpcId=made[0]["VpcId"])
    make.group(Name=made[0]["TargetGroupName"])
    elb.delete_target_group(TargetGroupArn=made[0]["TargetGroupArn"])
    make.group()


def test_addresses_in_a_vpc(elb, make, refused):
    """One a zone of each load balancer."""
    for _ in range(2):
        make.balancer(Subnets=[SUBNET_A, SUBNET_B, SUBNET_C])
    last = make.balancer(Subnets=[SUBNET_A, SUBNET_B])["LoadBalancerArn"]
    params = {"Name": "x", "Type": "network"}
    refused("InvalidConfigurationRequest", elb.create_load_balancer, **params, Subnets=[SUBNET_A])
    refused(
        "InvalidConfigurationRequest", elb.set_subnets, LoadBalancerArn=last, Subnets=[SUBNET_A, SUBNET_B, SUBNET_C]
    )
    assert make.balancer(Subnets=[SUBNET_OTHER])["VpcId"] == OTHER_VPC


def test_targets_of_a_group(elb, make, refused):
    group = make.group(TargetType="ip")["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=ips(0, 100, 51))
    refused("TooManyTargets", elb.register_targets, TargetGroupArn=group, Targets=ips(0, 200, 2))
    elb.register_targets(TargetGroupArn=group, Targets=ips(0, 200, 1))
    # Those that are there already are no new ones.
    elb.register_targets(TargetGroupArn=group, Targets=ips(0, 100, 51))
    assert len(make.health(group)) == 52


def test_targets_of_a_load_balancer(elb, make, refused):
    balancer = make.balancer(Subnets=[SUBNET_A, SUBNET_B])["LoadBalancerArn"]
    one, two = (make.group(TargetType="ip")["TargetGroupArn"] for _ in range(2))
    make.listener(balancer, one), make.listener(balancer, two, Port=81)
    elb.register_targets(TargetGroupArn=one, Targets=ips(0, 100, 30))
    elb.register_targets(TargetGroupArn=two, Targets=ips(2, 100, 25))
    refused("TooManyTargets", elb.register_targets, TargetGroupArn=one, Targets=ips(0, 200, 1))
    # A target of two groups counts twice.
    refused("TooManyTargets", elb.register_targets, TargetGroupArn=two, Targets=ips(0, 100, 1))
    elb.deregister_targets(TargetGroupArn=two, Targets=ips(2, 100, 1))


def test_targets_of_a_zone(elb, make, refused):
    balancer = make.balancer(Subnets=[SUBNET_A, SUBNET_B])["LoadBalancerArn"]
    one, two = (make.group(TargetType="ip")["TargetGroupArn"] for _ in range(2))
    make.listener(balancer, one), make.listener(balancer, two, Port=81)
    elb.register_targets(TargetGroupArn=one, Targets=ips(0, 100, 50))
    elb.register_targets(TargetGroupArn=two, Targets=ips(0, 100, 3))
    refused("TooManyTargets", elb.register_targets, TargetGroupArn=two, Targets=ips(0, 200, 1))
    elb.register_targets(TargetGroupArn=two, Targets=ips(2, 100, 1))


def test_a_listener_that_would_bring_too_many_targets(elb, make, refused):
    balancer = make.balancer()["LoadBalancerArn"]
    one, two = (make.group(TargetType="ip")["TargetGroupArn"] for _ in range(2))
    elb.register_targets(TargetGroupArn=one, Targets=ips(0, 100, 30))
    elb.register_targets(TargetGroupArn=two, Targets=ips(0, 100, 30))
    make.listener(balancer, one)
    params = {
        "LoadBalancerArn": balancer,
        "Protocol": "TCP",
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": two}],
    }
    refused("TooManyTargets", elb.create_listener, **params, Port=81)
    other = make.listener(balancer, make.group(TargetType="ip")["TargetGroupArn"], Port=82)["ListenerArn"]
    refused("TooManyTargets", elb.modify_listener, ListenerArn=other, DefaultActions=params["DefaultActions"])


def test_an_application_load_balancer_counts_for_fifty(elb, make, refused):
    balancer = make.balancer()["LoadBalancerArn"]
    alb, ordinary = make.group(TargetType="alb")["TargetGroupArn"], make.group(TargetType="ip")["TargetGroupArn"]
    make.listener(balancer, alb), make.listener(balancer, ordinary, Port=81)
    elb.register_targets(TargetGroupArn=alb, Targets=[{"Id": ALB}])
    refused("TooManyTargets", elb.register_targets, TargetGroupArn=ordinary, Targets=ips(0, 100, 6))
    elb.register_targets(TargetGroupArn=ordinary, Targets=ips(0, 100, 3))


def test_and_for_a_hundred_across_zones(elb, make, refused):
    balancer = make.balancer()["LoadBalancerArn"]
    make.set_attributes(balancer, {"load_balancing.cross_zone.enabled": "true"})
    alb = make.group(TargetType="alb")["TargetGroupArn"]
    make.listener(balancer, alb)
    refused("TooManyTargets", elb.register_targets, TargetGroupArn=alb, Targets=[{"Id": ALB}])


def test_certificates(elb, make, refused):
    """Default certificates do not count."""
    balancer = make.balancer()["LoadBalancerArn"]
    one = make.listener(balancer, Protocol="TLS", Port=443)["ListenerArn"]
    two = make.listener(balancer, Protocol="TLS", Port=444)["ListenerArn"]
    listed = lambda *arns: [{"CertificateArn": arn} for arn in arns]
    elb.add_listener_certificates(ListenerArn=one, Certificates=listed(CERT_2))
    refused(
        "TooManyCertificates",
        elb.add_listener_certificates,
        ListenerArn=two,
        Certificates=listed(CERT_3, certificate_arn("rsa-4")),
    )
    elb.add_listener_certificates(ListenerArn=two, Certificates=listed(CERT_3))
    refused(
        "TooManyCertificates",
        elb.add_listener_certificates,
        ListenerArn=one,
        Certificates=listed(certificate_arn("rsa-4")),
    )
    elb.modify_listener(ListenerArn=one, Certificates=listed(certificate_arn("rsa-5")))
    assert CERT not in {
        it["CertificateArn"] for it in elb.describe_listener_certificates(ListenerArn=one)["Certificates"]
    }


def test_one_instance_on_two_ports_counts_twice(elb, make, refused):
    group = make.group()["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": I1, "Port": port} for port in range(1, 53)])
    refused("TooManyTargets", elb.register_targets, TargetGroupArn=group, Targets=[{"Id": I3}])
