#!/usr/bin/env python3
"""Migrate MLflow's databases to a release's schema. Managed by Ansible.

Run with the release's own Python as MLflow's user; the owner's password is in a file, that of PGPASSFILE or
one that the address names. It loads everything first, says "ready", and waits: on standard input come the
addresses as JSON, `tracking`, `login` or both. At an end without them it does nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from typing import Any

# `mlflow db upgrade`, `python -m mlflow.server.auth db upgrade`, and what they load only when they run.
LOADED = (
    "alembic.command",
    "mlflow.db",
    "mlflow.store.db.utils",
    "mlflow.server.auth.cli",
    "mlflow.server.auth.db.utils",
)
# One of them is what the addresses need.
DRIVERS = ("psycopg2", "pymysql")


def leave_foreign_keys_unnamed() -> None:
    """Have MySQL name all foreign keys that are made: MLflow gives two tables of logins one of a name.

    In MySQL a name is a database's, in others a table's. No migration of the logins asks for one by its name.
    https://dev.mysql.com/doc/refman/8.4/en/create-table-foreign-keys.html
    """
    constraint_type = importlib.import_module("sqlalchemy.schema").ForeignKeyConstraint
    compiles = importlib.import_module("sqlalchemy.ext.compiler").compiles

    @compiles(constraint_type, "mysql")  # type: ignore[untyped-decorator]  # SQLAlchemy is not here
    def unnamed(constraint: Any, compiler: Any, **options: Any) -> str:
        name, constraint.name = constraint.name, None
        try:
            return str(compiler.visit_foreign_key_constraint(constraint, **options))
        finally:
            constraint.name = name


def main() -> None:
    """Load, wait, migrate."""
    for name in DRIVERS:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    modules = {name: importlib.import_module(name) for name in LOADED}
    print("ready", flush=True)
    words = sys.stdin.read()
    if not words:
        return
    addresses = json.loads(words)
    for store, module, argv in (
        ("tracking", "mlflow.db", ["upgrade"]),
        ("login", "mlflow.server.auth.cli", ["db", "upgrade", "--url"]),
    ):
        if store == "login":
            leave_foreign_keys_unnamed()
        if store in addresses:
            modules[module].commands.main([*argv, addresses[store]], standalone_mode=False)


if __name__ == "__main__":
    main()
