"""A real MLflow server, people with logins, and registered models of their own for each test."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import mlflow_server
from registered import PEOPLE, Killed, Registered, grant

from day_two import api
from day_two.login import Login


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with users."""
    with mlflow_server.serving(tmp_path_factory.mktemp("mlflow")) as url:
        for name in PEOPLE:
            admin = Login(url, None, mlflow_server.ADMIN, mlflow_server.PASSWORD)
            api.call(admin, "2.0/mlflow/users/create", "POST", username=name, password=f"{name}'s password")
        yield url


@pytest.fixture
def iris(
    address: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Registered:
    """A model without a version, which ada and bob may edit and eve may read."""
    from mlflow import MlflowClient  # noqa: PLC0415 - it takes a second

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", mlflow_server.ADMIN)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", mlflow_server.PASSWORD)
    client = MlflowClient(address)
    name = re.sub(r"\W+", "-", request.node.name)
    client.create_registered_model(name)
    found = Registered(name, address, client, client.create_experiment(name), monkeypatch, capsys)
    for user, permission in PEOPLE.items():
        grant(found, user, permission)
    return found


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Kill a run after the n-th request that changes something, if it makes so many; 0 lets it live."""

    def arm(number: int) -> None:
        count = 0

        def ask(server: Any, path: str, method: str = "GET", **values: str) -> Any:
            nonlocal count
            answer = real(server, path, method, **values)
            count += method != "GET"
            if method != "GET" and count == number:
                raise Killed
            return answer

        monkeypatch.setattr(api, "call_at", ask)

    real = api.call_at
    return arm
