"""The Query protocol: forms in, XML out, byte by byte."""

import re
import socket
import xml.etree.ElementTree as ElementTree

import pytest

from inventory import NO_GROUP, SUBNET_A, VPC
from wire import FORM, NAMESPACE, VERSION, encoded

ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
GROUP = {"Name": "wire", "Protocol": "TCP", "Port": 80, "VpcId": VPC}


def names(element):
    """Element names without their namespace, depth first."""
    return [it.tag.removeprefix(NAMESPACE) for it in element.iter()]


class TestAnswers:
    """The shape of an answer."""

    def test_one_with_a_result(self, caller):
        answer = caller.call("DescribeAccountLimits", {"PageSize": 1})
        assert answer.status == 200
        assert answer.headers["content-type"].split(";")[0] == "text/xml"
        root = answer.xml
        assert root.tag == NAMESPACE + "DescribeAccountLimitsResponse"
        assert [it.tag for it in root] == [NAMESPACE + "DescribeAccountLimitsResult", NAMESPACE + "ResponseMetadata"]
        request_id = answer.text("ResponseMetadata/RequestId")
        assert re.fullmatch(ID, request_id)
        assert answer.headers["x-amzn-requestid"] == request_id
        limit = answer.xml.find(f"{NAMESPACE}DescribeAccountLimitsResult/{NAMESPACE}Limits/{NAMESPACE}member")
        assert names(limit) == ["member", "Name", "Max"] or sorted(names(limit)) == ["Max", "Name", "member"]

    def test_the_namespace_is_declared_once_at_the_root(self, caller):
        body = caller.call("DescribeAccountLimits").body.decode()
        assert body.count("xmlns") == 1
        assert (
            '<DescribeAccountLimitsResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"' in body
        )

    def test_request_ids_differ(self, caller):
        ids = {caller.call("DescribeLoadBalancers").headers["x-amzn-requestid"] for _ in range(20)}
        assert len(ids) == 20

    def test_an_error(self, caller):
        answer = caller.call("DescribeTargetGroups", {"Names.member.1": "none"})
        assert answer.status == 400
        assert answer.headers["content-type"].split(";")[0] == "text/xml"
        root = answer.xml
        assert root.tag == NAMESPACE + "ErrorResponse"
        assert names(root) == ["ErrorResponse", "Error", "Type", "Code", "Message", "RequestId"]
        assert (answer.text("Error/Type"), answer.code) == ("Sender", "TargetGroupNotFound")
        assert answer.text("RequestId") == answer.headers["x-amzn-requestid"]

    @pytest.mark.parametrize("operation, params", [("DeleteTargetGroup", {"TargetGroupArn": NO_GROUP})])
    def test_a_void_call_has_an_empty_result_element(self, caller, operation, params):
        answer = caller.call(operation, params)
        assert answer.status == 200
        assert names(answer.xml) == [f"{operation}Response", f"{operation}Result", "ResponseMetadata", "RequestId"]

    def test_all_void_calls(self, elb, make, caller):
        group = make.group()["TargetGroupArn"]
        tag = {"ResourceArns.member.1": group, "Tags.member.1.Key": "a"}
        target = {"TargetGroupArn": group, "Targets.member.1.Id": "i-1234567890abcdef0"}
        listener = make.listener()
        calls = [
            ("AddTags", tag),
            ("RemoveTags", {"ResourceArns.member.1": group, "TagKeys.member.1": "a"}),
            ("RegisterTargets", target),
            ("DeregisterTargets", target),
            ("DeleteListener", {"ListenerArn": listener["ListenerArn"]}),
            ("DeleteLoadBalancer", {"LoadBalancerArn": listener["LoadBalancerArn"]}),
            ("DeleteTargetGroup", {"TargetGroupArn": group}),
        ]
        for operation, params in calls:
            answer = caller.call(operation, params)
            assert answer.status == 200, answer
            assert names(answer.xml)[:3] == [f"{operation}Response", f"{operation}Result", "ResponseMetadata"]

    def test_absent_members_are_left_out(self, caller):
        answer = caller.call("CreateTargetGroup", GROUP)
        found = names(answer.xml)
        for absent in ("HealthCheckPath", "Matcher", "ProtocolVersion", "NextMarker", "TargetControlPort"):
            assert absent not in found
        assert b"<HealthCheckPath" not in answer.body and b"null" not in answer.body and b"nil" not in answer.body

    def test_types_of_values(self, caller):
        path = "CreateTargetGroupResult/TargetGroups/member/"
        answer = caller.call("CreateTargetGroup", GROUP)
        assert answer.text(path + "Port") == "80"
        assert answer.text(path + "HealthCheckEnabled") == "true"
        answer = caller.call("CreateLoadBalancer", {"Name": "types", "Subnets.member.1": SUBNET_A})
        created = answer.text("CreateLoadBalancerResult/LoadBalancers/member/CreatedTime")
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", created), created

    def test_an_empty_list_is_an_empty_element(self, caller, elb):
        answer = caller.call(
            "DescribeListeners",
            {
                "LoadBalancerArn": elb.create_load_balancer(Name="empty", Subnets=[SUBNET_A])["LoadBalancers"][0][
                    "LoadBalancerArn"
                ]
            },
        )
        assert answer.text("DescribeListenersResult/Listeners") == ""
        assert len(answer.xml.find(f"{NAMESPACE}DescribeListenersResult/{NAMESPACE}Listeners")) == 0

    def test_special_characters_are_escaped(self, caller):
        answer = caller.call("DescribeTargetGroups", {"Names.member.1": "<a>&\"'\x07"})
        assert answer.status == 400
        ElementTree.fromstring(answer.body)


