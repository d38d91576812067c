"""Conformance suite: what an unmodified client of the Elastic Load Balancing v2 API may expect of `nlb run`.

Written from the guide and from the API's description, not from the server's code: a test that fails says that the
server is not what its users know. Every module has a server of its own (`server`), without a data plane or privileges.

The fixtures: `elb` is a boto3 client that checks nothing itself; `make` makes resources with names of their own;
`refused` expects an error; `caller` sends requests made by hand; `figures` notes times for the end of the output.
"""

import itertools
import os
import time

import pytest
from botocore.exceptions import ClientError

import inventory
from server import Server

FIGURES = []


def pytest_addoption(parser):
    parser.addoption(
        "--long", action="store_true", default=bool(os.environ.get("NLB_LONG")), help="try many more inputs"
    )


def pytest_terminal_summary(terminalreporter):
    for figure in FIGURES:
        terminalreporter.write_line(figure)


@pytest.fixture(scope="session")
def long(request):
    """Whether there is time for many more inputs."""
    return request.config.getoption("--long")


@pytest.fixture
def figures():
    """Notes a line for the end of the output."""
    return FIGURES.append


@pytest.fixture(scope="module")
def server(request):
    """The module's server. `SERVER = {...}` in a module are settings of its own, see `inventory.write`."""
    server = Server(**getattr(request.module, "SERVER", {}))
    try:
        server.start()
        yield server
        assert server.is_alive(), f"the server ended by itself:\n{server.said()}"
        assert "panicked" not in server.log.read_text(errors="replace"), server.said()
    finally:
        server.close()


@pytest.fixture(scope="module")
def elb(server):
    """A client of the module's server."""
    return server.client()


@pytest.fixture(scope="module")
def caller(server):
    """Sends requests made by hand."""
    return server.caller()


@pytest.fixture(scope="session")
def refused():
    """Expects an error: `refused("ValidationError", elb.create_target_group, Name="a b")`. Its message."""

    def check(code, call, status=400, **params):
        try:
            answer = call(**params)
        except ClientError as error:
            found = error.response["Error"]
            said = found.get("Message", "")
            assert found["Code"] == code, f"expected {code}, got {found['Code']}: {said}"
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status, said
            assert len(said) > 10, f"the message says nothing: {said!r}"
            return said
        answer.pop("ResponseMetadata", None)
        raise AssertionError(f"expected {code}, but it was done: {answer}")

    return check


NUMBERS = itertools.count(1)
NOUNS = {
    "loadbalancer": ("load_balancer", "LoadBalancerArn"),
    "targetgroup": ("target_group", "TargetGroupArn"),
    "listener": ("listener", "ListenerArn"),
}


class Make:
    """Makes resources that a test needs but is not about."""

    def __init__(self, elb):
        self.elb = elb

    def name(self, prefix="r"):
        """A name that nothing has."""
        return f"{prefix}-{next(NUMBERS)}"

    def balancer(self, **params):
        """A load balancer's description, as its creation told it."""
        params.setdefault("Name", self.name("lb"))
        if "SubnetMappings" not in params:
            params.setdefault("Subnets", [inventory.SUBNET_A])
        params.setdefault("Type", "network")
        return self.elb.create_load_balancer(**params)["LoadBalancers"][0]

    def group(self, **params):
        """A target group's description."""
        params = {"Name": self.name("tg"), "Protocol": "TCP", "Port": 80, "VpcId": inventory.VPC} | params
        params = {name: value for name, value in params.items() if value is not None}
        return self.elb.create_target_group(**params)["TargetGroups"][0]

    def listener(self, balancer=None, group=None, **params):
        """A listener's description; without a load balancer or a group, it gets new ones."""
        protocol = params.setdefault("Protocol", "TCP")
        params.setdefault("Port", 80)
        balancer = balancer or self.balancer()["LoadBalancerArn"]
        group = group or self.group(Protocol={"TLS": "TCP"}.get(protocol, protocol))["TargetGroupArn"]
        if protocol == "TLS":
            params.setdefault("Certificates", [{"CertificateArn": inventory.CERT}])
        actions = [{"Type": "forward", "TargetGroupArn": group}]
        answer = self.elb.create_listener(LoadBalancerArn=balancer, DefaultActions=actions, **params)
        return answer["Listeners"][0]

    def attributes(self, of):
        """The attributes of a load balancer, target group or listener, by key."""
        noun, arn = NOUNS[of.split(":")[5].split("/")[0]]
        answer = getattr(self.elb, f"describe_{noun}_attributes")(**{arn: of})
        return {one["Key"]: one["Value"] for one in answer["Attributes"]}

    def set_attributes(self, of, values):
        """Sets attributes; what the answer says of them, by key."""
        noun, arn = NOUNS[of.split(":")[5].split("/")[0]]
        attributes = [{"Key": key, "Value": value} for key, value in values.items()]
        answer = getattr(self.elb, f"modify_{noun}_attributes")(**{arn: of, "Attributes": attributes})
        return {one["Key"]: one["Value"] for one in answer["Attributes"]}

    def wait(self, balancer, state, seconds=10):
        """The load balancer's description once it is in a state."""
        end = time.monotonic() + seconds
        while True:
            found = self.elb.describe_load_balancers(LoadBalancerArns=[balancer])["LoadBalancers"][0]
            if found["State"]["Code"] == state:
                return found
            assert time.monotonic() < end, f"it is still not {state}: {found}"
            time.sleep(0.05)

    def addresses(self, balancer):
        """The addresses of a load balancer by zone."""
        found = self.elb.describe_load_balancers(LoadBalancerArns=[balancer])["LoadBalancers"][0]
        return {zone["ZoneName"]: zone["LoadBalancerAddresses"] for zone in found["AvailabilityZones"]}

    def health(self, group, targets=None):
        """States and reasons of a group's targets, by id."""
        params = {"Targets": targets} if targets else {}
        answer = self.elb.describe_target_health(TargetGroupArn=group, **params)
        return {
            one["Target"]["Id"]: (one["TargetHealth"]["State"], one["TargetHealth"].get("Reason"))
            for one in answer["TargetHealthDescriptions"]
        }


@pytest.fixture(scope="module")
def make(elb):
    """Makes resources."""
    return Make(elb)
