"""Evaluates IAM policies: the statements that match a request, and what they decide.

Source: "Policy evaluation logic" and "IAM JSON policy elements" in the IAM User Guide.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

Document = Mapping[str, Any]
Context = Mapping[str, str | list[str]]


class Verdict(Enum):
    """What a set of policies says about a request."""

    ALLOW = "allow"
    EXPLICIT_DENY = "explicit deny"
    IMPLICIT_DENY = "implicit deny"


@dataclass(frozen=True)
class Question:
    """One thing a principal wants to do to one resource.

    ``action`` is written as IAM writes it (``s3:GetObject``), ``resource`` is an ARN or ``*``; ``context``
    holds the condition keys in lower case; ``principal_arns`` are the names a resource policy may know the
    caller by.
    """

    action: str
    resource: str
    context: Context = field(default_factory=dict)
    principal_arns: tuple[str, ...] = ()
    account_id: str = ""


def as_list(value: Any) -> list[Any]:
    """Read an element of a policy that is one thing or a list of them."""
    return value if isinstance(value, list) else [value]


@lru_cache(maxsize=4096)
def _pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in text), flags | re.DOTALL)


def _like(pattern: str, value: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


def _action_matches(patterns: Iterable[str], action: str) -> bool:
    return any(_pattern(p, re.IGNORECASE).fullmatch(action) for p in patterns)


def _substitute(text: str, context: Context) -> str:
    """Fill in policy variables such as ``${aws:username}``."""

    def value(match: re.Match[str]) -> str:
        found = context.get(match[1].lower(), "")
        return found if isinstance(found, str) else ",".join(found)

    return re.sub(r"\$\{([^}]+)\}", value, text)


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def test(actual: str, wanted: str) -> bool:
        try:
            return compare(float(actual), float(wanted))
        except ValueError:
            return False

    return test


def _in_network(actual: str, wanted: str) -> bool:
    return ipaddress.ip_address(actual) in ipaddress.ip_network(wanted, strict=False)


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda a, w: a == w,
    "StringEqualsIgnoreCase": lambda a, w: a.lower() == w.lower(),
    "StringLike": lambda a, w: _like(w, a),
    "ArnEquals": lambda a, w: _like(w, a),
    "ArnLike": lambda a, w: _like(w, a),
    "Bool": lambda a, w: a.lower() == w.lower(),
    "IpAddress": _in_network,
    "NumericEquals": _number(lambda a, w: a == w),
    "NumericLessThan": _number(lambda a, w: a < w),
    "NumericLessThanEquals": _number(lambda a, w: a <= w),
    "NumericGreaterThan": _number(lambda a, w: a > w),
    "NumericGreaterThanEquals": _number(lambda a, w: a >= w),
    "DateLessThan": lambda a, w: a < w,
    "DateGreaterThan": lambda a, w: a > w,
}
_NEGATIONS = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
    "NumericNotEquals": "NumericEquals",
}


def _condition_holds(operator: str, key: str, wanted: list[str], context: Context) -> bool:
    quantifier, _, operator = operator.rpartition(":")
    actual = context.get(key.lower())
    if operator == "Null":
        return all((actual is None) == (str(w).lower() == "true") for w in wanted)
    if_exists = operator.endswith("IfExists")
    operator = operator.removesuffix("IfExists")
    negated = operator in _NEGATIONS
    test = _OPERATORS.get(_NEGATIONS.get(operator, operator))
    if test is None:
        # AWS refuses such a policy when it is put; a Deny with it must not vanish, an Allow must not appear.
        return False
    if actual is None:
        return if_exists or negated or quantifier == "ForAllValues"
    values = as_list(actual)
    wanted = [_substitute(str(w), context) for w in wanted]
    hits = [any(test(value, w) for w in wanted) != negated for value in values]
    return all(hits) if quantifier == "ForAllValues" else any(hits)


def _conditions_hold(conditions: Mapping[str, Any], context: Context) -> bool:
    return all(
        _condition_holds(operator, key, [str(w) for w in as_list(wanted)], context)
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _principal_matches(element: Any, question: Question) -> bool:
    if element == "*":
        return True
    names = as_list(element.get("AWS", [])) if isinstance(element, Mapping) else []
    accepted = {*question.principal_arns, question.account_id, f"arn:aws:iam::{question.account_id}:root"}
    return any(name == "*" or name in accepted for name in names)


def _statement_matches(statement: Mapping[str, Any], question: Question) -> bool:
    if "Principal" in statement and not _principal_matches(statement["Principal"], question):
        return False
    if "NotPrincipal" in statement and _principal_matches(statement["NotPrincipal"], question):
        return False
    if "Action" in statement:
        if not _action_matches(as_list(statement["Action"]), question.action):
            return False
    elif _action_matches(as_list(statement.get("NotAction", [])), question.action):
        return False
    for key, wanted in (("Resource", True), ("NotResource", False)):
        if key in statement:
            patterns = [_substitute(p, question.context) for p in as_list(statement[key])]
            if any(_like(p, question.resource) for p in patterns) is not wanted:
                return False
    return _conditions_hold(statement.get("Condition", {}), question.context)


def evaluate(documents: Iterable[Document], question: Question) -> Verdict:
    """Decide a question by a set of policies.

    Args:
        documents: the policies.
        question: what is asked.

    Returns:
        An explicit deny beats an allow, an allow beats silence.
    """
    verdict = Verdict.IMPLICIT_DENY
    for document in documents:
        for statement in as_list(document.get("Statement", [])):
            if not _statement_matches(statement, question):
                continue
            if statement.get("Effect") == "Deny":
                return Verdict.EXPLICIT_DENY
            verdict = Verdict.ALLOW
    return verdict


_NARROWING = {
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
}
_ANYWHERE = {4: 8, 6: 32}
"""By version of IP: networks with a prefix shorter than this are the public. Source: as in `is_public`."""


def _is_fixed(key: str, value: str) -> bool:
    if key == "aws:sourceip":
        network = ipaddress.ip_network(value, strict=False)
        return network.prefixlen >= _ANYWHERE[network.version]
    return "*" not in value and "?" not in value and "${" not in value


def _is_narrow(conditions: Mapping[str, Any]) -> bool:
    return any(
        key.lower() in _NARROWING and all(_is_fixed(key.lower(), str(value)) for value in as_list(values))
        for operator, keys in conditions.items()
        if operator.removesuffix("IfExists") not in {*_NEGATIONS, "Null"}
        for key, values in keys.items()
    )


def is_public(document: Document) -> bool:
    """Say whether a bucket's policy lets the public in.

    Args:
        document: the policy.

    Returns:
        Whether a statement allows something to anyone, without a condition on who or where they are that has
        fixed values. Source: "The meaning of public", "Blocking public access to your Amazon S3 storage",
        Amazon S3 User Guide.
    """
    anyone = Question("", "")
    return any(
        statement.get("Effect") == "Allow"
        and ("NotPrincipal" in statement or _principal_matches(statement.get("Principal", {}), anyone))
        and not _is_narrow(statement.get("Condition", {}))
        for statement in as_list(document.get("Statement", []))
    )
