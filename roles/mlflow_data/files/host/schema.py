#!/usr/bin/env python3
"""Compare the schema that an MLflow release wants with the one that the databases have. Managed by Ansible.

Run with the release's own Python. Prints JSON: state is "same", "older" (the databases must be migrated;
also: empty) or "newer" (made by a release that this one does not know); server and pg_dump are the major
versions of PostgreSQL and of what would back it up, 0 where no database is in PostgreSQL.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from pathlib import Path

from flowstead_host.engines import Engines
from flowstead_host.errors import ChangeError
from flowstead_host.settings import read_settings

# Where a release has the migrations of each database, in the order of the settings.
MIGRATIONS = ("store/db_migrations/versions", "server/auth/db/migrations/versions")


def revisions(folder: Path) -> tuple[set[str], set[str]]:
    """Return the revisions in a folder of Alembic migrations, and the one that no other follows.

    The files are parsed, not run: importing them takes seconds.
    """
    follows = {}
    for path in folder.glob("*.py"):
        names = {}
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign):
                target, value = node.targets[0], node.value
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                target, value = node.target, node.value
            else:
                continue
            if isinstance(target, ast.Name) and target.id in {"revision", "down_revision"}:
                names[target.id] = ast.literal_eval(value)
        if "revision" in names:
            follows[names["revision"]] = names.get("down_revision")
    heads = set(follows) - set(follows.values())
    return set(follows), heads


def main() -> None:
    """Print the comparison."""
    specification = importlib.util.find_spec("mlflow")
    if specification is None or specification.origin is None:
        raise ChangeError(f"{sys.executable} has no MLflow")
    mlflow = Path(specification.origin).parent
    settings = read_settings()
    engines = Engines(settings)
    states, databases, release = [], [], []
    for database, folder in zip(settings.databases, MIGRATIONS):
        known, heads = revisions(mlflow / folder)
        present = engines.of(database).revision(database)
        databases.append(present or "empty")
        release.extend(sorted(heads))
        states.append(
            "same" if present in heads else "older" if present is None or present in known else "newer"
        )
    state = "newer" if "newer" in states else "older" if "older" in states else "same"
    print(json.dumps({"state": state, "databases": databases, "release": release, **engines.versions()}))


if __name__ == "__main__":
    try:
        main()
    except ChangeError as problem:
        sys.exit(str(problem))
