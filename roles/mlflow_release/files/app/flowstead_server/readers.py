"""Whether somebody may read a registered model: what the gateway asks before each request to one.

MLflow answers it, and is not asked the same again for a few seconds: it takes longer than many a model does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus

from cachetools import TTLCache

from flowstead_server.asgi import App, Message, Receive, Scope, Send
from flowstead_server.logins import Login

# Not MLflow's own path; the gateway lets nobody ask it from outside.
PATH = "/.may-read-model"
MODEL = "/api/2.0/mlflow/registered-models/get"
# Seconds for which a yes holds. A no is asked again.
HOLDS_S = 5
MOST = 10_000


class Readers:
    """Answers with a status alone: MLflow's own to whoever asks for the model, and 204 for its 200.

    Args:
        app: the parts inside. The login of what comes here is right.
        clock: seconds that only grow.

    """

    def __init__(self, app: App, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._may: TTLCache[tuple[str, bytes], bool] = TTLCache(MOST, HOLDS_S, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the gateway's question, and pass any other request on."""
        login = Login.of(scope) if scope["type"] == "http" and scope["path"] == PATH else None
        if login is None:
            await self._app(scope, receive, send)
            return
        asked = login.name, scope["query_string"]
        status = HTTPStatus.NO_CONTENT if asked in self._may else await self._ask(scope, receive)
        if status == HTTPStatus.NO_CONTENT:
            self._may.setdefault(asked, True)
        headers = [] if status == HTTPStatus.NO_CONTENT else [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _ask(self, scope: Scope, receive: Receive) -> int:
        """Return the status of MLflow's answer."""
        statuses = [int(HTTPStatus.INTERNAL_SERVER_ERROR)]

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await self._app({**scope, "method": "GET", "path": MODEL, "raw_path": MODEL.encode()}, receive, note)
        return HTTPStatus.NO_CONTENT if statuses[-1] == HTTPStatus.OK else statuses[-1]
