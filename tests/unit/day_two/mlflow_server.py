"""A real MLflow server, as a release has it, with its own logins and permissions; the database is SQLite."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from day_two.gathered import release

__all__ = ["release", "serving"]

ADMIN, PASSWORD = "admin", "the admin's password"


@contextmanager
def serving(directory: Path, version: str = "3.17.2") -> Iterator[str]:
    """Run a server for as long as the block; gives its address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    (directory / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\nauth_cache_ttl_seconds = 60\n"
        f"database_uri = sqlite:///{directory}/auth.db\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_AUTH_CONFIG_PATH": str(directory / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of this test",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [str(release(version)), "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{directory}/mlflow.db", "--port", str(port)]
    command += ["--artifacts-destination", str(directory / "artifacts")]
    with (directory / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while not _answers(address):
            assert server.poll() is None, (directory / "server.log").read_text()[-3000:]
            assert time.monotonic() < deadline, (directory / "server.log").read_text()[-3000:]
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except OSError:
        return False
