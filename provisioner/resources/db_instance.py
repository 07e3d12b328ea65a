"""The PostgreSQL database that keeps runs, models and users."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from provisioner.aws import Aws, Lag
from provisioner.resources.base import Difference, Live, Parting, State, foreign
from provisioner.resources.database_facts import described, identifier, is_version
from provisioner.resources.db_parameter_group import DbParameterGroup
from provisioner.resources.db_subnet_group import DbSubnetGroup
from provisioner.resources.ec2 import as_items, as_tags
from provisioner.resources.rds import RdsResource
from provisioner.resources.security_group import SecurityGroup

_ABSENT = ("DBInstanceNotFound", "DBInstanceNotFoundFault")
_TAKEN = ("DBInstanceAlreadyExists", "DBInstanceAlreadyExistsFault")
_BUSY = ("InvalidDBInstanceState", "InvalidDBInstanceStateFault")

MASTER_USER = "flowstead_master"
"""Makes roles and databases; its password is RDS's to keep and to rotate."""

_USABLE = frozenset(
    {
        "available",
        "backing-up",
        "modifying",
        "storage-optimization",
        "configuring-enhanced-monitoring",
        "stopped",
    }
)
_HOPELESS = frozenset(
    {
        "failed",
        "inaccessible-encryption-credentials",
        "incompatible-network",
        "incompatible-option-group",
        "incompatible-parameters",
        "incompatible-restore",
        "restore-error",
        "insufficient-capacity",
    }
)
"""https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status"""

_RESTARTS = {"DBInstanceClass": "restarts the database"}

_CREATE_S = 2700
_DELETE_S = 2700


