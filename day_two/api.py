"""MLflow's REST API, as the admin asks it."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

from day_two.tracking import TrackingServer
from provisioner.errors import FlowsteadError

ANSWER_DEADLINE_S = 20
# The deepest question that changes nothing: gateway, login, MLflow and its database take part in the answer.
PROBE = "2.0/mlflow/experiments/get?experiment_id=0"


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


def call(server: TrackingServer, path: str, method: str = "GET", **values: str) -> dict[str, Any]:
    """Ask MLflow's REST API, as the admin.

    Args:
        server: the tracking server.
        path: where below /api.
        method: HTTP's.
        values: what it is told; in the address with GET, as JSON otherwise.

    Raises:
        AnswerError: it answered with an error.
        OSError: it did not answer.

    """
    login = base64.b64encode(f"{server.outputs.admin.username}:{server.password()}".encode()).decode()
    query = f"?{urllib.parse.urlencode(values)}" if values and method == "GET" else ""
    request = urllib.request.Request(  # noqa: S310 - provision.py wrote the address: https
        f"{server.url}/api/{path}{query}",
        data=None if method == "GET" else json.dumps(values).encode(),
        headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        method=method,
    )
    context = ssl.create_default_context(cafile=server.ca_file)
    try:
        with urllib.request.urlopen(  # noqa: S310 - as above
            request, timeout=ANSWER_DEADLINE_S, context=context
        ) as answer:
            return dict(json.loads(answer.read() or b"{}"))
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


def ask(server: TrackingServer) -> str:
    """Ask the server a real question, and say how it went in a few words."""
    try:
        name = call(server, PROBE)["experiment"]["name"]
    except AnswerError as error:
        return str(error)
    except (OSError, ValueError, KeyError) as error:
        return f"does not answer: {getattr(error, 'reason', None) or error}"
    return f"answers (experiment {name!r} read from the database)"


@contextlib.contextmanager
def answers() -> Iterator[None]:
    """Make a sentence of what MLflow or the network says."""
    try:
        yield
    except AnswerError as error:
        raise FlowsteadError(f"MLflow refuses: {error}.") from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise FlowsteadError(
            f"The server does not answer: {getattr(error, 'reason', None) or error}.", next_step="fab status"
        ) from error
