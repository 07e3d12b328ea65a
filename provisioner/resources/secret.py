"""A value that hosts or operators need and nobody should see."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws
from provisioner.resources.base import DEPLOYMENT_TAG, Difference, Live, Parting, Resource, State, foreign
from provisioner.resources.ec2 import as_items, as_tags

_ABSENT = ("ResourceNotFoundException",)
_TAKEN = ("ResourceExistsException",)
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

    """

    kind: ClassVar[str] = "secret"

    secret_name: str
    purpose: str
    generate: Callable[[], Mapping[str, str]]

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its tags.

        One call lists all of them, but it may be minutes behind; one that is not listed is asked for by name.
        """
        listed = aws.remembered(("list_secrets", self.owner.deployment), lambda: self._list(aws))
        item = next((item for item in listed if item["Name"] == self.secret_name), None)
        return self._live(item) if item else self._read(aws)

    def _list(self, aws: Aws) -> list[dict[str, Any]]:
        return aws.page(
            "secretsmanager",
            "list_secrets",
            "SecretList",
            IncludePlannedDeletion=True,
            Filters=[
                {"Key": "tag-key", "Values": [DEPLOYMENT_TAG]},
                {"Key": "tag-value", "Values": [self.owner.deployment]},
                {"Key": "name", "Values": [f"flowstead/{self.owner.deployment}/"]},
            ],
        )

    def _read(self, aws: Aws) -> Live | None:
        item = aws.call_or(_ABSENT, "secretsmanager", "describe_secret", SecretId=self.secret_name)
        return self._live(item) if item else None

    def _live(self, item: dict[str, Any]) -> Live:
        tags = as_tags(item.get("Tags", []))
        if not self.owns(tags):
            raise foreign(self, f"the secret {self.secret_name}", tags)
        stages = item.get("SecretVersionsToStages") or item.get("VersionIdsToStages") or {}
        facts = {
            "is_deleted": item.get("DeletedDate") is not None,
            "has_value": any(_CURRENT in names for names in stages.values()),
        }
        return Live(id=self.secret_name, arn=item["ARN"], facts=facts, tags=tags)

    def diff(self, live: Live, state: State) -> tuple[Difference, ...]:
        """Compare whether it is there for good, and has a value; the value itself is not looked at."""
        del state
        found = []
        if live.facts["is_deleted"]:
            found.append(Difference("state", "scheduled for deletion", "restored"))
        if not live.facts["has_value"]:
            found.append(Difference("value", "none", "generated"))
        return tuple(found)

    def create(self, aws: Aws, state: State) -> Live:
        """Make it with its value."""
        del state
        answer = aws.call_or(
            _TAKEN,
            "secretsmanager",
            "create_secret",
            Name=self.secret_name,
            Description=self.purpose,
            SecretString=json.dumps(dict(self.generate())),
            Tags=as_items(self.tags),
        )
        if answer is None:
            return aws.until(lambda: self._read(aws), what=f"the secret {self.secret_name}", deadline_s=60)
        facts = {"is_deleted": False, "has_value": True}
        return Live(id=self.secret_name, arn=answer["ARN"], facts=facts, tags=dict(self.tags))

    def update(self, aws: Aws, state: State, live: Live, differences: tuple[Difference, ...]) -> Live:
        """Take back a deletion; give a value to one that has none."""
        del state, differences
        if live.facts["is_deleted"]:
            aws.call("secretsmanager", "restore_secret", SecretId=live.arn)
        if not live.facts["has_value"]:
            value = json.dumps(dict(self.generate()))
            aws.call("secretsmanager", "put_secret_value", SecretId=live.arn, SecretString=value)
        return Live(id=live.id, arn=live.arn, facts={"is_deleted": False, "has_value": True}, tags=live.tags)

    def retag(self, aws: Aws, live: Live) -> Live:
        """Set the tags that are missing or differ."""
        aws.call("secretsmanager", "tag_resource", SecretId=live.arn, Tags=as_items(self.tags))
        return Live(id=live.id, arn=live.arn, facts=live.facts, tags={**live.tags, **self.tags})

    def is_spared(self, live: Live, parting: Parting) -> bool:
        """Leave one alone that is scheduled for deletion already."""
        del parting
        return bool(live.facts["is_deleted"])

    def remains(self, live: Live, parting: Parting) -> str:
        """Say how long it can be had back."""
        del parting
        return f"secret {live.id}, for {RECOVERY_DAYS} days (the next apply restores it)"

    def delete(self, aws: Aws, live: Live, parting: Parting) -> None:
        """Schedule its deletion."""
        del parting
        if live.facts["is_deleted"]:
            return
        aws.call_or(
            (*_ABSENT, "InvalidRequestException"),
            "secretsmanager",
            "delete_secret",
            SecretId=live.arn,
            RecoveryWindowInDays=RECOVERY_DAYS,
        )
