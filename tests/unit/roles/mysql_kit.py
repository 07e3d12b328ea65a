"""MySQL's kit for tests of all engines: databases on a real server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pymysql
import pytest
from engine_kits import EMPTY, HALF, TABLES, Act, Content, next_to, told
from flowstead_host.engines import mysql, mysql_address
from flowstead_host.settings import Database
from pymysql.cursors import Cursor


class MysqlKit:
    """Databases on a server."""

    engine = "mysql"
    owner, application = "kit_owner", "kit_application"

    def __init__(self, server: Any, databases: tuple[str, ...], folder: Path) -> None:
        self.server = server
        mine = tuple(one for name in databases for one in (*next_to(name), f"{name}_copy"))
        served = tuple(one for name in databases for one in (name, f"{name}_copy"))
        self.owner_file = server.make_user(self.owner, "ALL PRIVILEGES", mine, folder)
        # Whose sessions the engine ends are the others'.
        file = server.make_user("kit", "ALL PRIVILEGES", mine, folder)
        options = mysql_address.options(server.uri(databases[0], "kit", file))
        self.connection = pymysql.connect(**options, autocommit=True)
        self.file = server.make_user(self.application, "SELECT, INSERT, UPDATE, DELETE", served, folder)

    def database(self, name: str) -> Database:
        uris = (
            self.server.uri(one, user, file)
            for one in (name, f"{name}_copy")
            for user, file in ((self.application, self.file), (self.owner, self.owner_file))
        )
        return Database(name, "mysql", "version", *uris)

    @contextlib.contextmanager
    def cursor(self) -> Iterator[Any]:
        with self.connection.cursor() as cursor:
            yield cursor

    def put(self, name: str, content: Content | None) -> None:
        with self.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
            if content is not None:
                cursor.execute(f"CREATE DATABASE {name}")
                if content[0]:
                    self.fill(cursor, name, content)

    def fill(self, cursor: Any, name: str, content: Content) -> None:
        cursor.execute(f"USE {name}")
        for sql in TABLES:
            cursor.execute(sql)
        cursor.execute("CREATE TRIGGER kept BEFORE UPDATE ON child FOR EACH ROW SIGNAL SQLSTATE '45000'")
        cursor.execute("INSERT INTO content VALUES (1, %s, %s)", content)
        cursor.execute("INSERT INTO child VALUES (1, 1)")
        cursor.execute("INSERT INTO version VALUES (%s)", content[:1])

    def look(self, name: str) -> Content | None:
        with self.cursor() as cursor:
            if not cursor.execute(f"SHOW DATABASES LIKE '{name}'"):
                return None
            cursor.execute(f"SHOW TABLES IN {name}")
            tables = {table for (table,) in cursor.fetchall()}
            if "content" not in tables:
                # Of a name that was switched there may be what marks that.
                return EMPTY if not tables or name.endswith("_old") else HALF
            cursor.execute(f"SELECT what, rows_of FROM {name}.content")  # noqa: S608 - a name of ours
            rows = cursor.fetchall()
            references = cursor.execute(
                "SELECT 1 FROM information_schema.referential_constraints WHERE constraint_schema = %s "
                "AND unique_constraint_schema = %s",
                (name, name),
            )
            triggers = cursor.execute(f"SHOW TRIGGERS IN {name}")
        if len(rows) != 1 or len(tables) != len(TABLES):
            return HALF
        return rows[0] if triggers and references else (rows[0][0], "no trigger or reference")

    def migrate(self, uri: str, schema: str) -> None:
        name = urlsplit(uri).path[1:]
        with self.cursor() as cursor:
            if not cursor.execute(f"SHOW TABLES IN {name}"):
                self.fill(cursor, name, (schema, ""))
            cursor.execute(f"UPDATE {name}.content SET what = %s", (schema,))  # noqa: S608 - a name of ours
            cursor.execute(f"UPDATE {name}.version SET version_num = %s", (schema,))  # noqa: S608 - a name of ours

    def migrate_half(self, uri: str) -> None:
        with self.cursor() as cursor:
            cursor.execute(f"CREATE TABLE {urlsplit(uri).path[1:]}.half (i INTEGER)")

    def dump(self, content: Content, path: Path) -> None:
        name = path.stem
        there = self.look(name)
        self.put(f"{name}_copy", content)
        database = self.database(f"{name}_copy")
        mysql.MySQL(SimpleNamespace(databases=(database,))).dump(database, path)
        self.put(f"{name}_copy", None)
        assert self.look(name) == there

    def watch(self, monkeypatch: pytest.MonkeyPatch, act: Act) -> None:
        real = Cursor.execute

        def execute(cursor: Any, sql: str, words: Any = None) -> Any:
            verb, *more = sql.split()
            if verb in ("SELECT", "SHOW", "USE", "SET", "START", "KILL"):
                return real(cursor, sql, words)
            return told(act, " ".join([verb, *more[:1]]), partial(real, cursor, sql, words))()

        monkeypatch.setattr(Cursor, "execute", execute)
