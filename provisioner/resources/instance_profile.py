"""What hands a role to a host."""

from dataclasses import dataclass
from typing import ClassVar

from provisioner.aws import Aws, Lag
from provisioner.resources.base import Difference, Live, Parting, Resource, State, foreign
from provisioner.resources.ec2 import as_items, as_tags
from provisioner.resources.iam import NO_SUCH
from provisioner.resources.role import Role


@dataclass(frozen=True, eq=False)
class InstanceProfile(Resource):
    """An instance profile with one role in it.

    Args:
        role: the role; the profile has its name.

    """

    kind: ClassVar[str] = "instance profile"

    role: Role

    @property
    def profile_name(self) -> str:
        """Its name in IAM."""
        return self.role.role_name

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its name; the tags must be ours."""
        answer = aws.call_or((NO_SUCH,), "iam", "get_instance_profile", InstanceProfileName=self.profile_name)
        if answer is None:
            return None
        profile = answer["InstanceProfile"]
        tags = as_tags(profile.get("Tags", []))
        if not self.owns(tags):
            raise foreign(self, f"the instance profile {self.profile_name}", tags)
        return Live(id=self.profile_name, arn=profile["Arn"], facts=profile, tags=tags)

    def diff(self, live: Live, state: State) -> tuple[Difference, ...]:
        """Compare the role in it."""
        del state
        has = [role["RoleName"] for role in live.facts["Roles"]]
        if has == [self.role.role_name]:
            return ()
        return (Difference("role", ", ".join(has) or "none", self.role.role_name),)

    def create(self, aws: Aws, state: State) -> Live:
        """Make the profile, still empty."""
        del state
        aws.call(
            "iam",
            "create_instance_profile",
            InstanceProfileName=self.profile_name,
            Tags=as_items(self.tags),
        )
        return self._read(aws)

    def _read(self, aws: Aws) -> Live:
        aws.wait("iam", "instance_profile_exists", deadline_s=60, InstanceProfileName=self.profile_name)
        return aws.until(
            lambda: self.find(aws), what=f"the instance profile {self.profile_name}", deadline_s=60
        )

    def update(self, aws: Aws, state: State, live: Live, differences: tuple[Difference, ...]) -> Live:
        """Put the role in; there is room for one."""
        del state, differences
        self._empty(aws, live)
        aws.call(
            "iam",
            "add_role_to_instance_profile",
            Lag((NO_SUCH,)),
            InstanceProfileName=live.id,
            RoleName=self.role.role_name,
        )
        return self._read(aws)

    def _empty(self, aws: Aws, live: Live) -> None:
        for role in live.facts["Roles"]:
            aws.call_or(
                (NO_SUCH,),
                "iam",
                "remove_role_from_instance_profile",
                InstanceProfileName=live.id,
                RoleName=role["RoleName"],
            )

    def retag(self, aws: Aws, live: Live) -> Live:
        """Set the tags that are missing or differ."""
        aws.call("iam", "tag_instance_profile", InstanceProfileName=live.id, Tags=as_items(self.tags))
        return self._read(aws)

    def delete(self, aws: Aws, live: Live, parting: Parting) -> None:
        """Take the role out and delete it."""
        del parting
        self._empty(aws, live)
        aws.call_or((NO_SUCH,), "iam", "delete_instance_profile", InstanceProfileName=live.id)
