"""SQLite on a volume, and no database service: made, used, upgraded, restored, its host lost, and removed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from counting import ONE_OF_EACH, tagged, things
from deployed import Deployment, Sandbox, ask, assert_nothing_changes, compared, run, served, until
from hosts import replace_host, timed
from upgrading import (
    KILL,
    NEWEST,
    OLDER_SCHEMA,
    Logging,
    begin_change,
    serves,
    settled,
    use,
    version,
    without_loss,
)

pytestmark = pytest.mark.timeout(1800)

NAME = "s3-only"
FOLDER = "/var/lib/mlflow-data"
API = "/api/2.0/mlflow"
EXAMPLES = ("log_a_run", "train_iris", "find_register_and_load", "compare_runs")


@pytest.fixture(scope="module")
def deployment(sandbox: Sandbox, clone: Path) -> Deployment:
    """The example's deployment, after the two commands; an older release, and not protected."""
    wanted: dict[str, Any] = yaml.safe_load((clone / "examples/deployments/s3_only.yml").read_text())
    wanted["database"]["deletion_protection"] = False
    wanted["server"]["image"] = "baked-debian-13"
    (clone / "deployment.yml").write_text(yaml.safe_dump(wanted), encoding="utf-8")
    made = Deployment(sandbox, clone)
    made.provision("bake", "--unless-current")
    began = time.monotonic()
    made.provision()
    print(f"provision.py: {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    made.playbook("site.yml", *use(OLDER_SCHEMA))
    print(f"site.yml: {time.monotonic() - began:.0f} s")
    return made


@pytest.fixture(scope="module")
def client(deployment: Deployment) -> dict[str, str]:
    """What a data scientist is given."""
    return deployment.client_environment


@pytest.fixture
def logging(deployment: Deployment, client: dict[str, str], tmp_path: Path) -> Logging:
    """A client that can log without a pause, with its own retries and nothing else."""
    return Logging(client, tmp_path / "record.jsonl", tmp_path / "stop", deployment.clone)


def volumes(deployment: Deployment) -> list[dict[str, Any]]:
    """The volumes that are the deployment's own, and not a host's disk."""
    listed = deployment.sandbox.client("ec2").describe_volumes(Filters=tagged(NAME))["Volumes"]
    return [one for one in listed if {"Key": "flowstead:resource", "Value": "data_volume"} in one["Tags"]]


def example(deployment: Deployment, client: Mapping[str, str], name: str) -> str:
    return run("python", f"examples/{name}.py", cwd=deployment.clone, env=client).stdout


def is_there(client: Mapping[str, str], run_id: str) -> bool:
    status, body = ask(client, f"{API}/runs/get?run_id={run_id}")
    assert status in {200, 404}, body
    return status == 200


def test_the_two_commands_again_change_nothing(deployment: Deployment) -> None:
    (volume,) = volumes(deployment)
    assert deployment.provisioned["database"] == {
        "engine": "none",
        "volume_id": volume["VolumeId"],
        "device": "/dev/sdf",
    }
    assert volume["Encrypted"]
    assert_nothing_changes(deployment, *use(OLDER_SCHEMA))


def test_the_data_are_on_the_volume_and_the_servers_alone(deployment: Deployment) -> None:
    said = deployment.host(
        f"findmnt --noheadings --output TARGET --target {FOLDER}; stat --format '%U %a' {FOLDER}; "
        f"stat --format '%n %U %a' {FOLDER}/*.db"
    )
    assert said.splitlines() == [
        FOLDER,
        "mlflow 700",
        f"{FOLDER}/mlflow.db mlflow 600",
        f"{FOLDER}/mlflow_auth.db mlflow 600",
    ]
    status = run("fab", "status", cwd=deployment.clone, env=deployment.environment).stdout
    assert f"none: the databases are files in {FOLDER}" in status


def test_an_upgrade_that_migrates_loses_nothing(
    deployment: Deployment, client: dict[str, str], logging: Logging, capsys: pytest.CaptureFixture[str]
) -> None:
    with without_loss(logging, capsys, f"{OLDER_SCHEMA} to {NEWEST}"):
        deployment.playbook("site.yml")
    assert version(client) == NEWEST
    assert_nothing_changes(deployment)


def test_clients_log_train_find_load_and_compare(deployment: Deployment, client: dict[str, str]) -> None:
    said = {name: example(deployment, client, name) for name in EXAMPLES}
    assert "report/losses.csv, report/notes.txt" in said["log_a_run"]
    assert "Accuracy:   0.9" in said["train_iris"]
    assert compared(said["compare_runs"]) == ["1.0", "0.01", "0.0001"]


def test_a_user_sees_nothing_of_an_experiment_that_is_not_for_that_user(
    deployment: Deployment, client: dict[str, str]
) -> None:
    def fab(*words: str, text: str | None = None) -> None:
        run("fab", *words, cwd=deployment.clone, env=deployment.environment, text=text)

    fab("user.add", "bob", text="the password of bob\n")
    own = {"MLFLOW_TRACKING_USERNAME": "bob", "MLFLOW_TRACKING_PASSWORD": "the password of bob"}
    answers = {}
    for name in ("for everybody", "not for bob"):
        status, body = ask(client, f"{API}/experiments/create", method="POST", body={"name": name})
        assert status == 200, body
        if name == "not for bob":
            fab("user.grant", "bob", "DENY", "--experiment", name)
        path = f"{API}/experiments/get?experiment_id={json.loads(body)['experiment_id']}"
        answers[name] = ask(client | own, path)[0]
    assert answers == {"for everybody": 200, "not for bob": 403}


def test_the_nights_work_is_done_and_what_was_deleted_is_removed(
    deployment: Deployment, client: dict[str, str]
) -> None:
    # With the limits that these units have, where those below have none.
    deployment.host("systemctl start mlflow-backup && systemctl start mlflow-garbage")
    status, body = ask(client, f"{API}/experiments/create", method="POST", body={"name": "deleted"})
    assert status == 200, body
    experiment = json.loads(body)
    assert ask(client, f"{API}/experiments/delete", method="POST", body=experiment)[0] == 200
    deployment.playbook("playbooks/collect_garbage.yml", "-e", "mlflow_data_garbage_age=0m")
    assert ask(client, f"{API}/experiments/get?experiment_id={experiment['experiment_id']}")[0] == 404


@pytest.fixture(scope="module")
def backup(deployment: Deployment, client: dict[str, str]) -> dict[str, str]:
    """A backup, a run that is in it, and one that was logged after it."""
    runs = []
    for _ in range(2):
        found = re.search(r"^Run:\s+([0-9a-f]{32})$", example(deployment, client, "log_a_run"), re.MULTILINE)
        assert found
        runs.append(found[1])
        if len(runs) == 1:
            began = time.monotonic()
            said = " ".join(deployment.playbook("playbooks/back_up.yml").stdout.split())
            print(f"backup: {time.monotonic() - began:.0f} s")
    found = re.search(r"Backup (\S+): (\d+) rows, (\S+) MiB, read back and counted", said)
    assert found
    return {"name": found[1], "rows": found[2], "mib": found[3], "before": runs[0], "after": runs[1]}


def test_a_backup_has_both_files_counted(deployment: Deployment, backup: dict[str, str]) -> None:
    facts = deployment.provisioned
    key = f"{facts['projects'][0]['backups_prefix']}/{backup['name']}/manifest.json"
    body = deployment.sandbox.client("s3").get_object(Bucket=facts["bucket"], Key=key)["Body"].read()
    files = {one["database"]: one for one in json.loads(body)["files"]}
    assert {name: one["engine"] for name, one in files.items()} == {
        "mlflow": "sqlite",
        "mlflow_auth": "sqlite",
    }
    assert files["mlflow"]["rows"]["metrics"] > 0
    assert files["mlflow_auth"]["rows"]["users"] == 2
    assert sum(sum(one["rows"].values()) for one in files.values()) == int(backup["rows"])


def test_a_restore_that_is_killed_is_undone(
    deployment: Deployment,
    client: dict[str, str],
    backup: dict[str, str],
    logging: Logging,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with without_loss(logging, capsys, "a killed restore", undone=True):
        begin_change(
            deployment, NEWEST, change=f"restore {backup['name']}", step="start the release", then=KILL
        )
        assert settled(deployment) == NEWEST
        until(lambda: served(client), "served again")
    assert serves(deployment, client, NEWEST)
    assert is_there(client, backup["after"])
    assert "_fresh" not in (left := deployment.host(f"ls {FOLDER}"))
    assert "_old" not in left


def test_a_restore_brings_the_data_of_the_backup_back(
    deployment: Deployment, client: dict[str, str], backup: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with timed(capsys, f"restore of {backup['rows']} rows, {backup['mib']} MiB"):
        deployment.playbook("playbooks/restore_backup.yml", "-e", f"mlflow_data_backup={backup['name']}")
    assert is_there(client, backup["before"])
    assert not is_there(client, backup["after"])
    assert_nothing_changes(deployment)


def test_a_boot_mounts_the_volume_and_nothing_serves_without(
    deployment: Deployment, client: dict[str, str]
) -> None:
    deployment.host("systemctl reboot", check=False)
    until(lambda: not served(client), "a host that is down")
    until(lambda: served(client), "served after the boot")
    unit = f"mlflow@{NEWEST}"
    said = deployment.host(
        f"systemctl stop {unit} && umount {FOLDER} && systemctl start {unit}; findmnt --noheadings {FOLDER}"
    )
    assert FOLDER in said
    until(lambda: served(client), "served again")


def test_a_lost_host_is_replaced_with_the_same_data(
    deployment: Deployment, client: dict[str, str], backup: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (volume,) = volumes(deployment)
    # As if the host that is lost had had another number for the user.
    deployment.host(f"systemctl stop mlflow@{NEWEST} && chown --recursive 4242:4242 {FOLDER}")
    replace_host(deployment, capsys)
    assert [one["VolumeId"] for one in volumes(deployment)] == [volume["VolumeId"]]
    assert is_there(client, backup["before"])
    # It loads the model that was logged through the host that is gone, and predicts with it.
    example(deployment, client, "find_register_and_load")
    assert_nothing_changes(deployment)


def test_destroy_leaves_the_last_snapshot_and_nothing_else(deployment: Deployment) -> None:
    sandbox, ec2 = deployment.sandbox, deployment.sandbox.client("ec2")
    run("python", "-m", "sandbox", "night", "--name", sandbox.name, cwd=sandbox.clone, env=sandbox.env)
    assert len(ec2.describe_snapshots(OwnerIds=["self"], Filters=tagged(NAME))["Snapshots"]) == 1
    said = deployment.provision("destroy", "--yes", "--delete-data").stdout
    assert things(sandbox, NAME) == dict.fromkeys(ONE_OF_EACH, 0)
    assert volumes(deployment) == []
    assert sandbox.client("dlm").get_lifecycle_policies()["Policies"] == []
    (snapshot,) = ec2.describe_snapshots(OwnerIds=["self"], Filters=tagged(NAME))["Snapshots"]
    (name,) = (tag["Value"] for tag in snapshot["Tags"] if tag["Key"] == "Name")
    assert name.startswith(f"flowstead-{NAME}-data-volume-final-")
    assert name in said
