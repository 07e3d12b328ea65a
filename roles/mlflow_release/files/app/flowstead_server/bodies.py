"""Bounds on bodies: of each, decompressed, and of all that are held at a time.

Only files may be large; MLflow takes them as they come.
"""

from __future__ import annotations

import gzip
import io
import zlib

from flowstead_server import routes
from flowstead_server.asgi import App, Message, Receive, RefusedError, Scope, Send, header, in_thread


class TooLargeError(Exception):
    """More than the bound."""


class Bodies:
    """Reads bodies within bounds, before MLflow does.

    Args:
        app: what gets the bodies, each in one message and decompressed.
        most: bytes that one body may have, also decompressed.
        most_together: bytes that may be held at a time.

    """

    def __init__(self, app: App, *, most: int, most_together: int) -> None:
        self._app, self._most, self._most_together = app, most, most_together
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on when its body has arrived.

        Raises:
            RefusedError: it is too large, or not what its headers say.

        """
        if scope["type"] != "http" or routes.is_upload(scope):
            await self._app(scope, receive, send)
            return
        for length in header(scope, b"content-length"):
            if int(length) > self._most:
                raise self._too_large()
        # Bytes that this request holds, until it is answered.
        holds = 0
        parts: list[bytes] = []
        try:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                part = message.get("body", b"")
                more = message.get("more_body", False)
                holds += len(part)
                self._held += len(part)
                if holds > self._most:
                    raise self._too_large()
                if self._held > self._most_together:
                    message_ = "The server holds as many large requests as it can. Try again shortly."
                    raise RefusedError(503, "TEMPORARILY_UNAVAILABLE", message_, [(b"retry-after", b"5")])
                parts.append(part)
            body = b"".join(parts)
            parts.clear()
            scope, body = await self._decompressed(scope, body)
            await self._app(scope, _again(body, receive), send)
        finally:
            self._held -= holds

    async def _decompressed(self, scope: Scope, body: bytes) -> tuple[Scope, bytes]:
        """Do what MLflow does without a bound (mlflow/tracing/utils/otlp.py); the rest is left to it."""
        encoding = b",".join(header(scope, b"content-encoding")).strip().lower()
        if encoding not in {b"gzip", b"deflate"}:
            return scope, body
        inflate = _gunzip if encoding == b"gzip" else _inflate
        try:
            body = await in_thread(inflate, body, self._most)
        except TooLargeError:
            raise self._too_large() from None
        except (OSError, EOFError, zlib.error) as error:
            message = f"The body is not {encoding.decode()}, as its Content-Encoding says: {error}."
            raise RefusedError(400, "INVALID_PARAMETER_VALUE", message) from error
        dropped = {b"content-encoding", b"content-length"}
        headers = [item for item in scope["headers"] if item[0] not in dropped]
        return {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}, body

    def _too_large(self) -> RefusedError:
        message = (
            f"The request's body has more than {self._most} bytes (decompressed). Log less at once; files,"
            " of any size, are logged as artifacts."
        )
        return RefusedError(413, "INVALID_PARAMETER_VALUE", message)


def _again(body: bytes, receive: Receive) -> Receive:
    """Hand a body out once more, then whatever follows."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _gunzip(body: bytes, most: int) -> bytes:
    return _within(gzip.GzipFile(fileobj=io.BytesIO(body)).read(most + 1), most)


def _inflate(body: bytes, most: int) -> bytes:
    """With zlib's header, or without: clients send both."""
    for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        stream = zlib.decompressobj(window)
        try:
            text = _within(stream.decompress(body, most + 1), most)
        except zlib.error:
            if window < 0:
                raise
            continue
        if not stream.eof:
            raise EOFError("it ends too early")
        return text
    raise AssertionError


def _within(text: bytes, most: int) -> bytes:
    if len(text) > most:
        raise TooLargeError
    return text
