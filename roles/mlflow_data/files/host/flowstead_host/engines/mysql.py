"""MySQL: dumps, copies, and databases whose tables are given to each other. Managed by Ansible.

Passwords are read by PyMySQL from option files, which the addresses name: the application's, and the owner's
where something is written.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymysql
from pymysql import converters

from flowstead_host.engines import mysql_names, mysql_rows, names
from flowstead_host.engines.mysql_address import options
from flowstead_host.errors import ChangeError
from flowstead_host.settings import Database, Settings

# https://dev.mysql.com/doc/refman/8.4/en/identifier-length.html
LONGEST_NAME = 64
# The first whose changes of tables are done wholly or not at all.
OLDEST = (8, 0)
DATABASE_DEADLINE_S = 120
LEAVE_DEADLINE_S = 30
# For tables that somebody else uses; the server's own default is a year.
LOCK_WAIT_S = 30
# Values stay as the server writes them: nothing is made a number or a date, and written again.
AS_WRITTEN = {kind: one for kind, one in converters.conversions.items() if not isinstance(kind, int)}
NO_SUCH_TABLE = 1146
LOCKED = 1205
SIZE = """
SELECT coalesce(sum(data_length + index_length), 0) FROM information_schema.tables WHERE table_schema = %s
"""


class MySQL:
    """The databases on a MySQL server."""

    # The application may not see triggers: its dumps have rows alone.
    restores_rows = True

    def __init__(self, settings: Settings) -> None:
        self.databases = settings.databases

    # Connections

    @contextlib.contextmanager
    def connection(self, uri: str, name: str | None = None) -> Iterator[Any]:
        """Be connected, to a database or to none, and wait for a server that is just restarting."""
        deadline = time.monotonic() + DATABASE_DEADLINE_S
        while True:
            try:
                connection = pymysql.connect(
                    **options(uri),
                    database=name,
                    autocommit=True,
                    charset="utf8mb4",
                    conv=AS_WRITTEN,
                    connect_timeout=10,
                    init_command=f"SET SESSION time_zone = '+00:00', lock_wait_timeout = {LOCK_WAIT_S}",
                )
                break
            except pymysql.err.OperationalError as error:
                if time.monotonic() > deadline:
                    raise ChangeError(f"The database does not answer: {error}") from error
                time.sleep(2)
        try:
            yield connection
        except pymysql.err.OperationalError as error:
            if error.args[0] == LOCKED:
                raise ChangeError(
                    "somebody else uses tables of the databases. Nobody may while they are switched. As the "
                    "server's administrator, SHOW PROCESSLIST names who; ask them to disconnect, then run "
                    "this again"
                ) from error
            raise
        finally:
            connection.close()

    @contextlib.contextmanager
    def cursor(self, database: Database) -> Iterator[Any]:
        """Be connected to a database as the application, with a cursor."""
        with self.connection(database.uri, database.name) as connection, connection.cursor() as cursor:
            yield cursor

    @contextlib.contextmanager
    def owner(self) -> Iterator[Any]:
        """Be connected as the owner, to no database, with a cursor."""
        with self.connection(self.databases[0].owner_uri) as connection, connection.cursor() as cursor:
            yield cursor

    # What there is

    def versions(self) -> dict[str, int]:
        """Return nothing: what reads the rows is the driver of any server."""
        return {}

    def check(self) -> None:
        """See that dumps and switches will work: the version, what the server lets an owner do, the names."""
        for database in self.databases:
            if len(names.fresh(database.name)) > LONGEST_NAME:
                raise ChangeError(
                    f"the name {database.name} is too long to make another of it: choose one of up to 58 "
                    "letters"
                )
            with self.cursor(database) as cursor:
                self.check_server(cursor)

    def check_server(self, cursor: Any) -> None:
        """See that the server changes tables wholly or not at all, and lets their owner make triggers."""
        cursor.execute("SELECT version(), @@log_bin, @@log_bin_trust_function_creators")
        version, logs, trusts = cursor.fetchone()
        if tuple(int(part) for part in str(version).split("-")[0].split(".")[:2]) < OLDEST:
            raise ChangeError(f"the database is MySQL {version}: it must be 8.0 or later")
        if int(logs) and not int(trusts):
            raise ChangeError(
                "MLflow's migrations make a trigger, which this server lets its administrator alone do. Set "
                "log_bin_trust_function_creators to 1 in its parameter group"
            )

    def size(self) -> int:
        """Return how many bytes the databases have."""
        size = 0
        for database in self.databases:
            with self.cursor(database) as cursor:
                # As it is now, and not as it was yesterday.
                cursor.execute("SET SESSION information_schema_stats_expiry = 0")
                cursor.execute(SIZE, (database.name,))
                size += int(cursor.fetchone()[0])
        return size

    def revision(self, database: Database) -> str | None:
        """Return the revision of a database's schema; None when it has none yet."""
        with self.cursor(database) as cursor:
            return self.revision_in(cursor, database.name, database.version_table)

    def revision_in(self, cursor: Any, name: str, table: str) -> str | None:
        """Return the revision that a database's table notes."""
        try:
            cursor.execute(
                f"SELECT version_num FROM {mysql_rows.quoted(name)}.{mysql_rows.quoted(table)}"  # noqa: S608 - quoted
            )
        except pymysql.err.ProgrammingError as error:
            if error.args[0] == NO_SUCH_TABLE:
                return None
            raise
        row = cursor.fetchone()
        return str(row[0]) if row else None

    # Dumps

    def dump(self, database: Database, path: Path) -> dict[str, int]:
        """Dump a database's rows as they are at one moment; return their number by table."""
        with self.connection(database.uri, database.name) as connection:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            return mysql_rows.write(path, connection, database.name)

    def verify(self, path: Path) -> dict[str, int]:
        """Read a dump from beginning to end; return the number of rows in it, by table."""
        return mysql_rows.rows_in(path)

    # Fresh databases

    def make_fresh(self, *, copied: bool) -> None:
        """Make fresh databases: empty, or copies as they are now."""
        self.drop_fresh()
        with self.owner() as cursor:
            for database in self.databases:
                if mysql_rows.tables_in(cursor, names.old(database.name)):
                    raise ChangeError(
                        f"there is a database {names.old(database.name)}, and no change is under way that "
                        "would have left it. Look what it holds, and drop it"
                    )
                mysql_names.make(cursor, names.fresh(database.name), database.name)
                if copied:
                    mysql_names.copy(cursor, database.name, names.fresh(database.name))

    def give_rights(self, database: Database) -> None:
        """Leave it: MySQL notes rights by the names of databases, and these are made with their database."""

    def restore(self, database: Database, dump: Path) -> None:
        """Fill a fresh database, in which the release has made its tables, from a dump."""
        fresh = names.fresh(database.name)
        with self.owner() as cursor:
            made = self.revision_in(cursor, fresh, database.version_table)
            cursor.execute(f"USE {mysql_rows.quoted(fresh)}")
            mysql_names.put_aside(cursor, fresh)
            for statement in mysql_rows.statements(dump):
                cursor.execute(statement)
            mysql_names.make_again(cursor, fresh)
            was = self.revision_in(cursor, fresh, database.version_table)
            if made != was:
                raise ChangeError(
                    f"the backup of {database.name} has the schema {was}, and this release makes {made}. "
                    "Restore it with the release that made it"
                )

    def fresh_uri(self, database: Database) -> str:
        """Return the owner's address of a fresh database, for MLflow."""
        head, mark, tail = database.owner_uri.rpartition(f"/{database.name}?")
        if not mark:
            raise ChangeError(f"the address {database.owner_uri} does not name the database {database.name}")
        return f"{head}/{names.fresh(database.name)}?{tail}"

    def switch(self) -> bool:
        """Give fresh databases' tables the places of those that serve, all in one statement."""
        self.leave()
        with self.owner() as cursor:
            return mysql_names.switch(cursor, [database.name for database in self.databases])

    def switch_back(self) -> bool:
        """Take that back, in one statement."""
        self.leave()
        with self.owner() as cursor:
            return mysql_names.switch_back(cursor, [database.name for database in self.databases])

    def drop_fresh(self) -> None:
        """Remove fresh databases whose tables did not get the others' places."""
        self.drop(names.fresh(database.name) for database in self.databases)

    def drop_old(self) -> None:
        """Remove what served before a switch; it is gone then."""
        self.drop(names.old(database.name) for database in self.databases)

    def drop(self, databases: Iterable[str]) -> None:
        """Remove databases, where they are there."""
        self.end_sessions(self.databases[0].owner_uri, all_of_them=True)
        with self.owner() as cursor:
            for name in databases:
                mysql_names.drop(cursor, name)

    def leave(self) -> None:
        """Return when no session is left of what this host left behind when it was killed."""
        self.end_sessions(self.databases[0].owner_uri, all_of_them=True)
        self.end_sessions(self.databases[0].uri, all_of_them=False)

    def end_sessions(self, uri: str, *, all_of_them: bool) -> None:
        """End one's other sessions: all, or those in the databases.

        The owner's can be those of this host's programs alone, of which there is one at a time.
        """
        databases = [database.name for database in self.databases]
        deadline = time.monotonic() + LEAVE_DEADLINE_S
        with self.connection(uri) as connection, connection.cursor() as cursor:
            while True:
                # Without more rights than it has, it sees its own alone.
                cursor.execute("SHOW PROCESSLIST")
                sessions = [(int(identity), name) for identity, _, _, name, *_ in cursor.fetchall()]
                left = [
                    identity
                    for identity, name in sessions
                    if identity != connection.thread_id() and (all_of_them or name in databases)
                ]
                for identity in left:
                    # It may have ended by itself.
                    with contextlib.suppress(pymysql.err.MySQLError):
                        cursor.execute("KILL %s", (identity,))
                if not left:
                    return
                if time.monotonic() > deadline:
                    raise ChangeError(f"sessions of this host in the database do not end: {left}")
                time.sleep(0.2)

    # Copies for rehearsals

    def copy(self, database: Database, depth: str, folder: Path) -> None:  # noqa: ARG002 - other engines need it
        """Fill the copy for rehearsals: the schema and its revision, and with depth `full` the rows too."""
        copy = self.empty_copy(database)
        with self.owner() as cursor:
            rows_of = None if depth == "full" else [database.version_table]
            mysql_names.copy(cursor, database.name, copy, rows_of=rows_of)

    def wipe(self, database: Database) -> None:
        """Empty the copy for rehearsals."""
        self.empty_copy(database)

    def empty_copy(self, database: Database) -> str:
        """Empty the copy for rehearsals, and return its name; who may use it is noted by name and stays."""
        copy = urlsplit(database.copy_owner_uri).path[1:]
        self.drop([copy])
        with self.owner() as cursor:
            mysql_names.make(cursor, copy, database.name)
        return copy


ENGINE = MySQL
