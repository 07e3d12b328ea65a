"""An account with a deployment whose database is a cluster of Aurora."""

from typing import Any

from provisioner.engine import plan
from provisioner.engine.apply import apply
from provisioner.engine.plan import Plan, Teardown
from provisioner.resources.state import State
from tests.unit.provisioner.moto_account import Account

NAME = "flowstead-flowstead-aurora"


class Aurora:
    """The account with a deployment whose database is a cluster of Aurora with one reader."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def wanted(self, **keys: Any) -> dict[str, Any]:
        return {"database": {"engine": "aurora-postgresql", "readers": 1, **keys}}

    def plan(self, **keys: Any) -> Plan:
        return self.account.plan(**self.wanted(**keys))

    def apply(self, **keys: Any) -> State:
        return self.account.apply(**self.wanted(**keys))

    def live(self, name: str) -> Any:
        return self.account.graph(**self.wanted())[name].find(self.account.open())

    def destroy(self, **choices: Any) -> Plan:
        aws = self.account.open()
        graph = self.account.graph(**self.wanted(deletion_protection=False))
        planned = plan.destroy(graph, aws, Teardown(**choices))
        apply(planned, aws)
        return planned

    def writers(self) -> dict[str, bool]:
        (cluster,) = self.call("describe_db_clusters")["DBClusters"]
        return {one["DBInstanceIdentifier"]: one["IsClusterWriter"] for one in cluster["DBClusterMembers"]}

    def call(self, operation: str, **parameters: Any) -> Any:
        return self.account.call("rds", operation, **parameters)
