"""Releases of the same schema under clients that never pause: up, down, killed, refused, removed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from deployed import Deployment, ask
from upgrading import (
    END,
    JOURNAL,
    NEWEST,
    SAME_SCHEMA,
    Logging,
    asking,
    begin_change,
    serves,
    settled,
    use,
    version,
    without_loss,
)

pytestmark = pytest.mark.timeout(3600)


@pytest.mark.parametrize("upgrade", [(NEWEST, SAME_SCHEMA), (SAME_SCHEMA, NEWEST)], ids=["down", "up"])
def test_with_the_same_schema_no_request_fails_up_or_down(
    deployment: Deployment,
    client_environment: dict[str, str],
    logging: Logging,
    capsys: pytest.CaptureFixture[str],
    upgrade: tuple[str, str],
) -> None:
    there, then = upgrade
    assert version(client_environment) == there
    with asking(client_environment) as answers, without_loss(logging, capsys, f"{there} to {then}"):
        deployment.playbook("site.yml", *use(then))
    assert [answer for answer in answers if answer[0] != 200] == []
    assert len(answers) > 20
    assert serves(deployment, client_environment, then)
    # The client that tried it has left nothing in anybody's list.
    assert "Flowstead checks" not in experiments(client_environment, "ACTIVE_ONLY")
    assert "Flowstead checks" in experiments(client_environment, "DELETED_ONLY")


def experiments(client: dict[str, str], view: str) -> set[str]:
    """The names of the experiments that are listed."""
    body = {"view_type": view, "max_results": "1000"}
    status, said = ask(client, "/api/2.0/mlflow/experiments/search", method="POST", body=body)
    assert status == 200, said
    return {one["name"] for one in json.loads(said)["experiments"]}


def test_a_change_that_is_killed_after_its_commit_is_finished(
    deployment: Deployment, client_environment: dict[str, str]
) -> None:
    begin_change(deployment, SAME_SCHEMA, step="commit", then=END)
    assert settled(deployment) == SAME_SCHEMA
    assert "has been finished" in deployment.host("journalctl --unit mlflow-recover --lines 20 --output cat")
    assert serves(deployment, client_environment, SAME_SCHEMA)
    begin_change(deployment, NEWEST, step="commit")
    assert settled(deployment) == NEWEST


def test_a_host_that_could_not_back_the_database_up_changes_nothing(
    deployment: Deployment, client_environment: dict[str, str]
) -> None:
    """Its pg_dump is older than the database server, as Debian 12's is for PostgreSQL 17."""
    program = "/usr/local/bin/pg_dump"
    deployment.host(
        f"printf '#!/bin/sh\\necho \"pg_dump (PostgreSQL) 14.9\"\\n' > {program}; chmod +x {program}"
    )
    try:
        done = deployment.playbook("site.yml", "--tags", "mlflow", *use(SAME_SCHEMA), check=False)
    finally:
        deployment.host(f"rm {program}")
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert "is of 14: too old to back it up" in said
    assert f"{NEWEST} still serves" in said
    assert serves(deployment, client_environment, NEWEST)


def test_a_release_with_a_wrong_package_never_gets_near_the_old_one(
    deployment: Deployment, client_environment: dict[str, str], tmp_path: Path
) -> None:
    """One hash of its lock is not the one of what the index has."""
    lock = (deployment.clone / f"roles/mlflow_release/files/locks/{SAME_SCHEMA}.txt").read_text()
    name = re.search(r"^mlflow-skinny==.*?(?=^\S)", lock, re.MULTILINE | re.DOTALL)
    assert name
    broken = tmp_path / "broken.txt"
    broken.write_text(lock.replace(name[0], re.sub(r"sha256:\w{4}", "sha256:0000", name[0])))
    deployment.host(f"rm -rf /opt/mlflow/releases/{SAME_SCHEMA}*")
    done = deployment.playbook(
        "site.yml",
        "--tags",
        "mlflow",
        *use(SAME_SCHEMA),
        "-e",
        f"mlflow_release_lock_file={broken}",
        check=False,
    )
    assert done.returncode != 0
    assert "ash mismatch" in done.stdout
    assert serves(deployment, client_environment, NEWEST)


def test_a_run_recovers_and_removes_the_releases_that_are_not_kept(
    deployment: Deployment, client_environment: dict[str, str]
) -> None:
    """The host was cut off in the middle of a change, and its own recovery has been switched off."""
    serving = json.loads(deployment.host("cat /etc/mlflow/serving.json"))
    journal = json.dumps({"step": "start the release", "from": serving, "to": serving, "data": ""})
    deployment.host(
        f"systemctl disable --quiet mlflow-recover; systemctl stop mlflow@{NEWEST}; "
        f"echo '{journal}' > {JOURNAL}"
    )
    said = deployment.playbook("site.yml", "--tags", "mlflow", "-e", "mlflow_release_keep=1").stdout
    assert "had been interrupted at the step" in " ".join(said.split())
    assert deployment.host(f"test -e {JOURNAL} || systemctl is-enabled mlflow-recover").strip() == "enabled"
    assert version(client_environment) == NEWEST
    there = {
        name for name in deployment.host("ls /opt/mlflow/releases").split() if not name.endswith(".lock")
    }
    assert there == {NEWEST, serving["before"][0]}


def test_the_unit_is_hardened(deployment: Deployment, client_environment: dict[str, str]) -> None:
    assert version(client_environment) == NEWEST
    said = deployment.host(f"systemd-analyze security --no-pager mlflow@{NEWEST}.service")
    exposure = float(said.rstrip().splitlines()[-1].split(":")[1].split()[0])
    assert exposure <= 1.1
