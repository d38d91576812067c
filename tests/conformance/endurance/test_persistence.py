"""What was acknowledged is there after kill -9 and a restart."""

import random
import signal
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from conftest import Make
from inventory import CERT, CERT_2, EIP, I1, I2, SG, SUBNET_A, SUBNET_B
from server import Server


@pytest.fixture
def own():
    """A server that a test kills."""
    server = Server()
    try:
        server.start()
        yield server
    finally:
        server.close()


def picture(elb):
    """Everything that the API tells of all resources."""
    told = {"balancers": elb.describe_load_balancers()["LoadBalancers"]}
    for it in told["balancers"]:
        arn = it["LoadBalancerArn"]
        it.pop("State")
        listeners = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
        told[arn] = [listeners, elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]]
        for listener in (it["ListenerArn"] for it in listeners):
            told[listener] = [
                elb.describe_rules(ListenerArn=listener)["Rules"],
                elb.describe_listener_certificates(ListenerArn=listener)["Certificates"] if "/443" in listener else None,
                elb.describe_listener_attributes(ListenerArn=listener)["Attributes"],
                elb.describe_tags(ResourceArns=[listener])["TagDescriptions"],
            ]
        told[arn] += elb.describe_tags(ResourceArns=[arn])["TagDescriptions"]
    told["groups"] = elb.describe_target_groups()["TargetGroups"]
    for arn in (it["TargetGroupArn"] for it in told["groups"]):
        told[arn] = [
            elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"],
            elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"],
            elb.describe_tags(ResourceArns=[arn])["TagDescriptions"],
        ]
    return told


def test_everything_is_there_again(own):
    elb = own.client()
    make = Make(elb)
    mappings = [{"SubnetId": SUBNET_A, "AllocationId": EIP}, {"SubnetId": SUBNET_B}]
    balancer = make.balancer(SubnetMappings=mappings, SecurityGroups=[SG], Tags=[{"Key": "a", "Value": "1"}])["LoadBalancerArn"]
    make.set_attributes(balancer, {"load_balancing.cross_zone.enabled": "true", "deletion_protection.enabled": "true"})
    make.balancer(Scheme="internal", IpAddressType="dualstack")
    group = make.group(HealthCheckProtocol="HTTP", HealthCheckPath="/x")["TargetGroupArn"]
    make.set_attributes(group, {"stickiness.enabled": "false", "deregistration_delay.timeout_seconds": "60"})
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": I1}, {"Id": I2, "Port": 8080}])
    listener = make.listener(balancer, group)["ListenerArn"]
    make.set_attributes(listener, {"tcp.idle_timeout.seconds": "60"})
    tls = make.listener(balancer, Protocol="TLS", Port=443, AlpnPolicy=["HTTP2Only"])["ListenerArn"]
    elb.add_listener_certificates(ListenerArn=tls, Certificates=[{"CertificateArn": arn} for arn in (CERT, CERT_2)])
    elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": I1}])
    elb.add_tags(ResourceArns=[balancer, group, tls], Tags=[{"Key": "ключ", "Value": "日本"}])
    for arn in (it["LoadBalancerArn"] for it in elb.describe_load_balancers()["LoadBalancers"]):
        make.wait(arn, "active")

    before = picture(elb)
    own.kill()
    own.start()
    assert picture(own.client()) == before
    own.stop(signal.SIGTERM)
    own.start()
    assert picture(own.client()) == before


def test_a_delay_of_deregistration_goes_on(own):
    make = Make(own.client())
    group = make.group()["TargetGroupArn"]
    make.listener(group=group)
    make.set_attributes(group, {"deregistration_delay.timeout_seconds": "4"})
    make.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": I1}])
    make.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": I1}])
    began = time.monotonic()
    own.kill()
    own.start()
    make = Make(own.client())
    assert make.health(group) == {I1: ("draining", "Target.DeregistrationInProgress")}
    while make.health(group):
        assert time.monotonic() - began < 10
        time.sleep(0.1)


def test_kills_around_writes(own, long, figures):
    """Whatever was answered with success is there; whatever was not is there whole or not at all."""
    rounds = 200 if long else 15
    acknowledged, seed = {}, random.randrange(2**32)
    chance, writes = random.Random(seed), 0
    for round in range(rounds):
        elb, done = own.client(), threading.Event()

        def write():
            n = 0
            while not done.is_set():
                name = f"g-{round}-{n}"
                try:
                    tags = [{"Key": "n", "Value": str(n)}]
                    params = {"Name": name, "Protocol": "TCP", "Port": 1 + n, "VpcId": "vpc-2", "Tags": tags}
                    acknowledged[name] = elb.create_target_group(**params)["TargetGroups"][0]
                except (BotoCoreError, ClientError):
                    return
                n += 1

        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(chance.uniform(0.01, 0.15))
        own.kill()
        done.set()
        writer.join()
        own.start()
        elb = own.client()
        pages = elb.get_paginator("describe_target_groups").paginate()
        found = {it["TargetGroupName"]: it for page in pages for it in page["TargetGroups"]}
        lost = {name for name, told in acknowledged.items() if found.get(name) != told}
        assert not lost, f"seed {seed}, round {round}: {sorted(lost)[:5]}"
        assert len(found) - len(acknowledged) <= round + 1
        # One that was cut off before its answer may be there, then it has its tags.
        for extra in set(found) - set(acknowledged):
            (told,) = elb.describe_tags(ResourceArns=[found[extra]["TargetGroupArn"]])["TagDescriptions"]
            assert told["Tags"], extra
            acknowledged[extra] = found[extra]
        writes = len(acknowledged)
    figures(f"{rounds} kills -9 around {writes} writes: nothing lost")


def test_a_second_one_cannot_have_the_same_state(own):
    second = Server()
    try:
        second.state = own.state
        with pytest.raises(AssertionError) as error:
            second.start()
        assert "ended with" in str(error.value)
    finally:
        second.close()
    assert own.client().describe_load_balancers()["LoadBalancers"] == []
