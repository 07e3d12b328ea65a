"""Where in the network the database may be."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.errors import FlowsteadError
from provisioner.resources.base import Live, Teardown
from provisioner.resources.ec2.subnet import Subnet
from provisioner.resources.rds.calls import CLUSTERS, INSTANCES
from provisioner.resources.rds.database_facts import others
from provisioner.resources.rds.kind import FIRST_USE, RdsResource
from provisioner.resources.refusals import in_the_way
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import as_items

_ABSENT = ("DBSubnetGroupNotFoundFault", "DBSubnetGroupNotFound")
_IN_USE = ("InvalidDBSubnetGroupStateFault",)


@dataclass(frozen=True, eq=False)
class DbSubnetGroup(RdsResource):
    """Subnets in two zones or more.

    Args:
        subnets: the private subnets.

    """

    kind: ClassVar[str] = "DB subnet group"
    listed_as: ClassVar[str] = "rds/subgrp"

    subnets: tuple[Subnet, ...]

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its name."""
        answer = aws.call_or(_ABSENT, "rds", "describe_db_subnet_groups", DBSubnetGroupName=id_)
        if answer is None:
            return None
        group = answer["DBSubnetGroups"][0]
        arn = group["DBSubnetGroupArn"]
        return Live(id=id_, arn=arn, facts=group, tags=self.tags_of(aws, arn))

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """The subnets."""
        has = sorted(subnet["SubnetIdentifier"] for subnet in live.facts["Subnets"])
        wanted = sorted(state.id(subnet) for subnet in self.subnets)
        yield Setting("subnets", ", ".join(has), ", ".join(wanted), self._modify, {"SubnetIds": wanted})

    def _modify(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        aws.call("rds", "modify_db_subnet_group", DBSubnetGroupName=live.id, **to)

    def create(self, aws: Aws, state: State) -> Live:
        """Make the group."""
        aws.call_or(
            ("DBSubnetGroupAlreadyExists",),
            "rds",
            "create_db_subnet_group",
            RetryOn(("InvalidSubnet",), deadline_s=30),
            FIRST_USE,
            DBSubnetGroupName=self.aws_name,
            DBSubnetGroupDescription=f"Private subnets of the Flowstead deployment {self.owner.deployment}",
            SubnetIds=[state.id(subnet) for subnet in self.subnets],
            Tags=as_items(self.tags),
        )
        return self.found(aws)

    def obstacles(self, aws: Aws, live: Live, own: Collection[str]) -> Iterable[FlowsteadError]:
        """Find the databases of others in the deployment's network."""
        instances, clusters = others(aws, INSTANCES, own), others(aws, CLUSTERS, own)
        inside = [
            item["DBInstanceIdentifier"]
            for item in instances
            if item.get("DBSubnetGroup", {}).get("VpcId") == live.facts["VpcId"]
        ]
        # A cluster names the group only, and may be without instances.
        inside += [item["DBClusterIdentifier"] for item in clusters if item.get("DBSubnetGroup") == live.id]
        for name in inside:
            what = f"the database {name} is in the deployment's network"
            yield in_the_way(self, live, what, "Remove it, or move it to another network")

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Delete it, once the database has let go of it."""
        aws.call_or(_ABSENT, "rds", "delete_db_subnet_group", RetryOn(_IN_USE), DBSubnetGroupName=live.id)
