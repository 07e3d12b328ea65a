"""Policies: their statements, whose resources need not be there yet, and how AWS gives them back."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

from provisioner.resources.base import Resource
from provisioner.resources.state import State

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Arn:
    """The ARN of a resource, or of a part of it.

    Args:
        of: the resource.
        part: what follows its own ARN ("/artifacts/*").

    """

    of: Resource
    part: str = ""


@dataclass(frozen=True)
class Statement:
    """What is allowed or denied.

    Args:
        sid: what it is about.
        actions: permissions ("s3:GetObject").
        resources: on what: ARNs as text, or of resources of the deployment.
        effect: whether it is allowed.
        condition: when, as IAM writes it.

    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str | Arn, ...]
    effect: Literal["Allow", "Deny"] = "Allow"
    condition: Mapping[str, Any] = field(default_factory=dict)

    def as_data(self, state: State) -> dict[str, Any]:
        """Write it as IAM takes it.

        Args:
            state: what is known of the resources.

        """
        arns = sorted(one if isinstance(one, str) else state.arn(one.of) + one.part for one in self.resources)
        return {
            "Sid": self.sid,
            "Effect": self.effect,
            "Action": _listed(self.actions),
            "Resource": _listed(arns),
            **({"Condition": dict(self.condition)} if self.condition else {}),
        }


def _listed(items: Sequence[str]) -> str | list[str]:
    """Write a list as IAM does: one alone stands for itself."""
    return items[0] if len(items) == 1 else list(items)


def document(statements: Iterable[Mapping[str, Any]]) -> Policy:
    """Write a policy."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def as_json(document: Policy) -> str:
    """Write a policy down for a call."""
    return json.dumps(document, sort_keys=True)


def as_policy(document: object) -> Any:
    """Read a policy that AWS gives: as an object, as JSON, or as JSON with URL quoting."""
    if not isinstance(document, str):
        return document
    try:
        return json.loads(document)
    except json.JSONDecodeError:
        return json.loads(unquote(document))


def is_same_policy(first: object, second: object) -> bool:
    """Compare two policies: order does not count in lists, nor does a list around a single value."""
    return _normal(as_policy(first)) == _normal(as_policy(second))


def _normal(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _normal(item) for key, item in value.items()}
    if isinstance(value, list):
        items = sorted((_normal(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
        return items[0] if len(items) == 1 else items
    return value
