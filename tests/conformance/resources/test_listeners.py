"""Listeners: what creating one tells, ports, actions, the table of protocols, finding, changing and deleting them."""

import re

import pytest

from inventory import ALB, CERT, I1, NO_BALANCER, NO_GROUP, NO_LISTENER, OTHER_VPC, SUBNET_B, VPC


def forward(group):
    return [{"Type": "forward", "TargetGroupArn": group}]


@pytest.fixture(scope="module")
def balancer(make):
    """A load balancer for what is refused."""
    return make.balancer()["LoadBalancerArn"]


def test_what_creating_one_tells(elb, make):
    balancer, group = make.balancer()["LoadBalancerArn"], make.group()["TargetGroupArn"]
    params = {"LoadBalancerArn": balancer, "Protocol": "TCP", "Port": 80, "DefaultActions": forward(group)}
    (one,) = elb.create_listener(**params)["Listeners"]
    prefix = balancer.replace(":loadbalancer/", ":listener/")
    assert re.fullmatch(re.escape(prefix) + "/[0-9a-f]{16}", one["ListenerArn"])
    assert (one["LoadBalancerArn"], one["Protocol"], one["Port"]) == (balancer, "TCP", 80)
    (action,) = one["DefaultActions"]
    assert (action["Type"], action["TargetGroupArn"]) == ("forward", group)
    for absent in ("Certificates", "SslPolicy", "AlpnPolicy", "MutualAuthentication"):
        assert not one.get(absent)
    assert elb.describe_listeners(ListenerArns=[one["ListenerArn"]])["Listeners"] == [one]
    assert elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"] == [one]
    assert elb.describe_target_groups(TargetGroupArns=[group])["TargetGroups"][0]["LoadBalancerArns"] == [balancer]


@pytest.mark.parametrize("port", [1, 80, 65535])
def test_ports_that_are_allowed(make, port):
    assert make.listener(Port=port)["Port"] == port


# The guide's table "supported combinations of listener protocol and target group settings".
GROUPS = {"TCP": ["TCP", "TCP_UDP"], "TLS": ["TCP", "TLS"], "UDP": ["UDP", "TCP_UDP"], "TCP_UDP": ["TCP_UDP"]}
PROTOCOLS = ["TCP", "TLS", "UDP", "TCP_UDP"]
IDLE = "tcp.idle_timeout.seconds"


@pytest.mark.parametrize("target_type", ["instance", "ip"])
@pytest.mark.parametrize("group", PROTOCOLS)
@pytest.mark.parametrize("listener", PROTOCOLS)
def test_the_table_of_protocols(elb, make, refused, listener, group, target_type):
    arn = make.group(Protocol=group, TargetType=target_type)["TargetGroupArn"]
    if group in GROUPS[listener]:
        assert make.listener(group=arn, Protocol=listener)["Protocol"] == listener
    else:
        params = {"LoadBalancerArn": make.balancer()["LoadBalancerArn"], "Protocol": listener, "Port": 80}
        params |= {"Certificates": [{"CertificateArn": CERT}]} if listener == "TLS" else {}
        refused("IncompatibleProtocols", elb.create_listener, **params, DefaultActions=forward(arn))


@pytest.mark.parametrize("listener", PROTOCOLS)
def test_alb_groups_are_for_tcp_listeners(elb, make, refused, listener):
    arn = make.group(TargetType="alb")["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": ALB}])
    if listener == "TCP":
        make.listener(group=arn)
        return
    params = {"LoadBalancerArn": make.balancer()["LoadBalancerArn"], "Protocol": listener, "Port": 80}
    params |= {"Certificates": [{"CertificateArn": CERT}]} if listener == "TLS" else {}
    with pytest.raises(elb.exceptions.ClientError) as error:
        elb.create_listener(**params, DefaultActions=forward(arn))
    assert error.value.response["Error"]["Code"] in ("IncompatibleProtocols", "InvalidConfigurationRequest")