class TestForms:
    """What counts as the same request."""

    def test_get(self, caller):
        answer = caller.call("DescribeAccountLimits", {"PageSize": 1}, method="GET", signed=("host", "x-amz-date"))
        assert answer.status == 200
        assert answer.text("DescribeAccountLimitsResult/NextMarker")

    def test_a_change_by_get(self, caller, elb):
        answer = caller.call(
            "CreateTargetGroup", GROUP | {"Name": "by-get"}, method="GET", signed=("host", "x-amz-date")
        )
        assert answer.status == 200, answer
        assert elb.describe_target_groups(Names=["by-get"])["TargetGroups"]

    @pytest.mark.parametrize(
        "kind",
        [
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=UTF-8",
            "Application/X-WWW-Form-Urlencoded",
        ],
    )
    def test_content_types(self, caller, kind):
        assert caller.call("DescribeLoadBalancers", headers={"content-type": kind}).status == 200

    def test_spaces_and_other_characters(self, caller, make, elb):
        group = make.group()["TargetGroupArn"]
        forms = {"a+b": "a b", "a%20b": "a b", "a%2Bb": "a+b", "a%2bb": "a+b", "%E6%97%A5": "日", "a%3Db": "a=b"}
        for value, expected in forms.items():
            body = f"Action=AddTags&Version={VERSION}&Tags.member.1.Key=k&Tags.member.1.Value={value}&ResourceArns.member.1="
            answer = caller.send(body.encode() + encoded({"": group})[1:])
            assert answer.status == 200, (value, answer)
            (tag,) = elb.describe_tags(ResourceArns=[group])["TagDescriptions"][0]["Tags"]
            assert tag["Value"] == expected, value

    def test_lists_are_in_the_order_of_their_numbers(self, caller, make, elb):
        arns = [make.group()["TargetGroupArn"] for _ in range(11)]
        params = {f"ResourceArns.member.{n}": arns[n - 1] for n in (11, 3, 10, 1, 2, 9, 8, 4, 5, 7, 6)}
        answer = caller.call("DescribeTags", params)
        found = [it.text for it in answer.xml.iter(NAMESPACE + "ResourceArn")]
        assert found == arns

    def test_an_empty_parameter_for_a_list_is_an_empty_list(self, caller):
        assert caller.call("DescribeLoadBalancers", {"Names": ""}).status == 200

    @pytest.mark.parametrize(
        "form, code",
        [
            (f"Version={VERSION}", "MissingAction"),
            ("", "MissingAction"),
            (f"Action=&Version={VERSION}", ("MissingAction", "InvalidAction")),
            (f"Action=NoSuchThing&Version={VERSION}", "InvalidAction"),
            (f"Action=describeLoadBalancers&Version={VERSION}", "InvalidAction"),
            (f"Action=DescribeInstances&Version={VERSION}", "InvalidAction"),
            ("Action=DescribeLoadBalancers&Version=2012-06-01", "InvalidAction"),
            ("Action=DescribeLoadBalancers&Version=nonsense", "InvalidAction"),
            (f"Action=DescribeLoadBalancers&Version={VERSION}&PageSize=abc", "ValidationError"),
            (f"Action=DescribeLoadBalancers&Version={VERSION}&PageSize=", "ValidationError"),
            (
                f"Action=DescribeLoadBalancers&Version={VERSION}&PageSize=1&PageSize=2",
                ("ValidationError", "MalformedQueryString"),
            ),
            (
                f"Action=DescribeLoadBalancers&Version={VERSION}&Names.member.0=a",
                ("ValidationError", "MalformedQueryString"),
            ),
            (
                f"Action=DescribeLoadBalancers&Version={VERSION}&Names.member.x=a",
                ("ValidationError", "MalformedQueryString"),
            ),
            (
                f"Action=DescribeLoadBalancers&Version={VERSION}&Names.member.1=a&Names.member.1.X=b",
                ("ValidationError", "MalformedQueryString"),
            ),
            (
                f"Action=DescribeLoadBalancers&Version={VERSION}&Names.member.1000000000=a",
                ("ValidationError", "MalformedQueryString", "LoadBalancerNotFound"),
            ),
            (
                f"Action=DescribeLoadBalancers&Version={VERSION}&Names.member.99999999999999999999=a",
                ("ValidationError", "MalformedQueryString"),
            ),
            (f"Action=DescribeLoadBalancers&Version={VERSION}&Marker=%ff", ("ValidationError", "MalformedQueryString")),
            (f"Action=DescribeLoadBalancers&Version={VERSION}&Marker=%zz", ("ValidationError", "MalformedQueryString")),
            (f"Action=CreateTargetGroup&Version={VERSION}&Name.member.1=a", "ValidationError"),
            (f"Action=CreateTargetGroup&Version={VERSION}&Matcher=a", "ValidationError"),
        ],
    )
    def test_what_is_refused(self, caller, form, code):
        answer = caller.send(form.encode())
        codes = (code,) if isinstance(code, str) else code
        assert answer.code in codes, answer
        assert 400 <= answer.status < 500
        assert len(answer.message) > 10

    @pytest.mark.parametrize(
        "operation", ["StartZonalShift", "ListZonalShifts", "ListInventory", "CreateInventory", "DeleteInventory"]
    )
    def test_operations_of_commands_are_not_served(self, caller, operation):
        assert caller.call(operation).code == "InvalidAction"


