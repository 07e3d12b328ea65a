"""Compare the schema of MLflow's databases with that of the release in a container image.

Run in the image with its Python; the hosts' programs are in the directory that it is told. The environment
has the databases' addresses. Prints JSON: `states`, of the runs and of the logins, each "same", "older",
"newer" or "empty"; and `others`, from where else somebody is connected with the same login.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

# A database that pauses takes 15 s to come back, or 30 after a day:
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
PATIENCE_S = 45
STORES = ("MLFLOW_BACKEND_STORE_URI", "FLOWSTEAD_LOGINS_URI")
OTHERS = {
    "postgresql": "SELECT DISTINCT host(client_addr) FROM pg_stat_activity "
    "WHERE usename = current_user AND pid <> pg_backend_pid()",
    "mysql": "SELECT DISTINCT substring_index(host, ':', 1) FROM information_schema.processlist "
    "WHERE user = substring_index(current_user(), '@', 1) AND id <> connection_id()",
}


def state(engine: sa.Engine, known: set[str], heads: set[str]) -> str:
    """Compare a database with a release.

    Args:
        engine: the database.
        known: the revisions that the release knows.
        heads: the one that it wants.

    """
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return "empty"
        has = str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())
    return "same" if has in heads else "older" if has in known else "newer"


def main(programs: str) -> None:
    """Print the comparison."""
    sys.path.insert(0, programs)
    schema: Any = importlib.import_module("schema")
    specification: Any = importlib.util.find_spec("mlflow")
    mlflow = Path(specification.origin).parent
    patient = {"connect_timeout": PATIENCE_S}
    engines = [
        sa.create_engine(os.environ[name], poolclass=NullPool, connect_args=patient) for name in STORES
    ]
    # First of all: a connection that is closed is listed for a moment.
    with engines[0].connect() as connection:
        rows = connection.exec_driver_sql(OTHERS[engines[0].dialect.name].replace("%", "%%"))
        others = sorted(str(one) for (one,) in rows)
    states = [
        state(engine, *schema.revisions(mlflow / folder))
        for engine, folder in zip(engines, schema.MIGRATIONS, strict=True)
    ]
    print(json.dumps({"states": states, "others": others}))


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except SQLAlchemyError as problem:
        sys.exit(str(problem).partition("\n")[0])
