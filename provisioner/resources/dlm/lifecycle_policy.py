"""What takes a snapshot of a volume every night, and removes those that are old."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.resources.base import Live, Resource, Teardown
from provisioner.resources.ec2.twins import pick
from provisioner.resources.ec2.volume import NIGHTLY_TAG, Volume
from provisioner.resources.iam.role import Role
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import as_items

_ABSENT = "ResourceNotFoundException"
_NEW_ROLE = (
    RetryOn(("InternalServerException",), deadline_s=120),
    RetryOn(("InvalidRequestException",), text="role", deadline_s=120),
)
"""What DLM answers while it does not know the role yet: it was made a moment ago."""
_TAG_KEY = re.compile(r"(?!aws:)[a-zA-Z+-=._:/]+")
"""DLM takes fewer keys than EC2: https://docs.aws.amazon.com/dlm/latest/APIReference/API_CreateLifecyclePolicy.html"""
_AT = "03:00"
"""When it begins, UTC, within the hour. Chosen: the server makes its own backup at 02:30."""


@dataclass(frozen=True, eq=False)
class LifecyclePolicy(Resource):
    """A policy of Amazon Data Lifecycle Manager: nightly snapshots, each kept for some days.

    It finds the volume by a tag that this one alone has. When the days are over it removes a snapshot; the
    last one of a volume that is lost it keeps:
    https://docs.aws.amazon.com/ebs/latest/userguide/snapshot-ami-policy.html

    Args:
        volume: what it takes snapshots of.
        role: with what it does so.
        days: that each is kept.

    """

    kind: ClassVar[str] = "snapshot policy"
    listed_as: ClassVar[str] = "dlm/policy"

    volume: Volume
    role: Role
    days: int

    @property
    def tags(self) -> Mapping[str, str]:
        """Every tag that it is to carry, but for the user's that DLM does not take."""
        return MappingProxyType({key: one for key, one in super().tags.items() if _TAG_KEY.fullmatch(key)})

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its tags."""
        mark = f"{NIGHTLY_TAG}={self.owner.deployment}"
        answer = aws.call_or((_ABSENT,), "dlm", "get_lifecycle_policies", TargetTags=[mark])
        own = [item["PolicyId"] for item in answer["Policies"] if self.owns(item["Tags"])] if answer else []
        lives = [live for id_ in own if (live := self.at(aws, id_))]
        return pick(self, lives, lambda _: 0)

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its id."""
        answer = aws.call_or((_ABSENT,), "dlm", "get_lifecycle_policy", PolicyId=id_)
        if answer is None:
            return None
        policy = answer["Policy"]
        return Live(
            id=id_, arn=policy["PolicyArn"], facts=policy, tags=policy.get("Tags", {}), status=policy["State"]
        )

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """What it does, with which role, and that it does it."""
        wanted = self._details()
        yield Setting(
            "snapshots",
            "other",
            f"every night, kept for {self.days} days",
            self._update,
            {"PolicyDetails": wanted},
            is_wanted=_has(live.facts["PolicyDetails"], wanted),
        )
        arn, has = state.arn(self.role), live.facts["ExecutionRoleArn"]
        yield Setting("role", has, arn, self._update, {"ExecutionRoleArn": arn})
        yield Setting("state", live.status, "ENABLED", self._update, {"State": "ENABLED"})

    def _details(self) -> dict[str, Any]:
        schedule = {
            "Name": "nightly",
            "CopyTags": True,
            "CreateRule": {"Interval": 24, "IntervalUnit": "HOURS", "Times": [_AT]},
            "RetainRule": {"Interval": self.days, "IntervalUnit": "DAYS"},
        }
        return {
            "PolicyType": "EBS_SNAPSHOT_MANAGEMENT",
            "ResourceTypes": ["VOLUME"],
            "TargetTags": as_items({NIGHTLY_TAG: self.owner.deployment}),
            "Schedules": [schedule],
        }

    def _update(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        aws.call("dlm", "update_lifecycle_policy", *_NEW_ROLE, PolicyId=live.id, **to)

    def create(self, aws: Aws, state: State) -> Live:
        """Make it."""
        aws.call(
            "dlm",
            "create_lifecycle_policy",
            *_NEW_ROLE,
            Description=f"Nightly snapshots of Flowstead {self.owner.deployment}",
            ExecutionRoleArn=state.arn(self.role),
            State="ENABLED",
            PolicyDetails=self._details(),
            Tags=dict(self.tags),
        )
        return self.found(aws)

    def retag(self, aws: Aws, live: Live, tags: Mapping[str, str | None], /) -> None:
        """Set these tags, and remove those that are None."""
        wanted = {key: value for key, value in tags.items() if value is not None}
        if wanted:
            aws.call("dlm", "tag_resource", ResourceArn=live.arn, Tags=wanted)
        if unwanted := sorted(set(tags) - set(wanted)):
            aws.call("dlm", "untag_resource", ResourceArn=live.arn, TagKeys=unwanted)

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Delete it; the snapshots that it took stay, and nothing removes them any more but who has them."""
        aws.call_or((_ABSENT,), "dlm", "delete_lifecycle_policy", PolicyId=live.id)


def _has(there: Any, wanted: Any) -> bool:
    """Tell whether what there is has all that is wanted: DLM adds what was left to it."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(_has(there.get(key), one) for key, one in wanted.items())
    if isinstance(wanted, list):
        return isinstance(there, list) and len(there) == len(wanted) and all(map(_has, there, wanted))
    return bool(there == wanted)