class TestHttp:
    """HTTP around it."""

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
    def test_other_methods(self, caller, method):
        answer = caller.call("DescribeLoadBalancers", method=method)
        assert 400 <= answer.status < 500

    def test_other_content_types(self, caller):
        answer = caller.send(b'{"Action": "DescribeLoadBalancers"}', headers={"content-type": "application/json"})
        assert 400 <= answer.status < 500

    def test_several_requests_on_one_connection(self, server, caller):
        body = encoded({"Action": "DescribeAccountLimits", "Version": VERSION})
        how = caller.settings | {"headers": {}}
        with socket.create_connection((caller.host, caller.port), timeout=5) as connection:
            for _ in range(3):
                headers = caller.headers(body, how) | {"content-length": str(len(body))}
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                connection.sendall(f"POST / HTTP/1.1\r\n{lines}\r\n".encode() + body)
                answer = b""
                while b"</DescribeAccountLimitsResponse>" not in answer:
                    part = connection.recv(65536)
                    assert part, answer
                    answer += part
                assert answer.startswith(b"HTTP/1.1 200")

    @pytest.mark.parametrize(
        "text",
        [
            b"nonsense\r\n\r\n",
            b"GET\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ],
    )
    def test_what_is_no_http(self, server, elb, caller, text):
        with socket.create_connection((caller.host, caller.port), timeout=5) as connection:
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(65536):
                answer += part
            assert b" 500 " not in answer.split(b"\r\n")[0]
        assert elb.describe_account_limits()["Limits"]

    def test_a_chunked_body(self, caller):
        body = encoded({"Action": "DescribeAccountLimits", "Version": VERSION})
        headers = caller.headers(body, caller.settings | {"headers": {}}) | {"transfer-encoding": "chunked"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with socket.create_connection((caller.host, caller.port), timeout=5) as connection:
            connection.sendall(f"POST / HTTP/1.1\r\n{lines}connection: close\r\n\r\n".encode())
            for half in (body[:10], body[10:], b""):
                connection.sendall(f"{len(half):x}\r\n".encode() + half + b"\r\n")
            answer = b""
            while part := connection.recv(65536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 200"), answer

    def test_the_content_type_of_answers_is_utf_8(self, caller):
        assert "utf-8" in caller.call("DescribeLoadBalancers").headers["content-type"].lower() or FORM
