"""A few requests at a time.

MLflow takes 40 at a time in threads that fight for the interpreter, and a request takes a second connection
to the database while it holds its first. Four at a time answer more in a second, with fewer connections.
"""

from __future__ import annotations

import asyncio

from flowstead_server import routes
from flowstead_server.asgi import App, Message, Receive, Scope, Send


class Places:
    """Lets a few requests in at a time; the others wait for a place.

    Args:
        app: what has the places. A body has arrived when a request comes here: none waits in its place.
        at_once: places for requests with a login; as many more are for those without.

    """

    def __init__(self, app: App, at_once: int) -> None:
        self._app = app
        self._known, self._unknown = asyncio.Semaphore(at_once), asyncio.Semaphore(at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on when there is a place for it."""
        if scope["type"] != "http" or not routes.is_counted(scope):
            await self._app(scope, receive, send)
            return
        # A client that reads slowly is served from here: it keeps no place.
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        async with self._unknown if routes.is_open(scope) else self._known:
            await self._app(scope, receive, keep)
        for message in answer:
            await send(message)
