"""Make one SQLite file of what another server of MLflow keeps: runs, models, traces.

Run with the Python of an MLflow release, and with the hosts' programs on PYTHONPATH (flowstead_host). On
standard input comes JSON, on standard output goes JSON: see `main`. The other server's data are only read.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sqlite3
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import sqlalchemy as sa
import yaml
from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flowstead_host import transfer
from flowstead_host.errors import ChangeError
from mlflow.exceptions import MlflowException
from mlflow.store import fs2db
from mlflow.store.db.utils import _get_alembic_config, _upgrade_db
from mlflow.store.fs2db._utils import for_each_experiment
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

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
# The largest number of a column INTEGER of PostgreSQL and of MySQL.
LARGEST_ID = 2**31 - 1
RUN = re.compile(r"[0-9a-f]{32}")


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
    transfer.copy(source, f"sqlite:///{target}")
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
    if wrong := list(broken(mlruns)):
        lines = "\n".join(f"  {one}" for one in wrong)
        raise ChangeError(f"{len(wrong)} files in {mlruns} cannot be read; nothing has been done:\n{lines}")
    fs2db.migrate(source, f"sqlite:///{target}", progress=False)
    runs = sum(1 for folder, _ in for_each_experiment(mlruns) for _ in runs_in(folder))
    with sa.create_engine(f"sqlite:///{target}").connect() as connection:
        found = connection.exec_driver_sql("SELECT count(*) FROM runs").scalar()
    if found != runs:
        raise ChangeError(f"{mlruns} has {runs} runs, and MLflow migrated {found} of them")


def runs_in(experiment: Path) -> Iterator[Path]:
    """Return the folders of an experiment's runs."""
    return (one for one in sorted(experiment.iterdir()) if one.is_dir() and RUN.fullmatch(one.name))


def broken(mlruns: Path) -> Iterator[str]:
    """Name every file that cannot be read, or is missing: MLflow's migration passes over them."""
    for experiment, _ in for_each_experiment(mlruns):
        for folder in (experiment, *runs_in(experiment)):
            if not (folder / "meta.yaml").is_file():
                yield f"{folder / 'meta.yaml'}: is missing"
        for path in sorted(experiment.rglob("*.yaml")):
            if "artifacts" not in path.relative_to(experiment).parts:
                yield from unread(path, of_yaml)
        for run in runs_in(experiment):
            for name, check in (("params", of_text), ("tags", of_text), ("metrics", of_metric)):
                for path in sorted(one for one in (run / name).rglob("*") if one.is_file()):
                    yield from unread(path, check)


