"""Pages: PageSize 1 to 400, Marker and NextMarker, for every operation that has them."""

import pytest

from inventory import CERT_2, CERT_3

SERVER = {}


@pytest.fixture(scope="module")
def things(make, elb):
    """Something of everything that comes in pages; what to add to a request for it, and how much there is of it."""
    for _ in range(7):
        make.balancer()
    for _ in range(6):
        make.group()
    balancer, group = make.balancer()["LoadBalancerArn"], make.group()["TargetGroupArn"]
    for port in range(81, 86):
        make.listener(balancer, group, Port=port)
    listener = make.listener(balancer, Protocol="TLS", Port=443)["ListenerArn"]
    elb.add_listener_certificates(
        ListenerArn=listener, Certificates=[{"CertificateArn": arn} for arn in (CERT_2, CERT_3)]
    )
    return {
        "DescribeListeners": {"LoadBalancerArn": balancer},
        "DescribeListenerCertificates": {"ListenerArn": listener},
        "DescribeRules": {"ListenerArn": listener},
    }


OPERATIONS = {
    "DescribeLoadBalancers": ("describe_load_balancers", "LoadBalancers", "LoadBalancerArn", 8),
    "DescribeTargetGroups": ("describe_target_groups", "TargetGroups", "TargetGroupArn", 8),
    "DescribeListeners": ("describe_listeners", "Listeners", "ListenerArn", 6),
    "DescribeListenerCertificates": ("describe_listener_certificates", "Certificates", "CertificateArn", 3),
    "DescribeRules": ("describe_rules", "Rules", "RuleArn", 1),
    "DescribeSSLPolicies": ("describe_ssl_policies", "SslPolicies", "Name", 18),
    "DescribeAccountLimits": ("describe_account_limits", "Limits", "Name", None),
}


@pytest.fixture(params=OPERATIONS)
def paged(request, elb, things):
    """Asks for a page; the ids on it and the next marker."""
    name, members, key, count = OPERATIONS[request.param]

    def ask(**params):
        answer = getattr(elb, name)(**things.get(request.param, {}), **params)
        return [it[key] for it in answer[members]], answer.get("NextMarker")

    ask.count = len(ask()[0]) if count is None else count
    ask.raw = lambda **params: getattr(elb, name)(**things.get(request.param, {}), **params)
    return ask


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_page_after_page(paged, size):
    everything, marker = paged()
    assert marker is None and len(everything) == len(set(everything)) == paged.count
    seen, marker = paged(PageSize=size)
    while marker:
        page, marker = paged(PageSize=size, Marker=marker)
        assert 1 <= len(page) <= size
        seen += page
    assert seen == everything


def test_a_page_that_holds_all_has_no_next_one(paged):
    for size in (paged.count, 400):
        page, marker = paged(PageSize=size)
        assert len(page) == paged.count and marker is None


def test_the_size_may_change_on_the_way(paged):
    everything, _ = paged()
    first, marker = paged(PageSize=1)
    rest = paged(Marker=marker)[0] if marker else []
    assert first + rest == everything


@pytest.mark.parametrize("size", [0, -1, 401, 2**31, "x", ""])
def test_sizes_that_are_refused(paged, refused, size):
    refused("ValidationError", paged.raw, PageSize=size)


@pytest.mark.parametrize("marker", ["nonsense", "00", "zz", "=", "a" * 10_000, "ÿ", "../..", "' OR 1=1"])
def test_markers_that_are_not_ours(paged, refused, marker):
    refused("ValidationError", paged.raw, Marker=marker, PageSize=1)


@pytest.mark.parametrize(
    "operation, members",
    [(name, members) for name, (_, members, *_) in OPERATIONS.items() if name not in ("DescribeRules",)],
)
def test_boto3_s_own_paginators(elb, things, operation, members):
    name, _, key, _ = OPERATIONS[operation]
    if not elb.can_paginate(name):
        pytest.skip("botocore has no paginator for it")
    pages = elb.get_paginator(name).paginate(**things.get(operation, {}), PaginationConfig={"PageSize": 2})
    found = [it[key] for page in pages for it in page[members]]
    everything = getattr(elb, name)(**things.get(operation, {}))[members]
    assert found == [it[key] for it in everything]


def test_names_and_a_size_go_together(elb, make):
    names = [make.group()["TargetGroupName"] for _ in range(3)]
    answer = elb.describe_target_groups(Names=names, PageSize=2)
    assert len(answer["TargetGroups"]) == 2
    rest = elb.describe_target_groups(Names=names, PageSize=2, Marker=answer["NextMarker"])
    found = [it["TargetGroupName"] for it in answer["TargetGroups"] + rest["TargetGroups"]]
    assert sorted(found) == sorted(names) and "NextMarker" not in rest


def test_what_was_deleted_in_between_is_skipped(elb, make):
    made = [make.group()["TargetGroupArn"] for _ in range(4)]
    everything = [it["TargetGroupArn"] for it in elb.describe_target_groups()["TargetGroups"]]
    seen, marker = [], None
    for _ in range(len(everything)):
        answer = elb.describe_target_groups(PageSize=1, **({"Marker": marker} if marker else {}))
        seen += [it["TargetGroupArn"] for it in answer["TargetGroups"]]
        marker = answer.get("NextMarker")
        if seen[-1] in made:
            # What the marker stands on goes away.
            elb.delete_target_group(TargetGroupArn=seen[-1])
        if not marker:
            break
    assert seen == everything


def test_without_a_size_a_page_has_400(elb, make):
    have = len(elb.describe_target_groups()["TargetGroups"])
    for _ in range(401 - have):
        make.group()
    answer = elb.describe_target_groups()
    assert len(answer["TargetGroups"]) == 400
    rest = elb.describe_target_groups(Marker=answer["NextMarker"])
    assert len(rest["TargetGroups"]) == 1 and "NextMarker" not in rest
