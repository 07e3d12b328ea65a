"""Files go from the bucket to the client piece by piece, and no further than the client goes."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from flowstead_server.asgi import Receive, Refusals, Scope, Send
from flowstead_server.downloads import AT_ONCE, PIECE, Downloads
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

FILE = "/api/2.0/mlflow-artifacts/artifacts/1/a/model.bin"
LARGE = 2 << 30


class Content:
    """2 GiB that are made as they are read."""

    def __init__(self) -> None:
        self.read_bytes = 0
        self.closed = threading.Event()

    def read(self, most: int) -> bytes:
        part = min(most, LARGE - self.read_bytes)
        self.read_bytes += part
        return b"x" * part

    def close(self) -> None:
        self.closed.set()


class S3:
    """In the bucket's place; notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.content = Content()
        self.refuses = ""
        self.listed: list[dict[str, str]] = []

    def get_object(self, **asked: str) -> dict[str, Any]:
        self.asked.append(asked)
        if self.refuses:
            raise ClientError({"Error": {"Code": self.refuses, "Message": "the-bucket"}}, "GetObject")
        part = {"ContentRange": f"bytes 5-9/{LARGE}"} if "Range" in asked else {}
        return {"Body": self.content, "ContentLength": LARGE, **part}

    def list_objects_v2(self, **_: Any) -> dict[str, Any]:
        return {"Contents": self.listed}


class Served:
    """The part, and in MLflow's place what asks for a file as MLflow does."""

    def __init__(self, serve: Callable[[Any], int], monkeypatch: pytest.MonkeyPatch) -> None:
        self.s3, self.may = S3(), True
        bucket = get_artifact_repository("s3://the-bucket/artifacts")
        monkeypatch.setattr(bucket, "_get_s3_client", lambda: self.s3)

        async def mlflow(_: Scope, __: Receive, send: Send) -> None:
            status, said = 403, b"{}"
            if self.may:
                try:
                    assert await asyncio.to_thread(bucket.get_local_path, "1/a/model.bin") is None
                except MlflowException as error:
                    status, said = error.get_http_status_code(), error.serialize_as_json().encode()
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": said})

        self.port = serve(Refusals(Downloads(mlflow)))

    def ask(self, method: str = "GET", path: str = FILE, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, headers=headers)
        return connection.getresponse()


@pytest.fixture
def served(serve: Callable[[Any], int], monkeypatch: pytest.MonkeyPatch) -> Served:
    return Served(serve, monkeypatch)


def test_the_first_piece_comes_when_little_has_been_read(served: Served) -> None:
    answer = served.ask()
    assert len(answer.read(PIECE)) == PIECE
    # What client and system have taken in advance, and no more: the file is nowhere as a whole.
    assert served.s3.content.read_bytes < LARGE / 16
    assert served.s3.asked == [{"Bucket": "the-bucket", "Key": "artifacts/1/a/model.bin"}]
    assert answer.status == 200
    assert answer.headers["Content-Length"] == str(LARGE)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''model.bin"
    answer.close()


def test_clients_that_have_gone_end_their_downloads(served: Served) -> None:
    for _ in range(2 * AT_ONCE):
        served.s3.content = content = Content()
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
            connection.sendall(f"GET {FILE} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert content.closed.wait(20)
        assert content.read_bytes < LARGE / 16


def test_a_part_is_asked_of_the_bucket_as_a_part(served: Served) -> None:
    answer = served.ask(Range="bytes=5-9")
    assert served.s3.asked[0]["Range"] == "bytes=5-9"
    assert (answer.status, answer.headers["Content-Range"]) == (206, f"bytes 5-9/{LARGE}")
    answer.close()
    served.ask(**{"Range": "bytes=5-9", "If-Range": "then"}).close()
    assert "Range" not in served.s3.asked[1]


def test_a_head_reads_nothing(served: Served) -> None:
    answer = served.ask("HEAD")
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(LARGE))
    assert served.s3.content.closed.wait(20)
    assert served.s3.content.read_bytes == 0


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("NoSuchKey", 404, "No such artifact: 1/a/model.bin"),
        ("AccessDenied", 404, "No such artifact: 1/a/model.bin"),
        ("InvalidRange", 416, "1/a/model.bin has no such part: "),
    ],
)
def test_what_is_not_there_is_told(served: Served, code: str, status: int, said: str) -> None:
    served.s3.refuses = code
    answer = served.ask()
    assert (answer.status, json.loads(answer.read())["message"]) == (status, said)


def test_what_s3_refuses_is_not_said_to_be_absent(served: Served) -> None:
    served.s3.refuses, served.s3.listed = "AccessDenied", [{"Key": "artifacts/1/a/model.bin"}]
    assert served.ask().status == 500


def test_whoever_may_not_gets_mlflows_answer(served: Served) -> None:
    served.may = False
    assert served.ask().status == 403
    assert served.s3.asked == []


def test_what_mlflow_fetches_for_itself_is_left_to_it(served: Served) -> None:
    answer = served.ask(path="/ajax-api/3.0/mlflow/get-trace-artifact")
    assert answer.read() == b"{}"
    assert served.s3.asked == []
