"""Files come from the bucket piece by piece, as the client takes them; one that has gone ends its download.

MLflow fetches the whole file to the server's disk before it answers. Of a large one a client hears nothing
for minutes, gives up, and asks again, while the server goes on: with each try there is one more on the disk.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from flowstead_server import routes
from flowstead_server.asgi import App, Message, Receive, RefusedError, Scope, Send, header

# Of each file, this much is in memory.
PIECE = 1 << 20
# Files of a worker that are read from at a moment; the others wait for their next piece.
AT_ONCE = 8


@dataclass(frozen=True)
class Stored:
    """A file in the bucket, which the caller may have.

    Args:
        client: boto3's client of S3.
        place: what GetObject is told.
        path: what MLflow calls it.
        content_type: what kind of file it is.
        is_there: looks for it, once S3 has refused.

    """

    client: Any
    place: Mapping[str, str]
    path: str
    content_type: str
    is_there: Callable[[], bool]

    def open(self, part: str) -> dict[str, Any]:
        """Ask S3 for it, or for a part (a Range header); the answer's body is yet to be read.

        Raises:
            RefusedError: there is no such file, or no such part.

        """
        asked = {"Range": part} if part else {}
        try:
            answer: dict[str, Any] = self.client.get_object(**self.place, **asked)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "InvalidRange":
                message = f"{self.path} has no such part: {part}"
                raise RefusedError(416, "INVALID_PARAMETER_VALUE", message) from error
            if self.is_there():
                raise
            raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST", f"No such artifact: {self.path}") from error
        return answer

    def headers(self, answer: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
        """Say what it is, as MLflow does: a file to keep, never a page."""
        name = quote(posixpath.basename(self.path), safe="")
        said = {
            "accept-ranges": "bytes",
            "cache-control": "no-cache",
            "content-disposition": f"attachment; filename*=UTF-8''{name}",
            "content-length": str(answer["ContentLength"]),
            "content-type": self.content_type,
            "x-content-type-options": "nosniff",
        }
        if "ContentRange" in answer:
            said["content-range"] = answer["ContentRange"]
        return [(name.encode(), value.encode("latin-1")) for name, value in said.items()]


found: ContextVar[list[Stored] | None] = ContextVar("found", default=None)
"""Of the request under way: the file that is the answer, once MLflow has let it pass (artifacts.py)."""


class Downloads:
    """Answers with the file that MLflow's answer would be.

    Args:
        app: what looks whether the caller may have it, and notes it in `found`.

    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._threads = ThreadPoolExecutor(AT_ONCE, "downloads")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; send the file.

        Raises:
            RefusedError: there is none.

        """
        if scope["type"] != "http" or not routes.is_download(scope):
            await self._app(scope, receive, send)
            return
        files: list[Stored] = []

        async def of_mlflow(message: Message) -> None:
            if not files:
                await send(message)

        token = found.set(files)
        try:
            await self._app(scope, receive, of_mlflow)
        finally:
            found.reset(token)
        if files:
            await self._answer(files[0], scope, receive, send)

    async def _answer(self, file: Stored, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.get_running_loop().run_in_executor
        # Whoever has a part already, of a file that may be another by now, gets all of it.
        part = b"" if header(scope, b"if-range") else b",".join(header(scope, b"range"))
        answer = await work(self._threads, file.open, part.decode("latin-1"))
        body = answer["Body"]
        gone = asyncio.ensure_future(_gone(receive))
        try:
            status = 206 if "ContentRange" in answer else 200
            await send({"type": "http.response.start", "status": status, "headers": file.headers(answer)})
            more = scope["method"] != "HEAD"
            while more and not gone.done():
                piece = await work(self._threads, body.read, PIECE)
                more = len(piece) > 0
                # The server waits here while the client is slow.
                await send({"type": "http.response.body", "body": piece, "more_body": more})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            body.close()


async def _gone(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
