"""A release of MLflow as hosts install it, for tests that want its real schema."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.real.locks import exclusive_lock

PROJECT = Path(__file__).resolve().parents[3]
HOST = PROJECT / "roles/mlflow_data/files/host"


def release(version: str) -> Path:
    """Return the interpreter of a release, installed from its lock; it is kept for other tests."""
    lock = PROJECT / "roles/mlflow_release/files/locks" / f"{version}.txt"
    home = PROJECT / ".cache/releases" / f"{version}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    python, stamp = home / "bin/python", home / "complete"
    home.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(home):
        if not stamp.exists():
            run("uv", "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(home))
            run(
                "uv",
                "pip",
                "install",
                "--quiet",
                "--require-hashes",
                "--python",
                str(python),
                "-r",
                str(lock),
            )
            stamp.touch()
    return python


def migrate(python: Path, addresses: Mapping[str, str], **environment: str) -> None:
    """Run a release's migrations as hosts do."""
    run(str(python), "-B", str(HOST / "migrate.py"), words=json.dumps(addresses), env=environment)


def run(*argv: str, words: str = "", env: Mapping[str, str] | None = None) -> str:
    """Run a command; return what it prints."""
    options: dict[str, Any] = (
        {"env": {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **env}} if env is not None else {}
    )
    done = subprocess.run(argv, input=words, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
