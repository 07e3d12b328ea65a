#!/usr/bin/env python3
"""Compare the schema that an MLflow release wants with the one that the databases have. Managed by Ansible.

Run with the release's own Python: schema.py TRACKING_URI LOGIN_URI. Prints JSON: state is "same", "older"
(the databases must be migrated; also: empty) or "newer" (made by a release that this one does not know);
server and pg_dump are PostgreSQL's major versions, of the database server and of what would back it up.
"""

import ast
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import psycopg2


def revisions(folder):
    """Return the revisions in a folder of Alembic migrations, and the one that no other follows.

    The files are parsed, not run: importing them takes seconds.
    """
    follows = {}
    for path in folder.glob("*.py"):
        names = {}
        for node in ast.parse(path.read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                if isinstance(target, ast.Name) and target.id in {"revision", "down_revision"}:
                    names[target.id] = ast.literal_eval(node.value)
        if "revision" in names:
            follows[names["revision"]] = names.get("down_revision")
    heads = set(follows) - set(follows.values())
    return set(follows), heads


def database_revision(uri, table):
    """Return the revision that a database says it has, None without a schema, and its server's version."""
    with (
        psycopg2.connect(
            uri.replace("postgresql+psycopg2://", "postgresql://", 1), connect_timeout=10
        ) as connection,
        connection.cursor() as cursor,
    ):
        server = connection.server_version // 10000
        cursor.execute("SELECT to_regclass(%s)", (table,))
        if cursor.fetchone()[0] is None:
            return None, server
        cursor.execute(f"SELECT version_num FROM {table}")  # noqa: S608 - a constant
        row = cursor.fetchone()
        return row[0] if row else None, server


def dump_version():
    """Return the major version of this host's pg_dump, which says "pg_dump (PostgreSQL) 17.6 …"."""
    text = subprocess.run(["pg_dump", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return int(re.search(r"\d+", text)[0])


def main(tracking_uri, login_uri):
    """Print the comparison."""
    mlflow = Path(importlib.util.find_spec("mlflow").origin).parent
    states, databases, release = [], [], []
    for uri, folder, table in (
        (tracking_uri, mlflow / "store/db_migrations/versions", "alembic_version"),
        (login_uri, mlflow / "server/auth/db/migrations/versions", "alembic_version_auth"),
    ):
        known, heads = revisions(folder)
        present, server = database_revision(uri, table)
        databases.append(present or "empty")
        release.extend(sorted(heads))
        states.append(
            "same" if present in heads else "older" if present is None or present in known else "newer"
        )
    state = "newer" if "newer" in states else "older" if "older" in states else "same"
    versions = {"server": server, "pg_dump": dump_version()}
    print(json.dumps({"state": state, "databases": databases, "release": release} | versions))


if __name__ == "__main__":
    main(*sys.argv[1:])
