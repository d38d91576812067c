"""The log of API calls: the guide's record format, and never a secret."""

import json
import re
import time

import pytest

import inventory
from server import Server
from inventory import ACCOUNT, CERT, I1, KEY, OTHER_KEY, REGION, SECRET, SUBNET_A, USER

ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def records(server, count, name=None):
    """The records of an event so far, once there are so many: they are written after the answer."""
    end = time.monotonic() + 5
    while True:
        found = [it for it in server.audit() if name in (None, it["eventName"])]
        if len(found) >= count:
            return found
        assert time.monotonic() < end, f"{len(found)} records of {name}, {count} expected"
        time.sleep(0.02)


def test_creating_and_deleting_a_load_balancer(server, elb):
    """The guide's examples."""
    params = {"Name": "my-load-balancer", "Type": "network", "Scheme": "internet-facing", "Subnets": [SUBNET_A]}
    answer = elb.create_load_balancer(**params)
    (record,) = records(server, 1, "CreateLoadBalancer")
    assert re.fullmatch(r"1\.\d\d", record["eventVersion"])
    identity = record["userIdentity"]
    assert identity["type"] == "IAMUser"
    assert identity["arn"] == f"arn:aws:iam::{ACCOUNT}:user/{USER}"
    assert (identity["accountId"], identity["accessKeyId"], identity["userName"]) == (ACCOUNT, KEY, USER)
    assert identity["principalId"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["eventTime"])
    assert record["eventSource"] == "elasticloadbalancing.amazonaws.com"
    assert (record["awsRegion"], record["sourceIPAddress"]) == (REGION, "127.0.0.1")
    assert "boto" in record["userAgent"].lower()
    assert record["requestParameters"] == {
        "name": "my-load-balancer",
        "type": "network",
        "scheme": "internet-facing",
        "subnets": [SUBNET_A],
    }
    (told,) = record["responseElements"]["loadBalancers"]
    (one,) = answer["LoadBalancers"]
    assert told["loadBalancerArn"] == one["LoadBalancerArn"]
    assert told["state"] == {"code": "provisioning"}
    assert told["availabilityZones"][0]["subnetId"] == SUBNET_A
    assert told["dNSName" if "dNSName" in told else "dnsName"] == one["DNSName"]
    assert record["requestID"] == answer["ResponseMetadata"]["RequestId"]
    assert re.fullmatch(ID, record["eventID"])
    assert (record["eventType"], record["apiVersion"], record["recipientAccountId"]) == (
        "AwsApiCall",
        "2015-12-01",
        ACCOUNT,
    )
    assert "errorCode" not in record

    elb.delete_load_balancer(LoadBalancerArn=one["LoadBalancerArn"])
    (record,) = records(server, 1, "DeleteLoadBalancer")
    assert record["requestParameters"] == {"loadBalancerArn": one["LoadBalancerArn"]}
    assert record["responseElements"] is None


def test_names_of_members_as_the_guide_writes_them(server, make):
    make.balancer(Name="names")
    record = records(server, 1, "CreateLoadBalancer")[-1]
    (told,) = record["responseElements"]["loadBalancers"]
    expected = {
        "type",
        "ipAddressType",
        "loadBalancerName",
        "vpcId",
        "state",
        "availabilityZones",
        "dnsName",
        "canonicalHostedZoneId",
        "createdTime",
        "loadBalancerArn",
        "scheme",
    }
    assert expected <= set(told) | {"dnsName"} and ("dnsName" in told or "dNSName" in told)


def test_a_refused_call(server, elb, refused):
    said = refused("TargetGroupNotFound", elb.describe_target_groups, Names=["none"])
    record = records(server, 1, "DescribeTargetGroups")[-1]
    assert (record["errorCode"].removesuffix("Exception"), record["errorMessage"]) == ("TargetGroupNotFound", said)
    assert record["responseElements"] is None


