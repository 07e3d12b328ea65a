"""An instance of a cluster: it writes or reads, and which of them writes may change at any time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from provisioner.aws import Aws, RetryOn
from provisioner.resources.base import Live, Teardown
from provisioner.resources.ec2.zones import Zones
from provisioner.resources.rds.calls import CLUSTERS, INSTANCES, MEMBER_STATES, Calls, States
from provisioner.resources.rds.db_cluster import DbCluster
from provisioner.resources.rds.served import NEW_ROLE, Monitored
from provisioner.resources.setting import Setting
from provisioner.resources.state import State
from provisioner.resources.tags import as_items

SERVERLESS = "db.serverless"
"""The class of a member that is as large as it needs to be:
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.create.html"""


@dataclass(frozen=True, eq=False)
class DbMember(Monitored):
    """A member of a cluster; it holds nothing that the cluster has not.

    Args:
        cluster: whose member it is.
        zones: where there are subnets.
        zone: in which of them it is made, from 0.

    """

    kind: ClassVar[str] = "database member"
    listed_as: ClassVar[str] = "rds/db"
    calls: ClassVar[Calls] = INSTANCES
    states: ClassVar[States] = MEMBER_STATES

    cluster: DbCluster
    zones: Zones
    zone: int

    @classmethod
    def is_kind_of(cls, item: Mapping[str, Any]) -> bool:
        """Tell it from a database of its own."""
        return bool(item.get("DBClusterIdentifier"))

    def belongs_to(self, live: Live) -> str:
        """Name its cluster, with which it stays."""
        return str(live.facts["DBClusterIdentifier"])

    def settings(self, live: Live, state: State) -> Iterable[Setting]:
        """What is its own; whether it writes is the cluster's affair, and so is whether it runs."""
        if live.status in {"creating", "deleting", "stopped"}:
            return
        facts = {**live.facts, **live.facts.get("PendingModifiedValues", {})}
        yield Setting("cluster", facts.get("DBClusterIdentifier"), self.cluster.aws_name)
        yield self._state(live)
        for name, value in self._parameters().items():
            yield Setting(name, facts.get(name), value, self._modify, {name: value})
        yield from self._monitoring(facts, state)

    def _parameters(self) -> dict[str, Any]:
        """Give what the create and the modify call take under the name that the description has."""
        return {
            "DBInstanceClass": SERVERLESS,
            "PubliclyAccessible": self.cluster.public_routes is not None,
            "AutoMinorVersionUpgrade": self.cluster.engine.is_kept_current,
        }

    def create(self, aws: Aws, state: State) -> Live:
        """Make it; the cluster's first one writes, the others read."""
        aws.call_or(
            self.calls.taken,
            "rds",
            "create_db_instance",
            RetryOn(CLUSTERS.busy, deadline_s=900),
            NEW_ROLE,
            **self._parameters(),
            **self._monitor(state),
            DBInstanceIdentifier=self.aws_name,
            DBClusterIdentifier=state.id(self.cluster),
            Engine=self.cluster.engine.name,
            AvailabilityZone=self.zones.pick(state, self.zone),
            Tags=as_items(self.tags),
        )
        return self._read(aws, self.aws_name)

    def delete(self, aws: Aws, live: Live, teardown: Teardown) -> None:
        """Delete it; the data are the cluster's, whose role of the writer goes to another."""
        there = self.at(aws, live.id)
        if there is None:
            return
        if there.status == "stopped":
            # Nothing of a stopped cluster can be deleted. Another member may have started it.
            name = there.facts["DBClusterIdentifier"]
            aws.call_or(CLUSTERS.busy, "rds", CLUSTERS.start, DBClusterIdentifier=name)
        if there.status not in {*self.states.lasting, "deleting"}:
            there = self._settle(aws, live.id)
        if there.status != "deleting":
            retry = RetryOn((*self.calls.busy, *CLUSTERS.busy), deadline_s=900)
            words = {self.calls.named: live.id, "SkipFinalSnapshot": True}
            aws.call_or(self.calls.absent, "rds", self.calls.delete, retry, **words)
        self._gone(aws, live.id)
