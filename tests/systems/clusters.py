"""What the tests of systems on Aurora ask of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from deployed import Deployment, Sandbox
from upgrading import OLDER_SCHEMA, use

# Run as the server, with its settings: it asks as SQLAlchemy does, under the cluster's name, which the
# certificate has, and is led to each of the members.
CONNECT = """
import os, socket, sys, sqlalchemy
url = sqlalchemy.make_url(os.environ["MLFLOW_BACKEND_STORE_URI"])
real = socket.getaddrinfo
for name in sys.argv[1:]:
    socket.getaddrinfo = lambda host, *more, **options: real(name, *more, **options)
    at = {"hostaddr": socket.gethostbyname(name)} if url.drivername.startswith("postgresql") else {}
    try:
        sqlalchemy.create_engine(url, connect_args=at).connect().close()
        print("taken")
    except sqlalchemy.exc.OperationalError as error:
        print("refused:", str(error.orig).strip().splitlines()[-1])
"""


def deployed_from(example: str, sandbox: Sandbox, clone: Path) -> Deployment:
    """Make an example's deployment by the two commands: with an older release, and not protected."""
    wanted: dict[str, Any] = yaml.safe_load((clone / "examples/deployments" / example).read_text())
    wanted["database"]["deletion_protection"] = False
    wanted["server"] = {**wanted.get("server", {}), "image": "baked-debian-13"}
    (clone / "deployment.yml").write_text(yaml.safe_dump(wanted), encoding="utf-8")
    made = Deployment(sandbox, clone)
    made.provision("bake", "--unless-current")
    made.provision()
    made.playbook("site.yml", *use(OLDER_SCHEMA))
    return made


class Cluster:
    """A deployment's cluster.

    Args:
        deployment: the deployment.

    """

    def __init__(self, deployment: Deployment) -> None:
        self.deployment, self.identifier = deployment, deployment.provisioned["database"]["identifier"]

    @property
    def rds(self) -> Any:
        """RDS, as the operator has it."""
        return self.deployment.sandbox.client("rds")

    def described(self) -> dict[str, Any]:
        """Return what RDS says of it."""
        found = self.rds.describe_db_clusters(DBClusterIdentifier=self.identifier)["DBClusters"]
        return dict(found[0])

    def writer(self) -> str:
        """Name the member that writes; empty: there is none now."""
        members = self.described()["DBClusterMembers"]
        return next((one["DBInstanceIdentifier"] for one in members if one["IsClusterWriter"]), "")

    def is_settled(self) -> bool:
        """Tell whether nothing is under way."""
        return bool(self.described()["Status"] == "available")

    def snapshots(self, why: str) -> list[str]:
        """Name its snapshots that were taken for a reason."""
        listed = self.rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]
        names = [str(one["DBClusterSnapshotIdentifier"]) for one in listed]
        # What is before is cut, for names have 63 characters at most.
        return [name for name in names if self.identifier.startswith(name.partition(f"-{why}-")[0])]

    def connects(self, release: str) -> list[str]:
        """Return what the server of a release is told when it connects to the writer, and to a reader."""
        listed = self.rds.describe_db_instances()["DBInstances"]
        names = {one["DBInstanceIdentifier"]: one["Endpoint"]["Address"] for one in listed}
        writes = names.pop(self.writer())
        (reads,) = names.values()
        return self.deployment.host(
            f"systemd-run --quiet --pipe --wait --uid=mlflow -p EnvironmentFile=/etc/mlflow/{release}.env "
            f"/opt/mlflow/releases/{release}/bin/python -c '{CONNECT}' {writes} {reads}"
        ).splitlines()
