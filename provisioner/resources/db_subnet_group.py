"""Where in the network the database may be."""

from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, Lag
from provisioner.resources.base import Difference, Live, Parting, State
from provisioner.resources.database_facts import database_of
from provisioner.resources.ec2 import as_items
from provisioner.resources.rds import RdsResource
from provisioner.resources.subnet import Subnet

_ABSENT = ("DBSubnetGroupNotFoundFault", "DBSubnetGroupNotFound")
_IN_USE = ("InvalidDBSubnetGroupStateFault",)


@dataclass(frozen=True, eq=False)
class DbSubnetGroup(RdsResource):
    """Subnets in two zones or more.

    Args:
        subnets: the private subnets.

    """

    kind: ClassVar[str] = "DB subnet group"

    subnets: tuple[Subnet, ...]

    def find(self, aws: Aws) -> Live | None:
        """Look it up; the deployment's own database tells of it too, which saves two calls."""
        database = database_of(aws, self.owner.deployment)
        group: dict[str, Any] = (database or {}).get("DBSubnetGroup", {})
        if group.get("DBSubnetGroupName") == self.aws_name:
            return self._live(group, dict(self.tags))
        return self._read(aws)

    def _read(self, aws: Aws) -> Live | None:
        answer = aws.call_or(_ABSENT, "rds", "describe_db_subnet_groups", DBSubnetGroupName=self.aws_name)
        if answer is None:
            return None
        group = answer["DBSubnetGroups"][0]
        return self._live(group, self.own_tags(aws, group["DBSubnetGroupArn"]))

    def _live(self, group: dict[str, Any], tags: dict[str, str]) -> Live:
        return Live(id=self.aws_name, arn=group.get("DBSubnetGroupArn", ""), facts=group, tags=tags)

    def diff(self, live: Live, state: State) -> tuple[Difference, ...]:
        """Compare the subnets."""
        has = sorted(subnet["SubnetIdentifier"] for subnet in live.facts["Subnets"])
        wanted = sorted(state.id(subnet) for subnet in self.subnets)
        return () if has == wanted else (Difference("subnets", ", ".join(has), ", ".join(wanted)),)

    def create(self, aws: Aws, state: State) -> Live:
        """Make the group."""
        answer = aws.call(
            "rds",
            "create_db_subnet_group",
            Lag(("InvalidSubnet",), deadline_s=30),
            DBSubnetGroupName=self.aws_name,
            DBSubnetGroupDescription=f"Private subnets of the Flowstead deployment {self.owner.deployment}",
            SubnetIds=[state.id(subnet) for subnet in self.subnets],
            Tags=as_items(self.tags),
        )
        return self._live(answer["DBSubnetGroup"], dict(self.tags))

    def update(self, aws: Aws, state: State, live: Live, differences: tuple[Difference, ...]) -> Live:
        """Set the subnets."""
        del differences
        answer = aws.call(
            "rds",
            "modify_db_subnet_group",
            DBSubnetGroupName=live.id,
            SubnetIds=[state.id(subnet) for subnet in self.subnets],
        )
        return self._live(answer["DBSubnetGroup"], dict(live.tags))

    def delete(self, aws: Aws, live: Live, parting: Parting) -> None:
        """Delete it, once the database has let go of it."""
        del parting
        aws.call_or(_ABSENT, "rds", "delete_db_subnet_group", Lag(_IN_USE), DBSubnetGroupName=live.id)
