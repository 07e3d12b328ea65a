"""Make one SQLite file of what another server of MLflow keeps: runs, models, traces.

Run with the Python of an MLflow release, and with the hosts' programs on PYTHONPATH (flowstead_host). On
standard input comes JSON, on standard output goes JSON: see `main`. The other server's data are only read.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import sqlite3
import sys
import warnings
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flowstead_host import transfer
from flowstead_host.errors import ChangeError
from mlflow.exceptions import MlflowException
from mlflow.store import fs2db
from mlflow.store.db.utils import _get_alembic_config, _upgrade_db
from mlflow.store.fs2db import _tracking as tracking
from mlflow.store.fs2db._utils import for_each_experiment, read_metric_lines
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

from day_two import file_store

DRIVERS = {"postgresql": "postgresql+psycopg2", "postgres": "postgresql+psycopg2", "mysql": "mysql+pymysql"}
# Where addresses of artifacts stand, and whether a folder is one thing's own: an experiment's has its runs'.
ADDRESSES = (
    ("experiments", "artifact_location", False),
    ("runs", "artifact_uri", True),
    ("logged_models", "artifact_location", True),
    ("model_versions", "storage_location", True),
    ("model_versions", "source", True),
    ("trace_tags", "value", True),
)
TRACE_ADDRESS = "mlflow.artifactLocation"
# What they are to begin with: the server finds it in its folder of the bucket.
OURS = "mlflow-artifacts:/"
# What stands for something else in the same data.
REFERENCES = ("runs", "models")
# Webhooks are signed with the other server's key: with them in it, ours could list none at all. Jobs are that
# server's own.
NOT_BROUGHT = ("webhook_events", "webhooks", "jobs", "job_locks", "scheduler_leases")
# The largest number of a column INTEGER of PostgreSQL and of MySQL.
LARGEST_ID = 2**31 - 1


def database_url(source: str, password: str) -> sa.URL:
    """Return SQLAlchemy's address of a database, with the driver that a release has."""
    url = sa.make_url(source)
    url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
    return url.set(password=password) if password else url


# A database


def gather_database(source: sa.URL, target: Path) -> None:
    """Copy a database of whatever revision the release knows, and migrate the copy."""
    config = _get_alembic_config(f"sqlite:///{target}")  # type: ignore[no-untyped-call]
    revision = revision_of(source, ScriptDirectory.from_config(config))
    engine = sa.create_engine(f"sqlite:///{target}")
    InitialBase.metadata.create_all(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    # Logins may be in the same database, and whatever somebody else keeps there.
    transfer.copy(source, f"sqlite:///{target}", has_more=True)
    _upgrade_db(engine)  # type: ignore[no-untyped-call]
    engine.dispose()


def revision_of(source: sa.URL, scripts: ScriptDirectory) -> str:
    """Return the revision of a database's schema, which the release must know."""
    shown = source.render_as_string()
    with transfer.opened(source, reads=True) as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            raise ChangeError(f"{shown} has no tables of MLflow (alembic_version)")
        revision = str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())
    try:
        scripts.get_revision(revision)
    except CommandError:
        raise ChangeError(
            f"{shown} has the schema {revision}, which this release of MLflow does not know (its own is "
            f"{scripts.get_current_head()}): it is newer. Upgrade the deployment first"
        ) from None
    return revision


# A folder of files


def gather_files(source: Path, target: Path) -> None:
    """Have MLflow itself migrate a folder of files, every one of which can be read."""
    try:
        mlruns = fs2db._resolve_mlruns(source)  # noqa: SLF001 - as MLflow finds it
    except MlflowException as error:
        raise ChangeError(str(error)) from error
    experiments = [folder for folder, _ in for_each_experiment(mlruns)]
    if wrong := list(file_store.broken(mlruns, experiments)):
        lines = "\n".join(f"  {one}" for one in wrong)
        raise ChangeError(f"{len(wrong)} files in {mlruns} cannot be read; nothing has been done:\n{lines}")
    vars(tracking)["read_metric_lines"] = distinct_lines
    fs2db.migrate(source, f"sqlite:///{target}", progress=False)
    runs = file_store.runs(experiments)
    with sa.create_engine(f"sqlite:///{target}").connect() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM runs").scalar()
    if found != runs:
        raise ChangeError(f"{mlruns} has {runs} runs, and MLflow migrated {found} of them")


def distinct_lines(folder: Path) -> dict[str, list[str]]:
    """Read the lines of metrics: a file may have one twice, which a database has no place for."""
    return {name: list(dict.fromkeys(lines)) for name, lines in read_metric_lines(folder).items()}


# What is not as it was


