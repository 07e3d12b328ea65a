"""What IAM policies are made of: statements whose resources need not be there yet."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from provisioner.resources.base import Resource
from provisioner.resources.iam import Policy
from provisioner.resources.state import State


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
