"""The guide's tutorials, word for word, with the unmodified `aws` command."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import inventory

AWS = Path(sys.executable).parent / "aws"

# As printed, with the guide's line breaks; what stands in italics there is in braces here.
CREATE = """aws elbv2 create-load-balancer --name my-load-balancer --type network --subnets
subnet-0e3f5cac72EXAMPLE"""
CREATE_DUALSTACK = CREATE + " --ip-address-type dualstack"
CREATE_GROUP = """aws elbv2 create-target-group --name my-targets --protocol TCP --port 80 --vpc-id
vpc-0598c7d356EXAMPLE"""
REGISTER = """aws elbv2 register-targets --target-group-arn {targetgroup_arn} --targets
Id=i-1234567890abcdef0 Id=i-0abcdef1234567890"""
LISTEN = """aws elbv2 create-listener --load-balancer-arn {loadbalancer_arn} --protocol TCP --port 80
--default-actions Type=forward,TargetGroupArn={targetgroup_arn}"""
HEALTH = "aws elbv2 describe-target-health --target-group-arn {targetgroup_arn}"
ELASTIC = """aws elbv2 create-load-balancer --name my-load-balancer --type network
--subnet-mappings SubnetId=subnet-0e3f5cac72EXAMPLE,AllocationId=eipalloc-12345678"""
DELETE = "aws elbv2 delete-load-balancer --load-balancer-arn {loadbalancer_arn}"
DELETE_GROUP = "aws elbv2 delete-target-group --target-group-arn {targetgroup_arn}"

PREFIX = f"arn:aws:elasticloadbalancing:{inventory.REGION}:{inventory.ACCOUNT}"


@pytest.fixture
def run(server):
    """Runs one of the guide's commands; its answer, `None` if it prints nothing."""

    def command(text, fails=False, **arns):
        words = shlex.split(text.format(**arns).replace("\n", " "))
        assert words[0] == "aws"
        done = subprocess.run([AWS, *words[1:]], env=server.environment(), capture_output=True, text=True, timeout=60)
        if fails:
            assert done.returncode not in (0, 2), done
            return done.stderr
        assert done.returncode == 0, f"{text}\n{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    return command


@pytest.fixture(autouse=True)
def clean(elb):
    """Every tutorial begins with nothing."""
    yield
    for it in elb.describe_load_balancers()["LoadBalancers"]:
        unprotect = [{"Key": "deletion_protection.enabled", "Value": "false"}]
        elb.modify_load_balancer_attributes(LoadBalancerArn=it["LoadBalancerArn"], Attributes=unprotect)
        elb.delete_load_balancer(LoadBalancerArn=it["LoadBalancerArn"])
    for it in elb.describe_target_groups()["TargetGroups"]:
        elb.delete_target_group(TargetGroupArn=it["TargetGroupArn"])


def through(run, create, group=CREATE_GROUP, register=REGISTER):
    """The steps of a tutorial; the answers."""
    balancer = run(create)["LoadBalancers"][0]
    arns = {"loadbalancer_arn": balancer["LoadBalancerArn"]}
    assert re.fullmatch(PREFIX + ":loadbalancer/net/my-load-balancer/[0-9a-f]{16}", arns["loadbalancer_arn"])
    arns["targetgroup_arn"] = run(group)["TargetGroups"][0]["TargetGroupArn"]
    assert re.fullmatch(PREFIX + ":targetgroup/my-targets/[0-9a-f]{16}", arns["targetgroup_arn"])
    assert run(register, **arns) is None
    listener = run(LISTEN, **arns)["Listeners"][0]["ListenerArn"]
    assert re.fullmatch(PREFIX + ":listener/net/my-load-balancer/[0-9a-f]{16}/[0-9a-f]{16}", listener)
    return balancer, arns, run(HEALTH, **arns)["TargetHealthDescriptions"]


def test_an_ipv4_load_balancer(run):
    balancer, arns, health = through(run, CREATE)
    assert balancer["IpAddressType"] == "ipv4"
    states = {it["Target"]["Id"]: it["TargetHealth"]["State"] for it in health}
    # The second one is in a zone that is not enabled.
    assert states == {"i-1234567890abcdef0": "initial", "i-0abcdef1234567890": "unused"}
    assert run(DELETE, **arns) is None
    assert run(DELETE_GROUP, **arns) is None
    assert "TargetGroupNotFound" in run(HEALTH, fails=True, **arns)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_dualstack_load_balancer(run, family):
    group = CREATE_GROUP + f" --ip-address-type {family}" + (" --target-type ip" if family == "ipv6" else "")
    register = (
        REGISTER
        if family == "ipv4"
        else REGISTER.split("--targets")[0] + "--targets Id=2001:db8:1::21 Id=2001:db8:1::22"
    )
    balancer, _, health = through(run, CREATE_DUALSTACK, group, register)
    assert balancer["IpAddressType"] == "dualstack"
    assert "initial" in {it["TargetHealth"]["State"] for it in health}


def test_an_elastic_address(run, make):
    balancer = run(ELASTIC)["LoadBalancers"][0]
    (address,) = make.addresses(balancer["LoadBalancerArn"])[inventory.ZONE_A]
    assert (address["AllocationId"], address["IpAddress"]) == ("eipalloc-12345678", "203.0.113.7")


