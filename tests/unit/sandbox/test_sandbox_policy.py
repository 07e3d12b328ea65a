from __future__ import annotations

import pytest

from sandbox.api.policy import Question, Verdict, evaluate


def allow(action, resource="*", **extra):
    return {"Statement": {"Effect": "Allow", "Action": action, "Resource": resource, **extra}}


def deny(action, resource="*", **extra):
    return {"Statement": [{"Effect": "Deny", "Action": action, "Resource": resource, **extra}]}


def test_silence_denies():
    assert evaluate([], Question("s3:GetObject", "arn:aws:s3:::b/k")) is Verdict.IMPLICIT_DENY


def test_an_explicit_deny_beats_an_allow_in_either_order():
    question = Question("s3:GetObject", "arn:aws:s3:::b/k")
    for documents in ([allow("s3:*"), deny("s3:Get*")], [deny("s3:Get*"), allow("s3:*")]):
        assert evaluate(documents, question) is Verdict.EXPLICIT_DENY


@pytest.mark.parametrize(
    ("pattern", "resource", "matches"),
    [
        ("arn:aws:s3:::b/art/*", "arn:aws:s3:::b/art/x/y", True),
        ("arn:aws:s3:::b/art/*", "arn:aws:s3:::b/artx", False),
        ("arn:aws:s3:::b", "arn:aws:s3:::b/art", False),
        ("arn:aws:secretsmanager:*:*:secret:a-??????", "arn:aws:secretsmanager:r:1:secret:a-AbCdEf", True),
        ("arn:aws:secretsmanager:*:*:secret:a-??????", "arn:aws:secretsmanager:r:1:secret:a-AbCdEfG", False),
    ],
)
def test_resources_match_by_wildcards(pattern, resource, matches):
    verdict = evaluate([allow("*", pattern)], Question("x:Y", resource))
    assert (verdict is Verdict.ALLOW) is matches


def test_actions_match_whatever_their_case():
    assert evaluate([allow("S3:getobject")], Question("s3:GetObject", "x")) is Verdict.ALLOW


def test_not_action_and_not_resource_mean_all_others():
    document = {"Statement": {"Effect": "Deny", "NotAction": "s3:*", "NotResource": "arn:kept"}}
    assert evaluate([document], Question("ec2:RunInstances", "arn:other")) is Verdict.EXPLICIT_DENY
    assert evaluate([document], Question("s3:GetObject", "arn:other")) is Verdict.IMPLICIT_DENY
    assert evaluate([document], Question("ec2:RunInstances", "arn:kept")) is Verdict.IMPLICIT_DENY


@pytest.mark.parametrize(
    ("condition", "context", "holds"),
    [
        ({"StringEquals": {"s3:prefix": ["a", "b"]}}, {"s3:prefix": "b"}, True),
        ({"StringEquals": {"s3:prefix": "a"}}, {}, False),
        ({"StringEqualsIfExists": {"s3:prefix": "a"}}, {}, True),
        ({"StringNotEquals": {"s3:prefix": "a"}}, {}, True),
        ({"StringLike": {"s3:prefix": "art/*"}}, {"s3:prefix": "art/x"}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:securetransport": "true"}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:securetransport": "false"}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:sourceip": "10.1.2.3"}, True),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"aws:sourceip": "10.1.2.3"}, False),
        ({"NumericLessThan": {"s3:max-keys": "10"}}, {"s3:max-keys": "9"}, True),
        ({"Null": {"aws:TokenIssueTime": "true"}}, {}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}, {"aws:tagkeys": ["a", "b"]}, False),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["a"]}}, {"aws:tagkeys": ["a", "b"]}, True),
    ],
)
def test_conditions(condition, context, holds):
    verdict = evaluate([allow("*", Condition=condition)], Question("x:Y", "r", context))
    assert (verdict is Verdict.ALLOW) is holds


def test_a_resource_policy_speaks_to_the_principals_it_names():
    document = {
        "Statement": {"Effect": "Allow", "Principal": {"AWS": "arn:me"}, "Action": "*", "Resource": "*"}
    }
    assert evaluate([document], Question("x:Y", "r", principal_arns=("arn:me",))) is Verdict.ALLOW
    assert evaluate([document], Question("x:Y", "r", principal_arns=("arn:you",))) is Verdict.IMPLICIT_DENY
    document["Statement"]["Principal"] = "*"
    assert evaluate([document], Question("x:Y", "r")) is Verdict.ALLOW


def test_policy_variables_are_filled_in():
    question = Question("s3:GetObject", "arn:home/ann", {"aws:username": "ann"})
    assert evaluate([allow("s3:*", "arn:home/${aws:username}")], question) is Verdict.ALLOW
