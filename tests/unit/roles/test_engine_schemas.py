"""MLflow's real databases in all that is done to them: installed, backed up, upgraded, restored."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pymysql
import pytest
from flowstead_host.engines import Engines, mysql, mysql_address, sqlite_files
from flowstead_host.settings import Database
from mlflow_release import HOST, migrate, release, run
from real_databases import settings_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
OLD, NEW = "3.16.1", "3.17.2"
HEADS = {OLD: "b7e2c1a4d9f3", NEW: "dc11669786a5"}
TRIGGER = "prevent_secrets_aad_mutation"
FILL, COLLECT = (Path(__file__).with_name(f"{does}_mlflow.py") for does in ("fill", "collect"))


def file_of(name: str, table: str, folder: Path) -> Database:
    uri, copy = (f"sqlite:///{folder}/data/{one}.db" for one in (name, f"{name}_copy"))
    return Database(name, "sqlite", table, uri, uri, copy, copy)


def on_server(server: Any, name: str, table: str, folder: Path) -> Database:
    """An empty database on a server, as the role that gives a team its databases leaves it."""
    copy = f"{name}_copy"
    everything = tuple(f"{one}{end}" for one in (name, copy) for end in ("", "_fresh", "_old"))
    users = {
        "app": server.make_user("app", "SELECT, INSERT, UPDATE, DELETE", (name, copy), folder),
        "own": server.make_user("own", "ALL PRIVILEGES", everything, folder),
    }
    # Names that differ in the case of a letter are two names, as on other engines. Other tests have databases
    # of that name, too.
    for one in (name, copy):
        server.do(f"DROP DATABASE IF EXISTS {one}")
        server.do(f"CREATE DATABASE {one} CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin")
    uris = [server.uri(one, user, file) for one in (name, copy) for user, file in users.items()]
    return Database(name, "mysql", table, *uris)


@pytest.fixture(scope="module")
def releases():
    """Two releases, installed before a test is where there is no network."""
    return release(OLD), release(NEW)


@pytest.fixture(params=["sqlite", "mysql"])
def databases(request, tmp_path):
    """MLflow's two databases, not made yet."""
    (tmp_path / "data").mkdir(mode=0o700)
    make = file_of if request.param == "sqlite" else partial(on_server, request.getfixturevalue("mysql"))
    return make("mlflow", "alembic_version", tmp_path), make("mlflow_auth", "alembic_version_auth", tmp_path)


@pytest.fixture
def engines(databases):
    return Engines(settings_for(databases))


def addresses(databases: Iterable[Database], engines: Engines, *, needing: bool = False) -> dict[str, str]:
    return {
        what: engines.of(one).fresh_uri(one)
        for what, one in zip(("tracking", "login"), databases, strict=True)
        if engines.of(one).restores_rows or not needing
    }


def everything(database: Database, folder: Path) -> list[str]:
    """All that is in a database: tables, rows, triggers."""
    if database.engine == "sqlite":
        with closing(sqlite3.connect(sqlite_files.path_of(database.uri))) as connection:
            return list(connection.iterdump())
    path = folder / "everything"
    path.unlink(missing_ok=True)
    mysql.MySQL(settings_for([database])).dump(database, path)
    found = gzip.decompress(path.read_bytes()).decode().splitlines()
    with closing(
        pymysql.connect(**mysql_address.options(database.owner_uri), database=database.name)
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("SHOW TABLES")
        for (table,) in cursor.fetchall():
            cursor.execute(f"SHOW CREATE TABLE {table}")
            found += cursor.fetchone()[1].splitlines()
        cursor.execute("SHOW TRIGGERS")
        found += [f"TRIGGER {name} {table} {what}" for name, _, table, what, *_ in cursor.fetchall()]
    return found


def test_mlflows_own_databases_come_through_all_of_it(databases, engines, releases, tmp_path):
    store, logins = databases
    old, new = releases

    def change(python: Path) -> None:
        engines.check()
        engines.make_fresh(copied=True)
        migrate(python, addresses(databases, engines))
        assert engines.switch()

    def must_be(before: list[list[str]]) -> None:
        for one, was in zip(databases, before, strict=True):
            now = everything(one, tmp_path)
            # MLflow's migrations make some indexes now in this order and now in that.
            assert sorted(line.rstrip(",") for line in now) == sorted(line.rstrip(",") for line in was)

    # Install
    change(old)
    engines.drop_old()
    assert engines.of(store).revision(store) == HEADS[OLD]
    assert engines.of(logins).revision(logins)
    run(str(old), "-B", str(FILL), store.uri, env={"MLFLOW_DISABLE_TELEMETRY": "true"})
    before = [everything(one, tmp_path) for one in databases]
    assert any(TRIGGER in line for line in before[0])

    # Back up
    dumps = {one.name: tmp_path / f"{one.name}.dump" for one in databases}
    rows = {one.name: engines.of(one).dump(one, dumps[one.name]) for one in databases}
    assert rows["mlflow"]["metrics"] == 18
    assert rows["mlflow"]["spans"] == 2
    assert {one.name: engines.of(one).verify(dumps[one.name]) for one in databases} == rows

    # Rehearse
    for depth in ("schema", "full"):
        for one in databases:
            engines.of(one).copy(one, depth, tmp_path)
        migrate(new, {"tracking": store.copy_owner_uri, "login": logins.copy_owner_uri})
    for one in databases:
        engines.of(one).wipe(one)
    must_be(before)

    # Upgrade, take it back, upgrade again
    change(new)
    assert engines.of(store).revision(store) == HEADS[NEW]
    assert engines.switch_back()
    engines.drop_fresh()
    must_be(before)
    change(new)
    engines.drop_old()
    assert any(TRIGGER in line for line in everything(store, tmp_path))

    # Go back to the backup, with the release that made it
    engines.make_fresh(copied=False)
    migrate(old, addresses(databases, engines, needing=True))
    for one in databases:
        engines.of(one).restore(one, dumps[one.name])
    assert engines.switch()
    engines.drop_old()
    must_be(before)

    # Remove what users deleted, which nobody can restore while it goes
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
    said = run(str(old), "-B", str(COLLECT), str(HOST), str(tmp_path), store.uri, env=quiet)
    found = json.loads(said.splitlines()[-1])
    assert found["refused"] == ["OperationalError"] * 2
    assert found["counts"]["experiments"] == 2
    assert found["counts"]["runs"] == 1
    engines.of(store).dump(store, tmp_path / "after.dump")
    left = engines.of(store).verify(tmp_path / "after.dump")
    assert (left["metrics"], left["spans"]) == (9, 0)
