"""Which websites may use a user's login in the browser: the server's own, and those that are set.

MLflow lets every page on a user's own machine read and write, at whatever port (LOCALHOST_ORIGIN_PATTERNS in
mlflow/server/security_utils.py), and looks at the paths of its API only.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from flowstead_server import routes
from flowstead_server.asgi import App, Receive, RefusedError, Scope, Send, header


class Origins:
    """Refuses what a page of another website wants to change, and lets it read nothing.

    Args:
        app: what gets the requests of pages that may, and of clients that are no browsers.
        allowed: further origins, as MLflow has them; `*` stands for any text.

    """

    def __init__(self, app: App, allowed: Sequence[str]) -> None:
        self._app, self._allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on whose page may ask.

        Raises:
            RefusedError: it may not.

        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origins = [value.decode("latin-1") for value in header(scope, b"origin")]
        if origins and not self._is_allowed(origins):
            hosts = [value.decode("latin-1") for value in header(scope, b"host")]
            is_own = [f"{scope['scheme']}://{host}" for host in hosts] == origins
            if not is_own and scope["method"] not in {"GET", "HEAD"}:
                message = "Cross-origin request blocked: this website is not among the server's origins."
                raise RefusedError(403, "PERMISSION_DENIED", message)
            # Without it MLflow gives no website leave to read, and asks no more.
            scope = {**scope, "headers": [item for item in scope["headers"] if item[0] != b"origin"]}
        await self._app(scope, receive, send)

    def _is_allowed(self, origins: list[str]) -> bool:
        return len(origins) == 1 and any(fnmatchcase(origins[0], one) for one in self._allowed)


def from_elsewhere(app: App) -> App:
    """Have nobody sit at the server: MLflow's assistant runs programs for 127.0.0.1, where tunnels end."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "client": None} if routes.is_assistant(scope) else scope, receive, send)

    return call
