"""Aurora PostgreSQL with a reader: made, used while the role of the writer moves, and removed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from counting import ONE_OF_EACH, things
from deployed import Deployment, Sandbox, changes, until
from upgrading import NEWEST, OLDER_SCHEMA, Logging, use, version, without_loss

pytestmark = pytest.mark.timeout(1800)

NAME = "aurora"
IDENTIFIER = f"flowstead-{NAME}"


@pytest.fixture(scope="module")
def deployment(sandbox: Sandbox, clone: Path) -> Deployment:
    """The example's deployment, after the two commands; an older release, and not protected."""
    wanted: dict[str, Any] = yaml.safe_load((clone / "examples/deployments/aurora.yml").read_text())
    wanted["database"]["deletion_protection"] = False
    wanted["server"] = {"image": "baked-debian-13"}
    (clone / "deployment.yml").write_text(yaml.safe_dump(wanted), encoding="utf-8")
    made = Deployment(sandbox, clone)
    made.provision("bake", "--unless-current")
    made.provision()
    made.playbook("site.yml", *use(OLDER_SCHEMA))
    return made


@pytest.fixture
def logging(deployment: Deployment, tmp_path: Path) -> Logging:
    """A client that can log without a pause, with its own retries and nothing else."""
    return Logging(
        deployment.client_environment, tmp_path / "record.jsonl", tmp_path / "stop", deployment.clone
    )


def cluster(deployment: Deployment) -> dict[str, Any]:
    (found,) = deployment.sandbox.client("rds").describe_db_clusters(DBClusterIdentifier=IDENTIFIER)[
        "DBClusters"
    ]
    return dict(found)


def writer(deployment: Deployment) -> str:
    members = cluster(deployment)["DBClusterMembers"]
    return str(next((one["DBInstanceIdentifier"] for one in members if one["IsClusterWriter"]), ""))


def is_settled(deployment: Deployment) -> bool:
    return bool(cluster(deployment)["Status"] == "available")


def snapshots(deployment: Deployment, why: str) -> list[str]:
    listed = deployment.sandbox.client("rds").describe_db_cluster_snapshots()["DBClusterSnapshots"]
    names = [str(one["DBClusterSnapshotIdentifier"]) for one in listed]
    return [name for name in names if name.startswith(f"{IDENTIFIER}-{why}-")]


def assert_nothing_changes(deployment: Deployment, *release: str) -> None:
    assert "nothing to do" in deployment.provision().stdout.lower()
    assert changes(deployment.playbook("site.yml", *release).stdout) == []


def test_the_two_commands_again_change_nothing(deployment: Deployment) -> None:
    assert len(cluster(deployment)["DBClusterMembers"]) == 2
    assert deployment.provisioned["database"]["endpoint"] == cluster(deployment)["Endpoint"]
    assert_nothing_changes(deployment, *use(OLDER_SCHEMA))


def test_an_upgrade_that_migrates_takes_a_snapshot_of_the_cluster(
    deployment: Deployment, logging: Logging, capsys: pytest.CaptureFixture[str]
) -> None:
    with without_loss(logging, capsys, f"{OLDER_SCHEMA} to {NEWEST}"):
        said = deployment.playbook("site.yml").stdout
    assert version(deployment.client_environment) == NEWEST
    (snapshot,) = snapshots(deployment, "before")
    assert f"Snapshot: {snapshot}" in " ".join(said.split())
    assert_nothing_changes(deployment)


# Run as the server, with its settings; each name is tried under the cluster's, which the certificate has.
CONNECT = """
import os, socket, sys, psycopg2
url = os.environ["MLFLOW_BACKEND_STORE_URI"].replace("+psycopg2", "")
for name in sys.argv[1:]:
    try:
        psycopg2.connect(url, hostaddr=socket.gethostbyname(name)).close()
        print("taken")
    except psycopg2.OperationalError as error:
        print(str(error).strip().splitlines()[-1])
"""


