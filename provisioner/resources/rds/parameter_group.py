"""Settings of the database that differ from RDS's own."""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.errors import FlowsteadError
from provisioner.resources.base import Live, Teardown
from provisioner.resources.rds.calls import (
    CLUSTERS,
    INSTANCES,
    OF_CLUSTERS,
    OF_INSTANCES,
    Calls,
    ParameterCalls,
)
from provisioner.resources.rds.database_facts import Engine, others
from provisioner.resources.rds.kind import RdsResource
from provisioner.resources.refusals import in_the_way
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import as_items

_ABSENT = ("DBParameterGroupNotFound", "DBParameterGroupNotFoundFault", "DBClusterParameterGroupNotFound")
_IN_USE = ("InvalidDBParameterGroupState", "InvalidDBParameterGroupStateFault")


@dataclass(frozen=True, eq=False)
class ParameterGroup(RdsResource):
    """A group of parameters.

    Args:
        engine: whose parameters they are.
        parameters: names and values; all of them take effect without a restart.

    """

    calls: ClassVar[ParameterCalls]
    users: ClassVar[Calls]

    engine: Engine
    parameters: Mapping[str, str]

    @property
    def aws_name(self) -> str:
        """Its name in RDS; another for each major version, as a group's family is for ever."""
        return f"{super().aws_name}-{self.engine.family.replace('.', '-')}"

    @staticmethod
    @abstractmethod
    def _used_by(item: Mapping[str, Any]) -> Collection[str]:
        """Name the groups that something uses."""

    def at(self, aws: Aws, id_: str) -> Live | None:
        """Look at one by its name, with the values of its parameters."""
        name = {self.calls.named: id_}
        answer = aws.call_or(_ABSENT, "rds", self.calls.describe, **name)
        groups = answer[self.calls.items] if answer else []
        if not groups:
            return None
        arn = groups[0][self.calls.arn]
        # A value that equals RDS's own keeps the source "system": the source does not tell what is set.
        items = aws.page("rds", self.calls.parameters, "Parameters", **name)
        values = {item["ParameterName"]: item.get("ParameterValue") for item in items}
        return Live(id=id_, arn=arn, facts=values, tags=self.tags_of(aws, arn))

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """Our parameters; those that the user sets are left alone."""
        for name, value in sorted(self.parameters.items()):
            yield Setting(name, live.facts.get(name), value, self._modify, {name: value})

    def _modify(self, aws: Aws, live: Live, to: Mapping[str, Any]) -> None:
        parameters = [
            {"ParameterName": name, "ParameterValue": value, "ApplyMethod": "immediate"}
            for name, value in to.items()
        ]
        name: dict[str, Any] = {self.calls.named: live.id}
        aws.call("rds", self.calls.modify, RetryOn(_ABSENT), **name, Parameters=parameters)

    def create(self, aws: Aws, state: State) -> Live:
        """Make the group."""
        aws.call_or(
            ("DBParameterGroupAlreadyExists",),
            "rds",
            self.calls.create,
            **{self.calls.named: self.aws_name},
            DBParameterGroupFamily=self.engine.family,
            Description=f"{self.engine.shown} settings of the Flowstead deployment {self.owner.deployment}",
            Tags=as_items(self.tags),
        )
        return self.found(aws)

    def obstacles(self, aws: Aws, live: Live, own: Collection[str]) -> Iterable[FlowsteadError]:
        """Find the databases of others that use it."""
        for item in others(aws, self.users, own):
            if live.id in self._used_by(item):
                what = f"the database {item[self.users.named]} uses it"
                yield in_the_way(self, live, what, "Give it a parameter group of its own")

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Delete it, once the database has let go of it."""
        aws.call_or(_ABSENT, "rds", self.calls.delete, RetryOn(_IN_USE), **{self.calls.named: live.id})


@dataclass(frozen=True, eq=False)
class DbParameterGroup(ParameterGroup):
    """The parameters of an instance."""

    kind: ClassVar[str] = "DB parameter group"
    listed_as: ClassVar[str] = "rds/pg"
    calls: ClassVar[ParameterCalls] = OF_INSTANCES
    users: ClassVar[Calls] = INSTANCES

    @staticmethod
    def _used_by(item: Mapping[str, Any]) -> Collection[str]:
        return {group["DBParameterGroupName"] for group in item["DBParameterGroups"]}


@dataclass(frozen=True, eq=False)
class DbClusterParameterGroup(ParameterGroup):
    """The parameters of a cluster."""

    kind: ClassVar[str] = "DB cluster parameter group"
    listed_as: ClassVar[str] = "rds/cluster-pg"
    calls: ClassVar[ParameterCalls] = OF_CLUSTERS
    users: ClassVar[Calls] = CLUSTERS

    @staticmethod
    def _used_by(item: Mapping[str, Any]) -> Collection[str]:
        return {item["DBClusterParameterGroup"]}
