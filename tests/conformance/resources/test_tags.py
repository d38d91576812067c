"""Tags: the guide's restrictions, and adding, describing and removing them on every kind of resource."""

import pytest

from inventory import NO_BALANCER, NO_GROUP, NO_LISTENER


@pytest.fixture(scope="module", params=["balancer", "group", "listener"])
def kind(request):
    """Every kind of resource with tags."""
    return request.param


@pytest.fixture
def make_one(make, kind):
    """Makes a resource of the kind; its ARN."""
    key = {"balancer": "LoadBalancerArn", "group": "TargetGroupArn", "listener": "ListenerArn"}[kind]
    return lambda **params: getattr(make, kind)(**params)[key]


@pytest.fixture
def one(make_one):
    """A resource without tags."""
    return make_one()


@pytest.fixture
def group(make):
    """A target group, where the kind says nothing."""
    return make.group()["TargetGroupArn"]


def tags(elb, arn):
    """The tags by key."""
    (one,) = elb.describe_tags(ResourceArns=[arn])["TagDescriptions"]
    assert one["ResourceArn"] == arn
    return {tag["Key"]: tag["Value"] for tag in one["Tags"]}


def test_adding_changing_and_removing(elb, one):
    assert tags(elb, one) == {}
    elb.add_tags(ResourceArns=[one], Tags=[{"Key": "project", "Value": "lima"}, {"Key": "owner", "Value": "ana"}])
    assert tags(elb, one) == {"project": "lima", "owner": "ana"}
    elb.add_tags(ResourceArns=[one], Tags=[{"Key": "owner", "Value": "ben"}, {"Key": "empty"}])
    assert tags(elb, one) == {"project": "lima", "owner": "ben", "empty": ""}
    elb.remove_tags(ResourceArns=[one], TagKeys=["project", "not-there"])
    assert tags(elb, one) == {"owner": "ben", "empty": ""}


def test_at_creation(elb, make_one):
    assert tags(elb, make_one(Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])) == {"a": "1", "b": ""}


def test_they_go_with_their_resource(elb, make, refused):
    arn = make.group(Tags=[{"Key": "a"}])["TargetGroupArn"]
    elb.delete_target_group(TargetGroupArn=arn)
    refused("TargetGroupNotFound", elb.describe_tags, ResourceArns=[arn])


def test_several_resources_at_once(elb, make):
    arns = [make.group()["TargetGroupArn"] for _ in range(20)]
    elb.add_tags(ResourceArns=arns[:2], Tags=[{"Key": "a", "Value": "1"}])
    found = elb.describe_tags(ResourceArns=arns)["TagDescriptions"]
    assert [it["ResourceArn"] for it in found] == arns
    assert [len(it["Tags"]) for it in found] == [1, 1] + [0] * 18
    elb.remove_tags(ResourceArns=arns[:2], TagKeys=["a"])
    assert not any(it["Tags"] for it in elb.describe_tags(ResourceArns=arns)["TagDescriptions"])


@pytest.mark.parametrize(
    "key, value",
    [
        ("k", "v" * 255),
        ("k" * 127, ""),
        ("ключ", "значение"),
        ("日本", "語"),
        ("with space", "with  spaces"),
        ("+-=._:/@", "+-=._:/@"),
        ("Case", "A"),
        ("case", "a"),
        ("a=b", "c=d&e"[:3]),
        ("é" * 127, "é" * 255),
        ("notaws:x", "x"),
        ("0", "0"),
    ],
)
def test_what_is_allowed(elb, group, key, value):
    elb.add_tags(ResourceArns=[group], Tags=[{"Key": key, "Value": value}])
    assert tags(elb, group) == {key: value}


@pytest.mark.parametrize(
    "key, value",
    [
        ("", "v"),
        ("k" * 128, "v"),
        ("k", "v" * 256),
        ("é" * 128, ""),
        (" k", "v"),
        ("k ", "v"),
        ("k", " v"),
        ("k", "v "),
        ("a&b", "v"),
        ("a#b", "v"),
        ("k", "a,b"),
        ("k", "a\nb"),
        ("k", "<b>"),
        ("k", "a\x00b"),
        ("k\t", "v"),
        ("aws:k", "v"),
        ("aws:", "v"),
    ],
)
def test_what_is_not(elb, group, refused, key, value):
    refused("ValidationError", elb.add_tags, ResourceArns=[group], Tags=[{"Key": key, "Value": value}])
    assert tags(elb, group) == {}


@pytest.mark.parametrize("key", ["aws:x", "AWS:x", "Aws:x"])
def test_the_reserved_prefix_in_any_case(elb, group, key):
    """The guide reserves `aws:`; the reference compares it without case."""
    with pytest.raises(elb.exceptions.ClientError) as error:
        elb.add_tags(ResourceArns=[group], Tags=[{"Key": key}])
    assert error.value.response["Error"]["Code"] == "ValidationError"


def test_fifty_and_no_more(elb, one, refused):
    elb.add_tags(ResourceArns=[one], Tags=[{"Key": f"k{n}", "Value": str(n)} for n in range(50)])
    refused("TooManyTags", elb.add_tags, ResourceArns=[one], Tags=[{"Key": "one-more"}])
    # Values of keys that are there can still change.
    elb.add_tags(ResourceArns=[one], Tags=[{"Key": "k0", "Value": "new"}])
    found = tags(elb, one)
    assert len(found) == 50 and found["k0"] == "new"
    elb.remove_tags(ResourceArns=[one], TagKeys=["k1"])
    elb.add_tags(ResourceArns=[one], Tags=[{"Key": "one-more"}])


def test_fifty_at_creation(elb, make_one):
    assert len(tags(elb, make_one(Tags=[{"Key": f"k{n}"} for n in range(50)]))) == 50


def test_a_key_twice_in_one_request(elb, group, refused):
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    refused("DuplicateTagKeys", elb.add_tags, ResourceArns=[group], Tags=twice)
    assert tags(elb, group) == {}


@pytest.mark.parametrize(
    "arns, code",
    [
        ([NO_BALANCER], "LoadBalancerNotFound"),
        ([NO_GROUP], "TargetGroupNotFound"),
        ([NO_LISTENER], "ListenerNotFound"),
        (["web"], "ValidationError"),
        (["arn:aws:s3:::bucket"], "ValidationError"),
        ([], "ValidationError"),
        (None, "ValidationError"),
    ],
)
def test_resources_that_are_not_there(elb, refused, arns, code):
    params = {} if arns is None else {"ResourceArns": arns}
    refused(code, elb.describe_tags, **params)
    refused(code, elb.add_tags, **params, Tags=[{"Key": "a"}])
    refused(code, elb.remove_tags, **params, TagKeys=["a"])


def test_one_that_is_not_there_and_none_is_tagged(elb, group, refused):
    refused("TargetGroupNotFound", elb.add_tags, ResourceArns=[group, NO_GROUP], Tags=[{"Key": "a"}])
    assert tags(elb, group) == {}


def test_lists_that_are_too_long_or_empty(elb, make, group, refused):
    refused("ValidationError", elb.describe_tags, ResourceArns=[group] * 21)
    refused("ValidationError", elb.add_tags, ResourceArns=[group], Tags=[])
    refused("ValidationError", elb.add_tags, ResourceArns=[group])
    refused("ValidationError", elb.remove_tags, ResourceArns=[group])
