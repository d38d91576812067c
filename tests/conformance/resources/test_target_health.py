"""Health of targets as DescribeTargetHealth tells it: states and reason codes of the guide's table."""

import time

import pytest

from inventory import I1, I2, I3, I_C, NO_GROUP, SUBNET_A, SUBNET_B, ZONE_A

INITIAL = ("initial", "Elb.InitialHealthChecking")
NOT_IN_USE = ("unused", "Target.NotInUse")


@pytest.fixture
def served(elb, make):
    """A target group behind a listener of a load balancer of zones a and b."""
    group = make.group()["TargetGroupArn"]
    make.listener(make.balancer(Subnets=[SUBNET_A, SUBNET_B])["LoadBalancerArn"], group)
    return group


def test_a_target_is_told_with_port_and_zone(elb, served):
    elb.register_targets(TargetGroupArn=served, Targets=[{"Id": I1, "Port": 8080}])
    (one,) = elb.describe_target_health(TargetGroupArn=served)["TargetHealthDescriptions"]
    assert one["Target"]["Id"] == I1 and one["Target"]["Port"] == 8080
    assert one["Target"].get("AvailabilityZone", ZONE_A) == ZONE_A
    assert one["HealthCheckPort"] == "8080"
    assert one["TargetHealth"]["State"] == "initial"
    assert one["TargetHealth"]["Reason"] == "Elb.InitialHealthChecking"
    assert one["TargetHealth"]["Description"]


def test_the_health_check_port_is_told(elb, make):
    group = make.group(HealthCheckPort="9000")["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": I1}])
    assert elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"][0]["HealthCheckPort"] == "9000"


def test_without_a_listener(elb, make):
    group = make.group()["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": I1}])
    assert make.health(group) == {I1: NOT_IN_USE}
    listener = make.listener(group=group)["ListenerArn"]
    assert make.health(group) == {I1: INITIAL}
    elb.delete_listener(ListenerArn=listener)
    assert make.health(group) == {I1: NOT_IN_USE}


def test_in_a_zone_that_is_not_enabled(elb, make):
    group, balancer = make.group()["TargetGroupArn"], make.balancer(Subnets=[SUBNET_A])["LoadBalancerArn"]
    make.listener(balancer, group)
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": I1}, {"Id": I2}])
    assert make.health(group) == {I1: INITIAL, I2: NOT_IN_USE}
    elb.set_subnets(LoadBalancerArn=balancer, Subnets=[SUBNET_A, SUBNET_B])
    assert make.health(group) == {I1: INITIAL, I2: INITIAL}


def test_asked_for_by_name(elb, make, served):
    elb.register_targets(TargetGroupArn=served, Targets=[{"Id": I1}, {"Id": I1, "Port": 81}, {"Id": I2}])
    asked = [{"Id": I1, "Port": 80}, {"Id": I3, "Port": 80}]
    answer = elb.describe_target_health(TargetGroupArn=served, Targets=asked)["TargetHealthDescriptions"]
    found = [(one["Target"]["Id"], one["Target"]["Port"], one["TargetHealth"]["State"]) for one in answer]
    assert found == [(I1, 80, "initial"), (I3, 80, "unused")]
    assert answer[1]["TargetHealth"]["Reason"] == "Target.NotRegistered"


def test_the_address_of_a_load_balancer(elb, make):
    group = make.group(TargetType="ip")["TargetGroupArn"]
    mapping = {"SubnetId": SUBNET_A, "PrivateIPv4Address": "198.18.0.99"}
    balancer = make.balancer(Scheme="internal", SubnetMappings=[mapping])["LoadBalancerArn"]
    make.listener(balancer, group)
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "198.18.0.99"}, {"Id": "198.18.0.98"}])
    assert make.health(group) == {"198.18.0.99": ("unused", "Target.IpUnusable"), "198.18.0.98": INITIAL}


class TestDraining:
    """The deregistration delay."""

    def test_it_drains_for_as_long_as_the_attribute_says(self, elb, make, served):
        make.set_attributes(served, {"deregistration_delay.timeout_seconds": "3"})
        elb.register_targets(TargetGroupArn=served, Targets=[{"Id": I1}])
        began = time.monotonic()
        elb.deregister_targets(TargetGroupArn=served, Targets=[{"Id": I1}])
        assert make.health(served) == {I1: ("draining", "Target.DeregistrationInProgress")}
        while make.health(served):
            assert time.monotonic() - began < 8
            time.sleep(0.1)
        assert time.monotonic() - began > 2.5
        assert make.health(served, [{"Id": I1, "Port": 80}]) == {I1: ("unused", "Target.NotRegistered")}

    def test_without_a_delay(self, elb, make, served):
        make.set_attributes(served, {"deregistration_delay.timeout_seconds": "0"})
        elb.register_targets(TargetGroupArn=served, Targets=[{"Id": I1}])
        elb.deregister_targets(TargetGroupArn=served, Targets=[{"Id": I1}])
        assert make.health(served) == {}

    def test_registering_again_ends_it(self, elb, make, served):
        elb.register_targets(TargetGroupArn=served, Targets=[{"Id": I1}])
        elb.deregister_targets(TargetGroupArn=served, Targets=[{"Id": I1}])
        assert make.health(served)[I1][0] == "draining"
        elb.register_targets(TargetGroupArn=served, Targets=[{"Id": I1}])
        assert make.health(served) == {I1: INITIAL}

    def test_deregistering_again_is_no_error(self, elb, make, served):
        elb.register_targets(TargetGroupArn=served, Targets=[{"Id": I1}])
        for _ in range(2):
            elb.deregister_targets(TargetGroupArn=served, Targets=[{"Id": I1}])
        assert make.health(served)[I1][0] == "draining"


def test_an_instance_that_was_stopped(server, elb, make, served):
    """A change of node.toml is picked up on SIGHUP."""
    import signal

    elb.register_targets(TargetGroupArn=served, Targets=[{"Id": I1}, {"Id": I3}])
    text = server.config.read_text()
    before = f'id = "{I3}"\nsubnet = "{SUBNET_A}"\naddress = "198.18.0.22"\nstate = "running"'
    assert before in text
    server.config.write_text(text.replace(before, before.replace("running", "stopped")))
    server.process.send_signal(signal.SIGHUP)
    try:
        end = time.monotonic() + 5
        while make.health(served)[I3] != ("unused", "Target.InvalidState"):
            assert time.monotonic() < end, make.health(served)
            time.sleep(0.05)
        assert make.health(served)[I1] == INITIAL
    finally:
        server.config.write_text(text)
        server.process.send_signal(signal.SIGHUP)


def test_what_is_refused(elb, make, refused):
    group = make.group()["TargetGroupArn"]
    refused("TargetGroupNotFound", elb.describe_target_health, TargetGroupArn=NO_GROUP)
    refused("ValidationError", elb.describe_target_health, TargetGroupArn="web")
    refused("ValidationError", elb.describe_target_health)
    refused("ValidationError", elb.describe_target_health, TargetGroupArn=group, Targets=[{"Id": I_C, "Port": 0}])
    refused("ValidationError", elb.describe_target_health, TargetGroupArn=group, Targets=[{"Port": 80}])


def test_an_empty_group(elb, make):
    assert elb.describe_target_health(TargetGroupArn=make.group()["TargetGroupArn"])["TargetHealthDescriptions"] == []
