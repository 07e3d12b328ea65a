"""The app around MLflow's own, served, with another in MLflow's place that notes all."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import threading
from collections.abc import Callable
from typing import Any

from flowstead_server import around_mlflow
from flowstead_server.asgi import Receive, Scope, Send
from flowstead_server.settings import Settings

RIGHT = {"alice": "right-password", "bob": "another-right-one"}
ASK = "/api/2.0/mlflow/experiments/get"
UPLOAD = "/api/2.0/mlflow-artifacts/artifacts/1/file"
SETTINGS = Settings(
    requests_at_once=2, login_attempts=3, check_again_s=60, body_bytes=100_000, bodies_bytes=250_000
)


class Mlflow:
    """In MLflow's place: notes what it gets, and how much at a time."""

    def __init__(self) -> None:
        self.got: list[tuple[Scope, bytes]] = []
        self.at_once = self.most_at_once = 0
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.status = 200
        self.headers: list[tuple[bytes, bytes]] = []
        self.says = b"answered"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.to_thread(self.goes_on.wait, 20)
        self.at_once -= 1
        self.got.append((scope, body))
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.says})


class Place:
    """The app, served, and how to ask it."""

    def __init__(self, serve: Callable[[Any], int], settings: Settings = SETTINGS) -> None:
        self.mlflow = Mlflow()
        self.checked: list[str] = []
        self.down = False
        app = around_mlflow.around(self.mlflow, self.is_right, settings, internal_token="of-jobs")
        self.port = serve(app)

    def is_right(self, name: str, password: str) -> bool:
        self.checked.append(name)
        if self.down:
            raise ConnectionError
        return RIGHT.get(name) == password

    def ask(
        self,
        path: str = ASK,
        login: str = "alice:right-password",
        *,
        method: str = "GET",
        body: bytes | None = None,
        **headers: str,
    ) -> tuple[int, dict[str, str], dict[str, str]]:
        """Ask once: status, headers and what it says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        own = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}
        connection.request(
            method, path, body, own | {name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        return answer.status, dict(answer.headers), json.loads(said) if said[:1] == b"{" else {}
