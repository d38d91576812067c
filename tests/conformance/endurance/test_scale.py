"""3,000 target groups and 3,000 targets: how long calls, pages and a restart take.

The figures are printed. What is asserted is a multiple of what they should be, for a build without optimisation on a machine
with other work: NLB_SCALE_FACTOR=1 asserts the figures themselves.
"""

import os
import statistics
import time

import pytest

from conftest import Make
from inventory import SUBNET_A, VPC
from server import Server

FACTOR = float(os.environ.get("NLB_SCALE_FACTOR", "10"))
CALL, PAGE, RESTART = 0.050, 0.200, 2.0
GROUPS, TARGETS = 3_000, 3_000


@pytest.fixture(scope="module")
def full():
    """A server with all of that, and how long the calls took that made it."""
    server = Server(quotas={"load_balancers": 100, "targets_per_zone_per_load_balancer": 3000})
    try:
        server.start()
        elb = server.client()
        made, groups = [], []
        for n in range(GROUPS):
            began = time.perf_counter()
            one = elb.create_target_group(Name=f"g-{n}", Protocol="TCP", Port=80, VpcId=VPC, TargetType="ip")
            made.append(time.perf_counter() - began)
            groups.append(one["TargetGroups"][0]["TargetGroupArn"])
        registered = []
        make = Make(elb)
        balancers = [make.balancer(Subnets=[SUBNET_A])["LoadBalancerArn"] for _ in range(2)]
        # 3 groups of 1,000 targets behind one load balancer, as many as the quotas allow.
        for n in range(3):
            make.listener(balancers[0], groups[n], Port=80 + n)
            for start in range(0, 1000, 100):
                targets = [{"Id": f"10.{n}.{(start + i) // 250}.{1 + (start + i) % 250}", "AvailabilityZone": "all"} for i in range(100)]
                began = time.perf_counter()
                elb.register_targets(TargetGroupArn=groups[n], Targets=targets)
                registered.append(time.perf_counter() - began)
        yield server, groups, balancers, made, registered
    finally:
        server.close()


def told(figures, what, times, limit):
    """Notes the figures; the slowest but one in a hundred must be within the limit."""
    times = sorted(times)
    high = times[min(len(times) - 1, int(len(times) * 0.99))]
    middle = statistics.median(times)
    figures(f"{what}: median {middle * 1000:.1f} ms, 99 % within {high * 1000:.1f} ms, slowest {times[-1] * 1000:.1f} ms")
    assert high < limit * FACTOR, what


def timed(call, times=20):
    found = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return found


def test_creating(full, figures):
    *_, made, registered = full
    told(figures, "CreateTargetGroup, the first 100", made[:100], CALL)
    told(figures, "CreateTargetGroup, the last 100 of 3,000", made[-100:], CALL)
    told(figures, "RegisterTargets, 100 targets each", registered, CALL)


def test_pages(full, figures):
    server, *_ = full
    elb, times, found, marker = server.client(), [], 0, {}
    while True:
        began = time.perf_counter()
        page = elb.describe_target_groups(PageSize=400, **marker)
        times.append(time.perf_counter() - began)
        found += len(page["TargetGroups"])
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}
    assert found == GROUPS
    told(figures, "DescribeTargetGroups, a page of 400 (boto3's own time in it)", times, PAGE)


def test_single_calls(full, figures):
    server, groups, balancers, *_ = full
    elb = server.client()
    make = Make(elb)
    listener = elb.describe_listeners(LoadBalancerArn=balancers[0])["Listeners"][0]["ListenerArn"]
    calls = {
        "DescribeTargetGroups, one by name": lambda: elb.describe_target_groups(Names=["g-1500"]),
        "DescribeTargetGroups, one by ARN": lambda: elb.describe_target_groups(TargetGroupArns=[groups[1500]]),
        "DescribeTargetGroups of a load balancer": lambda: elb.describe_target_groups(LoadBalancerArn=balancers[0]),
        "DescribeLoadBalancers": lambda: elb.describe_load_balancers(),
        "ModifyTargetGroupAttributes": lambda: make.set_attributes(groups[1500], {"proxy_protocol_v2.enabled": "true"}),
        "ModifyTargetGroup": lambda: elb.modify_target_group(TargetGroupArn=groups[1500], HealthyThresholdCount=3),
        "AddTags": lambda: elb.add_tags(ResourceArns=[groups[1500]], Tags=[{"Key": "a"}]),
        "ModifyListener, target group": lambda: elb.modify_listener(
            ListenerArn=listener, DefaultActions=[{"Type": "forward", "TargetGroupArn": groups[0]}]
        ),
        "DeregisterTargets": lambda: elb.deregister_targets(TargetGroupArn=groups[0], Targets=[{"Id": "10.0.0.1"}]),
        "RegisterTargets": lambda: elb.register_targets(TargetGroupArn=groups[0], Targets=[{"Id": "10.0.0.1", "AvailabilityZone": "all"}]),
    }
    for what, call in calls.items():
        told(figures, what, timed(call), CALL)
    told(figures, "DescribeTargetHealth, 1,000 targets", timed(lambda: elb.describe_target_health(TargetGroupArn=groups[0]), 5), PAGE)


def test_restart(full, figures):
    server, groups, *_ = full
    times = []
    for _ in range(3):
        server.kill()
        times.append(server.start())
        assert server.client().describe_target_groups(TargetGroupArns=[groups[2999]])["TargetGroups"]
    figures(f"restart to serving with 3,000 target groups and 3,000 targets: {max(times):.2f} s")
    assert max(times) < RESTART * FACTOR
