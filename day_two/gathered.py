"""What another server of MLflow has, gathered by a program that runs with the release that is to serve it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from day_two.own_directory import locked
from provisioner.errors import FlowsteadError
from provisioner.session import PROJECT

CACHE = PROJECT / ".cache"
LOCKS = PROJECT / "roles" / "mlflow_release" / "files" / "locks"
# What the hosts copy rows with; day_two/gather.py uses it here.
HOST_PROGRAMS = PROJECT / "roles" / "mlflow_data" / "files" / "host"
# day_two/gather.py reads it.
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true"}
PASSWORD = "FLOWSTEAD_IMPORT_PASSWORD"  # noqa: S105 - the name of a variable


@dataclass(frozen=True)
class Gathered:
    """What another server has.

    Args:
        file: a file of SQLite with its rows.
        schema: the revision of its schema.
        rows: number of rows by table.
        folders: folders of artifacts, below the root of all.
        elsewhere: addresses of artifacts that are not below it.
        renumbered: old and new ids of experiments that had to get others.
        left_out: number of rows by table that are not brought.

    """

    file: Path
    schema: str
    rows: dict[str, int]
    folders: tuple[str, ...]
    elsewhere: tuple[str, ...]
    renumbered: dict[str, str]
    left_out: dict[str, int]


def release(version: str) -> Path:
    """Give the Python of an MLflow release, installed from its lock in .cache; it stays for the next time.

    Raises:
        FlowsteadError: it cannot be installed.

    """
    lock = LOCKS / f"{version}.txt"
    if not lock.is_file():
        raise FlowsteadError(
            f"MLflow {version} serves there, and this copy of the project has no lock for it ({lock}).",
            next_step="Use the copy with which you ran site.yml last.",
        )
    home = CACHE / "releases" / f"{version}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    python, complete = home / "bin" / "python", home / "complete"
    home.mkdir(parents=True, exist_ok=True)
    with locked(home):
        if complete.exists():
            return python
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") or "uv"
        words = ["--quiet", "--require-hashes", "--python", str(python), "-r", str(lock)]
        for argv in (
            [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(home)],
            [uv, "pip", "install", *words],
        ):
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode:
                raise FlowsteadError(f"MLflow {version} cannot be installed here: {done.stderr.strip()}")
        complete.touch()
    return python


def gather(version: str, source: str, artifacts: str, target: Path) -> Gathered:
    """Read all that the other server keeps into one file.

    Raises:
        FlowsteadError: it cannot be read; nothing has been changed anywhere.

    """
    said = _run(version, "gather.py", source=source, artifacts=artifacts, target=str(target))
    return Gathered(
        file=target,
        schema=said["schema"],
        rows=said["rows"],
        folders=tuple(said["folders"]),
        elsewhere=tuple(said["elsewhere"]),
        renumbered=said["renumbered"],
        left_out=said["left_out"],
    )


def gather_users(version: str, source: str, folder: Path) -> tuple[list[dict[str, Any]], int]:
    """Read who the other server's users are, and what each may do.

    Args:
        version: the release that serves here.
        source: the URL of the other server's logins.
        folder: a directory of the caller's alone.

    Returns:
        of each `name`, `is_admin` and `permissions`: kind, identifier or "*", and the strongest permission;
        and how many permissions are left out.

    Raises:
        FlowsteadError: they cannot be read.

    """
    said = _run(version, "gather_users.py", source=source, folder=str(folder))
    return list(said["users"]), int(said["left_out"])


def _run(version: str, program: str, **asked: str) -> dict[str, Any]:
    """Run a program of day_two with a release's Python; it reads what is asked, and answers with JSON."""
    source = asked["source"]
    print(f"Reading {source} with MLflow {version}", flush=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))}
    done = subprocess.run(
        [release(version), "-B", PROJECT / "day_two" / program],
        input=json.dumps(asked),
        env=kept | {"PYTHONPATH": f"{HOST_PROGRAMS}:{PROJECT}", "PYTHONWARNINGS": "ignore", **QUIET},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise FlowsteadError(f"{source} cannot be imported: {done.stderr.strip()}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
