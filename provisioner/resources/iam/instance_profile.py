"""What hands a role to a host."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.resources.base import Live, Resource, Teardown
from provisioner.resources.iam.role import NO_SUCH, TAKEN, Role
from provisioner.resources.refusals import foreign
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import TagCalls, as_items, as_tags, set_tags

_TAGS = TagCalls("iam", "tag_instance_profile", "untag_instance_profile")


@dataclass(frozen=True, eq=False)
class InstanceProfile(Resource):
    """An instance profile with one role in it.

    Args:
        role: the role; the profile has its name.

    """

    kind: ClassVar[str] = "instance profile"
    listed_as: ClassVar[str] = "iam/instance-profile"

    role: Role

    @property
    def profile_name(self) -> str:
        """Its name in IAM."""
        return self.role.role_name

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its name; the tags must be ours."""
        live = self.at(aws, self.profile_name)
        if live and not self.owns(live.tags):
            raise foreign(self, f"the instance profile {self.profile_name}", live.tags)
        return live

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its name."""
        answer = aws.call_or((NO_SUCH,), "iam", "get_instance_profile", InstanceProfileName=id_)
        if answer is None:
            return None
        profile = answer["InstanceProfile"]
        return Live(id=id_, arn=profile["Arn"], facts=profile, tags=as_tags(profile.get("Tags", [])))

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """The role in it; there is room for one."""
        has = [role["RoleName"] for role in live.facts["Roles"]]
        wanted = self.role.role_name
        yield Setting("role", ", ".join(has) or "none", wanted, self._put_in, {"RoleName": wanted})

    def _put_in(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        self._empty(aws, live)
        retry = RetryOn((NO_SUCH,))
        aws.call("iam", "add_role_to_instance_profile", retry, InstanceProfileName=live.id, **to)

    def create(self, aws: Aws, state: State) -> Live:
        """Make the profile, still empty."""
        aws.call_or(
            (TAKEN,),
            "iam",
            "create_instance_profile",
            InstanceProfileName=self.profile_name,
            Tags=as_items(self.tags),
        )
        return self.found(aws)

    def _empty(self, aws: Aws, live: Live) -> None:
        for role in live.facts["Roles"]:
            aws.call_or(
                (NO_SUCH,),
                "iam",
                "remove_role_from_instance_profile",
                InstanceProfileName=live.id,
                RoleName=role["RoleName"],
            )

    def retag(self, aws: Aws, live: Live, tags: Mapping[str, str | None], /) -> None:
        """Set these tags, and remove those that are None."""
        set_tags(aws, _TAGS, tags, RetryOn((NO_SUCH,)), InstanceProfileName=live.id)

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Take the role out and delete it."""
        self._empty(aws, live)
        aws.call_or((NO_SUCH,), "iam", "delete_instance_profile", InstanceProfileName=live.id)
