"""PostgreSQL: dumps, copies, and databases whose names are switched. Managed by Ansible.

Passwords are read by libpq from its files: the application's, and the owner's where something is written.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from psycopg2 import sql

from flowstead_host.engines import postgresql_names as names
from flowstead_host.engines import postgresql_scripts
from flowstead_host.engines.names import fresh, old
from flowstead_host.errors import ChangeError
from flowstead_host.programs import command
from flowstead_host.settings import Database, Settings

# Fresh, and open to whom a new database of PostgreSQL 15 is open; everything else stands in the dump.
EMPTY = "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC"
TABLES = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
)
DATABASE_DEADLINE_S = 120
LEAVE_DEADLINE_S = 30
# By it the server knows what this host left behind when it was killed.
APPLICATION_NAME = "flowstead-host"


def libpq(uri: str) -> str:
    """Return SQLAlchemy's address of a database as libpq's: without a driver."""
    return uri.replace("postgresql+psycopg2://", "postgresql://", 1)


class PostgreSQL:
    """The databases on a PostgreSQL server."""

    restores_rows = False

    def __init__(self, settings: Settings) -> None:
        self.databases = settings.databases
        self.owner_passfile = settings.owner_passfile

    # Connections

    @contextlib.contextmanager
    def connection(self, uri: str, *, as_owner: bool = False, one_by_one: bool = False) -> Iterator[Any]:
        """Be connected, and wait for a database that is just restarting.

        Args:
            uri: the address.
            as_owner: with the owner's password file.
            one_by_one: each statement is a transaction of its own; otherwise all of the block are one.
        """
        options = {"passfile": self.owner_passfile} if as_owner else {}
        deadline = time.monotonic() + DATABASE_DEADLINE_S
        while True:
            try:
                connection = psycopg2.connect(
                    libpq(uri), connect_timeout=10, application_name=APPLICATION_NAME, **options
                )
                break
            except psycopg2.OperationalError as error:
                if time.monotonic() > deadline:
                    raise ChangeError(f"The database does not answer: {error}") from error
                time.sleep(2)
        try:
            connection.autocommit = one_by_one
            yield connection
            if not one_by_one:
                connection.commit()
        finally:
            connection.close()

    @contextlib.contextmanager
    def cursor(self, uri: str, *, as_owner: bool = False, one_by_one: bool = False) -> Iterator[Any]:
        """Be connected, with a cursor."""
        with (
            self.connection(uri, as_owner=as_owner, one_by_one=one_by_one) as connection,
            connection.cursor() as cursor,
        ):
            yield cursor

    def beside(self, *, one_by_one: bool = False) -> contextlib.AbstractContextManager[Any]:
        """Be connected as the owner outside the databases: PostgreSQL renames none from inside."""
        return self.cursor(self.databases[0].copy_owner_uri, as_owner=True, one_by_one=one_by_one)

    # What there is

    def versions(self) -> dict[str, int]:
        """Return the major versions of the server and of pg_dump ("pg_dump (PostgreSQL) 17.6 …")."""
        text = subprocess.run(["pg_dump", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
        found = re.search(r"\d+", text)
        with self.connection(self.databases[0].uri) as connection:
            return {
                "server": connection.server_version // 10000,
                "pg_dump": int(found[0]) if found else 0,
            }

    def check(self) -> None:
        """See that dumps and switches will work: the versions, the owner's right, the names."""
        versions = self.versions()
        if versions["pg_dump"] < versions["server"]:
            raise ChangeError(
                f"the database is PostgreSQL {versions['server']}, and pg_dump on this host of "
                f"{versions['pg_dump']}, too old. "
                "Set mlflow_data_postgresql_client to a package of that version or later"
            )
        with self.cursor(self.databases[0].uri) as cursor:
            names.check(cursor, self.databases)
            mine = {urlsplit(uri).username for one in self.databases for uri in (one.uri, one.owner_uri)}
            others = [who for who in names.others_in(cursor, names.of(self.databases)) if who not in mine]
        if others:
            raise ChangeError(self.in_the_way(others, names.of(self.databases)))

    def size(self) -> int:
        """Return how many bytes the databases have."""
        size = 0
        for database in self.databases:
            with self.cursor(database.uri) as cursor:
                cursor.execute("SELECT pg_database_size(current_database())")
                size += cursor.fetchone()[0]
        return size

    def revision(self, database: Database) -> str | None:
        """Return the revision of a database's schema; None when it has none yet."""
        with self.cursor(database.uri) as cursor:
            cursor.execute("SELECT to_regclass(%s)", (database.version_table,))
            if cursor.fetchone()[0] is None:
                return None
            cursor.execute(
                sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(database.version_table))
            )
            row = cursor.fetchone()
            return str(row[0]) if row else None

    # Dumps

    def dump(self, database: Database, path: Path) -> dict[str, int]:
        """Dump a database as it is at one moment; return the number of rows that it has then, by table."""
        with self.connection(database.uri) as connection:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_export_snapshot()")
                snapshot = cursor.fetchone()[0]
                options = ("--format=custom", f"--snapshot={snapshot}", f"--file={path}")
                self.run("pg_dump", *options, f"--dbname={libpq(database.uri)}")
                cursor.execute(TABLES)
                counts = {}
                for (table,) in cursor.fetchall():
                    query = sql.SQL("SELECT count(*) FROM public.{}").format(sql.Identifier(table))
                    cursor.execute(query)
                    counts[str(table)] = int(cursor.fetchone()[0])
        return counts

    def verify(self, path: Path) -> dict[str, int]:
        """Read a dump from beginning to end; return the number of rows in it, by table."""
        return postgresql_scripts.rows_in(path)

    # Fresh databases

    def make_fresh(self, *, copied: bool) -> None:
        """Make fresh databases, with the rights of those that serve: empty, or copies as they are now."""
        self.drop_fresh()
        if copied:
            # Nobody may be in what is copied.
            self.leave(*(database.name for database in self.databases))
        with self.beside(one_by_one=True) as cursor:
            for database in self.databases:
                names.make(cursor, database.name, copied=copied)
        for database in self.databases if copied else ():
            with self.cursor(self.fresh_uri(database), as_owner=True) as cursor:
                cursor.execute(names.FIX_SEQUENCES)

    def give_rights(self, database: Database) -> None:
        """Have a fresh, empty database give its tables the rights that those have which serve."""
        self.empty(database, self.fresh_uri(database))

    def restore(self, database: Database, dump: Path) -> None:
        """Fill a fresh database from a dump."""
        script = dump.with_suffix(".sql")
        try:
            self.run("pg_restore", "--no-owner", f"--file={script}", str(dump))
            self.replace(self.fresh_uri(database), script)
        finally:
            script.unlink(missing_ok=True)

    def fresh_uri(self, database: Database) -> str:
        """Return the owner's address of a fresh database, for MLflow."""
        head, mark, tail = database.owner_uri.rpartition(f"/{database.name}?")
        if not mark:
            raise ChangeError(f"the address {database.owner_uri} does not name the database {database.name}")
        return f"{head}/{fresh(database.name)}?{tail}"

    def switch(self) -> bool:
        """Give fresh databases the names of those that serve, all in one transaction."""
        self.leave(*names.of(self.databases, fresh))
        with self.beside() as cursor:
            return names.switch(cursor, self.databases)

    def switch_back(self) -> bool:
        """Take that back, in one transaction."""
        self.leave(*names.of(self.databases, old, fresh))
        with self.beside() as cursor:
            return names.switch_back(cursor, self.databases)

    def drop_fresh(self) -> None:
        """Remove fresh databases that did not get the others' names."""
        self.drop(*(fresh(database.name) for database in self.databases))

    def drop_old(self) -> None:
        """Remove what served before a switch; it is gone then."""
        self.drop(*(old(database.name) for database in self.databases))

    def drop(self, *databases: str) -> None:
        """Remove databases, where they are there."""
        self.leave(*databases)
        with self.beside(one_by_one=True) as cursor:
            for name in databases:
                cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))

    def leave(self, *databases: str) -> None:
        """Return when nobody is in databases; what this host left in them when it was killed is ended."""
        first = self.databases[0]
        deadline = time.monotonic() + LEAVE_DEADLINE_S
        while True:
            for uri, as_owner in ((first.copy_uri, False), (first.copy_owner_uri, True)):
                with self.cursor(uri, as_owner=as_owner, one_by_one=True) as cursor:
                    names.end_sessions(cursor, databases, APPLICATION_NAME)
                    others = names.others_in(cursor, databases)
            if not others:
                return
            if time.monotonic() > deadline:
                raise ChangeError(self.in_the_way(others, databases))
            time.sleep(0.5)

    def in_the_way(self, users: Iterable[str], databases: Iterable[str]) -> str:
        """Return the sentence about users who are connected."""
        return (
            f"connected to {' or '.join(databases)}: {', '.join(users)}. Nobody may be connected "
            "while databases are switched. Ask them to disconnect, then run this again"
        )

    # Copies for rehearsals

    def copy(self, database: Database, depth: str, folder: Path) -> None:
        """Fill the copy for rehearsals: the schema and its revision, and with depth `full` the rows too."""
        revision = ("--data-only", f"--table=public.{database.version_table}")
        parts: list[tuple[str, ...]] = [()] if depth == "full" else [("--schema-only",), revision]
        scripts = [folder / f"{number}.sql" for number in range(len(parts))]
        for part, script in zip(parts, scripts):
            self.run("pg_dump", "--no-owner", *part, f"--file={script}", f"--dbname={libpq(database.uri)}")
        self.replace(database.copy_owner_uri, *scripts)

    def wipe(self, database: Database) -> None:
        """Empty the copy for rehearsals; who may do what in it stays as in the database that serves."""
        self.empty(database, database.copy_owner_uri)

    def empty(self, database: Database, uri: str) -> None:
        """Leave nothing in another database but the rights that one gives new tables."""
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "rights.sql"
            rights = ("--schema-only", "--exclude-table=*.*", "--no-owner")
            self.run("pg_dump", *rights, f"--file={script}", f"--dbname={libpq(database.uri)}")
            self.replace(uri, script)

    def replace(self, uri: str, *scripts: Path) -> None:
        """Put what SQL scripts make in place of a database's content, in one transaction.

        psql reads complete files: were they piped to it, it would take the death of whoever sends for their
        end, and commit half of the data.
        """
        for script in scripts:
            postgresql_scripts.make_known_to_older(script)
        self.run(
            *("psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"),
            *(f"--dbname={libpq(uri)}", f"--command={EMPTY}"),
            *(f"--file={script}" for script in scripts),
            environment={"PGPASSFILE": self.owner_passfile},
        )

    def run(self, *argv: str, environment: Mapping[str, str] | None = None) -> None:
        """Run one of PostgreSQL's programs; its last words are the reason when it fails."""
        mine = {**os.environ, "PGAPPNAME": APPLICATION_NAME, **(environment or {})}
        command(*argv, what=argv[0], env=mine)


ENGINE = PostgreSQL
