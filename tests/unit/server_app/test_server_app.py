"""The app around MLflow's own, over real connections: places and bodies."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
import socket
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from flowstead_server import around_mlflow
from flowstead_server.asgi import Message, Refusals, RefusedError
from served import ASK, UPLOAD, Mlflow, Place

APP = Path(__file__).resolve().parents[3] / "roles/mlflow_release/files/app"


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


@pytest.mark.parametrize(
    ("store", "driver"),
    [
        ("postgresql+psycopg2://db/mlflow", "psycopg2"),
        ("mysql+pymysql://db/mlflow", "pymysql"),
        ("sqlite:////data/mlflow.db", None),
        ("", "psycopg2"),
    ],
)
def test_a_release_without_the_driver_of_its_store_is_refused(
    monkeypatch: pytest.MonkeyPatch, store: str, driver: str | None
) -> None:
    if store:
        monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", store)
    monkeypatch.setattr(around_mlflow, "NEEDED", ())
    for module in ("psycopg2", "pymysql"):
        monkeypatch.setitem(sys.modules, module, None)
    missing = [one for one in around_mlflow.differences() if re.match("psycopg2:|pymysql:", one)]
    assert [one.partition(":")[0] for one in missing] == ([driver] if driver else [])


def test_every_file_of_the_app_comes_into_a_release() -> None:
    tasks = yaml.safe_load((APP.parents[1] / "tasks/install.yml").read_text())
    (trees,) = [task["flowstead_files"]["trees"] for task in tasks if "flowstead_files" in task]
    assert [APP.parent / tree["source"] for tree in trees] == [APP]


def test_refusals_are_in_the_form_of_mlflows_errors() -> None:
    refused = RefusedError(400, "CODE", "why")
    assert (refused.status, refused.code, refused.message) == (400, "CODE", "why")
