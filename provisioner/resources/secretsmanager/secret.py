"""A value that hosts or operators need and nobody should see."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws
from provisioner.errors import FlowsteadError
from provisioner.resources.base import Live, Resource, Teardown
from provisioner.resources.iam.policy import Policy, as_json, document, is_same_policy
from provisioner.resources.refusals import foreign, in_the_way
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import TagCalls, as_items, as_tags, set_tags

_ABSENT = ("ResourceNotFoundException",)
_TAKEN = ("ResourceExistsException",)
_TAGS = TagCalls("secretsmanager", "tag_resource", "untag_resource")
_CURRENT = "AWSCURRENT"

RECOVERY_DAYS = 7
"""Days in which a deleted secret can be had back; AWS's least:
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html"""


@dataclass(frozen=True, eq=False)
class Secret(Resource):
    """A secret in Secrets Manager: its value is made up once, stored, and never read again here.

    Args:
        secret_name: its name.
        purpose: one line for the AWS console.
        generate: makes up the value, an object of strings.
        account_id: the account; nobody of another one gets at it.
        strangers: ARNs of the deployment's roles that can do nothing with it, whatever they are allowed.
        readers: ARNs of those that can read its value and do nothing else, likewise.

    """

    kind: ClassVar[str] = "secret"
    listed_as: ClassVar[str] = "secretsmanager/secret"
    holds_data: ClassVar[bool] = True

    secret_name: str
    purpose: str
    generate: Callable[[], Mapping[str, str]]
    account_id: str
    strangers: tuple[str, ...]
    readers: tuple[str, ...] = ()

    @property
    def _wanted_policy(self) -> Policy:
        """What holds whatever else is allowed to whom."""
        everything, but_reading = (
            {"Action": "secretsmanager:*"},
            {"NotAction": "secretsmanager:GetSecretValue"},
        )
        of_others = {"StringNotEquals": {"aws:PrincipalAccount": self.account_id}}
        denied = (
            ("NobodyOfAnotherAccount", everything, of_others),
            ("TheHostOnlyReads", but_reading, _principals(self.readers)),
            ("NotForWhomUsersTalkTo", everything, _principals(self.strangers)),
        )
        return document(
            {"Sid": sid, "Effect": "Deny", "Principal": "*", "Resource": "*", **what, "Condition": condition}
            for sid, what, condition in denied
            if condition
        )

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its name: AWS's list of all of them may be minutes behind."""
        live = self.at(aws, self.secret_name)
        if live and not self.owns(live.tags):
            raise foreign(self, f"the secret {self.secret_name}", live.tags)
        return live

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its name or ARN."""
        item = aws.call_or(_ABSENT, "secretsmanager", "describe_secret", SecretId=id_)
        if item is None:
            return None
        is_deleted = item.get("DeletedDate") is not None
        facts = {
            "is_deleted": is_deleted,
            "has_value": any(_CURRENT in names for names in item.get("VersionIdsToStages", {}).values()),
            "replicas": [one["Region"] for one in item.get("ReplicationStatus", ())],
            "policy": None if is_deleted else _policy(aws, id_),
        }
        return Live(id=item["Name"], arn=item["ARN"], facts=facts, tags=as_tags(item.get("Tags", [])))

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """It is there for good, has a value, which is not looked at, and a policy that closes it."""
        is_deleted, has_value = live.facts["is_deleted"], live.facts["has_value"]
        policy, wanted = live.facts["policy"], self._wanted_policy
        yield Setting("state", "scheduled for deletion" if is_deleted else "there", "there", self._restore)
        yield Setting("value", "there" if has_value else "none", "there", self._put_value)
        yield Setting(
            "resource policy",
            policy or "none",
            "closed to other accounts; hosts' roles read at most",
            self._close,
            is_wanted=is_same_policy(policy, wanted) if policy else is_deleted,
        )

    def _restore(self, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        aws.call("secretsmanager", "restore_secret", SecretId=live.arn)

    def _put_value(self, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        value = json.dumps(dict(self.generate()))
        aws.call("secretsmanager", "put_secret_value", SecretId=live.arn, SecretString=value)

    def _close(self, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        policy = as_json(self._wanted_policy)
        aws.call("secretsmanager", "put_resource_policy", SecretId=live.arn, ResourcePolicy=policy)

    def create(self, aws: Aws, state: State) -> Live:
        """Make it with its value."""
        aws.call_or(
            _TAKEN,
            "secretsmanager",
            "create_secret",
            Name=self.secret_name,
            Description=self.purpose,
            SecretString=json.dumps(dict(self.generate())),
            Tags=as_items(self.tags),
        )
        return self.found(aws)

    def retag(self, aws: Aws, live: Live, tags: Mapping[str, str | None], /) -> None:
        """Set these tags, and remove those that are None."""
        set_tags(aws, _TAGS, tags, SecretId=live.arn)

    def is_spared(self, live: Live, teardown: Teardown) -> bool:
        """Leave one alone that is scheduled for deletion already."""
        return bool(live.facts["is_deleted"])

    def obstacles(self, aws: Aws, live: Live, own: Collection[str]) -> Iterable[FlowsteadError]:
        """Find the copies in other regions that others have made."""
        if regions := live.facts["replicas"]:
            remedy = "Remove the copies in the Secrets Manager console"
            yield in_the_way(self, live, f"it is copied to {', '.join(regions)}", remedy)

    def remains(self, live: Live, teardown: Teardown) -> str:
        """Say how long it can be had back."""
        return f"secret {live.id}, for {RECOVERY_DAYS} days (the next apply restores it)"

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Schedule its deletion."""
        if live.facts["is_deleted"]:
            return
        aws.call_or(
            (*_ABSENT, "InvalidRequestException"),
            "secretsmanager",
            "delete_secret",
            SecretId=live.arn,
            RecoveryWindowInDays=RECOVERY_DAYS,
        )


def _policy(aws: Aws, id_: str) -> str | None:
    answer = aws.call_or(_ABSENT, "secretsmanager", "get_resource_policy", SecretId=id_)
    return answer.get("ResourcePolicy") if answer else None


def _principals(arns: tuple[str, ...]) -> dict[str, Any]:
    return {"ArnEquals": {"aws:PrincipalArn": list(arns)}} if arns else {}