@dataclass(frozen=True, eq=False)
class DbInstance(RdsResource):
    """An RDS PostgreSQL instance: private, encrypted, backed up, its master password kept by RDS.

    Args:
        engine_version: "17" (RDS chooses and keeps the minor version current) or "17.6".
        instance_class: its size.
        storage_gib: its disk at first.
        max_storage_gib: up to which RDS lets it grow by itself.
        backup_days: days that automatic backups are kept.
        multi_az: with a standby in a second zone.
        deletion_protection: RDS refuses to delete it.
        subnets: where it is.
        groups: which packets reach it.
        parameters: its settings.

    """

    kind: ClassVar[str] = "database"

    engine_version: str
    instance_class: str
    storage_gib: int
    max_storage_gib: int
    backup_days: int
    multi_az: bool
    deletion_protection: bool
    subnets: DbSubnetGroup
    groups: tuple[SecurityGroup, ...]
    parameters: DbParameterGroup

    @property
    def aws_name(self) -> str:
        """Its identifier, a part of its endpoint's name."""
        return identifier(self.owner.deployment)

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its identifier; the tags must be ours."""
        item = described(aws, self.owner.deployment)
        return self._live(item) if item else None

    def _live(self, item: dict[str, Any]) -> Live:
        status = str(item["DBInstanceStatus"])
        tags = as_tags(item.get("TagList", []))
        if not self.owns(tags):
            raise foreign(self, f"the RDS instance {self.aws_name}", tags)
        return Live(
            id=self.aws_name,
            arn=item["DBInstanceArn"],
            facts=item,
            tags=tags,
            ready=status in _USABLE or status in _HOPELESS,
            status=status,
        )

    def _read(self, aws: Aws) -> Live:
        answer = aws.call(
            "rds", "describe_db_instances", Lag(_ABSENT, deadline_s=60), DBInstanceIdentifier=self.aws_name
        )
        return self._live(answer["DBInstances"][0])

    def diff(self, live: Live, state: State) -> tuple[Difference, ...]:
        """Compare every setting; what RDS has accepted but not done yet counts as done."""
        if live.status == "creating":
            return ()
        facts = {**live.facts, **live.facts.get("PendingModifiedValues", {})}
        return (
            *self._diff_for_ever(live, facts),
            *self._diff_version(facts),
            *self._diff_settings(facts),
            *self._diff_links(facts, state),
            *([Difference("state", live.status, "available")] if live.status == "stopped" else []),
        )

    def _diff_for_ever(self, live: Live, facts: dict[str, Any]) -> list[Difference]:
        found = []
        if live.status in _HOPELESS:
            note = "RDS cannot use it in this state: see its events in the AWS console"
            found.append(Difference("state", live.status, "available", immutable=True, note=note))
        if not facts.get("StorageEncrypted"):
            found.append(Difference("encryption", "off", "on", immutable=True))
        group = facts.get("DBSubnetGroup", {}).get("DBSubnetGroupName")
        if group != self.subnets.aws_name:
            found.append(Difference("subnet group", group, self.subnets.aws_name, immutable=True))
        return found

    def _diff_version(self, facts: dict[str, Any]) -> list[Difference]:
        has, wanted = str(facts["EngineVersion"]), self.engine_version
        if is_version(has, wanted):
            return []
        is_newer_minor = has.split(".", maxsplit=1)[0] == wanted.split(".")[0] and _parts(wanted) > _parts(
            has
        )
        note = (
            "restarts the database"
            if is_newer_minor
            else "RDS goes neither back nor to another major version in place"
        )
        return [Difference("engine version", has, wanted, immutable=not is_newer_minor, note=note)]

    def _diff_settings(self, facts: dict[str, Any]) -> list[Difference]:
        found = [
            Difference(name, facts.get(name), value, note=_RESTARTS.get(name, ""))
            for name, value in self._settings().items()
            if facts.get(name) != value
        ]
        if int(facts["AllocatedStorage"]) < self.storage_gib:
            found.append(Difference("AllocatedStorage", facts["AllocatedStorage"], self.storage_gib))
        if not facts.get("MasterUserSecret"):
            found.append(Difference("master password", "given", "kept by RDS"))
        return found

    def _settings(self) -> dict[str, Any]:
        """Give what the create and the modify call take under the name that the description has."""
        return {
            "DBInstanceClass": self.instance_class,
            "MaxAllocatedStorage": self.max_storage_gib,
            "BackupRetentionPeriod": self.backup_days,
            "MultiAZ": self.multi_az,
            "DeletionProtection": self.deletion_protection,
            "PubliclyAccessible": False,
            "CopyTagsToSnapshot": True,
            "AutoMinorVersionUpgrade": "." not in self.engine_version,
        }

    def _diff_links(self, facts: dict[str, Any], state: State) -> list[Difference]:
        found = []
        has = sorted(group["VpcSecurityGroupId"] for group in facts.get("VpcSecurityGroups", []))
        wanted = sorted(state.id(group) for group in self.groups)
        if has != wanted:
            found.append(Difference("security groups", ", ".join(has), ", ".join(wanted)))
        names = [group["DBParameterGroupName"] for group in facts.get("DBParameterGroups", [])]
        if names != [self.parameters.aws_name]:
            note = "takes effect with the next restart of the database"
            found.append(Difference("parameter group", ", ".join(names), self.parameters.aws_name, note=note))
        return found

    def create(self, aws: Aws, state: State) -> Live:
        """Make it; one that is being deleted is waited for."""
        parameters = {
            **self._settings(),
            "DBInstanceIdentifier": self.aws_name,
            "Engine": "postgres",
            "EngineVersion": self.engine_version,
            "AllocatedStorage": self.storage_gib,
            "StorageType": "gp3",
            "StorageEncrypted": True,
            "MasterUsername": MASTER_USER,
            "ManageMasterUserPassword": True,
            "DBSubnetGroupName": state.id(self.subnets),
            "DBParameterGroupName": state.id(self.parameters),
            "VpcSecurityGroupIds": [state.id(group) for group in self.groups],
            "Tags": as_items(self.tags),
        }
        answer = aws.call_or(_TAKEN, "rds", "create_db_instance", **parameters)
        if answer is None and self._read(aws).status == "deleting":
            self._wait_deleted(aws)
            aws.call("rds", "create_db_instance", **parameters)
        return self._read(aws)

    def _wait_deleted(self, aws: Aws) -> None:
        aws.wait(
            "rds",
            "db_instance_deleted",
            deadline_s=_DELETE_S,
            delay_s=3,
            DBInstanceIdentifier=self.aws_name,
        )

    def wait(self, aws: Aws, live: Live) -> Live:
        """Wait until it is available; RDS takes minutes."""
        if live.status == "deleting":
            self._wait_deleted(aws)
            return live
        name = self.aws_name
        aws.wait("rds", "db_instance_available", deadline_s=_CREATE_S, delay_s=2, DBInstanceIdentifier=name)
        return self._read(aws)

    def update(self, aws: Aws, state: State, live: Live, differences: tuple[Difference, ...]) -> Live:
        """Start it if it is stopped, then change all that differs in one call, at once."""
        wrong = {difference.setting for difference in differences}
        if "state" in wrong:
            aws.call("rds", "start_db_instance", DBInstanceIdentifier=live.id)
            live = self.wait(aws, replace(live, status="starting"))
        changes: dict[str, Any] = {name: value for name, value in self._settings().items() if name in wrong}
        if "AllocatedStorage" in wrong:
            changes["AllocatedStorage"] = self.storage_gib
        if "engine version" in wrong:
            changes["EngineVersion"] = self.engine_version
        if "master password" in wrong:
            changes["ManageMasterUserPassword"] = True
        if "security groups" in wrong:
            changes["VpcSecurityGroupIds"] = [state.id(group) for group in self.groups]
        if "parameter group" in wrong:
            changes["DBParameterGroupName"] = state.id(self.parameters)
        if changes:
            aws.call(
                "rds",
                "modify_db_instance",
                Lag(_BUSY, deadline_s=1800),
                DBInstanceIdentifier=live.id,
                ApplyImmediately=True,
                **changes,
            )
        return self.wait(aws, self._read(aws))

    def remains(self, live: Live, parting: Parting) -> str:
        """Name the final snapshot."""
        if not parting.final_snapshot or live.status in {"deleting", *_HOPELESS}:
            return ""
        return f"final snapshot {self._snapshot(parting)} of {self.kind} {live.id}"

    def _snapshot(self, parting: Parting) -> str:
        return f"{self.aws_name}-final-{parting.stamp}"

    def delete(self, aws: Aws, live: Live, parting: Parting) -> None:
        """Lift the protection, take the final snapshot, delete it; the caller has asked the user.

        RDS takes no snapshot of an instance that it could not make.
        """
        answer = aws.call_or(_ABSENT, "rds", "describe_db_instances", DBInstanceIdentifier=live.id)
        if answer is None:
            return
        live = self._live(answer["DBInstances"][0])
        if live.status == "creating":
            live = self.wait(aws, live)
        if live.status != "deleting":
            self._delete(aws, live, parting)
        self._wait_deleted(aws)

    def _delete(self, aws: Aws, live: Live, parting: Parting) -> None:
        if live.facts.get("DeletionProtection"):
            aws.call(
                "rds",
                "modify_db_instance",
                Lag(_BUSY),
                DBInstanceIdentifier=live.id,
                DeletionProtection=False,
                ApplyImmediately=True,
            )
        snapshot: dict[str, Any] = {"SkipFinalSnapshot": True}
        if parting.final_snapshot and live.status not in _HOPELESS:
            snapshot = {"SkipFinalSnapshot": False, "FinalDBSnapshotIdentifier": self._snapshot(parting)}
        aws.call_or(
            _ABSENT,
            "rds",
            "delete_db_instance",
            Lag(_BUSY, deadline_s=900),
            DBInstanceIdentifier=live.id,
            DeleteAutomatedBackups=True,
            **snapshot,
        )


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]
