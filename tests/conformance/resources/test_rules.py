"""DescribeRules: a listener has the default rule and no other."""

import re

import pytest

from inventory import NO_LISTENER, NO_RULE


def test_the_default_rule(elb, make):
    listener = make.listener()
    (rule,) = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    prefix = listener["ListenerArn"].replace(":listener/", ":listener-rule/")
    assert re.fullmatch(re.escape(prefix) + "/[0-9a-f]{16}", rule["RuleArn"])
    assert (rule["Priority"], rule["IsDefault"], rule["Conditions"]) == ("default", True, [])
    assert rule["Actions"] == listener["DefaultActions"]
    assert elb.describe_rules(RuleArns=[rule["RuleArn"]])["Rules"] == [rule]


def test_it_follows_its_listener(elb, make, refused):
    listener, group = make.listener()["ListenerArn"], make.group()["TargetGroupArn"]
    (before,) = elb.describe_rules(ListenerArn=listener)["Rules"]
    elb.modify_listener(ListenerArn=listener, DefaultActions=[{"Type": "forward", "TargetGroupArn": group}])
    (after,) = elb.describe_rules(ListenerArn=listener)["Rules"]
    assert (after["RuleArn"], after["Actions"][0]["TargetGroupArn"]) == (before["RuleArn"], group)
    elb.delete_listener(ListenerArn=listener)
    refused("RuleNotFound", elb.describe_rules, RuleArns=[before["RuleArn"]])


@pytest.mark.parametrize(
    "params, code",
    [
        ({}, "ValidationError"),
        ({"ListenerArn": NO_LISTENER}, "ListenerNotFound"),
        ({"ListenerArn": "web"}, "ValidationError"),
        ({"RuleArns": [NO_RULE]}, "RuleNotFound"),
        ({"RuleArns": ["web"]}, "ValidationError"),
        ({"ListenerArn": NO_LISTENER, "RuleArns": [NO_RULE]}, "ValidationError"),
    ],
    ids=str,
)
def test_what_is_refused(elb, refused, params, code):
    refused(code, elb.describe_rules, **params)
