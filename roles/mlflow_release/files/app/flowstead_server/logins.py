"""One way to log in, 401 before a body is read, and a limit on guessing.

Who is wrong too often under one name from one address has to wait; nobody else has, and no login that was
right a while ago. MLflow checks every request as well: nothing here lets anybody in.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import math
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TTLCache
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from flowstead_server import routes
from flowstead_server.asgi import App, Message, Receive, RefusedError, Scope, Send, header, in_thread

# Seconds in which wrong logins are counted: the longest that anybody has to wait.
WINDOW_S = 30
# Seconds for which a login that was right is not subject to the limit.
KNOWN_S = 600
KNOWN_MOST = 10_000
# A check hashes for 0.1 s and takes 32 MiB (werkzeug's scrypt).
CHECKS_AT_ONCE = 2
# What MLflow takes for a login besides Authorization (mlflow/gateway/constants.py).
OTHER_LOGINS = frozenset({b"x-mlflow-authorization"})

Check = Callable[[str, str], bool]


@dataclass(frozen=True)
class Login:
    """A name and a password."""

    name: str
    password: str

    @classmethod
    def of(cls, scope: Scope) -> Login | None:
        """Read a request's login; None where there is none that could be right."""
        values = header(scope, b"authorization")
        if len(values) != 1:
            return None
        scheme, _, encoded = values[0].strip().partition(b" ")
        if scheme.lower() != b"basic":
            return None
        try:
            name, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return cls(name, password) if colon and name and "\0" not in name + password else None

    @property
    def header(self) -> tuple[bytes, bytes]:
        """The one header that MLflow gets: it reads in it what was read here."""
        return b"authorization", b"Basic " + base64.b64encode(f"{self.name}:{self.password}".encode())


def unauthenticated(why: str) -> RefusedError:
    """Ask for a login, as MLflow does."""
    message = f"You are not authenticated: {why} Send a user's name and password (HTTP Basic)."
    return RefusedError(401, "UNAUTHENTICATED", message, [(b"www-authenticate", b'Basic realm="mlflow"')])


class Logins:
    """Checks logins before anything else is looked at.

    Args:
        app: what gets the requests of those who are right, and those that need no login.
        check: whether name and password are right. Runs in a thread, and may raise when it cannot know.
        attempts: wrong logins under a name from an address in `WINDOW_S`.
        check_again_s: seconds for which a right login is not checked again here, unless one has changed.
        changes: a file that all workers share: its time is that of the last change of a login.
        internal_token: the password of MLflow's own jobs for its AI gateway; empty: there are none.
        clock: seconds that only grow.

    """

    def __init__(
        self,
        app: App,
        check: Check,
        *,
        attempts: int,
        check_again_s: float,
        changes: str,
        internal_token: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._check, self._clock = app, check, clock
        self._check_again_s, self._changes, self._internal_token = check_again_s, changes, internal_token
        self._limit = RateLimitItemPerSecond(attempts, WINDOW_S)
        self._wrong = MovingWindowRateLimiter(MemoryStorage())
        # When it was found right, and after which change.
        self._right: TTLCache[bytes, tuple[float, int]] = TTLCache(KNOWN_MOST, KNOWN_S, clock)
        self._checks = asyncio.Semaphore(CHECKS_AT_ONCE)
        self._key = secrets.token_bytes(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on whose login is right.

        Raises:
            RefusedError: it is not, or was wrong too often.

        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        others = [item for item in scope["headers"] if item[0] not in OTHER_LOGINS | {b"authorization"}]
        if routes.is_open(scope):
            await self._app({**scope, "headers": others}, receive, send)
            return
        login = Login.of(scope)
        if login is None:
            is_there = header(scope, b"authorization")
            raise unauthenticated(
                "the Authorization header is not that of one user." if is_there else "there is no login."
            )
        scope = {**scope, "headers": [*others, login.header]}
        if self._is_internal(scope, login):
            await self._app(scope, receive, send)
            return
        digest = self._digest(login.name, login.password)
        if not self._is_fresh(digest):
            await self._look(scope, login, digest)

        async def watch(message: Message) -> None:
            # The password was changed meanwhile, or the user is gone.
            if message["type"] == "http.response.start" and message["status"] == 401:  # noqa: PLR2004
                self._right.pop(digest, None)
            elif message["type"] == "http.response.start" and routes.changes_logins(scope):
                self._tell_the_others()
            await send(message)

        await self._app(scope, receive, watch)

    def _is_internal(self, scope: Scope, login: Login) -> bool:
        token = self._internal_token
        in_gateway = bool(token) and scope["path"].startswith("/gateway/")
        return in_gateway and hmac.compare_digest(login.password.encode(), token.encode())

    def _digest(self, *parts: str) -> bytes:
        """Return what tells two texts apart and is no use outside this process."""
        return hmac.new(self._key, "\0".join(parts).encode(), hashlib.sha256).digest()

    def _is_fresh(self, digest: bytes) -> bool:
        checked, change = self._right.get(digest, (-math.inf, 0))
        return self._clock() - checked < self._check_again_s and change == self._last_change()

    def _last_change(self) -> int:
        try:
            return os.stat(self._changes).st_mtime_ns  # noqa: PTH116 - at each request
        except FileNotFoundError:
            return 0

    def _tell_the_others(self) -> None:
        """Have every worker check every login again: what one has changed, the others remember as it was."""
        now = time.time_ns()
        with open(self._changes, "ab"):  # noqa: PTH123
            os.utime(self._changes, ns=(now, now))

    async def _look(self, scope: Scope, login: Login, digest: bytes) -> None:
        counted = (self._digest(scope["client"][0], login.name).hex(),)
        self._refuse_too_many(counted, digest)
        async with self._checks:
            # While it waited, others may have been found right, or wrong.
            if self._is_fresh(digest):
                return
            self._refuse_too_many(counted, digest)
            change = self._last_change()
            try:
                is_right = await in_thread(self._check, login.name, login.password)
            except Exception as error:
                message = "The login could not be looked up: the database does not answer. Try again shortly."
                raise RefusedError(
                    503, "TEMPORARILY_UNAVAILABLE", message, [(b"retry-after", b"5")]
                ) from error
            if is_right:
                self._right[digest] = self._clock(), change
                return
            self._right.pop(digest, None)
            self._wrong.hit(self._limit, *counted)
            raise unauthenticated("name or password is wrong.")

    def _refuse_too_many(self, counted: tuple[str], digest: bytes) -> None:
        if digest in self._right or self._wrong.test(self._limit, *counted):
            return
        reset = self._wrong.get_window_stats(self._limit, *counted).reset_time
        wait_s = min(max(math.ceil(reset - time.time()), 1), WINDOW_S)
        message = f"Too many wrong logins under this name from this address. Wait {wait_s} s."
        raise RefusedError(429, "REQUEST_LIMIT_EXCEEDED", message, [(b"retry-after", str(wait_s).encode())])
