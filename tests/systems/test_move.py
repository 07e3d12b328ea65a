"""A deployment's data, moved from engine to engine while a client logs; killed, undone, moved after all."""

from __future__ import annotations

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployed import Deployment, Sandbox, ask, changes, until
from upgrading import (
    CUT_POWER,
    KILL,
    NEWEST,
    Logging,
    at_step,
    serves,
    settled,
    without_loss,
)

pytestmark = pytest.mark.timeout(2400)

API = "/api/2.0/mlflow"
PASSWORD = "analytical 1843"


def ask_for(clone: Path, engine: str) -> None:
    """Have deployment.yml ask for an engine; nothing is protected, and the host has a baked image."""
    path = clone / "deployment.yml"
    wanted: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    wanted["database"] = {"engine": engine, "deletion_protection": False}
    wanted.setdefault("server", {})["image"] = "baked-debian-13"
    path.write_text(yaml.safe_dump(wanted), encoding="utf-8")


@pytest.fixture(scope="module")
def deployment(sandbox: Sandbox, clone: Path) -> Deployment:
    """The default deployment, after the two commands."""
    ask_for(clone, "postgresql")
    made = Deployment(sandbox, clone)
    made.provision("bake", "--unless-current")
    made.provision()
    made.playbook("site.yml")
    return made


@dataclass
class Team:
    """A deployment, and a client that can log to it without a pause."""

    deployment: Deployment
    client: dict[str, str]
    logging: Logging
    capsys: pytest.CaptureFixture[str]

    def logs(self, what: str, *, undone: bool = False) -> AbstractContextManager[None]:
        """Log all the while: no call fails, and nothing is lost."""
        return without_loss(self.logging, self.capsys, what, undone=undone)

    def is_served(self, version: str) -> bool:
        """Whether a release serves, and a user of before finds what there was."""
        if not serves(self.deployment, self.client, version):
            return False
        ada = self.client | {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
        status, body = ask(ada, f"{API}/experiments/get-by-name?experiment_name=engines")
        return status == 200 and bool(json.loads(body)["experiment"]["experiment_id"])


@pytest.fixture(scope="module")
def client(deployment: Deployment) -> dict[str, str]:
    """What a data scientist is given; another user and an experiment are there already."""
    client = deployment.client_environment
    for what, body in (
        ("users/create", {"username": "ada", "password": PASSWORD}),
        ("experiments/create", {"name": "engines"}),
    ):
        status, said = ask(client, f"{API}/{what}", method="POST", body=body)
        assert status == 200 or b"RESOURCE_ALREADY_EXISTS" in said, said
    return client


@pytest.fixture
def team(
    deployment: Deployment, client: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Team:
    """A deployment, and a client with its own retries and nothing else."""
    logging = Logging(client, tmp_path / "record.jsonl", tmp_path / "stop", deployment.clone)
    return Team(deployment, client, logging, capsys)


def said_by(done: subprocess.CompletedProcess[str]) -> str:
    """What a command said, on one line."""
    return " ".join(f"{done.stdout} {done.stderr}".split())


def test_another_engine_is_refused_with_the_command_that_moves_the_data(team: Team) -> None:
    ask_for(team.deployment.clone, "aurora-postgresql")
    done = team.deployment.provision(check=False)
    assert done.returncode == 2
    assert "provision.py move" in done.stderr
    nothing = team.deployment.playbook("playbooks/move_data.yml", check=False)
    assert nothing.returncode != 0
    assert "There is nothing to move" in said_by(nothing)


def interrupt(team: Team, step: str, how: str) -> subprocess.CompletedProcess[str]:
    """Begin to move the data, and end it on the host as soon as it is at a step."""
    with ThreadPoolExecutor(1) as pool:
        moving = pool.submit(team.deployment.provision, "move", "--yes", check=False)
        # Not before the new store is there, which may take longer than a connection lives.
        until(
            lambda: (
                moving.done() or team.deployment.host("test -e /etc/mlflow/moving && echo yes", check=False)
            ),
            "prepared host",
            timeout_s=900,
        )
        end = how.format(unit="'mlflow-change-*.service'")
        assert "missed" not in team.deployment.host(at_step(step) + end, check=False, timeout_s=600)
        return moving.result()


@pytest.mark.parametrize(
    ("how", "step"),
    [
        (KILL, "make the tables"),
        (KILL, "copy the data"),
        (CUT_POWER, "start the release"),
    ],
)
def test_killed_anywhere_a_move_is_undone(team: Team, how: str, step: str) -> None:
    with team.logs(f"a move that is ended at: {step}", undone=True):
        done = interrupt(team, step, how)
        assert done.returncode != 0
        until(
            lambda: settled(team.deployment) == NEWEST and team.is_served(NEWEST),
            "a server that serves",
            timeout_s=300,
        )
    assert team.deployment.provisioned["database"]["engine"] == "postgresql"


def move(team: Team, engine: str) -> None:
    """Move the data to another engine while a client logs."""
    deployment = team.deployment
    old = deployment.provisioned["database"]["engine"]
    ask_for(deployment.clone, engine)
    with team.logs(f"{old} to {engine}"):
        said = said_by(deployment.provision("move", "--yes"))
    with team.capsys.disabled():
        print(*re.findall(r"mlflow on [^:]*: [^\"']*", said), sep="\n")
    told = r"\d+ rows, [0-9.]+ MiB, rehearsed in [0-9.]+ s. Clients will be asked to wait about [0-9]+ s"
    assert re.search(told, said)
    assert re.search(r"moved from .* to .*rows of the tracking store \(checksum [0-9a-f]+, equal\)", said)
    assert team.is_served(NEWEST)
    assert deployment.provisioned["database"]["engine"] == engine
    assert "Nothing to move" in said_by(deployment.provision("move", "--yes"))
    assert changes(deployment.playbook("site.yml").stdout) == []
    assert team.is_served(NEWEST)


def test_the_data_move_from_postgresql_to_aurora_postgresql(team: Team) -> None:
    move(team, "aurora-postgresql")


def test_a_server_that_was_moved_does_not_serve_the_old_store_again(team: Team) -> None:
    """Somebody's inventory of before the move, on another machine for one."""
    path = team.deployment.clone / "inventory/group_vars/all/provisioned.yml"
    now = path.read_text(encoding="utf-8")
    told = yaml.safe_load(now)
    told["flowstead"]["database"]["endpoint"] = "of-before.example.com"
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    try:
        done = team.deployment.playbook("site.yml", check=False)
    finally:
        path.write_text(now, encoding="utf-8")
    assert done.returncode != 0
    assert "nothing has been changed. Have the settings name the store" in said_by(done)
    assert team.is_served(NEWEST)


def test_the_data_move_from_aurora_postgresql_to_files(team: Team) -> None:
    move(team, "none")


def test_the_data_move_from_files_to_aurora_mysql(team: Team) -> None:
    move(team, "aurora-mysql")


def test_old_stores_go_by_their_names_and_the_new_one_serves_on(team: Team) -> None:
    deployment = team.deployment
    planned = deployment.provision("plan", check=False).stdout
    stores = re.findall(r"\((\S+)\) is no longer wanted, and stays: it holds data", planned)
    assert len(stores) == 3
    deployment.provision(*(word for store in stores for word in ("--remove", store)))
    assert "Nothing to do" in deployment.provision("plan").stdout
    assert changes(deployment.playbook("site.yml").stdout) == []
    assert team.is_served(NEWEST)
