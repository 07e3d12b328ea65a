"""In place of `mlflow server`, in a process of its own: has uvicorn started as MLflow has it started.

python forking.py PORT WORKERS
"""

from __future__ import annotations

import json
import os
import signal
import sys
from types import FrameType

from flowstead_server import start
from flowstead_server.asgi import App, Receive, Scope, Send

IMPORTED_IN = os.getpid()


def create_app() -> App:
    """Make what says which process it is and which one imported it, once a request has arrived whole."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass
        found = {"worker": os.getpid(), "imported_in": IMPORTED_IN, "told": os.environ.get("TOLD")}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(found).encode()})

    return app


def main() -> None:
    """Start uvicorn, pass signals on and wait, as MLflow does (mlflow/server/__init__.py)."""
    port, workers = sys.argv[1:]
    sys.modules["forking"] = sys.modules["__main__"]
    command = [sys.executable, "-m", "uvicorn", "--port", port, "--workers", workers, "--lifespan", "off"]
    command += ["--factory", "forking:create_app"]
    extra = {"TOLD": "by MLflow"}
    # SQLAlchemy is in releases only.
    start.close_connections = lambda: None
    process = start.start_uvicorn(command, extra_env=extra, capture_output=False, synchronous=False)

    def forward(number: int, _frame: FrameType | None) -> None:
        if process.poll() is None:
            process.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    process.wait()


if __name__ == "__main__":
    main()
