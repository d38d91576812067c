"""Signature Version 4: what is let in and what is not. Nothing that is refused changes anything."""

import datetime
import hashlib

import pytest

import inventory
from inventory import OTHER_KEY, OTHER_SECRET, VPC
from wire import VERSION

GROUP = {"Name": "forged", "Protocol": "TCP", "Port": 80, "VpcId": VPC}
NOW = datetime.datetime.now(datetime.timezone.utc)
MISMATCH = "SignatureDoesNotMatch"
INCOMPLETE = "IncompleteSignature"
CREDENTIAL = f"{inventory.KEY}/20200101/us-east-2/elasticloadbalancing/aws4_request"


def ago(**span):
    return datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**span)


@pytest.fixture(autouse=True)
def nothing_was_made(elb):
    """Whatever a test was refused, it did not do."""
    yield
    assert "forged" not in {it["TargetGroupName"] for it in elb.describe_target_groups()["TargetGroups"]}


def test_a_good_signature(caller):
    assert caller.call("DescribeLoadBalancers").status == 200
    assert caller.call("DescribeLoadBalancers", key=OTHER_KEY, secret=OTHER_SECRET).status == 200


def test_both_clients_agree(elb, server):
    assert elb.describe_load_balancers()["ResponseMetadata"]["HTTPStatusCode"] == 200
    other = server.client(key=OTHER_KEY, secret=OTHER_SECRET)
    assert other.describe_load_balancers()["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize(
    "settings, code, status",
    [
        ({"sign": False}, "MissingAuthenticationToken", 403),
        ({"key": "AKIANOSUCHKEY0000000"}, "InvalidClientTokenId", 403),
        ({"key": ""}, ("InvalidClientTokenId", INCOMPLETE), None),
        ({"key": inventory.KEY.lower()}, "InvalidClientTokenId", 403),
        ({"secret": "wrong"}, MISMATCH, 403),
        ({"secret": ""}, MISMATCH, 403),
        ({"secret": OTHER_SECRET}, MISMATCH, 403),
        ({"region": "us-west-2"}, MISMATCH, 403),
        ({"region": ""}, (MISMATCH, INCOMPLETE), None),
        ({"service": "ec2"}, MISMATCH, 403),
        ({"service": "elasticloadbalancingv2"}, MISMATCH, 403),
        ({"body_hash": "UNSIGNED-PAYLOAD"}, MISMATCH, 403),
        ({"body_hash": "UNSIGNED-PAYLOAD", "headers": {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}, MISMATCH, 403),
        ({"body_hash": hashlib.sha256(b"").hexdigest()}, MISMATCH, 403),
        ({"signed": ("content-type", "x-amz-date")}, (MISMATCH, INCOMPLETE), None),
        ({"signed": ()}, (MISMATCH, INCOMPLETE), None),
        ({"scope": "20200101/us-east-2/elasticloadbalancing/aws4_request"}, MISMATCH, 403),
        ({"scope": f"{NOW:%Y%m%d}/us-east-2/elasticloadbalancing/aws5_request"}, (MISMATCH, INCOMPLETE), None),
        ({"scope": f"{NOW:%Y%m%d}/us-east-2/elasticloadbalancing"}, (MISMATCH, INCOMPLETE), None),
        ({"headers": {"x-amz-date": None}}, (INCOMPLETE, MISMATCH, "MissingAuthenticationToken"), None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_refused(caller, settings, code, status):
    answer = caller.call("CreateTargetGroup", GROUP, **settings)
    codes = (code,) if isinstance(code, str) else code
    assert answer.code in codes, answer
    assert answer.status == status or status is None and answer.status in (400, 403), answer
    assert len(answer.message) > 10
    assert inventory.SECRET not in answer.body.decode()


@pytest.mark.parametrize(
    "minutes, is_late",
    [(0, False), (14, False), (-14, False), (16, True), (-16, True), (60 * 24, True), (60 * 24 * 365 * 10, True)],
)
def test_the_date_is_within_fifteen_minutes(caller, minutes, is_late):
    answer = caller.call("DescribeLoadBalancers", time=ago(minutes=minutes))
    if is_late:
        assert answer.code in (MISMATCH, "RequestExpired"), answer
        assert answer.status in (400, 403)
    else:
        assert answer.status == 200, answer


def test_the_scope_s_date_is_the_request_s(caller):
    yesterday = ago(days=1).strftime("%Y%m%d")
    assert (
        caller.call("CreateTargetGroup", GROUP, scope=f"{yesterday}/us-east-2/elasticloadbalancing/aws4_request").code
        == MISMATCH
    )


def change_body(headers, body):
    return headers, body.replace(b"Port=80", b"Port=81")


def longer_body(headers, body):
    return headers, body + b"&Tags.member.1.Key=x"


def change(name, value):
    return lambda headers, body: (headers | {name: value}, body)


def rewrite(old, new):
    return lambda headers, body: (headers | {"authorization": headers["authorization"].replace(old, new)}, body)


TAMPERING = {
    "another body": change_body,
    "a longer body": longer_body,
    "another host": change("host", "example.com"),
    "another port": change("host", "127.0.0.1:1"),
    "another content type": change("content-type", "application/x-www-form-urlencoded"),
    "another date": change("x-amz-date", NOW.strftime("%Y%m%dT%H%M%SZ").replace("Z", "")[:-2] + "00Z"),
    "another key": rewrite(inventory.KEY, OTHER_KEY),
    "another scope": rewrite("/us-east-2/", "/us-east-1/"),
    "a signature of zeros": lambda headers, body: (
        headers | {"authorization": headers["authorization"][:-64] + "0" * 64},
        body,
    ),
    "a longer signature": lambda headers, body: (headers | {"authorization": headers["authorization"] + "0"}, body),
    "a shorter signature": lambda headers, body: (headers | {"authorization": headers["authorization"][:-1]}, body),
    "no signature": lambda headers, body: (headers | {"authorization": headers["authorization"][:-64]}, body),
    "fewer signed headers": rewrite("SignedHeaders=content-type;host;", "SignedHeaders=host;"),
    "a signed header that is not there": rewrite("SignedHeaders=content-type;", "SignedHeaders=a-header;content-type;"),
}


@pytest.mark.parametrize("tampering", TAMPERING)
def test_tampering(caller, tampering):
    answer = caller.call("CreateTargetGroup", GROUP, tamper=TAMPERING[tampering], time=ago(seconds=70))
    assert answer.code in (MISMATCH, INCOMPLETE), answer
    assert answer.status in (400, 403)


def test_a_changed_query(caller):
    answer = caller.call("CreateTargetGroup", GROUP, method="GET", signed=("host", "x-amz-date"))
    assert answer.status == 200
    arn = answer.text("CreateTargetGroupResult/TargetGroups/member/TargetGroupArn")
    assert caller.call("DeleteTargetGroup", {"TargetGroupArn": arn}).status == 200

    form = f"Action=DescribeLoadBalancers&Version={VERSION}&PageSize=5"
    authorization = caller.authorization(
        headers := {"host": f"{caller.host}:{caller.port}", "x-amz-date": ago().strftime("%Y%m%dT%H%M%SZ")},
        b"",
        headers["x-amz-date"],
        caller.settings | {"method": "GET", "query": form.encode(), "signed": ("host", "x-amz-date")},
    )
    sent = {"x-amz-date": headers["x-amz-date"]}
    changed = form.replace("PageSize=5", "PageSize=6").encode()
    assert caller.send(method="GET", query=form.encode(), headers=sent, authorization=authorization).status == 200
    assert caller.send(method="GET", query=changed, headers=sent, authorization=authorization).code == MISMATCH


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA256 nonsense",
        "AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature=",
        f"AWS4-HMAC-SHA256 Credential={inventory.KEY}, SignedHeaders=host, Signature=00",
        f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, Signature=00",
        f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host",
        "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA1 Credential=a/b/c/d/e, SignedHeaders=host, Signature=00",
        "AWS4-ECDSA-P256-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=00",
        f"AWS {inventory.KEY}:c2lnbmF0dXJl",
        "Basic dXNlcjpwYXNzd29yZA==",
        "Bearer token",
        "x" * 10_000,
    ],
    ids=lambda text: text[:50],
)
def test_headers_that_are_none(caller, authorization):
    answer = caller.call("CreateTargetGroup", GROUP, authorization=authorization)
    assert answer.code in (INCOMPLETE, "MissingAuthenticationToken", "InvalidClientTokenId", MISMATCH), answer
    assert answer.status in (400, 403)
    if authorization.startswith("AWS4-HMAC-SHA256") and "Credential" not in authorization:
        assert answer.code == INCOMPLETE


class TestCanonicalForm:
    """What the specification says is the same request."""

    def test_only_host_and_date_are_signed(self, caller):
        assert caller.call("DescribeLoadBalancers", signed=("host", "x-amz-date")).status == 200

    def test_more_headers_are_signed(self, caller):
        headers = {"x-custom": "  a   b  ", "user-agent": "test"}
        signed = ("content-type", "host", "x-amz-date", "x-custom", "user-agent")
        assert caller.call("DescribeLoadBalancers", headers=headers, signed=signed).status == 200

    @pytest.mark.parametrize(
        "query",
        [
            f"Version={VERSION}&Action=DescribeLoadBalancers",
            f"Action=DescribeLoadBalancers&Version={VERSION}&PageSize=10&Marker=",
            f"Action=DescribeLoadBalancers&Version={VERSION}&Names.member.1=a%20b",
            f"Action=DescribeLoadBalancers&Version={VERSION}&Names.member.1=%2A%7E".replace("%7E", "~"),
            f"Action=DescribeLoadBalancers&Version={VERSION}&Names.member.2=b&Names.member.1=a",
        ],
    )
    def test_queries_of_get(self, caller, query):
        answer = caller.send(method="GET", query=query.encode(), signed=("host", "x-amz-date"))
        assert answer.code not in (MISMATCH, INCOMPLETE) if answer.status != 200 else True, answer

    def test_spaces_after_commas_are_optional(self, caller):
        squeeze = lambda headers, body: (headers | {"authorization": headers["authorization"].replace(", ", ",")}, body)
        assert caller.call("DescribeLoadBalancers", tamper=squeeze).status == 200


def test_who_is_not_let_in_learns_nothing(caller):
    """Not even which operations there are."""
    for operation in ("NoSuchThing", "DescribeLoadBalancers", "CreateRule"):
        assert caller.call(operation, sign=False).code == "MissingAuthenticationToken"
        assert caller.call(operation, secret="wrong").code == MISMATCH
    assert caller.send(b"\xff\xfe=&&&", secret="wrong").code in (MISMATCH, "MalformedQueryString")


def test_signed_addresses_do_not_crash_it(server, caller):
    """Signatures in the query are for browsers; they are let in or refused, as long as that is clean."""
    scope = f"{ago():%Y%m%d}/us-east-2/elasticloadbalancing/aws4_request"
    query = f"Action=CreateTargetGroup&Version={VERSION}&Name=forged&Protocol=TCP&Port=80&VpcId={VPC}"
    query += f"&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={inventory.KEY}%2F{scope.replace('/', '%2F')}"
    query += f"&X-Amz-Date={ago():%Y%m%dT%H%M%SZ}&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature={'0' * 64}"
    answer = caller.send(method="GET", query=query.encode(), sign=False)
    assert answer.status in (400, 403), answer
