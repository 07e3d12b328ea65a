"""A cluster of Aurora: data that several instances share, as large and as fast as it is used."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.errors import FlowsteadError
from provisioner.resources.base import Live
from provisioner.resources.rds.calls import CLUSTER_STATES, CLUSTERS, Calls, States
from provisioner.resources.rds.database import Database
from provisioner.resources.rds.database_facts import versions
from provisioner.resources.rds.kind import FIRST_USE
from provisioner.resources.rds.parameter_group import DbClusterParameterGroup
from provisioner.resources.setting import Setting
from provisioner.resources.state import State

_CAPACITY = "ServerlessV2ScalingConfiguration"


@dataclass(frozen=True, eq=False)
class DbCluster(Database):
    """A cluster whose members have as many Aurora capacity units (ACU) as they need, within limits.

    Args:
        min_acu: the fewest that a member has; 0: it pauses.
        max_acu: the most.

    """

    kind: ClassVar[str] = "database cluster"
    listed_as: ClassVar[str] = "rds/cluster"
    calls: ClassVar[Calls] = CLUSTERS
    states: ClassVar[States] = CLUSTER_STATES
    is_cluster: ClassVar[bool] = True

    parameters: DbClusterParameterGroup
    min_acu: float
    max_acu: float

    @classmethod
    def is_kind_of(cls, item: Mapping[str, Any]) -> bool:
        """Tell it from a Multi-AZ cluster, which is none of Aurora's."""
        return not item.get("DBClusterInstanceClass")

    @staticmethod
    def endpoint(live: Live) -> tuple[str, int] | None:
        """Tell the name and the port at which the writer answers, whichever member that is."""
        endpoint = live.facts.get("Endpoint")
        return (str(endpoint), int(live.facts["Port"])) if endpoint else None

    @staticmethod
    def _subnet_group(facts: Mapping[str, Any]) -> str | None:
        return facts.get("DBSubnetGroup")

    @staticmethod
    def _parameter_groups(facts: Mapping[str, Any]) -> str:
        return str(facts.get("DBClusterParameterGroup"))

    @property
    def _capacity(self) -> dict[str, float]:
        return {"MinCapacity": self.min_acu, "MaxCapacity": self.max_acu}

    def _own_settings(self, facts: Mapping[str, Any], state: State) -> Iterable[Setting]:
        wanted = self._capacity
        yield Setting(
            "capacity", _shown(facts.get(_CAPACITY, {})), _shown(wanted), self._modify, {_CAPACITY: wanted}
        )

    def create(self, aws: Aws, state: State) -> Live:
        """Make it, without members; one that is being deleted is waited for.

        RDS's documentation says nothing of a version without the minor one for Aurora PostgreSQL. Of a
        region's zones RDS chooses three for the members, but for those that the call names.
        """
        known = versions(aws, self.engine)
        if not known:
            raise FlowsteadError(
                f"{self} cannot be made: AWS has no {self.engine.shown} {self.engine.version} any more.",
                next_step="Choose another database.engine_version in deployment.yml.",
            )
        aws.call_or(
            self.calls.taken,
            "rds",
            "create_db_cluster",
            FIRST_USE,
            RetryOn(("InvalidSubnet",), deadline_s=30),
            **self._made_with(state),
            **{_CAPACITY: self._capacity},
            EngineVersion=known[-1]["EngineVersion"],
            AvailabilityZones=[one.zones.pick(state, one.zone) for one in self.subnets.subnets],
        )
        return self._read(aws, self.aws_name)


def _shown(capacity: Mapping[str, float]) -> str:
    if not capacity:
        return "not set"
    return f"{capacity['MinCapacity']:g} to {capacity['MaxCapacity']:g} ACU"
