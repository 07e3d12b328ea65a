"""The app around MLflow's own, over real connections: who is let in, and how often somebody may guess."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flowstead_server import around_mlflow
from served import ASK, RIGHT, SETTINGS, UPLOAD, Place

APP = Path(__file__).resolve().parents[3] / "roles/mlflow_release/files/app"


def test_a_right_login_gets_through_and_a_wrong_one_does_not(place: Place) -> None:
    assert place.ask()[0] == 200
    status, headers, said = place.ask(login="alice:wrong")
    assert (status, said["error_code"]) == (401, "UNAUTHENTICATED")
    assert headers["www-authenticate"] == 'Basic realm="mlflow"'
    assert len(place.mlflow.got) == 1


@pytest.mark.parametrize("login", [b"", b"Authorization: Basic YWxpY2U6d3Jvbmc=\r\n"], ids=["none", "wrong"])
@pytest.mark.parametrize("path", [UPLOAD, ASK])
def test_who_has_no_login_is_refused_before_the_body_is_read(place: Place, login: bytes, path: str) -> None:
    """The body never comes: who waits for it does not answer."""
    with socket.create_connection(("127.0.0.1", place.port), timeout=20) as connection:
        connection.sendall(
            b"PUT "
            + path.encode()
            + b" HTTP/1.1\r\nHost: x\r\n"
            + login
            + b"Content-Length: 157286400\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")
    assert place.mlflow.got == []


@pytest.mark.parametrize(
    "value",
    [
        "Bearer abc",
        "Basic",
        "Basic !!!",
        "Basic YWxpY2U=",
        "Negotiate YWxpY2U6cmlnaHQ=",
        "Basic /w==",
        "basic",
        ":",
        "Digest username=alice",
    ],
)
def test_a_login_that_is_none_is_401(place: Place, value: str) -> None:
    assert place.ask(login="", Authorization=value)[0] == 401
    assert place.checked == []


def test_there_is_one_way_to_send_a_login(place: Place) -> None:
    right = base64.b64encode(b"alice:right-password").decode()
    assert place.ask("/gateway/x/mlflow/invocations", "", X_MLflow_Authorization=f"Basic {right}")[0] == 401
    assert place.ask(X_MLflow_Authorization="Basic Ym9iOmd1ZXNz")[0] == 200
    ((scope, _),) = place.mlflow.got
    names = [name for name, _ in scope["headers"]]
    assert b"x-mlflow-authorization" not in names
    assert names.count(b"authorization") == 1
    with socket.create_connection(("127.0.0.1", place.port), timeout=20) as connection:
        two = f"Authorization: Basic {right}\r\n" * 2
        connection.sendall(f"GET {ASK} HTTP/1.1\r\nHost: x\r\n{two}\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "path", [ASK, UPLOAD, "/v1/traces", "/gateway/x/mlflow/invocations", "/", "/version", "/healthy"]
)
def test_guessing_is_limited_on_every_path(place: Place, path: str) -> None:
    answers = [place.ask(path, f"alice:guess-{number}") for number in range(5)]
    assert [status for status, *_ in answers] == [401, 401, 401, 429, 429]
    assert 1 <= int(answers[-1][1]["retry-after"]) <= 30
    assert len(place.checked) == 3


def test_guesses_at_once_are_limited_as_well(place: Place) -> None:
    with ThreadPoolExecutor(20) as pool:
        statuses = [
            status
            for status, *_ in pool.map(lambda number: place.ask(login=f"alice:guess-{number}"), range(20))
        ]
    assert set(statuses) == {401, 429}
    assert len(place.checked) <= 4


def test_somebody_elses_wrong_logins_shut_nobody_out(place: Place) -> None:
    """All come from one address, as behind a company's gateway; bob's login is new."""
    assert place.ask()[0] == 200
    for number in range(10):
        place.ask(login=f"alice:guess-{number}")
        place.ask(login=f"nobody-{number}:guess")
    assert place.ask(login="alice:guess")[0] == 429
    assert place.ask(login="bob:another-right-one")[0] == 200
    assert place.ask()[0] == 200, "a login that is known to be right"


def test_another_address_has_a_limit_of_its_own(place: Place) -> None:
    for number in range(5):
        place.ask(login=f"alice:guess-{number}", X_Forwarded_For="192.0.2.1")
    assert place.ask(X_Forwarded_For="192.0.2.1")[0] == 429
    assert place.ask(X_Forwarded_For="192.0.2.2")[0] == 200


def test_a_crowd_with_one_right_login_begins_at_once(place: Place) -> None:
    with ThreadPoolExecutor(30) as pool:
        assert {status for status, *_ in pool.map(lambda _: place.ask(), range(60))} == {200}
    assert len(place.checked) <= 2


def test_a_login_that_mlflow_refuses_after_all_is_checked_anew(place: Place) -> None:
    place.ask()
    place.mlflow.status = 401
    assert place.ask()[0] == 401
    place.mlflow.status = 200
    place.ask()
    assert len(place.checked) == 2


def test_a_changed_password_is_known_to_every_worker(
    serve: Callable[[Any], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers, as the one who changes it and one who remembers the old one."""
    shared = replace(SETTINGS, changes=str(tmp_path / "changes"))
    changing, remembering = Place(serve, shared), Place(serve, shared)
    assert [worker.ask()[0] for worker in (changing, remembering)] == [200, 200]
    monkeypatch.setitem(RIGHT, "alice", "new-password")
    assert remembering.ask()[0] == 200, "it checks a login only now and then"
    assert changing.ask("/api/2.0/mlflow/users/update-password", method="PATCH")[0] == 200
    assert [worker.ask()[0] for worker in (changing, remembering)] == [401, 401]
    assert remembering.ask(login="alice:new-password")[0] == 200
    assert remembering.ask(login="alice:new-password")[0] == 200
    assert remembering.checked == ["alice"] * 3


def test_a_user_who_is_not_there_takes_as_long_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash is compared for each: what else takes time is the same question to the database."""
    compared: list[str] = []

    class Store:
        def has_user(self, name: str) -> bool:
            return name == "alice"

    def look_up(name: str, password: str) -> str | None:
        if name == "alice":
            compared.append("alice's")
        return name if (name, password) == ("alice", "right") else None

    parts = {
        "_authenticate_cached": look_up,
        "_invalidate_user_auth_cache": lambda _: None,
        "check_password_hash": lambda hashed, _: compared.append(hashed),
        "generate_password_hash": lambda _: "nobody's",
        "store": Store(),
    }
    monkeypatch.setattr(around_mlflow, "taken", lambda _, name: parts[name])
    is_right = around_mlflow.login_check()
    assert [is_right("alice", "right"), is_right("alice", "wrong"), is_right("nobody", "wrong")] == [
        True,
        False,
        False,
    ]
    assert compared == ["alice's", "alice's", "nobody's"]


def test_a_database_that_is_away_is_no_wrong_login(place: Place) -> None:
    place.down = True
    for _ in range(6):
        status, headers, said = place.ask()
        assert (status, said["error_code"], headers["retry-after"]) == (503, "TEMPORARILY_UNAVAILABLE", "5")
    place.down = False
    assert place.ask()[0] == 200