@pytest.mark.parametrize(
    "params, code",
    [
        ({"LoadBalancerArn": NO_BALANCER}, "LoadBalancerNotFound"),
        ({"LoadBalancerArn": "web"}, "ValidationError"),
        ({"LoadBalancerArn": NO_GROUP}, "ValidationError"),
        ({"LoadBalancerArn": None}, "ValidationError"),
        ({"Protocol": None}, "ValidationError"),
        ({"Protocol": "HTTP"}, "UnsupportedProtocol"),
        ({"Protocol": "HTTPS"}, "UnsupportedProtocol"),
        ({"Protocol": "GENEVE"}, "UnsupportedProtocol"),
        ({"Protocol": "SCTP"}, "ValidationError"),
        ({"Protocol": "tcp"}, "ValidationError"),
        ({"Protocol": ""}, "ValidationError"),
        ({"Port": None}, "ValidationError"),
        ({"Port": 0}, "ValidationError"),
        ({"Port": 65536}, "ValidationError"),
        ({"Port": -80}, "ValidationError"),
        ({"Port": "http"}, "ValidationError"),
        ({"DefaultActions": None}, "ValidationError"),
        ({"DefaultActions": []}, "ValidationError"),
        ({"DefaultActions": forward(NO_GROUP)}, "TargetGroupNotFound"),
        ({"DefaultActions": forward("web")}, "ValidationError"),
        ({"DefaultActions": [{"Type": "forward"}]}, "ValidationError"),
        ({"DefaultActions": [{"TargetGroupArn": NO_GROUP}]}, "ValidationError"),
        (
            {"DefaultActions": [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}]},
            "InvalidLoadBalancerAction",
        ),
        (
            {"DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]},
            "InvalidLoadBalancerAction",
        ),
        ({"DefaultActions": [{"Type": "explode"}]}, "ValidationError"),
        ({"Certificates": [{"CertificateArn": CERT}]}, "InvalidConfigurationRequest"),
        ({"SslPolicy": "ELBSecurityPolicy-2016-08"}, "InvalidConfigurationRequest"),
        ({"AlpnPolicy": ["HTTP2Only"]}, "InvalidConfigurationRequest"),
        ({"Tags": [{"Key": "a"}, {"Key": "a"}]}, "DuplicateTagKeys"),
        ({"Tags": [{"Key": f"k{n}"} for n in range(51)]}, "TooManyTags"),
    ],
    ids=str,
)
def test_what_is_refused(elb, make, refused, balancer, params, code):
    given = {
        "LoadBalancerArn": balancer,
        "Protocol": "TCP",
        "Port": 80,
        "DefaultActions": forward(make.group()["TargetGroupArn"]),
    }
    given = {key: value for key, value in (given | params).items() if value is not None}
    refused(code, elb.create_listener, **given)
    assert elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"] == []


def test_one_action_and_one_group(elb, make, refused, balancer):
    one, two = make.group()["TargetGroupArn"], make.group()["TargetGroupArn"]
    params = {"LoadBalancerArn": balancer, "Protocol": "TCP", "Port": 80}
    refused("TooManyActions", elb.create_listener, **params, DefaultActions=forward(one) + forward(two))
    both = [
        {
            "Type": "forward",
            "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": arn, "Weight": 1} for arn in (one, two)]},
        }
    ]
    with pytest.raises(elb.exceptions.ClientError) as error:
        elb.create_listener(**params, DefaultActions=both)
    allowed = (
        "InvalidLoadBalancerAction",
        "TooManyActions",
        "TooManyUniqueTargetGroupsPerLoadBalancer",
        "InvalidConfigurationRequest",
        "ValidationError",
    )
    assert error.value.response["Error"]["Code"] in allowed
    contrary = [
        {"Type": "forward", "TargetGroupArn": one, "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": two}]}}
    ]
    with pytest.raises(elb.exceptions.ClientError):
        elb.create_listener(**params, DefaultActions=contrary)