def renumber(connection: sa.Connection, metadata: sa.MetaData) -> dict[str, str]:
    """Give experiments other numbers that PostgreSQL and MySQL have no place for; return old and new ones.

    MLflow's files have numbers of 18 digits.
    """
    ids = list(connection.execute(sa.select(metadata.tables["experiments"].c.experiment_id)).scalars())
    free = itertools.count(max((one for one in ids if one <= LARGEST_ID), default=0) + 1)
    others = {one: next(free) for one in sorted(ids) if one > LARGEST_ID}
    links = metadata.tables["entity_associations"]
    for old, new in others.items():
        for table in metadata.tables.values():
            if "experiment_id" in table.c:
                change = sa.update(table).where(table.c.experiment_id == old)
                connection.execute(change.values(experiment_id=new))
        for side in ("source", "destination"):
            kind, one = links.c[f"{side}_type"], links.c[f"{side}_id"]
            change = sa.update(links).where(kind == "experiment", one == str(old))
            connection.execute(change.values({one: str(new)}))
    return {str(old): str(new) for old, new in others.items()}


def leave_out(connection: sa.Connection, metadata: sa.MetaData) -> dict[str, int]:
    """Remove what can be of no use to another server; return how much, by table."""
    counts = {}
    for name in NOT_BROUGHT:
        table = metadata.tables[name]
        counts[name] = connection.execute(sa.delete(table)).rowcount
    return {name: count for name, count in counts.items() if count}


# Artifacts


def place_in(root: str, address: str) -> str | None:
    """Return where below the root of artifacts an address is; None if it is not below it.

    Args:
        root: a folder of this machine, or s3://BUCKET/PREFIX.
        address: a path, or a URI.

    """
    parts = urlsplit(address)
    if parts.scheme == "mlflow-artifacts":
        place = parts.path
    elif root.startswith("s3://"):
        head = root.rstrip("/")
        if not f"{address}/".startswith(f"{head}/"):
            return None
        place = address[len(head) :]
    elif parts.scheme in ("", "file"):
        folder = Path(root).resolve()
        # Relative ones are meant from where the server was started: mostly next to its folder.
        path = Path(os.path.normpath(folder.parent / (unquote(parts.path) if parts.scheme else address)))
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None
    else:
        return None
    # Whoever may use the other server chooses addresses; none may lead out of the root to files of ours.
    return None if ".." in place.split("/") else place.strip("/") or "."


def correct(connection: sa.Connection, metadata: sa.MetaData, root: str) -> dict[str, Any]:
    """Have addresses of artifacts be those of the server to come; return which folders are to be brought."""
    folders, elsewhere = set[str](), set[str]()

    def corrected(address: str, is_own: int) -> str:
        if not address or urlsplit(address).scheme in REFERENCES:
            return address
        place = place_in(root, address)
        if place is None:
            elsewhere.add(address)
            return address
        if is_own:
            folders.add(place)
        return OURS + place.removeprefix(".")

    driver: Any = connection.connection.dbapi_connection
    driver.create_function("corrected", 2, corrected)
    for name, column, is_own in ADDRESSES:
        table = metadata.tables[name]
        change = sa.update(table).where(table.c[column].is_not(None))
        if name == "trace_tags":
            change = change.where(table.c.key == TRACE_ADDRESS)
        connection.execute(change.values({column: sa.func.corrected(table.c[column], int(is_own))}))
    return {"folders": outermost(folders), "elsewhere": sorted(elsewhere)}


def outermost(folders: set[str]) -> list[str]:
    """Leave out folders that are in others."""
    return sorted(
        one for one in folders if not folders & {str(parent) for parent in PurePosixPath(one).parents}
    )


def count(connection: sa.Connection, metadata: sa.MetaData) -> dict[str, int]:
    """Return the number of rows of each table."""
    return {
        name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() or 0
        for name, table in metadata.tables.items()
    }


def prepare(target: Path, root: str) -> dict[str, Any]:
    """Make what was gathered fit for the server to come; return what there is then."""
    engine = sa.create_engine(f"sqlite:///{target}")
    metadata = sa.MetaData()
    metadata.reflect(engine)
    with engine.begin() as connection:
        told = {
            "renumbered": renumber(connection, metadata),
            "left_out": leave_out(connection, metadata),
            "schema": connection.execute(sa.select(metadata.tables["alembic_version"])).scalar(),
            **correct(connection, metadata, root),
        }
        told["rows"] = count(connection, metadata)
    engine.dispose()
    return told


def main() -> None:
    """Gather.

    In: `source`, a URL or a folder; `artifacts`, a folder or s3://…, as addresses name it; `target`, a file
    to make. The password of the URL is in FLOWSTEAD_IMPORT_PASSWORD. Out: `schema`, `rows` by table,
    `folders` of artifacts below their root, addresses `elsewhere`, experiments that were `renumbered`, and
    rows that were `left_out`.
    """
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    asked = json.load(sys.stdin)
    target = Path(asked["target"] + ".draft")
    if "://" in asked["source"]:
        password = os.environ.get("FLOWSTEAD_IMPORT_PASSWORD", "")
        gather_database(database_url(asked["source"], password), target)
    else:
        gather_files(Path(asked["source"]), target)
    told = prepare(target, asked["artifacts"])
    # One file, whole, without what SQLite keeps next to it.
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("VACUUM INTO ?", (asked["target"],))
    print(json.dumps(told))


if __name__ == "__main__":
    try:
        main()
    except (ChangeError, MlflowException, sa.exc.ArgumentError) as problem:
        sys.exit(str(problem))
