"""PostgreSQL's kit for tests of all engines: databases on a real server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from engine_kits import EMPTY, HALF, TABLES, Act, Content, told
from flowstead_database_access.convergence import Convergence, Desired
from flowstead_database_access.logins import Login
from flowstead_host.engines import postgresql
from flowstead_host.engines import postgresql_names as names
from flowstead_host.settings import Database
from postgresql_server import ENDPOINT, MASTER

TRIGGER = (
    "CREATE OR REPLACE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "CREATE TRIGGER kept BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION keep()",
)


class PostgresqlKit:
    """Databases on a server, of an owner that may make others."""

    engine = "postgresql"
    # As in other tests on the same server: databases of one name belong to one.
    owner = Login("mlflow_owner", "the owner's")
    application = Login("mlflow_application", "the application's")

    def __init__(
        self, server: Any, ca: Path, databases: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.ca = ca
        every = tuple(one for name in databases for one in (name, f"{name}_copy"))
        desired = Desired(every, self.owner, self.application)
        Convergence(server, desired, maintenance_database="postgres", check=False).run(lambda: MASTER)
        self.beside = every[1]
        for login in (self.owner, self.application):
            file = folder / login.username
            file.write_text(f"*:*:*:{login.username}:{login.password}\n")
            file.chmod(0o600)
        self.owner_passfile = str(folder / self.owner.username)
        monkeypatch.setenv("PGPASSFILE", str(folder / self.application.username))

    def uri(self, name: str, login: Login) -> str:
        options = f"hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={self.ca}"
        return f"postgresql+psycopg2://{login.username}@{ENDPOINT}:5432/{name}?{options}"

    def database(self, name: str) -> Database:
        uris = (
            self.uri(one, login) for one in (name, f"{name}_copy") for login in (self.application, self.owner)
        )
        return Database(name, "postgresql", "version", *uris)

    @contextlib.contextmanager
    def cursor(self, name: str) -> Iterator[Any]:
        connection = psycopg2.connect(
            postgresql.libpq(self.uri(name, self.owner)), passfile=self.owner_passfile
        )
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor

    def put(self, name: str, content: Content | None) -> None:
        with self.cursor(self.beside) as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            if content is None:
                return
            cursor.execute(f"CREATE DATABASE {name}")
        if content[0]:
            self.fill(name, content)

    def fill(self, name: str, content: Content) -> None:
        with self.cursor(name) as cursor:
            for sql in (*TABLES, *TRIGGER):
                cursor.execute(sql)
            cursor.execute("INSERT INTO content VALUES (1, %s, %s)", content)
            cursor.execute("INSERT INTO child VALUES (1, 1)")
            cursor.execute("INSERT INTO version VALUES (%s)", content[:1])

    def look(self, name: str) -> Content | None:
        with self.cursor(self.beside) as cursor:
            if name not in names.existing(cursor):
                return None
        with self.cursor(name) as cursor:
            cursor.execute(postgresql.TABLES)
            tables = {table for (table,) in cursor.fetchall()}
            if not tables:
                return EMPTY
            if len(tables) != len(TABLES):
                return HALF
            cursor.execute("SELECT what, rows_of FROM content")
            [(what, rows)] = cursor.fetchall()
            cursor.execute("SELECT 1 FROM pg_trigger WHERE tgname = 'kept'")
            return (what, rows if cursor.fetchone() else "no trigger")

    def migrate(self, uri: str, schema: str) -> None:
        name = uri.partition("?")[0].rpartition("/")[2]
        if self.look(name) == EMPTY:
            self.fill(name, (schema, ""))
        with self.cursor(name) as cursor:
            cursor.execute("UPDATE content SET what = %s", (schema,))

    def migrate_half(self, uri: str) -> None:
        with self.cursor(uri.partition("?")[0].rpartition("/")[2]) as cursor:
            cursor.execute("CREATE TABLE half (i INTEGER)")

    def dump(self, content: Content, path: Path) -> None:
        """Those of a server that is newer than this machine's pg_dump are none."""
        raise NotImplementedError

    def watch(self, monkeypatch: pytest.MonkeyPatch, act: Act) -> None:
        for name in ("make", "rename"):
            monkeypatch.setattr(names, name, told(act, name, getattr(names, name)))
        drop = postgresql.PostgreSQL.drop
        half = lambda engine, *databases: drop(engine, *databases[:1])  # noqa: E731
        monkeypatch.setattr(postgresql.PostgreSQL, "drop", told(act, "drop", drop, half))