def test_reading_calls_are_logged_without_their_answers(server, elb):
    elb.describe_account_limits()
    record = records(server, 1, "DescribeAccountLimits")[-1]
    assert record["responseElements"] is None


def test_who_is_not_let_in_is_logged(server, caller):
    caller.call("DescribeLoadBalancers", secret="wrong")
    assert logged(server, "SignatureDoesNotMatch")["sourceIPAddress"] == "127.0.0.1"
    caller.call("DescribeLoadBalancers", sign=False)
    logged(server, "MissingAuthenticationToken")


def logged(server, code):
    """The last refusal with this code, once it is written."""
    end = time.monotonic() + 5
    while True:
        found = [it for it in server.audit() if it.get("errorCode") == code]
        if found:
            return found[-1]
        assert time.monotonic() < end, f"no {code} in the log"
        time.sleep(0.02)


def test_keys_without_a_user(server):
    server.client(key=OTHER_KEY, secret=inventory.OTHER_SECRET).describe_ssl_policies()
    record = records(server, 1, "DescribeSSLPolicies")[-1]
    assert record["userIdentity"]["accessKeyId"] == OTHER_KEY


def test_everything_is_logged_once(server, elb, make):
    before = len(records(server, 1))
    group = make.group()["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": I1}])
    make.listener(group=group, Protocol="TLS", Certificates=[{"CertificateArn": CERT}])
    elb.describe_target_health(TargetGroupArn=group)
    found = records(server, before + 5)[before:]
    names = [it["eventName"] for it in found]
    assert names == [
        "CreateTargetGroup",
        "RegisterTargets",
        "CreateLoadBalancer",
        "CreateListener",
        "DescribeTargetHealth",
    ]
    assert len({it["requestID"] for it in found}) == len({it["eventID"] for it in found}) == 5


def test_commands_are_logged_too(server):
    server.nlb("target-group", "create", "by-command", "--protocol", "TCP", "--port", "80", "--vpc", inventory.VPC)
    record = records(server, 1, "CreateTargetGroup")[-1]
    assert record["requestParameters"]["name"] == "by-command"
    assert record["userIdentity"]


@pytest.mark.parametrize("secret", [SECRET, inventory.OTHER_SECRET, "BEGIN PRIVATE KEY", "BEGIN RSA"])
def test_no_secret_is_ever_in_it(server, secret):
    assert secret not in (server.dir / "audit.log").read_text()
    assert secret not in server.log.read_text(errors="replace")


def test_it_is_rotated_by_size():
    server = Server(audit={"max_bytes": 65_536, "keep": 2})
    try:
        server.start()
        elb = server.client()
        for n in range(400):
            elb.describe_target_groups(PageSize=1 + n)
        server.stop()
        sizes = {path.name: path.stat().st_size for path in server.dir.glob("audit.log*")}
        assert set(sizes) == {"audit.log", "audit.log.1", "audit.log.2"}
        assert all(size <= 65_536 for size in sizes.values()), sizes
        # The last call is in the file without a number, and every line is a record.
        assert int(server.audit()[-1]["requestParameters"]["pageSize"]) == 400
        for name in sizes:
            assert all(json.loads(line)["eventID"] for line in (server.dir / name).read_text().splitlines())
    finally:
        server.close()


def test_calls_do_not_wait_for_a_log_that_cannot_be_written(refused):
    server = Server(audit={"file": "/proc/nowhere/audit.log"})
    try:
        try:
            server.start()
        except AssertionError as error:
            assert "audit" in str(error)
            return
        assert server.client().describe_account_limits()["Limits"]
    finally:
        server.close()


def test_nlb_audit_list(server, elb):
    elb.describe_account_limits()
    records(server, 1, "DescribeAccountLimits")
    assert "DescribeAccountLimits" in server.nlb("audit", "list")
    assert any(it["eventName"] == "DescribeAccountLimits" for it in _listed(server))


def _listed(server):
    listed = server.nlb("audit", "list", output="json")
    return listed if isinstance(listed, list) else next(it for it in listed.values() if isinstance(it, list))
