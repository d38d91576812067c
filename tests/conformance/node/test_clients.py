"""What clients bring of their own: waiters, checks of parameters, retries."""

import time

import pytest

from inventory import I1, SUBNET_A, VPC
from server import Server


def test_load_balancer_available(elb, make):
    arn = make.balancer()["LoadBalancerArn"]
    elb.get_waiter("load_balancer_available").wait(LoadBalancerArns=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 10})


def test_load_balancer_exists_and_deleted(elb, make):
    arn = make.balancer()["LoadBalancerArn"]
    elb.get_waiter("load_balancer_exists").wait(LoadBalancerArns=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 5})
    elb.delete_load_balancer(LoadBalancerArn=arn)
    elb.get_waiter("load_balancers_deleted").wait(LoadBalancerArns=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 5})


def test_target_deregistered(elb, make):
    group = make.group()["TargetGroupArn"]
    make.listener(group=group)
    make.set_attributes(group, {"deregistration_delay.timeout_seconds": "1"})
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": I1}])
    elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": I1}])
    waiter = elb.get_waiter("target_deregistered")
    waiter.wait(TargetGroupArn=group, Targets=[{"Id": I1, "Port": 80}], WaiterConfig={"Delay": 1, "MaxAttempts": 10})


def test_a_client_that_checks_parameters(server):
    """Whatever the model says of the answers, they pass."""
    elb = server.client(validate=True)
    group = elb.create_target_group(Name="checked", Protocol="TCP", Port=80, VpcId=VPC)["TargetGroups"][0]
    assert elb.describe_target_groups(TargetGroupArns=[group["TargetGroupArn"]])["TargetGroups"] == [group]
    elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])


def test_typed_exceptions(elb):
    with pytest.raises(elb.exceptions.TargetGroupNotFoundException):
        elb.describe_target_groups(Names=["none"])
    with pytest.raises(elb.exceptions.LoadBalancerNotFoundException):
        elb.describe_load_balancers(Names=["none"])
    with pytest.raises(elb.exceptions.SubnetNotFoundException):
        elb.create_load_balancer(Name="a", Subnets=["subnet-none"], Type="network")


def test_changes_of_the_node_s_file_are_picked_up(server, elb, refused):
    import signal

    refused("SubnetNotFound", elb.create_load_balancer, Name="late", Type="network", Subnets=["subnet-late"])
    with open(server.config, "a") as config:
        config.write(
            f'\n[[subnet]]\nid = "subnet-late"\nvpc = "{VPC}"\nzone = "us-east-2a"\ncidr = "198.18.100.0/24"\n'
        )
    server.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 5
    while True:
        try:
            elb.create_load_balancer(Name="late", Type="network", Subnets=["subnet-late"])
            break
        except elb.exceptions.SubnetNotFoundException:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_file_that_is_wrong_is_not_taken(server, elb):
    import signal

    text = server.config.read_text()
    server.config.write_text(text + "\n[[subnet]]\nid = 7\n")
    server.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert server.is_alive()
    assert elb.create_load_balancer(Name="still", Type="network", Subnets=[SUBNET_A])["LoadBalancers"]
    server.config.write_text(text)
    server.process.send_signal(signal.SIGHUP)


def test_access_keys_are_picked_up_too(server):
    import signal

    elb = server.client(key="AKIALATE", secret="late")
    with pytest.raises(elb.exceptions.ClientError):
        elb.describe_load_balancers()
    secret = server.dir / "late"
    secret.write_text("late")
    secret.chmod(0o600)
    with open(server.config, "a") as config:
        config.write('\n[[access_key]]\nid = "AKIALATE"\nsecret_file = "late"\n')
    server.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 5
    while True:
        try:
            elb.describe_load_balancers()
            break
        except elb.exceptions.ClientError:
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.parametrize(
    "spoil, word",
    [
        (lambda server: (server.dir / "first").chmod(0o644), "first"),
        (lambda server: (server.dir / "first").unlink(), "first"),
        (
            lambda server: server.config.write_text(
                server.config.read_text().replace('account_id = "123456789012"', 'account_id = "12"')
            ),
            "account_id",
        ),
        (lambda server: server.config.write_text(server.config.read_text() + "\nnonsense = 1\n"), "nonsense"),
        (lambda server: server.config.write_text('[[subnet]]\nid = "a"\n' + server.config.read_text()), "node.toml"),
    ],
    ids=["a secret that others may read", "no secret", "a wrong account", "an unknown key", "half a subnet"],
)
def test_settings_that_are_refused_at_the_start(spoil, word):
    server = Server()
    try:
        spoil(server)
        with pytest.raises(AssertionError) as error:
            server.start()
        assert "ended with" in str(error.value) and word in str(error.value)
    finally:
        server.close()


def test_plain_http_is_for_loopback():
    """Any other address without TLS is refused unless told so."""
    import subprocess

    from server import binary

    server = Server()
    try:
        command = [
            binary(),
            "run",
            "--no-dataplane",
            "--api",
            "0.0.0.0:0",
            "--config",
            server.config,
            "--state",
            server.state,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        assert done.returncode != 0
        assert "0.0.0.0" in done.stderr
    finally:
        server.close()
