"""Two projects on Aurora PostgreSQL: upgraded, through the loss of writer and host, moved, and removed."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from clusters import Cluster, deployed_from
from counting import ONE_OF_EACH, things
from deployed import Deployment, Sandbox, ask, assert_nothing_changes, compared, run, until
from hosts import replace_host
from isolation import assert_kept_apart
from upgrading import NEWEST, OLDER_SCHEMA, Logging, use, version, without_loss

pytestmark = pytest.mark.timeout(1800)

NAME = "aurora-teams"
PROJECTS = ("default", "churn")


@pytest.fixture(scope="module")
def deployment(sandbox: Sandbox, clone: Path) -> Deployment:
    """The example's deployment, after the two commands; an older release, and not protected."""
    return deployed_from("aurora_projects.yml", sandbox, clone)


@pytest.fixture(scope="module")
def cluster(deployment: Deployment) -> Cluster:
    """Its cluster."""
    return Cluster(deployment)


@dataclass
class Team:
    """A client of each project, and a run that each has logged."""

    clients: dict[str, dict[str, str]]
    runs: dict[str, str]

    def sees_its_own(self) -> bool:
        """Whether each has its run, and not the other's."""
        path = "/api/2.0/mlflow/runs/get?run_id="
        return all(
            ask(client, f"{path}{run_id}")[0] == (200 if of == name else 404)
            for name, client in self.clients.items()
            for of, run_id in self.runs.items()
        )


@pytest.fixture(scope="module")
def team(deployment: Deployment) -> Team:
    """What data scientists are given, and did first."""
    made = Team({name: deployment.client_of(name) for name in PROJECTS}, {})
    for name, client in made.clients.items():
        said = run("python", "examples/train_iris.py", cwd=deployment.clone, env=client).stdout
        match = re.search(r"^Run:\s+([0-9a-f]{32})$", said, re.MULTILINE)
        assert match, said
        made.runs[name] = match[1]
    return made


@pytest.fixture
def logging(deployment: Deployment, team: Team, tmp_path: Path) -> Logging:
    """A client that can log without a pause, with its own retries and nothing else."""
    return Logging(team.clients["churn"], tmp_path / "record.jsonl", tmp_path / "stop", deployment.clone)


def test_the_two_commands_again_change_nothing(deployment: Deployment, cluster: Cluster) -> None:
    assert len(cluster.described()["DBClusterMembers"]) == 2
    assert deployment.provisioned["database"]["endpoint"] == cluster.described()["Endpoint"]
    assert_nothing_changes(deployment, *use(OLDER_SCHEMA))


def test_an_upgrade_of_both_that_migrates_takes_snapshots_of_the_cluster(
    deployment: Deployment,
    cluster: Cluster,
    team: Team,
    logging: Logging,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with without_loss(logging, capsys, f"{OLDER_SCHEMA} to {NEWEST}, both projects"):
        said = " ".join(deployment.playbook("site.yml").stdout.split())
    assert [version(client) for client in team.clients.values()] == [NEWEST, NEWEST]
    snapshots = cluster.snapshots("before")
    assert len(snapshots) == len(PROJECTS)
    assert [one for one in snapshots if f"Snapshot: {one}" not in said] == []
    assert team.sees_its_own()
    assert_nothing_changes(deployment)


@pytest.mark.parametrize(("own", "other"), [PROJECTS, PROJECTS[::-1]])
def test_code_in_one_server_reaches_nothing_of_the_other(
    deployment: Deployment, capsys: pytest.CaptureFixture[str], own: str, other: str
) -> None:
    assert_kept_apart(deployment, capsys, own, other)


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


def test_a_lost_host_is_replaced_with_both_projects(
    deployment: Deployment,
    team: Team,
    capsys: pytest.CaptureFixture[str],
) -> None:
    replace_host(deployment, capsys, "churn")
    assert team.sees_its_own()
    # A model that was logged through the host that is gone; then runs are compared.
    said = {
        name: run("python", f"examples/{name}.py", cwd=deployment.clone, env=team.clients["churn"]).stdout
        for name in ("find_register_and_load", "compare_runs")
    }
    assert "Predicted:  setosa, versicolor, virginica" in said["find_register_and_load"]
    assert compared(said["compare_runs"]) == ["1.0", "0.01", "0.0001"]
    assert_nothing_changes(deployment)


def said_by(done: subprocess.CompletedProcess[str]) -> str:
    """What a command said, on one line."""
    return " ".join(f"{done.stdout} {done.stderr}".split())


def ask_for(deployment: Deployment, engine: str) -> None:
    """Have deployment.yml ask for another engine."""
    path = deployment.clone / "deployment.yml"
    wanted: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    wanted["database"] = {"engine": engine, "deletion_protection": False}
    path.write_text(yaml.safe_dump(wanted), encoding="utf-8")


def test_the_data_of_both_move_to_another_engine(
    deployment: Deployment,
    cluster: Cluster,
    team: Team,
    logging: Logging,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ask_for(deployment, "postgresql")
    before = len(deployment.sandbox.calls())
    refused = deployment.provision(check=False)
    assert refused.returncode == 2
    said = f"database.engine: the data are in database cluster database_aurora ({cluster.identifier})"
    assert said in refused.stderr
    assert "To move them: python provision.py move" in refused.stderr
    assert not [one for one in deployment.sandbox.calls()[before:] if one["action"].startswith("Create")]
    with without_loss(logging, capsys, "aurora-postgresql to postgresql, both projects"):
        moved = said_by(deployment.provision("move", "--yes"))
    with capsys.disabled():
        print(*re.findall(r"mlflow(?:-churn)? on [^:]*: [^\"']*", moved), sep="\n")
    assert len(re.findall(r"rows of the tracking store \(checksum [0-9a-f]+, equal\)", moved)) == len(
        PROJECTS
    )
    assert team.sees_its_own()
    assert "Nothing to move" in said_by(deployment.provision("move", "--yes"))
    removed = said_by(deployment.provision("--remove", cluster.identifier))
    (snapshot,) = cluster.snapshots("final")
    assert snapshot in removed
    assert cluster.rds.describe_db_clusters()["DBClusters"] == []
    assert_nothing_changes(deployment)


def test_destroy_leaves_nothing_but_last_snapshots(deployment: Deployment, cluster: Cluster) -> None:
    sandbox, rds = deployment.sandbox, cluster.rds
    deployment.provision("destroy", "--yes", "--delete-data")
    assert things(sandbox, NAME) == dict.fromkeys(ONE_OF_EACH, 0)
    groups = rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    assert not [one for one in groups if NAME in one["DBClusterParameterGroupName"]]
    listed = subprocess.run(
        ["podman", "ps", "--all", "--format", "{{.Names}}"], capture_output=True, text=True, check=True
    ).stdout
    # Other local AWSs run beside this one.
    members = [f"db-{cluster.identifier}-{number}" for number in (1, 2)]
    assert not [name for name in listed.split() if name.rpartition(".")[2] in members]
    kept = sandbox.clone / ".sandbox" / sandbox.name
    assert len(list(kept.rglob("PG_VERSION"))) > 0
    assert all("snapshots" in str(one) for one in kept.rglob("PG_VERSION"))
