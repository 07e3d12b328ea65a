"""Upgrading under a client that never stops asking, and a release that does not start."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from deployed import Deployment, ask, served

pytestmark = pytest.mark.timeout(1800)

OLDER, NEWER = "3.17.1", "3.17.2"
# The older release has published holes: it must be asked for twice.
USE_OLDER = ("-e", f"mlflow_version={OLDER}", "-e", f"mlflow_insecure_version_accepted={OLDER}")


@contextmanager
def asking(client: Mapping[str, str]) -> Iterator[list[tuple[int, bytes]]]:
    """Ask again and again, on a new connection each time and without a second try; yields the answers."""
    answers: list[tuple[int, bytes]] = []
    stop = threading.Event()

    def ask_on() -> None:
        while not stop.is_set():
            answers.append(ask(client))
            time.sleep(0.1)

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        yield answers
    finally:
        stop.set()
        thread.join()


def version(client: Mapping[str, str]) -> str:
    """The version that the server says it is."""
    return ask(client, "/version")[1].decode().strip()


def running(deployment: Deployment) -> list[str]:
    """The MLflow units that run."""
    listed = deployment.host("systemctl list-units --plain --no-legend --state=running 'mlflow@*'")
    return [line.split()[0] for line in listed.splitlines()]


@pytest.fixture(scope="module")
def older(deployment: Deployment, client_environment: dict[str, str]) -> Iterator[Deployment]:
    """The deployment with the older release in service; the newer one is back at the end."""
    deployment.playbook("site.yml", *USE_OLDER)
    assert version(client_environment) == OLDER
    yield deployment
    if version(client_environment) != NEWER:
        deployment.playbook("site.yml")


def test_a_release_that_does_not_start_leaves_the_old_one_serving(
    older: Deployment, client_environment: dict[str, str]
) -> None:
    broken = json.dumps({"mlflow_environment": {"MLFLOW_AUTH_CONFIG_PATH": "/etc/mlflow/missing.ini"}})
    with asking(client_environment) as answers:
        done = older.playbook("site.yml", "-e", broken, "-e", "mlflow_start_timeout_s=40", check=False)
    assert done.returncode != 0
    assert f"{NEWER} did not come into service" in done.stdout
    assert f"{OLDER} still serves" in done.stdout
    assert [answer for answer in answers if answer[0] != 200] == []
    assert version(client_environment) == OLDER
    assert running(older) == [f"mlflow@{OLDER}.service"]


@pytest.mark.usefixtures("example_output")
def test_an_upgrade_is_not_noticed_by_clients(
    older: Deployment, client_environment: dict[str, str], run_ids: dict[str, str]
) -> None:
    with asking(client_environment) as answers:
        older.playbook("site.yml")
    assert len(answers) > 20
    assert [answer for answer in answers if answer[0] != 200] == []
    assert version(client_environment) == NEWER
    assert running(older) == [f"mlflow@{NEWER}.service"]
    status, body = ask(client_environment, f"/api/2.0/mlflow/runs/get?run_id={run_ids['train_iris']}")
    assert status == 200
    assert json.loads(body)["run"]["info"]["status"] == "FINISHED"


def test_the_unit_is_hardened(deployment: Deployment, client_environment: dict[str, str]) -> None:
    assert served(client_environment)
    said = deployment.host(f"systemd-analyze security --no-pager mlflow@{NEWER}.service")
    exposure = float(said.rstrip().splitlines()[-1].split(":")[1].split()[0])
    assert exposure <= 2.0