def test_an_ipv6_group_is_for_addresses(run):
    """The guide's dualstack tutorial leaves the target type out: with ipv6 it must be ip."""
    assert "InvalidConfigurationRequest" in run(CREATE_GROUP + " --ip-address-type ipv6", fails=True)


@pytest.fixture
def made(run):
    """What the first tutorial makes, for other commands: `made("set-subnets --load-balancer-arn ...")`."""
    _, arns, _ = through(run, CREATE)
    answer = run("aws elbv2 describe-listeners --load-balancer-arn {loadbalancer_arn}", **arns)
    arns |= {"listener_arn": answer["Listeners"][0]["ListenerArn"], "cert": inventory.CERT, "cert_2": inventory.CERT_2}
    return lambda text, **how: run("aws elbv2 " + text, **arns, **how)


def test_commands_on_load_balancers(made):
    made("set-subnets --load-balancer-arn {loadbalancer_arn} --subnets subnet-0e3f5cac72EXAMPLE subnet-b")
    attributes = "modify-load-balancer-attributes --load-balancer-arn {loadbalancer_arn} --attributes "
    made(attributes + "Key=deletion_protection.enabled,Value=true")
    assert "OperationNotPermitted" in made("delete-load-balancer --load-balancer-arn {loadbalancer_arn}", fails=True)
    made(attributes + "Key=deletion_protection.enabled,Value=false Key=load_balancing.cross_zone.enabled,Value=true")
    made("set-ip-address-type --load-balancer-arn {loadbalancer_arn} --ip-address-type dualstack")
    assert made("describe-account-limits")["Limits"]


def test_commands_on_tags(made):
    both = "--resource-arns {loadbalancer_arn} {targetgroup_arn} "
    made(f"add-tags {both} --tags Key=project,Value=lima Key=department,Value=digital-media")
    made("remove-tags --resource-arns {loadbalancer_arn} --tag-keys project")
    assert [len(it["Tags"]) for it in made(f"describe-tags {both}")["TagDescriptions"]] == [1, 2]


def test_commands_on_listeners(made):
    policy = "ELBSecurityPolicy-TLS13-1-2-2021-06"
    change = "modify-listener --listener-arn {listener_arn} "
    answer = made(f"{change} --protocol TLS --port 443 --ssl-policy {policy} --certificates CertificateArn={{cert}}")
    (one,) = answer["Listeners"]
    assert (one["Protocol"], one["Port"], one["SslPolicy"]) == ("TLS", 443, policy)
    made(f"{change} --alpn-policy HTTP2Preferred")
    made("add-listener-certificates --listener-arn {listener_arn} --certificates CertificateArn={cert_2}")
    made("remove-listener-certificates --listener-arn {listener_arn} --certificates CertificateArn={cert_2}")
    assert len(made("describe-ssl-policies --names ELBSecurityPolicy-2016-08")["SslPolicies"]) == 1
    made("delete-listener --listener-arn {listener_arn}")


def test_commands_on_target_groups(made):
    # As printed in the chapters on client addresses and on target group health.
    answer = made("""modify-target-group-attributes --attributes
        Key=preserve_client_ip.enabled,Value=false --target-group-arn {targetgroup_arn}""")
    assert {"Key": "preserve_client_ip.enabled", "Value": "false"} in answer["Attributes"]
    made("""modify-target-group-attributes
        --target-group-arn {targetgroup_arn}
        --attributes
        Key=target_group_health.dns_failover.minimum_healthy_targets.percentage,Value=50
        Key=target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage,Value=50""")
    group = "--target-group-arn {targetgroup_arn}"
    made(f"modify-target-group {group} --health-check-protocol HTTP --health-check-path /health")
    made(f"deregister-targets {group} --targets Id=i-1234567890abcdef0")


def test_the_command_waits(run, server):
    arn = run(CREATE)["LoadBalancers"][0]["LoadBalancerArn"]
    run("aws elbv2 wait load-balancer-available --load-balancer-arns {arn}", arn=arn)
    assert server.is_alive()


def test_the_command_pages(run, make):
    for _ in range(5):
        make.group()
    # This option of the operation's own switches the command's paging off.
    page = run("aws elbv2 describe-target-groups --page-size 2")
    assert len(page["TargetGroups"]) == 2
    rest = run("aws elbv2 describe-target-groups --marker {marker}", marker=page["NextMarker"])
    assert len(rest["TargetGroups"]) == 3
    first = run("aws elbv2 describe-target-groups --max-items 2")
    assert len(first["TargetGroups"]) == 2
    rest = run("aws elbv2 describe-target-groups --starting-token {token}", token=first["NextToken"])
    assert len(rest["TargetGroups"]) == 3


def test_endpoint_url(server):
    """The option in place of the variable."""
    environment = {name: value for name, value in server.environment().items() if not name.startswith("AWS_ENDPOINT")}
    command = [AWS, "elbv2", "describe-load-balancers", "--endpoint-url", server.url]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout) == {"LoadBalancers": []}, done
    assert os.path.exists(AWS)
