"""A database."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.errors import FlowsteadError, UsageError
from provisioner.resources.base import Live, Teardown
from provisioner.resources.ec2.security_group import SecurityGroup
from provisioner.resources.iam.role import Role
from provisioner.resources.rds.database_facts import Engine, described, is_version
from provisioner.resources.rds.db_parameter_group import DbParameterGroup
from provisioner.resources.rds.db_subnet_group import DbSubnetGroup
from provisioner.resources.rds.kind import FIRST_USE, RdsResource
from provisioner.resources.refusals import foreign, foreign_key
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import as_items, as_tags

_ABSENT = ("DBInstanceNotFound", "DBInstanceNotFoundFault")
_TAKEN = ("DBInstanceAlreadyExists", "DBInstanceAlreadyExistsFault")
_BUSY = ("InvalidDBInstanceState", "InvalidDBInstanceStateFault")

MASTER_USER = "flowstead_master"
"""Makes roles and databases; its password is RDS's to keep and to rotate."""

_SETTLED = frozenset({"available", "storage-full", "storage-initialization", "storage-optimization"})
"""States that serve and may last: for hours after a growth, and full until the disk grows."""
_USABLE = frozenset({*_SETTLED, "backing-up", "configuring-enhanced-monitoring", "modifying", "stopped"})
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
_ENDS = frozenset({*_SETTLED, *_HOPELESS, "stopped"})
"""States that last until somebody does something."""

_LIFECYCLE = "open-source-rds-extended-support-disabled"
"""RDS's own is to go on with a version after its end, for a fee by the hour and processor:
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/extended-support.html"""

_RESTARTS = {"DBInstanceClass": "restarts the database"}

_NEW_ROLE = RetryOn(("InvalidParameterValue",), text="ENHANCED_MONITORING", deadline_s=120)
"""What RDS answers while it does not know the role yet: it was made a moment ago."""

_LEAST_GROWTH = 1.1
"""A disk grows by a tenth or more: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.ModifyingExisting.html"""
_STRIPED_GIB, _STRIPED_IOPS = 400, 12000
"""From this size on RDS stripes a gp3 disk, and wants its operations a second named:
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html#gp3-storage"""

ARTIFACTS_TAG = "flowstead:artifacts"
"""Where the runs in the database say that their artifacts are."""

_CREATE_S = 2700
_DELETE_S = 2700


