"""A database of one instance."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws
from provisioner.resources.base import Live
from provisioner.resources.rds.calls import INSTANCE_STATES, INSTANCES, Calls, States
from provisioner.resources.rds.database import Database
from provisioner.resources.rds.kind import FIRST_USE
from provisioner.resources.rds.parameter_group import DbParameterGroup
from provisioner.resources.rds.served import NEW_ROLE, Monitored
from provisioner.resources.setting import Setting
from provisioner.resources.state import State

_LEAST_GROWTH = 1.1
"""A disk grows by a tenth or more: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.ModifyingExisting.html"""
_STRIPED_GIB, _STRIPED_IOPS = 400, 12000
"""From this size on RDS stripes a gp3 disk, and wants its operations a second named:
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html#gp3-storage"""


@dataclass(frozen=True, eq=False)
class DbInstance(Database, Monitored):
    """An RDS instance.

    Args:
        instance_class: its size.
        storage_gib: its disk at first.
        max_storage_gib: up to which RDS lets it grow by itself.
        multi_az: with a standby in a second zone.

    """

    kind: ClassVar[str] = "database"
    listed_as: ClassVar[str] = "rds/db"
    calls: ClassVar[Calls] = INSTANCES
    states: ClassVar[States] = INSTANCE_STATES

    parameters: DbParameterGroup
    instance_class: str
    storage_gib: int
    max_storage_gib: int
    multi_az: bool

    @classmethod
    def is_kind_of(cls, item: Mapping[str, Any]) -> bool:
        """Tell it from a cluster's member."""
        return not item.get("DBClusterIdentifier")

    @staticmethod
    def endpoint(live: Live) -> tuple[str, int] | None:
        """Tell the name and the port at which it takes writes; None: it has none yet."""
        endpoint = live.facts.get("Endpoint") or {}
        return (str(endpoint["Address"]), int(endpoint["Port"])) if endpoint.get("Address") else None

    @staticmethod
    def _subnet_group(facts: Mapping[str, Any]) -> str | None:
        group: str | None = facts.get("DBSubnetGroup", {}).get("DBSubnetGroupName")
        return group

    @staticmethod
    def _parameter_groups(facts: Mapping[str, Any]) -> str:
        return ", ".join(group["DBParameterGroupName"] for group in facts.get("DBParameterGroups", []))

    def _own_settings(self, facts: Mapping[str, Any], state: State) -> Iterable[Setting]:
        """Growth only; a limit that equals the disk's size is none, and RDS does not tell it then."""
        has = int(facts["AllocatedStorage"])
        least = math.ceil(has * _LEAST_GROWTH)
        yield Setting(
            "AllocatedStorage",
            has,
            self.storage_gib,
            self._modify if self.storage_gib >= least else None,
            self._size(),
            "" if self.storage_gib >= least else f"RDS grows a disk to {least} GiB at least",
            is_wanted=has >= self.storage_gib,
        )
        limit, wanted = int(facts.get("MaxAllocatedStorage", has)), self.max_storage_gib
        yield Setting(
            "MaxAllocatedStorage",
            limit,
            wanted,
            self._modify if wanted >= has else None,
            {"MaxAllocatedStorage": wanted},
            "" if wanted >= has else f"the disk has grown to {has} GiB, and none shrinks",
        )
        yield Setting(
            "DBInstanceClass",
            facts.get("DBInstanceClass"),
            self.instance_class,
            self._modify,
            {"DBInstanceClass": self.instance_class},
            "restarts the database",
        )
        yield from self._monitoring(facts, state)

    def _size(self) -> dict[str, Any]:
        striped = {"Iops": _STRIPED_IOPS} if self.storage_gib >= _STRIPED_GIB else {}
        return {"AllocatedStorage": self.storage_gib, **striped}

    def _parameters(self) -> dict[str, Any]:
        """Give what the create and the modify call take under the name that the description has."""
        return {
            **super()._parameters(),
            "MultiAZ": self.multi_az,
            "PubliclyAccessible": self.public_routes is not None,
            "AutoMinorVersionUpgrade": self.engine.is_kept_current,
        }

    def create(self, aws: Aws, state: State) -> Live:
        """Make it; one that is being deleted is waited for."""
        parameters = {
            **self._made_with(state),
            **self._size(),
            **self._monitor(state),
            **({"MaxAllocatedStorage": limit} if (limit := self.max_storage_gib) > self.storage_gib else {}),
            "DBInstanceClass": self.instance_class,
            "EngineVersion": self.engine.version,
            "StorageType": "gp3",
        }
        aws.call_or(self.calls.taken, "rds", "create_db_instance", FIRST_USE, NEW_ROLE, **parameters)
        return self._read(aws, self.aws_name)
