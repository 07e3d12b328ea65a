"""Aurora MySQL with a reader: made, upgraded, used through a failover, restored, and removed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from clusters import Cluster, deployed_from
from counting import ONE_OF_EACH, things
from deployed import Deployment, Sandbox, ask, assert_nothing_changes, compared, run, until
from hosts import replace_host
from upgrading import NEWEST, OLDER_SCHEMA, Logging, use, version, without_loss

pytestmark = pytest.mark.timeout(1800)

NAME = "aurora-mysql"
RUN = "/api/2.0/mlflow/runs/get?run_id="


@pytest.fixture(scope="module")
def deployment(sandbox: Sandbox, clone: Path) -> Deployment:
    """The example's deployment, after the two commands; an older release, and not protected."""
    return deployed_from("aurora_mysql.yml", sandbox, clone)


@pytest.fixture(scope="module")
def cluster(deployment: Deployment) -> Cluster:
    """Its cluster."""
    return Cluster(deployment)


@pytest.fixture(scope="module")
def client(deployment: Deployment) -> dict[str, str]:
    """What a data scientist is given."""
    return deployment.client_environment


@pytest.fixture
def logging(deployment: Deployment, client: dict[str, str], tmp_path: Path) -> Logging:
    """A client that can log without a pause, with its own retries and nothing else."""
    return Logging(client, tmp_path / "record.jsonl", tmp_path / "stop", deployment.clone)


def example(deployment: Deployment, client: dict[str, str], name: str) -> str:
    """Run an example; it says what it did."""
    return run("python", f"examples/{name}.py", cwd=deployment.clone, env=client).stdout


def test_the_two_commands_again_change_nothing(deployment: Deployment, cluster: Cluster) -> None:
    assert len(cluster.described()["DBClusterMembers"]) == 2
    assert deployment.provisioned["database"]["endpoint"] == cluster.described()["Endpoint"]
    assert_nothing_changes(deployment, *use(OLDER_SCHEMA))


def test_an_upgrade_that_migrates_takes_a_snapshot_and_loses_nothing(
    deployment: Deployment, cluster: Cluster, logging: Logging, capsys: pytest.CaptureFixture[str]
) -> None:
    with without_loss(logging, capsys, f"{OLDER_SCHEMA} to {NEWEST}"):
        said = deployment.playbook("site.yml").stdout
    assert version(logging.client) == NEWEST
    (snapshot,) = cluster.snapshots("before")
    assert f"Snapshot: {snapshot}" in " ".join(said.split())
    assert_nothing_changes(deployment)


def test_no_password_is_where_others_see_it(deployment: Deployment) -> None:
    """The option file is the server's alone, and its address has no password."""
    said = deployment.host(
        "cd /run/flowstead; stat --format '%U %a' pgpass-aurora-mysql; ls pgpass-owner-aurora-mysql 2>&1; "
        f"grep URI /etc/mlflow/{NEWEST}.env"
    )
    assert said.splitlines()[0] == "mlflow 600"
    assert "No such file" in said.splitlines()[1]
    assert "mysql+pymysql://mlflow_application@" in said


def test_the_server_takes_no_connection_to_one_that_only_reads(cluster: Cluster) -> None:
    """The name of the one that writes leads there for some seconds when another one takes over."""
    taken, refused = cluster.connects(NEWEST)
    assert taken == "taken"
    assert "Subquery returns more than 1 row" in refused


def test_a_client_logs_through_a_failover(
    deployment: Deployment, cluster: Cluster, logging: Logging, capsys: pytest.CaptureFixture[str]
) -> None:
    before = cluster.writer()
    with without_loss(logging, capsys, "failover"):
        cluster.rds.failover_db_cluster(DBClusterIdentifier=cluster.identifier)
        until(lambda: cluster.writer() != before and cluster.is_settled(), "another writer")
        written = logging.record.read_text().count("\n")
        until(lambda: logging.record.read_text().count("\n") > written + 20, "a client that goes on")
    assert_nothing_changes(deployment)


def test_clients_train_find_load_and_compare(deployment: Deployment, client: dict[str, str]) -> None:
    assert "Accuracy:   0.9" in example(deployment, client, "train_iris")
    assert "Predicted:  setosa, versicolor, virginica" in example(
        deployment, client, "find_register_and_load"
    )
    assert compared(example(deployment, client, "compare_runs")) == ["1.0", "0.01", "0.0001"]


def test_names_that_differ_in_a_letters_case_are_two(client: dict[str, str]) -> None:
    """As on every other engine, and not as MySQL would have it."""
    for name in ("Cases", "cases"):
        status, body = ask(client, "/api/2.0/mlflow/experiments/create", method="POST", body={"name": name})
        assert status == 200, body
    assert ask({**client, "MLFLOW_TRACKING_USERNAME": "ADMIN"})[0] == 401


def test_a_restore_brings_the_data_of_a_backup_back(deployment: Deployment, client: dict[str, str]) -> None:
    runs = []
    for _ in range(2):
        found = re.search(r"^Run:\s+([0-9a-f]{32})$", example(deployment, client, "log_a_run"), re.MULTILINE)
        assert found
        runs.append(found[1])
        if len(runs) == 1:
            said = " ".join(deployment.playbook("playbooks/back_up.yml").stdout.split())
    made = re.search(r"Backup (\S+): (\d+) rows, \S+ MiB, read back and counted", said)
    assert made
    facts = deployment.provisioned
    key = f"{facts['projects'][0]['backups_prefix']}/{made[1]}/manifest.json"
    body = deployment.sandbox.client("s3").get_object(Bucket=facts["bucket"], Key=key)["Body"].read()
    files = json.loads(body)["files"]
    assert {one["database"]: one["engine"] for one in files} == {"mlflow": "mysql", "mlflow_auth": "mysql"}
    assert sum(sum(one["rows"].values()) for one in files) == int(made[2])
    deployment.playbook("playbooks/restore_backup.yml", "-e", f"mlflow_data_backup={made[1]}")
    assert [ask(client, f"{RUN}{one}")[0] for one in runs] == [200, 404]
    assert_nothing_changes(deployment)


def test_a_lost_host_is_replaced_with_the_same_data(
    deployment: Deployment, client: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    replace_host(deployment, capsys)
    # It loads the model that was logged through the host that is gone, and predicts with it.
    example(deployment, client, "find_register_and_load")
    assert_nothing_changes(deployment)


def test_destroy_leaves_the_last_snapshot_and_nothing_else(deployment: Deployment, cluster: Cluster) -> None:
    said = deployment.provision("destroy", "--yes", "--delete-data").stdout
    assert things(deployment.sandbox, NAME) == dict.fromkeys(ONE_OF_EACH, 0)
    assert cluster.rds.describe_db_clusters()["DBClusters"] == []
    (snapshot,) = cluster.snapshots("final")
    assert snapshot in said
