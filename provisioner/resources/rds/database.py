"""What keeps runs, models and users, whatever RDS makes it of."""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.errors import FlowsteadError, UsageError
from provisioner.resources.base import Live, Teardown
from provisioner.resources.ec2.route_table import RouteTable
from provisioner.resources.ec2.security_group import SecurityGroup
from provisioner.resources.move_tags import moving
from provisioner.resources.place_of_artifacts import ARTIFACTS_TAG, place_of_artifacts
from provisioner.resources.rds.database_facts import Engine, is_version, parts
from provisioner.resources.rds.db_subnet_group import DbSubnetGroup
from provisioner.resources.rds.parameter_group import ParameterGroup
from provisioner.resources.rds.served import Served
from provisioner.resources.refusals import foreign_key
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import as_items

MASTER_USER = "flowstead_master"
"""Makes roles and databases; its password is RDS's to keep and to rotate."""

_LIFECYCLE = "open-source-rds-extended-support-disabled"
"""RDS's own is to go on with a version after its end, for a fee by the hour and processor:
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/extended-support.html"""


@dataclass(frozen=True, eq=False)
class Database(Served):
    """A database: encrypted, backed up, its master password kept by RDS.

    Args:
        engine: its kind and version.
        backup_days: days that automatic backups are kept.
        deletion_protection: RDS refuses to delete it.
        subnets: where it is.
        groups: which packets reach it.
        parameters: its settings.
        artifacts: URI of the folder under which what the database lists has its artifacts.
        moving_from: id of the store whose data it is made for; empty: of none.
        public_routes: the way by which it is reached from outside its network; None: it is private.

    """

    holds_data: ClassVar[bool] = True
    keeps_runs: ClassVar[bool] = True
    is_cluster: ClassVar[bool] = False

    engine: Engine
    backup_days: int
    deletion_protection: bool
    subnets: DbSubnetGroup
    groups: tuple[SecurityGroup, ...]
    parameters: ParameterGroup
    artifacts: str
    moving_from: str
    public_routes: RouteTable | None

    @property
    def tags(self) -> Mapping[str, str]:
        """Every tag that it is to carry, with the place of the artifacts."""
        return MappingProxyType({**super().tags, ARTIFACTS_TAG: self.artifacts, **moving(self.moving_from)})

    @staticmethod
    @abstractmethod
    def endpoint(live: Live) -> tuple[str, int] | None:
        """Tell the name and the port at which it takes writes; None: it has none yet."""

    @staticmethod
    @abstractmethod
    def _subnet_group(facts: Mapping[str, Any]) -> str | None:
        """Tell which subnet group it is in."""

    @staticmethod
    @abstractmethod
    def _parameter_groups(facts: Mapping[str, Any]) -> str:
        """Tell which parameter groups it has."""

    @abstractmethod
    def _own_settings(self, facts: Mapping[str, Any], state: State) -> Iterable[Setting]:
        """Declare what its kind has and others have not."""

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """Everything about it; what RDS has accepted but not done yet counts as done."""
        if live.status in {"creating", "deleting"}:
            return
        facts = {**live.facts, **live.facts.get("PendingModifiedValues", {})}
        yield from self._for_ever(live, facts)
        yield self._state(live)
        yield self._version(facts)
        yield from self._own_settings(facts, state)
        for name, value in self._parameters().items():
            yield Setting(name, facts.get(name), value, self._modify, {name: value})
        kept = "kept by RDS"
        has = kept if facts.get("MasterUserSecret") else "given"
        yield Setting("master password", has, kept, self._modify, {"ManageMasterUserPassword": True})
        yield from self._links(facts, state)

    def _for_ever(self, live: Live, facts: Mapping[str, Any]) -> Iterable[Setting]:
        yield Setting("engine", facts.get("Engine"), self.engine.name)
        yield Setting("encryption", "on" if facts.get("StorageEncrypted") else "off", "on")
        yield Setting("subnet group", self._subnet_group(facts), self.subnets.aws_name)
        yield place_of_artifacts(live.tags, self.artifacts)

    def _version(self, facts: Mapping[str, Any]) -> Setting:
        has, wanted = str(facts["EngineVersion"]), self.engine.version
        is_newer_minor = parts(has)[:1] == parts(wanted)[:1] and parts(wanted) > parts(has)
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

    def _parameters(self) -> dict[str, Any]:
        """Give what the create and the modify call take under the name that the description has."""
        return {
            "BackupRetentionPeriod": self.backup_days,
            "DeletionProtection": self.deletion_protection,
            "CopyTagsToSnapshot": True,
            "EngineLifecycleSupport": _LIFECYCLE,
        }

    def _links(self, facts: Mapping[str, Any], state: State) -> Iterable[Setting]:
        has = sorted(group["VpcSecurityGroupId"] for group in facts.get("VpcSecurityGroups", []))
        wanted = sorted(state.id(group) for group in self.groups)
        to: dict[str, Any] = {"VpcSecurityGroupIds": wanted}
        yield Setting("security groups", ", ".join(has), ", ".join(wanted), self._modify, to)
        note = "takes effect with the next restart of the database"
        to = {self.parameters.calls.named: self.parameters.aws_name}
        has_ = self._parameter_groups(facts)
        yield Setting("parameter group", has_, self.parameters.aws_name, self._modify, to, note)

    def _made_with(self, state: State) -> dict[str, Any]:
        """Give what the create call of each kind takes."""
        return {
            **self._parameters(),
            self.calls.named: self.aws_name,
            self.parameters.calls.named: state.id(self.parameters),
            "Engine": self.engine.name,
            "StorageEncrypted": True,
            "MasterUsername": MASTER_USER,
            "ManageMasterUserPassword": True,
            "DBSubnetGroupName": state.id(self.subnets),
            "VpcSecurityGroupIds": [state.id(group) for group in self.groups],
            "Tags": as_items(self.tags),
        }

    def stands_on(self, live: Live) -> Collection[str]:
        """Name its groups."""
        firewalls = (group["VpcSecurityGroupId"] for group in live.facts.get("VpcSecurityGroups", []))
        groups = (self._subnet_group(live.facts), self._parameter_groups(live.facts))
        return (*super().stands_on(live), *firewalls, *(one for one in groups if one))

    def notices(self, live: Live, state: State) -> tuple[str, ...]:
        """Tell of a key that is not the account's."""
        text = foreign_key(live.facts.get("KmsKeyId"), live.arn.split(":")[4])
        return (f"{self} ({live.id}) {text}",) if text else ()

    def obstacles(self, aws: Aws, live: Live, own: Collection[str]) -> Iterable[FlowsteadError]:
        """Find the protection that deployment.yml asks for."""
        if self.deletion_protection:
            yield UsageError(
                f"{self} ({live.id}) is protected from deletion (database.deletion_protection is true).",
                next_step="To destroy it, set that to false in deployment.yml and run destroy again.",
            )

    def remains(self, live: Live, teardown: Teardown) -> str:
        """Name the final snapshot."""
        if not teardown.final_snapshot or live.status in {"deleting", *self.states.hopeless}:
            return ""
        return f"final snapshot {_snapshot(live, teardown)} of {self.kind} {live.id}"

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Lift the protection, take the final snapshot, delete it; the caller has asked the user.

        RDS takes no snapshot of what it could not make.
        """
        there = self.at(aws, live.id)
        if there is None:
            return
        if there.status not in {*self.states.lasting, "deleting"}:
            there = self._settle(aws, live.id)
        if there.status != "deleting":
            self._delete(aws, there, teardown)
        self._gone(aws, live.id)

    def _delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        is_protected = bool(live.facts.get("DeletionProtection"))
        takes_snapshot = teardown.final_snapshot and live.status not in self.states.hopeless
        if live.status == "stopped" and (is_protected or takes_snapshot):
            # RDS neither changes a stopped one nor takes a snapshot of it.
            self._start(aws, live, {})
        if is_protected:
            self._modify(aws, live, {"DeletionProtection": False})
        snapshot: dict[str, Any] = {"SkipFinalSnapshot": True}
        if takes_snapshot:
            snapshot = {"SkipFinalSnapshot": False, "FinalDBSnapshotIdentifier": _snapshot(live, teardown)}
        aws.call_or(
            self.calls.absent,
            "rds",
            self.calls.delete,
            RetryOn(self.calls.busy, deadline_s=900),
            **{self.calls.named: live.id},
            DeleteAutomatedBackups=True,
            **snapshot,
        )


def _snapshot(live: Live, teardown: Teardown) -> str:
    return f"{live.id}-final-{teardown.stamp}"