@dataclass(frozen=True, eq=False)
class DbInstance(RdsResource):
    """An RDS instance: private, encrypted, backed up, its master password kept by RDS.

    Args:
        identifier: its name in RDS, a part of its endpoint's.
        engine: its kind and version.
        instance_class: its size.
        storage_gib: its disk at first.
        max_storage_gib: up to which RDS lets it grow by itself.
        backup_days: days that automatic backups are kept.
        multi_az: with a standby in a second zone.
        deletion_protection: RDS refuses to delete it.
        subnets: where it is.
        groups: which packets reach it.
        parameters: its settings.
        monitoring_role: with what RDS writes down how its host does.
        monitoring_s: seconds between two looks of RDS at its host; 0: it does not look.
        artifacts: URI of the folder under which what the database lists has its artifacts.

    """

    kind: ClassVar[str] = "database"
    listed_as: ClassVar[str] = "rds/db"
    holds_data: ClassVar[bool] = True

    identifier: str
    engine: Engine
    instance_class: str
    storage_gib: int
    max_storage_gib: int
    backup_days: int
    multi_az: bool
    deletion_protection: bool
    subnets: DbSubnetGroup
    groups: tuple[SecurityGroup, ...]
    parameters: DbParameterGroup
    monitoring_role: Role | None
    monitoring_s: int
    artifacts: str

    @property
    def tags(self) -> Mapping[str, str]:
        """Every tag that it is to carry, with the place of the artifacts."""
        return MappingProxyType({**super().tags, ARTIFACTS_TAG: self.artifacts})

    @property
    def aws_name(self) -> str:
        """Its name in RDS."""
        return self.identifier

    def find(self, aws: Aws) -> Live | None:
        """Look it up by its identifier; the tags must be ours."""
        item = described(aws, self.identifier)
        return self._own(_live(item)) if item else None

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its identifier."""
        answer = aws.call_or(_ABSENT, "rds", "describe_db_instances", DBInstanceIdentifier=id_)
        return _live(answer["DBInstances"][0]) if answer else None

    def _own(self, live: Live) -> Live:
        if not self.owns(live.tags):
            raise foreign(self, f"the RDS instance {live.id}", live.tags)
        return live

    def _read(self, aws: Aws, id_: str) -> Live:
        retry = RetryOn(_ABSENT, deadline_s=60)
        answer = aws.call("rds", "describe_db_instances", retry, DBInstanceIdentifier=id_)
        return self._own(_live(answer["DBInstances"][0]))

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """Everything about it; what RDS has accepted but not done yet counts as done."""
        if live.status in {"creating", "deleting"}:
            return
        facts = {**live.facts, **live.facts.get("PendingModifiedValues", {})}
        yield from self._for_ever(live, facts)
        yield self._state(live)
        yield self._version(facts)
        yield from self._storage(facts)
        for name, value in self._parameters().items():
            note = _RESTARTS.get(name, "")
            yield Setting(name, facts.get(name), value, self._modify, {name: value}, note)
        kept = "kept by RDS"
        has = kept if facts.get("MasterUserSecret") else "given"
        yield Setting("master password", has, kept, self._modify, {"ManageMasterUserPassword": True})
        yield from self._links(facts, state)
        yield Setting(
            "enhanced monitoring",
            _monitored(facts.get("MonitoringInterval"), facts.get("MonitoringRoleArn")),
            _monitored(self.monitoring_s, self._monitor(state).get("MonitoringRoleArn")),
            self._modify,
            self._monitor(state),
        )

    def _for_ever(self, live: Live, facts: dict[str, Any]) -> Iterable[Setting]:
        yield Setting("encryption", "on" if facts.get("StorageEncrypted") else "off", "on")
        group = facts.get("DBSubnetGroup", {}).get("DBSubnetGroupName")
        yield Setting("subnet group", group, self.subnets.aws_name)
        note = "its runs name that place: set artifacts.bucket and artifacts.prefix back"
        place = live.tags.get(ARTIFACTS_TAG, self.artifacts)
        yield Setting("place of the artifacts", place, self.artifacts, note=note)

    def _state(self, live: Live) -> Setting:
        is_hopeless = live.status in _HOPELESS
        return Setting(
            "state",
            live.status,
            "available",
            None if is_hopeless else self._start,
            note="RDS cannot use it in this state: see its events in the AWS console" if is_hopeless else "",
            is_wanted=not is_hopeless and live.status != "stopped",
        )

    def _version(self, facts: dict[str, Any]) -> Setting:
        has, wanted = str(facts["EngineVersion"]), self.engine.version
        is_newer_minor = _parts(has)[:1] == _parts(wanted)[:1] and _parts(wanted) > _parts(has)
        no_way = "RDS goes neither back nor to another major version in place"
        return Setting(
            "engine version",
            has,
            wanted,
            self._modify if is_newer_minor else None,
            {"EngineVersion": wanted},
            "restarts the database" if is_newer_minor else no_way,
            is_wanted=is_version(has, wanted),
        )

    def _storage(self, facts: dict[str, Any]) -> Iterable[Setting]:
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

    def _size(self) -> dict[str, Any]:
        striped = {"Iops": _STRIPED_IOPS} if self.storage_gib >= _STRIPED_GIB else {}
        return {"AllocatedStorage": self.storage_gib, **striped}

    def _parameters(self) -> dict[str, Any]:
        """Give what the create and the modify call take under the name that the description has."""
        return {
            "DBInstanceClass": self.instance_class,
            "BackupRetentionPeriod": self.backup_days,
            "MultiAZ": self.multi_az,
            "DeletionProtection": self.deletion_protection,
            "PubliclyAccessible": False,
            "CopyTagsToSnapshot": True,
            "AutoMinorVersionUpgrade": "." not in self.engine.version,
            "EngineLifecycleSupport": _LIFECYCLE,
        }

    def _monitor(self, state: State) -> dict[str, Any]:
        role = {"MonitoringRoleArn": state.arn(self.monitoring_role)} if self.monitoring_role else {}
        return {"MonitoringInterval": self.monitoring_s, **role}

    def _links(self, facts: dict[str, Any], state: State) -> Iterable[Setting]:
        has = sorted(group["VpcSecurityGroupId"] for group in facts.get("VpcSecurityGroups", []))
        wanted = sorted(state.id(group) for group in self.groups)
        to: dict[str, Any] = {"VpcSecurityGroupIds": wanted}
        yield Setting("security groups", ", ".join(has), ", ".join(wanted), self._modify, to)
        names = ", ".join(group["DBParameterGroupName"] for group in facts.get("DBParameterGroups", []))
        note = "takes effect with the next restart of the database"
        to = {"DBParameterGroupName": self.parameters.aws_name}
        yield Setting("parameter group", names, self.parameters.aws_name, self._modify, to, note)

    def notices(self, live: Live, state: State) -> tuple[str, ...]:
        """Tell of a key that is not the account's."""
        text = foreign_key(live.facts.get("KmsKeyId"), live.arn.split(":")[4])
        return (f"{self} ({live.id}) {text}",) if text else ()

    def _start(self, aws: Aws, live: Live, _: Mapping[str, Any]) -> None:
        aws.call("rds", "start_db_instance", DBInstanceIdentifier=live.id)
        self._settle(aws, live.id)

    def _modify(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        """Change all that differs in one call, now, not in the next maintenance window."""
        retry = RetryOn(_BUSY, deadline_s=1800)
        aws.call(
            "rds",
            "modify_db_instance",
            retry,
            _NEW_ROLE,
            DBInstanceIdentifier=live.id,
            ApplyImmediately=True,
            **to,
        )
        self._settle(aws, live.id)

    def create(self, aws: Aws, state: State) -> Live:
        """Make it; one that is being deleted is waited for."""
        parameters = {
            **self._parameters(),
            **self._size(),
            **self._monitor(state),
            **({"MaxAllocatedStorage": limit} if (limit := self.max_storage_gib) > self.storage_gib else {}),
            "DBInstanceIdentifier": self.aws_name,
            "Engine": self.engine.name,
            "EngineVersion": self.engine.version,
            "StorageType": "gp3",
            "StorageEncrypted": True,
            "MasterUsername": MASTER_USER,
            "ManageMasterUserPassword": True,
            "DBSubnetGroupName": state.id(self.subnets),
            "DBParameterGroupName": state.id(self.parameters),
            "VpcSecurityGroupIds": [state.id(group) for group in self.groups],
            "Tags": as_items(self.tags),
        }
        aws.call_or(_TAKEN, "rds", "create_db_instance", FIRST_USE, _NEW_ROLE, **parameters)
        return self._read(aws, self.aws_name)

    def look(self, aws: Aws, live: Live) -> Live:
        """Look again at one that was just made or changed."""
        return self._read(aws, live.id)

    def _gone(self, aws: Aws, id_: str) -> None:
        deleted = "db_instance_deleted"
        aws.wait("rds", deleted, deadline_s=_DELETE_S, delay_s=3, DBInstanceIdentifier=id_)

    def wait(self, aws: Aws, live: Live) -> Live | None:
        """Wait until it serves, has stopped, has failed or is gone; RDS takes minutes."""
        if live.status == "deleting":
            self._gone(aws, live.id)
            return None
        return self._settle(aws, live.id)

    def _settle(self, aws: Aws, id_: str) -> Live:
        """Wait for a state that lasts; botocore's waiter knows "available" only."""

        def settled() -> Live | None:
            live = self._read(aws, id_)
            return live if live.status in _ENDS else None

        return aws.until(settled, what=f"{self}: an end of its change", deadline_s=_CREATE_S, every_s=2)

    def obstacles(self, aws: Aws, live: Live, own: Collection[str]) -> Iterable[FlowsteadError]:
        """Find the protection that deployment.yml asks for."""
        if self.deletion_protection:
            yield UsageError(
                f"{self} ({live.id}) is protected from deletion (database.deletion_protection is true).",
                next_step="To destroy it, set that to false in deployment.yml and run destroy again.",
            )

    def remains(self, live: Live, teardown: Teardown) -> str:
        """Name the final snapshot."""
        if not teardown.final_snapshot or live.status in {"deleting", *_HOPELESS}:
            return ""
        return f"final snapshot {_snapshot(live, teardown)} of {self.kind} {live.id}"

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Lift the protection, take the final snapshot, delete it; the caller has asked the user.

        RDS takes no snapshot of an instance that it could not make.
        """
        there = self.at(aws, live.id)
        if there is None:
            return
        if there.status not in {*_ENDS, "deleting"}:
            there = self._settle(aws, live.id)
        if there.status != "deleting":
            self._delete(aws, there, teardown)
        self._gone(aws, live.id)

    def _delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        is_protected = bool(live.facts.get("DeletionProtection"))
        takes_snapshot = teardown.final_snapshot and live.status not in _HOPELESS
        if live.status == "stopped" and (is_protected or takes_snapshot):
            # RDS neither changes a stopped one nor takes a snapshot of it.
            self._start(aws, live, {})
        if is_protected:
            self._modify(aws, live, {"DeletionProtection": False})
        snapshot: dict[str, Any] = {"SkipFinalSnapshot": True}
        if takes_snapshot:
            snapshot = {"SkipFinalSnapshot": False, "FinalDBSnapshotIdentifier": _snapshot(live, teardown)}
        aws.call_or(
            _ABSENT,
            "rds",
            "delete_db_instance",
            RetryOn(_BUSY, deadline_s=900),
            DBInstanceIdentifier=live.id,
            DeleteAutomatedBackups=True,
            **snapshot,
        )


def _live(item: dict[str, Any]) -> Live:
    status = str(item["DBInstanceStatus"])
    return Live(
        id=item["DBInstanceIdentifier"],
        arn=item["DBInstanceArn"],
        facts=item,
        tags=as_tags(item.get("TagList", [])),
        ready=status in _USABLE or status in _HOPELESS,
        status=status,
    )


def _snapshot(live: Live, teardown: Teardown) -> str:
    return f"{live.id}-final-{teardown.stamp}"


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]


def _monitored(interval_s: int | None, role_arn: str | None) -> str:
    return f"every {interval_s} s with {role_arn}" if interval_s else "off"
