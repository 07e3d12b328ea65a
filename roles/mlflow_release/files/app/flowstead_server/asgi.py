"""What the parts share: ASGI's types, and answers of our own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]
Result = TypeVar("Result")

# Not asyncio's own threads: MLflow has each of them wait for the transfer of an artifact.
_threads = ThreadPoolExecutor(4)


async def in_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call what takes a while, and let other requests go on."""
    return await asyncio.get_running_loop().run_in_executor(_threads, function, *arguments)


class RefusedError(Exception):
    """A request that is answered here.

    Args:
        status: the HTTP status.
        code: one of MLflow's error codes, which its clients know.
        message: what is wrong and what to do, for a person.
        headers: further headers of the answer.

    """

    def __init__(self, status: int, code: str, message: str, headers: Iterable[Header] = ()) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers

    async def answer(self, send: Send) -> None:
        """Send the answer, in the form of MLflow's own errors."""
        body = json.dumps({"error_code": self.code, "message": self.message}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Refusals:
    """Answers what the parts inside refuse.

    Args:
        app: the parts inside. They refuse before they answer.

    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "websocket":
            # MLflow has none; and none comes through the gateway.
            await send({"type": "websocket.close"})
            return
        try:
            await self._app(scope, receive, send)
        except RefusedError as refused:
            await refused.answer(send)


def header(scope: Scope, name: bytes) -> list[bytes]:
    """Return each value of a header, whose name is in small letters (ASGI has them so)."""
    return [value for key, value in scope["headers"] if key == name]
