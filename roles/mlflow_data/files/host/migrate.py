#!/usr/bin/env python3
"""Migrate MLflow's databases to a release's schema. Managed by Ansible.

Run with the release's own Python as MLflow's user, with the owner's PGPASSFILE. It loads everything first,
says "ready", and waits: on standard input come the addresses as JSON, `tracking` and `login`. At an end
without them it does nothing.
"""

from __future__ import annotations

import importlib
import json
import sys

# `mlflow db upgrade`, `python -m mlflow.server.auth db upgrade`, and what they load only when they run.
LOADED = (
    "alembic.command",
    "psycopg2",
    "mlflow.db",
    "mlflow.store.db.utils",
    "mlflow.server.auth.cli",
    "mlflow.server.auth.db.utils",
)


def main() -> None:
    """Load, wait, migrate."""
    modules = {name: importlib.import_module(name) for name in LOADED}
    print("ready", flush=True)
    words = sys.stdin.read()
    if not words:
        return
    addresses = json.loads(words)
    for module, argv in (
        ("mlflow.db", ["upgrade", addresses["tracking"]]),
        ("mlflow.server.auth.cli", ["db", "upgrade", "--url", addresses["login"]]),
    ):
        modules[module].commands.main(argv, standalone_mode=False)


if __name__ == "__main__":
    main()
