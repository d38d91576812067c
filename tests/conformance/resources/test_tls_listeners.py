"""TLS listeners: certificates, security policies, ALPN policies, and the certificate list."""

import pytest

from inventory import (
    CERT,
    CERT_2,
    CERT_3,
    CERT_EC_256,
    CERT_EC_384,
    CERT_IAM,
    CERT_RSA_1024,
    CERT_RSA_3072,
    CERT_RSA_4096,
)
from inventory import NO_LISTENER, certificate_arn

POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
NONE = certificate_arn("none")


def certificates(*arns):
    return [{"CertificateArn": arn} for arn in arns]


@pytest.fixture
def params(make):
    """A TLS listener to be."""
    group = make.group()["TargetGroupArn"]
    return {
        "LoadBalancerArn": make.balancer()["LoadBalancerArn"],
        "Protocol": "TLS",
        "Port": 443,
        "Certificates": certificates(CERT),
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}],
    }


def test_what_creating_one_tells(elb, params):
    (one,) = elb.create_listener(**params)["Listeners"]
    assert (one["Protocol"], one["Port"]) == ("TLS", 443)
    # The guide: the default policy of listeners that are created with the AWS CLI.
    assert one["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    assert [it["CertificateArn"] for it in one["Certificates"]] == [CERT]
    assert one.get("AlpnPolicy") in (None, [], ["None"])
    assert elb.describe_listeners(ListenerArns=[one["ListenerArn"]])["Listeners"] == [one]


@pytest.mark.parametrize("arn", [CERT_RSA_1024, CERT_IAM])
def test_other_certificates_that_will_do(elb, params, arn):
    (one,) = elb.create_listener(**params | {"Certificates": certificates(arn)})["Listeners"]
    assert one["Certificates"][0]["CertificateArn"] == arn


@pytest.mark.parametrize("arn", [CERT_RSA_3072, CERT_RSA_4096, CERT_EC_256, CERT_EC_384])
def test_large_rsa_keys_and_ec_keys_will_not(elb, make, params, refused, arn):
    """The guide: you cannot install certificates with RSA keys larger than 2048-bit or EC keys."""
    refused("InvalidConfigurationRequest", elb.create_listener, **params | {"Certificates": certificates(arn)})
    listener = elb.create_listener(**params)["Listeners"][0]["ListenerArn"]
    refused("InvalidConfigurationRequest", elb.modify_listener, ListenerArn=listener, Certificates=certificates(arn))
    refused(
        "InvalidConfigurationRequest",
        elb.add_listener_certificates,
        ListenerArn=listener,
        Certificates=certificates(arn),
    )


@pytest.mark.parametrize(
    "change, code",
    [
        ({"Certificates": None}, "ValidationError"),
        ({"Certificates": []}, "ValidationError"),
        ({"Certificates": [{}]}, "ValidationError"),
        ({"Certificates": certificates(NONE)}, "CertificateNotFound"),
        ({"Certificates": certificates("web")}, ("CertificateNotFound", "ValidationError")),
        ({"Certificates": certificates(CERT, CERT_2)}, "TooManyCertificates"),
        ({"SslPolicy": "ELBSecurityPolicy-None"}, "SSLPolicyNotFound"),
        ({"SslPolicy": ""}, ("SSLPolicyNotFound", "ValidationError")),
        ({"AlpnPolicy": ["HTTP3Only"]}, "ALPNPolicyNotFound"),
        ({"AlpnPolicy": ["http2only"]}, "ALPNPolicyNotFound"),
        ({"AlpnPolicy": ["HTTP2Only", "HTTP1Only"]}, ("ValidationError", "InvalidConfigurationRequest")),
    ],
    ids=str,
)
def test_what_is_refused(elb, params, refused, change, code):
    given = {key: value for key, value in (params | change).items() if value is not None}
    with pytest.raises(elb.exceptions.ClientError) as error:
        elb.create_listener(**given)
    codes = (code,) if isinstance(code, str) else code
    assert error.value.response["Error"]["Code"] in codes, error.value


@pytest.mark.parametrize("policy", ["HTTP1Only", "HTTP2Only", "HTTP2Optional", "HTTP2Preferred"])
def test_alpn_policies(elb, params, policy):
    (one,) = elb.create_listener(**params, AlpnPolicy=[policy])["Listeners"]
    assert one["AlpnPolicy"] == [policy]
    (one,) = elb.modify_listener(ListenerArn=one["ListenerArn"], AlpnPolicy=["None"])["Listeners"]
    assert one.get("AlpnPolicy") in (None, [], ["None"])
    (one,) = elb.modify_listener(ListenerArn=one["ListenerArn"], AlpnPolicy=[policy])["Listeners"]
    assert one["AlpnPolicy"] == [policy]


class TestChanging:
    """Certificate, policy and protocol of a listener."""

    def test_certificate_and_policy(self, elb, params):
        arn = elb.create_listener(**params)["Listeners"][0]["ListenerArn"]
        (one,) = elb.modify_listener(ListenerArn=arn, SslPolicy=POLICY)["Listeners"]
        assert (one["SslPolicy"], one["Certificates"][0]["CertificateArn"]) == (POLICY, CERT)
        (one,) = elb.modify_listener(ListenerArn=arn, Certificates=certificates(CERT_2))["Listeners"]
        assert (one["SslPolicy"], one["Certificates"][0]["CertificateArn"]) == (POLICY, CERT_2)

    def test_from_tcp(self, elb, make, refused):
        arn = make.listener()["ListenerArn"]
        refused("ValidationError", elb.modify_listener, ListenerArn=arn, Protocol="TLS")
        (one,) = elb.modify_listener(
            ListenerArn=arn, Protocol="TLS", SslPolicy=POLICY, Certificates=certificates(CERT)
        )["Listeners"]
        assert (one["Protocol"], one["SslPolicy"]) == ("TLS", POLICY)
        assert [it["CertificateArn"] for it in one["Certificates"]] == [CERT]

    def test_to_tcp(self, elb, params, refused):
        arn = elb.create_listener(**params, AlpnPolicy=["HTTP2Only"])["Listeners"][0]["ListenerArn"]
        elb.add_listener_certificates(ListenerArn=arn, Certificates=certificates(CERT_2))
        (one,) = elb.modify_listener(ListenerArn=arn, Protocol="TCP")["Listeners"]
        assert one["Protocol"] == "TCP"
        assert not any(one.get(gone) for gone in ("SslPolicy", "Certificates", "AlpnPolicy"))
        # Nothing of it comes back.
        refused("ValidationError", elb.modify_listener, ListenerArn=arn, Protocol="TLS")
        (one,) = elb.modify_listener(ListenerArn=arn, Protocol="TLS", Certificates=certificates(CERT_3))["Listeners"]
        found = elb.describe_listener_certificates(ListenerArn=arn)["Certificates"]
        assert [it["CertificateArn"] for it in found] == [CERT_3]
        assert not one.get("AlpnPolicy") or one["AlpnPolicy"] == ["None"]

    @pytest.mark.parametrize(
        "change, code",
        [
            ({"SslPolicy": "none"}, "SSLPolicyNotFound"),
            ({"Certificates": certificates(NONE)}, "CertificateNotFound"),
            ({"Certificates": certificates(CERT, CERT_2)}, "TooManyCertificates"),
            ({"AlpnPolicy": ["none"]}, "ALPNPolicyNotFound"),
            ({"Protocol": "UDP"}, "IncompatibleProtocols"),
        ],
        ids=str,
    )
    def test_what_is_refused(self, elb, params, refused, change, code):
        (one,) = elb.create_listener(**params)["Listeners"]
        refused(code, elb.modify_listener, ListenerArn=one["ListenerArn"], **change)
        assert elb.describe_listeners(ListenerArns=[one["ListenerArn"]])["Listeners"] == [one]


class TestTheList:
    """The certificate list, from which the load balancer chooses by server name."""

    @pytest.fixture
    def listener(self, elb, params):
        return elb.create_listener(**params)["Listeners"][0]["ListenerArn"]

    def listed(self, elb, listener):
        found = elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]
        return sorted((it["CertificateArn"], it["IsDefault"]) for it in found)

    def test_at_first_there_is_the_default_one(self, elb, listener):
        assert self.listed(elb, listener) == [(CERT, True)]

    def test_adding_and_removing(self, elb, listener):
        answer = elb.add_listener_certificates(ListenerArn=listener, Certificates=certificates(CERT_2))
        assert [it["CertificateArn"] for it in answer["Certificates"]] == [CERT_2]
        elb.add_listener_certificates(ListenerArn=listener, Certificates=certificates(CERT_3))
        # What is there already stays once.
        elb.add_listener_certificates(ListenerArn=listener, Certificates=certificates(CERT_2))
        assert self.listed(elb, listener) == [(CERT, True), (CERT_2, False), (CERT_3, False)]
        elb.remove_listener_certificates(ListenerArn=listener, Certificates=certificates(CERT_2))
        assert self.listed(elb, listener) == [(CERT, True), (CERT_3, False)]
        # DescribeListeners tells the default one alone.
        (one,) = elb.describe_listeners(ListenerArns=[listener])["Listeners"]
        assert [it["CertificateArn"] for it in one["Certificates"]] == [CERT]

    def test_the_default_one_may_be_in_the_list_too(self, elb, listener):
        """The guide: to ensure that it is used even if it is replaced as the default certificate."""
        elb.add_listener_certificates(ListenerArn=listener, Certificates=certificates(CERT))
        # The reference: it appears twice in the results.
        assert self.listed(elb, listener) == [(CERT, False), (CERT, True)]
        elb.modify_listener(ListenerArn=listener, Certificates=certificates(CERT_2))
        assert self.listed(elb, listener) == [(CERT, False), (CERT_2, True)]
        elb.remove_listener_certificates(ListenerArn=listener, Certificates=certificates(CERT))
        assert self.listed(elb, listener) == [(CERT_2, True)]

    def test_a_replaced_default_one_is_gone_if_it_was_not_in_the_list(self, elb, listener):
        elb.modify_listener(ListenerArn=listener, Certificates=certificates(CERT_2))
        assert self.listed(elb, listener) == [(CERT_2, True)]

    def test_the_default_one_cannot_be_removed(self, elb, listener, refused):
        refused(
            "OperationNotPermitted",
            elb.remove_listener_certificates,
            ListenerArn=listener,
            Certificates=certificates(CERT),
        )
        assert self.listed(elb, listener) == [(CERT, True)]

    @pytest.mark.parametrize(
        "given, code",
        [
            ({"Certificates": certificates(NONE)}, "CertificateNotFound"),
            ({"Certificates": []}, "ValidationError"),
            ({}, "ValidationError"),
            ({"Certificates": [{}]}, "ValidationError"),
            ({"ListenerArn": NO_LISTENER, "Certificates": certificates(CERT)}, "ListenerNotFound"),
            ({"ListenerArn": "web", "Certificates": certificates(CERT)}, "ValidationError"),
        ],
        ids=str,
    )
    def test_what_is_refused(self, elb, listener, refused, given, code):
        refused(code, elb.add_listener_certificates, **{"ListenerArn": listener} | given)
        assert self.listed(elb, listener) == [(CERT, True)]

    def test_removing_of_what_is_not_there(self, elb, refused):
        refused(
            "ListenerNotFound",
            elb.remove_listener_certificates,
            ListenerArn=NO_LISTENER,
            Certificates=certificates(CERT),
        )
        refused("ListenerNotFound", elb.describe_listener_certificates, ListenerArn=NO_LISTENER)
        refused("ValidationError", elb.describe_listener_certificates, ListenerArn="web")

    def test_listeners_of_other_protocols_have_none(self, elb, make, refused):
        arn = make.listener()["ListenerArn"]
        refused(
            "InvalidConfigurationRequest",
            elb.add_listener_certificates,
            ListenerArn=arn,
            Certificates=certificates(CERT),
        )
