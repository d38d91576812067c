"""Security policies as data: the guide's three tables."""

import pytest

PREFIX = "ELBSecurityPolicy-"
V13 = ["TLS-AES-128-GCM-SHA256", "TLS-AES-256-GCM-SHA384", "TLS-CHACHA20-POLY1305-SHA256"]
ECDHE = ["ECDHE-ECDSA-", "ECDHE-RSA-"]
# Ciphers by what they have in common.
FS_GCM = [kind + cipher for kind in ECDHE for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384")]
FS_SHA2 = [kind + cipher for kind in ECDHE for cipher in ("AES128-SHA256", "AES256-SHA384")]
FS_SHA = [kind + cipher for kind in ECDHE for cipher in ("AES128-SHA", "AES256-SHA")]
RSA_SHA2 = ["AES128-GCM-SHA256", "AES128-SHA256", "AES256-GCM-SHA384", "AES256-SHA256"]
RSA_SHA = ["AES128-SHA", "AES256-SHA"]
FS = FS_GCM + FS_SHA2
ALL = FS + FS_SHA + RSA_SHA2 + RSA_SHA

POLICIES = {
    "TLS13-1-2-2021-06": ("1.2 1.3", V13 + FS),
    "TLS13-1-2-Res-2021-06": ("1.2 1.3", V13 + FS_GCM),
    "TLS13-1-2-Ext1-2021-06": ("1.2 1.3", V13 + FS + RSA_SHA2),
    "TLS13-1-2-Ext2-2021-06": ("1.2 1.3", V13 + ALL),
    "TLS13-1-1-2021-06": ("1.1 1.2 1.3", V13 + ALL),
    "TLS13-1-0-2021-06": ("1 1.1 1.2 1.3", V13 + ALL),
    "TLS13-1-3-2021-06": ("1.3", V13),
    "FS-1-2-Res-2020-10": ("1.2", FS_GCM),
    "FS-1-2-Res-2019-08": ("1.2", FS),
    "FS-1-2-2019-08": ("1.2", FS + FS_SHA),
    "FS-1-1-2019-08": ("1.1 1.2", FS + FS_SHA),
    "FS-2018-06": ("1 1.1 1.2", FS + FS_SHA),
    "TLS-1-2-Ext-2018-06": ("1.2", ALL),
    "TLS-1-2-2017-01": ("1.2", FS + RSA_SHA2),
    "TLS-1-1-2017-01": ("1.1 1.2", ALL),
    "2016-08": ("1 1.1 1.2", ALL),
    "TLS-1-0-2015-04": ("1 1.1 1.2", [*ALL, "DES-CBC3-SHA"]),
    "2015-05": ("1 1.1 1.2", ALL),
}


def test_there_are_those_of_the_guide(elb):
    found = elb.describe_ssl_policies()["SslPolicies"]
    assert {it["Name"] for it in found} == {PREFIX + name for name in POLICIES}


@pytest.mark.parametrize("name", POLICIES)
def test_protocols_and_ciphers(elb, name):
    (one,) = elb.describe_ssl_policies(Names=[PREFIX + name])["SslPolicies"]
    versions, ciphers = POLICIES[name]
    assert sorted(one["SslProtocols"]) == [f"TLSv{version}" for version in versions.split()]
    # The API writes TLS 1.3's names as RFC 8446 does, the guide with hyphens.
    assert sorted(it["Name"].replace("_", "-") for it in one["Ciphers"]) == sorted(ciphers)
    assert [it["Priority"] for it in one["Ciphers"]] == list(range(1, len(ciphers) + 1))
    assert "network" in one["SupportedLoadBalancerTypes"]


@pytest.mark.parametrize("name", POLICIES)
def test_every_one_can_be_a_listener_s(make, name):
    assert make.listener(Protocol="TLS", SslPolicy=PREFIX + name)["SslPolicy"] == PREFIX + name


def test_some_of_them_by_kind(elb):
    assert len(elb.describe_ssl_policies(LoadBalancerType="network")["SslPolicies"]) == len(POLICIES)


@pytest.mark.parametrize(
    "params, code",
    [
        ({"Names": ["none"]}, "SSLPolicyNotFound"),
        ({"Names": [PREFIX + "2016-08", "none"]}, "SSLPolicyNotFound"),
        ({"LoadBalancerType": "classic"}, "ValidationError"),
    ],
    ids=str,
)
def test_what_is_refused(elb, refused, params, code):
    refused(code, elb.describe_ssl_policies, **params)
