"""MLflow's REST API."""

from __future__ import annotations

import base64
import contextlib
import email.utils
import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from provisioner.errors import FlowsteadError

ANSWER_DEADLINE_S = 20
# The deepest question that changes nothing: gateway, login, MLflow and its database take part in the answer.
PROBE = "2.0/mlflow/experiments/get?experiment_id=0"


class Server(Protocol):
    """A tracking server, and a login that it knows."""

    @property
    def url(self) -> str:
        """Where MLflow answers."""

    @property
    def ca_file(self) -> Path | None:
        """The certificate to trust; None for those that this machine trusts."""

    def login(self) -> tuple[str, str]:
        """Give the user and the password; both empty where MLflow asks for none."""


class AnswerError(Exception):
    """MLflow, or the gateway before it, answered with an error.

    Args:
        status: HTTP's.
        code: MLflow's own; empty when the answer has none.
        text: what it says.

    """

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def call(server: Server, path: str, method: str = "GET", **values: str | bool) -> dict[str, Any]:
    """Ask MLflow's REST API.

    Args:
        server: the tracking server, and who asks.
        path: where below /api.
        method: HTTP's.
        values: what it is told; in the address with GET, as JSON otherwise.

    Raises:
        AnswerError: it answered with an error.
        OSError: it did not answer.

    """
    return call_at(server, path, method, **values)[0]


def call_at(
    server: Server, path: str, method: str = "GET", **values: str | bool
) -> tuple[dict[str, Any], datetime]:
    """Ask as `call` does, and give the server's time as well: people's clocks differ.

    Source: RFC 9110, 6.6.1 (`Date`), which nginx and uvicorn send with every answer.
    """
    query = f"?{urllib.parse.urlencode(values)}" if values and method == "GET" else ""
    user, password = server.login()
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - provision.py wrote the address, or login.py looked at it
        f"{server.url}/api/{path}{query}",
        data=None if method == "GET" else json.dumps(values).encode(),
        headers={"Content-Type": "application/json"} | ({"Authorization": f"Basic {login}"} if user else {}),
        method=method,
    )
    context = ssl.create_default_context(cafile=server.ca_file)
    try:
        with urllib.request.urlopen(  # noqa: S310 - as above
            request, timeout=ANSWER_DEADLINE_S, context=context
        ) as answer:
            told = dict(json.loads(answer.read() or b"{}"))
            return told, email.utils.parsedate_to_datetime(answer.headers["Date"])
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        try:
            told = json.loads(said)
        except ValueError:
            told = {}
        text = told.get("message") or f"HTTP {error.code} {error.reason}"
        # After its own sentence MLflow quotes the SQL with all values, a password's hash among them.
        text = text.partition(" Error: ")[0].splitlines()[0].rstrip(".")
        raise AnswerError(error.code, told.get("error_code", ""), text) from error
    except (ValueError, TypeError, http.client.HTTPException) as error:
        raise AnswerError(0, "", f"{server.url} answers, but not as MLflow does") from error


def ask(server: Server) -> str:
    """Ask the server a real question, and say how it went in a few words."""
    try:
        name = call(server, PROBE)["experiment"]["name"]
    except AnswerError as error:
        return str(error)
    except (OSError, ValueError, KeyError) as error:
        return f"does not answer: {getattr(error, 'reason', None) or error}"
    return f"answers (experiment {name!r} read from the database)"


@contextlib.contextmanager
def answers(next_step: str = "fab status") -> Iterator[None]:
    """Make a sentence of what MLflow or the network says.

    Args:
        next_step: what to do if the server does not answer.

    """
    try:
        yield
    except AnswerError as error:
        raise FlowsteadError(f"MLflow refuses: {error}.") from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise FlowsteadError(
            f"The server does not answer: {getattr(error, 'reason', None) or error}.", next_step=next_step
        ) from error
