"""A release of MLflow as hosts install it, for tests that want its real schema."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from day_two.gathered import release

PROJECT = Path(__file__).resolve().parents[3]
__all__ = ["HOST", "PROJECT", "migrate", "release", "run"]

HOST = PROJECT / "roles/mlflow_data/files/host"


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