def unread(path: Path, check: Any) -> Iterator[str]:
    """Name a file that does not pass a check, and say why."""
    try:
        check(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        yield f"{path}: {str(error).splitlines()[0]}"


def of_text(text: str) -> None:
    """Accept any text."""


def of_yaml(text: str) -> None:
    """Accept a dictionary in YAML."""
    if not isinstance(yaml.safe_load(text), dict):
        raise ValueError("is empty, or no dictionary")  # noqa: TRY004 - as what is no YAML


def of_metric(text: str) -> None:
    """Accept lines of a time, a value and a step, as MLflow writes them."""
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split(" ")
        if len(words) not in (2, 3, 5):
            raise ValueError(f"line {number} has {len(words)} words")
        try:
            int(words[0]), float(words[1])
        except ValueError:
            raise ValueError(f"line {number} has no time and number") from None


# Numbers


def renumber(target: Path) -> dict[str, str]:
    """Give experiments other numbers that PostgreSQL and MySQL have no place for; return old and new ones.

    MLflow's files have numbers of 18 digits.
    """
    engine = sa.create_engine(f"sqlite:///{target}")
    metadata = sa.MetaData()
    metadata.reflect(engine)
    with engine.begin() as connection:
        ids = list(connection.execute(sa.select(metadata.tables["experiments"].c.experiment_id)).scalars())
        free = itertools.count(max((one for one in ids if one <= LARGEST_ID), default=0) + 1)
        others = {one: next(free) for one in sorted(ids) if one > LARGEST_ID}
        for table in metadata.tables.values():
            if "experiment_id" not in table.c:
                continue
            for old, new in others.items():
                change = sa.update(table).where(table.c.experiment_id == old)
                connection.execute(change.values(experiment_id=new))
    engine.dispose()
    return {str(old): str(new) for old, new in others.items()}


# Artifacts


def place_in(root: str, address: str) -> str | None:
    """Return where below the root of artifacts an address is; None if it is not below it.

    Args:
        root: a folder of this machine, or s3://BUCKET/PREFIX.
        address: a path, or a URI.

    """
    parts = urlsplit(address)
    if parts.scheme == "mlflow-artifacts":
        return parts.path.strip("/")
    if root.startswith("s3://"):
        head = root.rstrip("/") + "/"
        return address[len(head) :].strip("/") if address.startswith(head) else None
    if parts.scheme not in ("", "file"):
        return None
    path = Path(unquote(parts.path) if parts.scheme else address)
    folder = Path(root).resolve()
    # Relative ones are meant from where the server was started: mostly next to its folder.
    path = Path(os.path.normpath(folder.parent / path))
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None


def correct(target: Path, root: str) -> dict[str, Any]:
    """Have addresses of artifacts be those of the server to come; return which folders are to be brought."""
    folders, elsewhere = set[str](), set[str]()
    engine = sa.create_engine(f"sqlite:///{target}")
    metadata = sa.MetaData()
    metadata.reflect(engine, only={table for table, *_ in ADDRESSES})
    with engine.begin() as connection:
        for name, column, is_own in ADDRESSES:
            table = metadata.tables[name]
            where = [table.c.key == TRACE_ADDRESS] if name == "trace_tags" else []
            query = sa.select(table.c[column]).where(table.c[column].is_not(None), *where).distinct()
            for address in list(connection.execute(query).scalars()):
                if not address or urlsplit(address).scheme in REFERENCES:
                    continue
                place = place_in(root, address)
                if place is None:
                    elsewhere.add(address)
                    continue
                if is_own:
                    folders.add(place)
                change = sa.update(table).where(table.c[column] == address, *where)
                connection.execute(change.values({column: OURS + place}))
    engine.dispose()
    return {"folders": outermost(folders), "elsewhere": sorted(elsewhere)}


def outermost(folders: set[str]) -> list[str]:
    """Leave out folders that are in others."""
    return sorted(
        one for one in folders if not folders & {str(parent) for parent in PurePosixPath(one).parents}
    )


def count(target: Path) -> tuple[str, dict[str, int]]:
    """Return the revision of the file's schema, and the number of rows of each table."""
    with sa.create_engine(f"sqlite:///{target}").connect() as connection:
        tables = sa.inspect(connection).get_table_names()
        quoted = connection.dialect.identifier_preparer.quote
        rows = {
            name: connection.exec_driver_sql(f"SELECT count(*) FROM {quoted(name)}").scalar()  # noqa: S608 - quoted
            for name in tables
        }
        revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return str(revision), {name: int(number or 0) for name, number in rows.items()}


def main() -> None:
    """Gather.

    In: `source`, a URL or a folder; `artifacts`, a folder or s3://…; `target`, a file to make. The password
    of the URL is in FLOWSTEAD_IMPORT_PASSWORD. Out: `schema`, `rows` by table, `folders` of artifacts below
    their root, addresses `elsewhere`, and experiments that were `renumbered`.
    """
    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    target = Path(asked["target"] + ".draft")
    if "://" in asked["source"]:
        password = os.environ.get("FLOWSTEAD_IMPORT_PASSWORD", "")
        gather_database(database_url(asked["source"], password), target)
    else:
        gather_files(Path(asked["source"]), target)
    renumbered = renumber(target)
    placed = correct(target, asked["artifacts"])
    schema, rows = count(target)
    # One file, whole, without what SQLite keeps next to it.
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("VACUUM INTO ?", (asked["target"],))
    print(json.dumps({"schema": schema, "rows": rows, "renumbered": renumbered, **placed}))


if __name__ == "__main__":
    try:
        main()
    except (ChangeError, MlflowException, sa.exc.ArgumentError) as problem:
        sys.exit(str(problem))
