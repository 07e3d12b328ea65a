"""NUL in a text: PostgreSQL cannot keep it, and MLflow answers 500. Here it is 400 and says where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from flowstead_server import routes
from flowstead_server.asgi import App, Message, Receive, RefusedError, Scope, Send, header


class Nul:
    """Refuses requests with a NUL in a name or a value.

    Args:
        app: what gets the others.

    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on that has none. Its body comes in one message, but a file's.

        Raises:
            RefusedError: it has.

        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if "\0" in scope["path"]:
            raise _refused("the path")
        if b"%00" in scope["query_string"]:
            self._look(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        if routes.is_upload(scope):
            await self._app(scope, receive, send)
            return
        first = await receive()
        body: bytes = first.get("body", b"")
        kind = b"".join(header(scope, b"content-type")).partition(b";")[0].strip().lower()
        if kind == b"application/x-www-form-urlencoded" and b"%00" in body:
            self._look(parse_qsl(body.decode("latin-1"), keep_blank_values=True))
        # Where it is written so, it may still be the text "\\u0000" in a text: only a parser knows.
        elif b"\\u0000" in body:
            self._look_into_json(body)
        messages = [first]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, replay, send)

    def _look(self, pairs: list[tuple[str, str]]) -> None:
        for name, value in pairs:
            if "\0" in name + value:
                raise _refused(f"the parameter {name!r}")

    def _look_into_json(self, body: bytes) -> None:
        try:
            parsed = json.loads(body)
        except (ValueError, RecursionError):
            # Not JSON: what it is, MLflow knows.
            return
        for place in _places(parsed):
            raise _refused(f"the field {place}")


def _places(value: Any, where: str = "") -> Iterator[str]:
    """Say where a text has a NUL, as `metrics[3].key`."""
    if isinstance(value, str):
        if "\0" in value:
            yield where or "that is the whole body"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _places(item, f"{where}[{number}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            inner = f"{where}.{key}" if where else key
            if "\0" in key:
                yield inner.replace("\0", "\\u0000")
            yield from _places(item, inner)


def _refused(where: str) -> RefusedError:
    message = (
        f"There is a NUL character in {where}: the database cannot keep it. Remove it; nothing was stored."
    )
    return RefusedError(400, "INVALID_PARAMETER_VALUE", message)