def test_a_forward_config_is_another_way_to_name_the_group(elb, make):
    group, balancer = make.group()["TargetGroupArn"], make.balancer()["LoadBalancerArn"]
    config = {"TargetGroups": [{"TargetGroupArn": group, "Weight": 1}]}
    for port, action in enumerate(({"ForwardConfig": config}, {"ForwardConfig": config, "TargetGroupArn": group}), 80):
        params = {"LoadBalancerArn": balancer, "Protocol": "TCP", "Port": port}
        one = elb.create_listener(**params, DefaultActions=[{"Type": "forward", "Order": 1} | action])["Listeners"][0]
        assert one["DefaultActions"][0]["TargetGroupArn"] == group


def test_a_group_of_another_vpc(elb, make, refused, balancer):
    group = make.group(VpcId=OTHER_VPC)["TargetGroupArn"]
    params = {"LoadBalancerArn": balancer, "Protocol": "TCP", "Port": 80, "DefaultActions": forward(group)}
    refused("InvalidConfigurationRequest", elb.create_listener, **params)


def test_a_group_belongs_to_one_load_balancer(elb, make, refused):
    group = make.group()["TargetGroupArn"]
    first, second = make.balancer()["LoadBalancerArn"], make.balancer(Subnets=[SUBNET_B])["LoadBalancerArn"]
    listener = make.listener(first, group)["ListenerArn"]
    make.listener(first, group, Port=81)
    params = {"LoadBalancerArn": second, "Protocol": "TCP", "Port": 80, "DefaultActions": forward(group)}
    refused("TargetGroupAssociationLimit", elb.create_listener, **params)
    other = make.listener(second)["ListenerArn"]
    refused("TargetGroupAssociationLimit", elb.modify_listener, ListenerArn=other, DefaultActions=forward(group))
    for arn in (
        listener,
        *(it["ListenerArn"] for it in elb.describe_listeners(LoadBalancerArn=first)["Listeners"] if it["Port"] == 81),
    ):
        elb.delete_listener(ListenerArn=arn)
    elb.modify_listener(ListenerArn=other, DefaultActions=forward(group))


class TestPortsTaken:
    """A port has one listener."""

    def test_the_same_again_is_the_same(self, elb, make):
        balancer, group = make.balancer()["LoadBalancerArn"], make.group()["TargetGroupArn"]
        assert make.listener(balancer, group) == make.listener(balancer, group)
        assert len(elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]) == 1

    def test_with_another_group(self, elb, make, refused):
        balancer = make.balancer()["LoadBalancerArn"]
        make.listener(balancer)
        params = {"LoadBalancerArn": balancer, "Protocol": "TCP", "Port": 80}
        refused(
            "DuplicateListener", elb.create_listener, **params, DefaultActions=forward(make.group()["TargetGroupArn"])
        )

    @pytest.mark.parametrize(
        "first, second", [("TCP", "UDP"), ("UDP", "TCP"), ("TCP", "TCP_UDP"), ("TCP_UDP", "UDP"), ("TCP", "TLS")]
    )
    def test_with_another_protocol(self, elb, make, refused, first, second):
        balancer = make.balancer()["LoadBalancerArn"]
        make.listener(balancer, Protocol=first)
        group = make.group(Protocol={"TLS": "TCP"}.get(second, second))["TargetGroupArn"]
        params = {"LoadBalancerArn": balancer, "Protocol": second, "Port": 80, "DefaultActions": forward(group)}
        params |= {"Certificates": [{"CertificateArn": CERT}]} if second == "TLS" else {}
        refused("DuplicateListener", elb.create_listener, **params)

    def test_by_a_change(self, elb, make, refused):
        balancer = make.balancer()["LoadBalancerArn"]
        make.listener(balancer)
        other = make.listener(balancer, Port=81)["ListenerArn"]
        refused("DuplicateListener", elb.modify_listener, ListenerArn=other, Port=80)

    def test_other_load_balancers_have_ports_of_their_own(self, make):
        make.listener(Port=80), make.listener(Port=80)


