"""A server on files, which know no rights of a role, and databases of another release."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import sqlite3
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from flowstead_host.engines import sqlite_files
from mlflow_release import PROJECT, migrate, release

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
OLD, NEW = "3.16.1", "3.17.2"
APP = PROJECT / "roles/mlflow_release/files/app"
PASSWORD = "a password of some length"
LOGIN = """
[mlflow]
database_uri = sqlite:///{0}/login.db
default_permission = READ
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


def tables(folder: Path) -> dict[str, list[str]]:
    """The tables of each database, as far as there are any."""
    found = {}
    for path in folder.glob("*.db"):
        with closing(sqlite3.connect(path)) as connection:
            found[path.name] = [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master")]
    return {name: made for name, made in found.items() if made}


def environment(folder: Path, port: int) -> dict[str, str]:
    """What a server on files is told."""
    (folder / "login.ini").write_text(LOGIN.format(folder))
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "PYTHONPATH": str(APP),
        "AWS_REGION": "eu-west-1",
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/tracking.db",
        "MLFLOW_SERVE_ARTIFACTS": "true",
        "MLFLOW_ARTIFACTS_DESTINATION": "s3://bucket/artifacts",
        "MLFLOW_HOST": "127.0.0.1",
        "MLFLOW_PORT": str(port),
        "MLFLOW_WORKERS": "2",
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "login.ini"),
        "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "k" * 32,
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "FLOWSTEAD_REQUESTS_AT_ONCE": "4",
        "FLOWSTEAD_LOGIN_ATTEMPTS": "10",
        "FLOWSTEAD_BODY_MIB": "10",
        "FLOWSTEAD_LOGIN_CACHE_S": "60",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "https://localhost",
    }


def migrated(folder: Path, **versions: str) -> None:
    for name, version in versions.items():
        migrate(release(version), {name: f"sqlite:///{folder}/{name}.db"})


@pytest.mark.parametrize(
    "versions", [{"tracking": OLD, "login": NEW}, {"login": NEW}, {"tracking": NEW}], ids=str
)
def test_a_release_changes_no_tables_when_it_starts(tmp_path: Path, versions: dict[str, str]) -> None:
    """The store is of an earlier release; or it has no tables at all; or the logins have none."""
    migrated(tmp_path, **versions)
    before = tables(tmp_path)
    argv = [str(release(NEW)), "-m", "flowstead_server"]
    options = {"env": environment(tmp_path, 1), "capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run(argv, check=False, **options)
    assert done.returncode, done.stdout
    assert "schema" in done.stderr, done.stderr[-3000:]
    assert tables(tmp_path) == before


def test_it_serves_files_that_are_migrated(tmp_path: Path) -> None:
    """Several workers write, and nobody is refused."""
    migrated(tmp_path, tracking=NEW, login=NEW)
    before = tables(tmp_path)
    for name in ("tracking", "login"):
        sqlite_files.write_ahead(tmp_path / f"{name}.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    login = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()

    def ask(path: str, body: dict[str, object]) -> int:
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{port}/api/2.0/mlflow/{path}"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as said:
            return int(said.status)

    argv = [str(release(NEW)), "-m", "flowstead_server"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(argv, env=environment(tmp_path, port), stdout=log, stderr=log)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            assert server.poll() is None, (tmp_path / "log").read_text()[-3000:]
            time.sleep(0.2)
        with ThreadPoolExecutor(8) as pool:
            bodies = [{"name": f"experiment {number}"} for number in range(80)]
            assert set(pool.map(lambda body: ask("experiments/create", body), bodies)) == {200}
    finally:
        server.terminate()
        server.wait(60)
    assert tables(tmp_path) == before
