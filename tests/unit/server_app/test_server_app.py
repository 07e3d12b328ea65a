"""The app around MLflow's own, over real connections: places, logins, bodies."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
import socket
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from flowstead_server import around_mlflow
from flowstead_server.asgi import Message, Refusals, RefusedError
from served import ASK, RIGHT, SETTINGS, UPLOAD, Mlflow, Place

APP = Path(__file__).resolve().parents[3] / "roles/mlflow_release/files/app"


def test_a_right_login_gets_through_and_a_wrong_one_does_not(place: Place) -> None:
    assert place.ask()[0] == 200
    status, headers, said = place.ask(login="alice:wrong")
    assert (status, said["error_code"]) == (401, "UNAUTHENTICATED")
    assert headers["www-authenticate"] == 'Basic realm="mlflow"'
    assert len(place.mlflow.got) == 1


def test_a_few_requests_are_worked_on_at_a_time_and_transfers_are_not_counted(place: Place) -> None:
    place.ask()
    place.mlflow.goes_on.clear()
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(place.ask) for _ in range(8)]
        uploads = [pool.submit(place.ask, UPLOAD, method="PUT", body=b"x") for _ in range(3)]
        while place.mlflow.at_once < 5:
            pass
        place.mlflow.goes_on.set()
        assert {future.result()[0] for future in [*asked, *uploads]} == {200}
    assert place.mlflow.most_at_once == 5


def test_logins_and_bodies_do_not_wait_for_transfers(place: Place) -> None:
    """As MLflow, the one in its place waits in asyncio's threads; here they are all taken."""
    place.ask()
    place.mlflow.goes_on.clear()
    with ThreadPoolExecutor(40) as pool:
        uploads = [pool.submit(place.ask, UPLOAD, method="PUT", body=b"x") for _ in range(40)]
        while place.mlflow.at_once < 40:
            pass
        assert place.ask(login="bob:wrong")[0] == 401
        compressed = gzip.compress(b"x" * 200_000)
        assert place.ask(method="POST", body=compressed, Content_Encoding="gzip")[0] == 413
        long = json.dumps({"name": "a\0", "value": "x" * 90_000}).encode()
        assert place.ask(method="POST", body=long)[0] == 400
        place.mlflow.goes_on.set()
        assert {future.result()[0] for future in uploads} == {200}


def test_health_is_answered_while_all_places_are_taken(place: Place) -> None:
    place.ask()
    place.mlflow.goes_on.clear()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(place.ask) for _ in range(4)]
        health = pool.submit(place.ask, "/health", "")
        while place.mlflow.at_once < 3:
            pass
        place.mlflow.goes_on.set()
        assert {future.result()[0] for future in [*asked, health]} == {200}


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


def test_mlflows_own_jobs_are_known_on_the_gateways_paths_alone(place: Place) -> None:
    assert place.ask("/gateway/x/mlflow/invocations", "alice:of-jobs")[0] == 200
    assert place.ask(login="alice:of-jobs")[0] == 401


def test_a_large_body_is_refused_and_a_large_file_is_not(place: Place) -> None:
    status, _, said = place.ask(method="POST", body=b"x" * 100_001)
    assert status == 413
    assert "100000 bytes" in said["message"]
    assert place.ask(UPLOAD, method="PUT", body=b"x" * 100_001)[0] == 200
    assert len(place.mlflow.got[0][1]) == 100_001


def test_a_body_without_a_length_has_the_same_bound(place: Place) -> None:
    with socket.create_connection(("127.0.0.1", place.port), timeout=20) as connection:
        login = base64.b64encode(b"alice:right-password")
        connection.sendall(
            b"POST "
            + ASK.encode()
            + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nAuthorization: Basic "
            + login
            + b"\r\n\r\n"
        )
        connection.sendall((b"c350\r\n" + b"x" * 50_000 + b"\r\n") * 3)
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_bodies_are_bounded_together_and_given_free_again(place: Place) -> None:
    place.ask()
    place.mlflow.goes_on.clear()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(place.ask, method="POST", body=b"x" * 90_000) for _ in range(4)]
        while sum(future.done() for future in asked) < 2:
            pass
        place.mlflow.goes_on.set()
        assert sorted(future.result()[0] for future in asked) == [200, 200, 503, 503]
    assert place.ask(method="POST", body=b"x" * 90_000)[0] == 200


def deflated(text: bytes) -> bytes:
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return raw.compress(text) + raw.flush()


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", deflated)]
)
def test_a_compressed_body_is_decompressed_within_the_bound(
    place: Place, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    text = b"text " * 10_000
    assert place.ask("/v1/traces", method="POST", body=compress(text), Content_Encoding=encoding)[0] == 200
    scope, body = place.mlflow.got[0]
    assert body == text
    assert b"content-encoding" not in dict(scope["headers"])
    assert dict(scope["headers"])[b"content-length"] == b"50000"
    bomb = compress(b"\0" * 50_000_000)
    assert len(bomb) < 100_000
    assert place.ask("/v1/traces", method="POST", body=bomb, Content_Encoding=encoding)[0] == 413
    broken = compress(text)[:-9]
    assert place.ask("/v1/traces", method="POST", body=broken, Content_Encoding=encoding)[0] == 400


def test_a_websocket_is_closed() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Refusals(Mlflow())({"type": "websocket"}, lambda: None, send))  # type: ignore[arg-type,return-value]
    assert sent == [{"type": "websocket.close"}]


def test_an_mlflow_that_has_changed_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """mlflow-skinny, which is here, has no login at all."""
    monkeypatch.setattr(around_mlflow, "NEEDED", ())
    monkeypatch.setattr(around_mlflow, "version", lambda _: "9.9.9")
    monkeypatch.setattr(around_mlflow, "CALLS", (("json", "create_app", 0), ("json", "loads", 0)))
    with pytest.raises(
        around_mlflow.AnotherMlflowError, match=re.escape("does not know MLflow 9.9.9: json.create_app")
    ):
        around_mlflow.check()


def test_every_file_of_the_app_comes_into_a_release() -> None:
    tasks = yaml.safe_load((APP.parents[1] / "tasks/install.yml").read_text())
    (files,) = [task["flowstead_files"]["files"] for task in tasks if "flowstead_files" in task]
    there = {
        str(path.relative_to(APP))
        for path in APP.rglob("*")
        if path.is_file() and path.suffix in {".py", ".txt", ""}
    }
    assert {file["source"].removeprefix("app/") for file in files} == there


def test_refusals_are_in_the_form_of_mlflows_errors() -> None:
    refused = RefusedError(400, "CODE", "why")
    assert (refused.status, refused.code, refused.message) == (400, "CODE", "why")