class TestFinding:
    """DescribeListeners."""

    def test_all_of_a_load_balancer(self, elb, make):
        balancer = make.balancer()["LoadBalancerArn"]
        assert elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"] == []
        made = [make.listener(balancer, Port=port) for port in (80, 81, 82)]
        found = elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
        assert sorted(found, key=lambda it: it["Port"]) == made

    def test_of_several_load_balancers(self, elb, make):
        made = [make.listener()["ListenerArn"] for _ in range(2)]
        assert {it["ListenerArn"] for it in elb.describe_listeners(ListenerArns=made)["Listeners"]} == set(made)

    @pytest.mark.parametrize(
        "params, code",
        [
            ({}, "ValidationError"),
            ({"LoadBalancerArn": NO_BALANCER}, "LoadBalancerNotFound"),
            ({"LoadBalancerArn": "web"}, "ValidationError"),
            ({"ListenerArns": [NO_LISTENER]}, "ListenerNotFound"),
            ({"ListenerArns": ["web"]}, "ValidationError"),
            ({"ListenerArns": [NO_BALANCER]}, "ValidationError"),
            ({"LoadBalancerArn": NO_BALANCER, "ListenerArns": [NO_LISTENER]}, "ValidationError"),
        ],
        ids=str,
    )
    def test_what_is_refused(self, elb, refused, params, code):
        refused(code, elb.describe_listeners, **params)


class TestModifying:
    """ModifyListener."""

    def test_port_protocol_and_group(self, elb, make):
        group = make.group(Protocol="TCP_UDP")["TargetGroupArn"]
        one = make.listener(group=group)
        arn = one["ListenerArn"]
        (changed,) = elb.modify_listener(ListenerArn=arn, Port=8080)["Listeners"]
        assert changed == one | {"Port": 8080}
        (changed,) = elb.modify_listener(ListenerArn=arn, Protocol="UDP")["Listeners"]
        assert (changed["Protocol"], changed["Port"]) == ("UDP", 8080)
        other = make.group(Protocol="UDP")["TargetGroupArn"]
        (changed,) = elb.modify_listener(ListenerArn=arn, DefaultActions=forward(other))["Listeners"]
        assert changed["DefaultActions"][0]["TargetGroupArn"] == other
        assert elb.describe_listeners(ListenerArns=[arn])["Listeners"] == [changed]
        # The old group is free.
        elb.delete_target_group(TargetGroupArn=group)

    def test_nothing(self, elb, make):
        one = make.listener()
        assert elb.modify_listener(ListenerArn=one["ListenerArn"])["Listeners"] == [one]

    def test_to_its_own_port(self, elb, make):
        one = make.listener()
        assert elb.modify_listener(ListenerArn=one["ListenerArn"], Port=80)["Listeners"] == [one]

    @pytest.mark.parametrize(
        "params, code",
        [
            ({"Protocol": "UDP"}, "IncompatibleProtocols"),
            ({"Protocol": "HTTP"}, "UnsupportedProtocol"),
            ({"Protocol": "X"}, "ValidationError"),
            ({"Port": 0}, "ValidationError"),
            ({"Port": 65536}, "ValidationError"),
            ({"DefaultActions": forward(NO_GROUP)}, "TargetGroupNotFound"),
            ({"SslPolicy": "ELBSecurityPolicy-2016-08"}, "InvalidConfigurationRequest"),
            ({"Certificates": [{"CertificateArn": CERT}]}, "InvalidConfigurationRequest"),
            ({"AlpnPolicy": ["HTTP2Only"]}, "InvalidConfigurationRequest"),
            ({"ListenerArn": NO_LISTENER}, "ListenerNotFound"),
            ({"ListenerArn": "web"}, "ValidationError"),
        ],
        ids=str,
    )
    def test_what_is_refused(self, elb, make, refused, params, code):
        one = make.listener()
        refused(code, elb.modify_listener, **{"ListenerArn": one["ListenerArn"]} | params)
        assert elb.describe_listeners(ListenerArns=[one["ListenerArn"]])["Listeners"] == [one]

    def test_to_a_group_of_another_protocol(self, elb, make, refused):
        arn = make.listener()["ListenerArn"]
        group = make.group(Protocol="UDP")["TargetGroupArn"]
        refused("IncompatibleProtocols", elb.modify_listener, ListenerArn=arn, DefaultActions=forward(group))
        (changed,) = elb.modify_listener(ListenerArn=arn, Protocol="UDP", DefaultActions=forward(group))["Listeners"]
        assert changed["Protocol"] == "UDP"


