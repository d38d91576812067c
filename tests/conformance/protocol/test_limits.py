"""The account's limits: the guide's defaults, and what node.toml makes of them."""

import pytest

# No [quotas] in node.toml.
SERVER = {"quotas": None}

# The guide's chapter "Quotas", in the names of the API.
DEFAULTS = {
    "network-load-balancers": "50",
    "target-groups": "3000",
    "targets-per-network-load-balancer": "3000",
    "targets-per-availability-zone-per-network-load-balancer": "500",
    "listeners-per-network-load-balancer": "50",
    "target-groups-per-action-on-network-load-balancer": "1",
    "certificates-per-network-load-balancer": "25",
    "network-load-balancer-enis-per-vpc": "1200",
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults(elb, name):
    limits = {it["Name"]: it["Max"] for it in elb.describe_account_limits()["Limits"]}
    assert limits.get(name) == DEFAULTS[name]


def test_names_are_told_once(elb):
    names = [it["Name"] for it in elb.describe_account_limits()["Limits"]]
    assert len(names) == len(set(names))


def test_fifty_load_balancers_and_no_more(elb, make, refused):
    from inventory import SUBNET_A, SUBNET_B

    made = [make.balancer(Subnets=[SUBNET_A if n % 2 else SUBNET_B])["LoadBalancerArn"] for n in range(50)]
    refused("TooManyLoadBalancers", elb.create_load_balancer, Name="one-more", Type="network", Subnets=[SUBNET_A])
    elb.delete_load_balancer(LoadBalancerArn=made[0])
    make.balancer()


def test_fifty_listeners_and_no_more(elb, make, refused):
    balancer = elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    group = make.group()["TargetGroupArn"]
    for port in range(1, 51):
        make.listener(balancer, group, Port=port)
    params = {"LoadBalancerArn": balancer, "Protocol": "TCP", "Port": 51}
    actions = [{"Type": "forward", "TargetGroupArn": group}]
    refused("TooManyListeners", elb.create_listener, **params, DefaultActions=actions)
    # What is there already is no new one.
    make.listener(balancer, group, Port=50)
