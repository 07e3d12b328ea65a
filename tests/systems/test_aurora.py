"""Aurora PostgreSQL with a reader: made, used while the role of the writer moves, and removed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from clusters import Cluster, deployed_from
from counting import ONE_OF_EACH, things
from deployed import Deployment, Sandbox, assert_nothing_changes, until
from upgrading import NEWEST, OLDER_SCHEMA, Logging, use, version, without_loss

pytestmark = pytest.mark.timeout(1800)

NAME = "aurora"


@pytest.fixture(scope="module")
def deployment(sandbox: Sandbox, clone: Path) -> Deployment:
    """The example's deployment, after the two commands; an older release, and not protected."""
    return deployed_from("aurora.yml", sandbox, clone)


@pytest.fixture(scope="module")
def cluster(deployment: Deployment) -> Cluster:
    """Its cluster."""
    return Cluster(deployment)


@pytest.fixture
def logging(deployment: Deployment, tmp_path: Path) -> Logging:
    """A client that can log without a pause, with its own retries and nothing else."""
    return Logging(
        deployment.client_environment, tmp_path / "record.jsonl", tmp_path / "stop", deployment.clone
    )


def test_the_two_commands_again_change_nothing(deployment: Deployment, cluster: Cluster) -> None:
    assert len(cluster.described()["DBClusterMembers"]) == 2
    assert deployment.provisioned["database"]["endpoint"] == cluster.described()["Endpoint"]
    assert_nothing_changes(deployment, *use(OLDER_SCHEMA))


def test_an_upgrade_that_migrates_takes_a_snapshot_of_the_cluster(
    deployment: Deployment, cluster: Cluster, logging: Logging, capsys: pytest.CaptureFixture[str]
) -> None:
    with without_loss(logging, capsys, f"{OLDER_SCHEMA} to {NEWEST}"):
        said = deployment.playbook("site.yml").stdout
    assert version(deployment.client_environment) == NEWEST
    (snapshot,) = cluster.snapshots("before")
    assert f"Snapshot: {snapshot}" in " ".join(said.split())
    assert_nothing_changes(deployment)


def test_the_server_takes_no_connection_to_one_that_only_reads(cluster: Cluster) -> None:
    """The name of the one that writes leads there for some seconds when another one takes over."""
    taken, refused = cluster.connects(NEWEST)
    assert taken == "taken"
    assert "read-only" in refused


def test_a_client_logs_through_a_failover(
    deployment: Deployment, cluster: Cluster, logging: Logging, capsys: pytest.CaptureFixture[str]
) -> None:
    rds, before = cluster.rds, cluster.writer()
    with without_loss(logging, capsys, "failover"):
        rds.failover_db_cluster(DBClusterIdentifier=cluster.identifier)
        until(lambda: cluster.writer() != before and cluster.is_settled(), "another writer")
        written = logging.record.read_text().count("\n")
        until(lambda: logging.record.read_text().count("\n") > written + 20, "a client that goes on")
    assert_nothing_changes(deployment)


def test_a_client_logs_through_the_loss_of_the_writer_which_is_made_again(
    deployment: Deployment, cluster: Cluster, logging: Logging, capsys: pytest.CaptureFixture[str]
) -> None:
    rds, lost = cluster.rds, cluster.writer()
    with without_loss(logging, capsys, "loss of the writer"):
        rds.delete_db_instance(DBInstanceIdentifier=lost, SkipFinalSnapshot=True)
        until(lambda: cluster.writer() not in {"", lost}, "another writer")
        deployment.provision()
        written = logging.record.read_text().count("\n")
        until(lambda: logging.record.read_text().count("\n") > written + 20, "a client that goes on")
    members = {one["DBInstanceIdentifier"]: one for one in cluster.described()["DBClusterMembers"]}
    assert set(members) == {f"{cluster.identifier}-1", f"{cluster.identifier}-2"}
    assert not members[lost]["IsClusterWriter"]
    assert_nothing_changes(deployment)


def test_another_engine_is_refused_before_anything_changes(deployment: Deployment, cluster: Cluster) -> None:
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
    said = f"database.engine: the data are in database cluster database_aurora ({cluster.identifier})"
    assert said in done.stderr
    assert "To move them: python provision.py move" in done.stderr
    assert not [one for one in deployment.sandbox.calls()[before:] if one["action"].startswith("Create")]


def test_destroy_leaves_the_last_snapshot_and_nothing_else(deployment: Deployment, cluster: Cluster) -> None:
    sandbox, rds = deployment.sandbox, cluster.rds
    said = deployment.provision("destroy", "--yes", "--delete-data").stdout
    assert things(sandbox, NAME) == dict.fromkeys(ONE_OF_EACH, 0)
    assert rds.describe_db_clusters()["DBClusters"] == []
    groups = rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    assert not [one for one in groups if NAME in one["DBClusterParameterGroupName"]]
    (snapshot,) = cluster.snapshots("final")
    assert snapshot in said
    listed = subprocess.run(
        ["podman", "ps", "--all", "--format", "{{.Names}}"], capture_output=True, text=True, check=True
    ).stdout
    # Other local AWSs run beside this one.
    members = [f"db-{cluster.identifier}-{number}" for number in (1, 2)]
    assert not [name for name in listed.split() if name.rpartition(".")[2] in members]
    kept = sandbox.clone / ".sandbox" / sandbox.name
    assert len(list(kept.rglob("PG_VERSION"))) > 0
    assert all("snapshots" in str(one) for one in kept.rglob("PG_VERSION"))