class TestDeleting:
    """DeleteListener."""

    def test_it_is_gone(self, elb, make, refused):
        one = make.listener()
        elb.delete_listener(ListenerArn=one["ListenerArn"])
        refused("ListenerNotFound", elb.describe_listeners, ListenerArns=[one["ListenerArn"]])
        assert elb.describe_listeners(LoadBalancerArn=one["LoadBalancerArn"])["Listeners"] == []
        refused("ListenerNotFound", elb.delete_listener, ListenerArn=one["ListenerArn"])
        assert make.listener(one["LoadBalancerArn"])["ListenerArn"] != one["ListenerArn"]

    @pytest.mark.parametrize("params", [{}, {"ListenerArn": "web"}, {"ListenerArn": NO_GROUP}], ids=str)
    def test_what_is_no_arn(self, elb, refused, params):
        refused("ValidationError", elb.delete_listener, **params)


class TestAttributes:
    """tcp.idle_timeout.seconds."""

    def test_the_default(self, make):
        assert make.attributes(make.listener()["ListenerArn"])[IDLE] == "350"

    @pytest.mark.parametrize("value", ["60", "61", "350", "6000"])
    def test_edges_inside(self, make, value):
        arn = make.listener()["ListenerArn"]
        assert make.set_attributes(arn, {IDLE: value})[IDLE] == value
        assert make.attributes(arn)[IDLE] == value

    @pytest.mark.parametrize(
        "key, value",
        [
            *((IDLE, value) for value in ("59", "6001", "0", "-1", "", "x", "60.5")),
            ("udp.idle_timeout.seconds", "60"),
            ("no.such", "1"),
            ("routing.http.response.server.enabled", "true"),
        ],
    )
    def test_what_is_refused(self, elb, make, refused, key, value):
        arn = make.listener()["ListenerArn"]
        refused(
            "ValidationError",
            elb.modify_listener_attributes,
            ListenerArn=arn,
            Attributes=[{"Key": key, "Value": value}],
        )
        refused("ValidationError", elb.modify_listener_attributes, ListenerArn=arn, Attributes=[])
        assert make.attributes(arn)[IDLE] == "350"

    @pytest.mark.parametrize("protocol", ["UDP", "TLS"])
    def test_only_tcp_listeners_have_it(self, elb, make, protocol):
        arn = make.listener(Protocol=protocol)["ListenerArn"]
        assert IDLE not in make.attributes(arn)
        with pytest.raises(elb.exceptions.ClientError) as error:
            make.set_attributes(arn, {IDLE: "60"})
        assert error.value.response["Error"]["Code"] in ("ValidationError", "InvalidConfigurationRequest")

    def test_of_what_is_not_there(self, elb, refused):
        refused("ListenerNotFound", elb.describe_listener_attributes, ListenerArn=NO_LISTENER)
        attributes = [{"Key": IDLE, "Value": "60"}]
        refused("ListenerNotFound", elb.modify_listener_attributes, ListenerArn=NO_LISTENER, Attributes=attributes)
        refused("ValidationError", elb.describe_listener_attributes, ListenerArn="web")


def test_changing_the_group_moves_its_targets_into_use(elb, make):
    old, new = make.group()["TargetGroupArn"], make.group()["TargetGroupArn"]
    for group in (old, new):
        elb.register_targets(TargetGroupArn=group, Targets=[{"Id": I1}])
    arn = make.listener(group=old)["ListenerArn"]
    assert (make.health(old)[I1][0], make.health(new)[I1][0]) == ("initial", "unused")
    elb.modify_listener(ListenerArn=arn, DefaultActions=forward(new))
    assert (make.health(old)[I1][0], make.health(new)[I1][0]) == ("unused", "initial")
    assert elb.describe_target_groups(Names=[make.group(VpcId=VPC)["TargetGroupName"]])["TargetGroups"]