def test_the_server_takes_no_connection_to_one_that_only_reads(deployment: Deployment) -> None:
    """The name of the one that writes leads there for some seconds when another one takes over."""
    listed = deployment.sandbox.client("rds").describe_db_instances()["DBInstances"]
    names = {one["DBInstanceIdentifier"]: one["Endpoint"]["Address"] for one in listed}
    writes = names.pop(writer(deployment))
    (reads,) = names.values()
    said = deployment.host(
        f"systemd-run --quiet --pipe --wait --uid=mlflow -p EnvironmentFile=/etc/mlflow/{NEWEST}.env "
        f"/opt/mlflow/releases/{NEWEST}/bin/python -c '{CONNECT}' {writes} {reads}"
    )
    assert "taken" in said.splitlines()[0]
    assert "read-only" in said.splitlines()[1]


def test_a_client_logs_through_a_failover(
    deployment: Deployment, logging: Logging, capsys: pytest.CaptureFixture[str]
) -> None:
    rds, before = deployment.sandbox.client("rds"), writer(deployment)
    with without_loss(logging, capsys, "failover"):
        rds.failover_db_cluster(DBClusterIdentifier=IDENTIFIER)
        until(lambda: writer(deployment) != before and is_settled(deployment), "another writer")
        written = logging.record.read_text().count("\n")
        until(lambda: logging.record.read_text().count("\n") > written + 20, "a client that goes on")
    assert_nothing_changes(deployment)


def test_a_client_logs_through_the_loss_of_the_writer_which_is_made_again(
    deployment: Deployment, logging: Logging, capsys: pytest.CaptureFixture[str]
) -> None:
    rds, lost = deployment.sandbox.client("rds"), writer(deployment)
    with without_loss(logging, capsys, "loss of the writer"):
        rds.delete_db_instance(DBInstanceIdentifier=lost, SkipFinalSnapshot=True)
        until(lambda: writer(deployment) not in {"", lost}, "another writer")
        deployment.provision()
        written = logging.record.read_text().count("\n")
        until(lambda: logging.record.read_text().count("\n") > written + 20, "a client that goes on")
    members = {one["DBInstanceIdentifier"]: one for one in cluster(deployment)["DBClusterMembers"]}
    assert set(members) == {f"{IDENTIFIER}-1", f"{IDENTIFIER}-2"}
    assert not members[lost]["IsClusterWriter"]
    assert_nothing_changes(deployment)


def test_another_engine_is_refused_before_anything_changes(deployment: Deployment) -> None:
    config = deployment.clone / "deployment.yml"
    original = config.read_text(encoding="utf-8")
    values = yaml.safe_load(original) | {"database": {"engine": "postgresql"}}
    before = len(deployment.sandbox.calls())
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    try:
        done = deployment.provision(check=False)
    finally:
        config.write_text(original, encoding="utf-8")
    assert done.returncode == 2
    assert f"database.engine: the data are in database cluster database ({IDENTIFIER})" in done.stderr
    assert not [one for one in deployment.sandbox.calls()[before:] if one["action"].startswith("Create")]


def test_destroy_leaves_the_last_snapshot_and_nothing_else(deployment: Deployment) -> None:
    sandbox, rds = deployment.sandbox, deployment.sandbox.client("rds")
    said = deployment.provision("destroy", "--yes", "--delete-data").stdout
    assert things(sandbox, NAME) == dict.fromkeys(ONE_OF_EACH, 0)
    assert rds.describe_db_clusters()["DBClusters"] == []
    groups = rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    assert not [one for one in groups if NAME in one["DBClusterParameterGroupName"]]
    (snapshot,) = snapshots(deployment, "final")
    assert snapshot in said
    listed = subprocess.run(
        ["podman", "ps", "--all", "--format", "{{.Names}}"], capture_output=True, text=True, check=True
    ).stdout
    assert IDENTIFIER not in listed
    kept = sandbox.clone / ".sandbox" / sandbox.name
    assert len(list(kept.rglob("PG_VERSION"))) > 0
    assert all("snapshots" in str(one) for one in kept.rglob("PG_VERSION"))
