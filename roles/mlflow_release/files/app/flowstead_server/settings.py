"""What the role tells the app, in the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from flowstead_server.logins import WINDOW_S

# Which file that is, the parent of the workers tells them.
CHANGES = "_FLOWSTEAD_CHANGES"


@dataclass(frozen=True)
class Settings:
    """One worker's part of what is set.

    Args:
        requests_at_once: requests that a worker works on at a time.
        login_attempts: wrong logins under a name from an address in half a minute.
        check_again_s: seconds for which a right login is not checked again before MLflow does.
        body_bytes: what a request's body may have, unless it is a file.
        bodies_bytes: what all bodies together may have that are held at a time.
        origins: websites that may call the API, besides the server's own.
        destination: bucket and prefix of the artifacts, which no answer names.
        changes: a file that all workers share: its time is that of the last change of a login.

    """

    requests_at_once: int
    login_attempts: int
    check_again_s: float
    body_bytes: int
    bodies_bytes: int
    origins: tuple[str, ...] = ()
    destination: str = "s3://bucket/artifacts"
    changes: str = os.devnull

    @classmethod
    def from_environment(cls) -> Settings:
        """Read them.

        Raises:
            KeyError: one is not set.
            ValueError: one is no whole number.

        """
        workers = int(os.environ["MLFLOW_WORKERS"])
        body_bytes = int(os.environ["FLOWSTEAD_BODY_MIB"]) * 2**20
        return cls(
            requests_at_once=int(os.environ["FLOWSTEAD_REQUESTS_AT_ONCE"]),
            # Workers count apart.
            login_attempts=max(int(os.environ["FLOWSTEAD_LOGIN_ATTEMPTS"]) * WINDOW_S // 60 // workers, 1),
            check_again_s=float(os.environ["FLOWSTEAD_LOGIN_CACHE_S"]) * 0.9,
            body_bytes=body_bytes,
            bodies_bytes=4 * body_bytes,
            origins=tuple(os.environ["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"].split(",")),
            destination=os.environ["MLFLOW_ARTIFACTS_DESTINATION"],
            changes=os.environ[CHANGES],
        )
