"""The schema of MLflow's databases and the release in a container image: compare them, or migrate.

Run in the image with its Python, `compare` or `migrate`; the hosts' programs are in the directory that it is
told. The environment has the databases' addresses. Prints JSON: `states`, of the runs and of the logins, each
"same", "older", "newer" or "empty"; and `others`, from where else somebody is connected with the login that
serves. `migrate` reads the owner's addresses (migrate.py) and does it, one at a time in the whole world,
unless somebody else is connected or one of the databases is newer; `done` tells.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

# A database that pauses takes 15 s to come back, or 30 after a day:
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
PATIENCE_S = 45
# The runs' database and the logins': whose address it is, and where MLflow notes the revision.
STORES = (
    ("MLFLOW_BACKEND_STORE_URI", "alembic_version"),
    ("FLOWSTEAD_LOGINS_URI", "alembic_version_auth"),
)
OTHERS = {
    "postgresql": "SELECT DISTINCT host(client_addr) FROM pg_stat_activity "
    "WHERE usename = current_user AND pid <> pg_backend_pid()",
    "mysql": "SELECT DISTINCT substring_index(host, ':', 1) FROM information_schema.processlist "
    "WHERE user = substring_index(current_user(), '@', 1) AND id <> connection_id()",
}
# Whoever migrates holds it, as long as the connection lives: a number and a name of our own.
LOCKS = {
    "postgresql": "SELECT pg_try_advisory_lock(7216048)",
    "mysql": "SELECT get_lock('flowstead-migrate', 0)",
}


def connected(uri: str) -> sa.Engine:
    """Make an engine that keeps no connection, and waits for a database that comes back."""
    return sa.create_engine(uri, poolclass=NullPool, connect_args={"connect_timeout": PATIENCE_S})


def state(engine: sa.Engine, table: str, known: set[str], heads: set[str]) -> str:
    """Compare a database with a release.

    Args:
        engine: the database.
        table: where its revision is noted.
        known: the revisions that the release knows.
        heads: the one that it wants.

    """
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(table):
            return "empty"
        has = str(connection.execute(sa.select(sa.table(table, sa.column("version_num")))).scalar())
    return "same" if has in heads else "older" if has in known else "newer"


def compare(schema: Any) -> dict[str, Any]:
    """Compare both databases with the release, and look who else uses them."""
    specification: Any = importlib.util.find_spec("mlflow")
    mlflow = Path(specification.origin).parent
    engines = [(connected(os.environ[name]), table) for name, table in STORES]
    first = engines[0][0]
    # First of all: a connection that is closed is listed for a moment.
    with first.connect() as connection:
        rows = connection.exec_driver_sql(OTHERS[first.dialect.name])
        others = sorted(str(one) for (one,) in rows)
    states = [
        state(engine, table, *schema.revisions(mlflow / folder))
        for (engine, table), folder in zip(engines, schema.MIGRATIONS, strict=True)
    ]
    return {"states": states, "others": others}


def migrate(schema: Any, programs: str, addresses: Mapping[str, str]) -> dict[str, Any]:
    """Migrate, if it is still to be done when it is this one's turn."""
    engine = connected(addresses["tracking"])
    with engine.connect() as lock:
        if not lock.exec_driver_sql(LOCKS[engine.dialect.name]).scalar():
            sys.exit("somebody else migrates them now; run this again afterwards")
        found = compare(schema)
        is_free = not found["others"] or set(found["states"]) == {"empty"}
        if not is_free or "newer" in found["states"] or set(found["states"]) == {"same"}:
            return {**found, "done": False}
        program = [sys.executable, "-B", f"{programs}/migrate.py"]
        done = subprocess.run(
            program, input=json.dumps(addresses), capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.stderr.strip()[-2000:])
        return {**found, "done": True}


def main(what: str, programs: str) -> None:
    """Do it, and print what came of it."""
    sys.path.insert(0, programs)
    schema = importlib.import_module("schema")
    found = compare(schema) if what == "compare" else migrate(schema, programs, json.load(sys.stdin))
    print(json.dumps(found))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except SQLAlchemyError as problem:
        sys.exit(str(problem).partition("\n")[0])
