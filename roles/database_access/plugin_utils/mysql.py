"""MySQL: connections to a server, and what makes users, databases and rights right on it."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import ER

from .convergence import Desired
from .errors import DatabaseAccessError, one_line
from .logins import Login
from .server import CONNECT_TIMEOUT_S
from .statements import Statement

# Names that differ in the case of a letter are two, as in PostgreSQL: those of parameters, users, models.
COLLATION = "CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"
TABLE_RIGHTS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
ALL_RIGHTS = frozenset({"ALL PRIVILEGES"})
# The owner fills a database next to each that serves, and gives it the other's place.
BESIDE = ("", "_fresh", "_old")
GRANT = re.compile(r"GRANT (?P<rights>.+?) ON (?P<on>.+?) TO ")
EVERYTHING = "*.*"
# https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html: ER_ACCOUNT_HAS_BEEN_LOCKED
REFUSED = frozenset({ER.ACCESS_DENIED_ERROR, 3118})


class Session:
    """A connection as one user, to no database."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def run(self, statements: Iterable[Statement]) -> None:
        """Run statements one after the other."""
        with self.connection.cursor() as cursor:
            for statement in statements:
                login = statement.password_of
                if login is None:
                    cursor.execute(statement.sql)
                else:
                    who = user(login).replace("%", "%%")
                    cursor.execute(f"ALTER USER {who} IDENTIFIED BY %s", (login.password,))


class MysqlServer:
    """The MySQL server behind an endpoint, with its certificate checked in full.

    Args:
        endpoint: the host name that its certificate has.
        at: address and port where it is reached.
        ca_path: the CA certificates to trust, and no others.
    """

    def __init__(self, *, endpoint: str, at: tuple[str, int], ca_path: Path) -> None:
        self.endpoint = endpoint
        self.at = at
        self.context = ssl.create_default_context(cafile=ca_path)

    @contextlib.contextmanager
    def session(self, login: Login) -> Iterator[Session]:
        """Log in for the block; each statement is a transaction of its own."""
        connection = pymysql.connect(
            host=self.endpoint,
            user=login.username,
            password=login.password,
            ssl=self.context,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            defer_connect=True,
        )
        try:
            near = socket.create_connection(self.at, CONNECT_TIMEOUT_S)
            near.settimeout(None)
            connection.connect(near)
        except (OSError, pymysql.err.OperationalError) as error:
            if error.args[0] in REFUSED or "certificate" in str(error):
                raise
            raise DatabaseAccessError(
                f"The database server {self.endpoint} does not answer: {one_line(error)}. If it is "
                "stopped, start it (aws rds start-db-cluster); then run this again."
            ) from error
        try:
            yield Session(connection)
        finally:
            connection.close()

    def password_is_right(self, login: Login) -> bool:
        """Tell whether the server takes this password, from a user who is not locked out."""
        try:
            with self.session(login):
                return True
        except pymysql.err.OperationalError as error:
            if error.args[0] in REFUSED:
                return False
            raise


class MysqlConvergence:
    """Brings a server to the desired state, as `convergence.Convergence` does; the master changes it."""

    def __init__(self, server: MysqlServer, desired: Desired, *, check: bool) -> None:
        self.server = server
        self.desired = desired
        self.check = check
        self.statements: list[tuple[str, Statement]] = []

    @property
    def rights(self) -> dict[Login, dict[str, frozenset[str]]]:
        """What each user may do, by what it is on."""
        names = self.desired.databases
        return {
            self.desired.owner: {on(f"{name}{end}"): ALL_RIGHTS for name in names for end in BESIDE},
            self.desired.application: {on(name): TABLE_RIGHTS for name in names},
        }

    def run(self, read_master: Callable[[], Login]) -> None:
        """Find what is missing and run it, in check mode only find it.

        Args:
            read_master: returns the master's login; called only when a statement needs the master.

        Raises:
            DatabaseAccessError: the server does not answer, or refuses.
        """
        try:
            if self._needs_master():
                self._as_master(read_master())
        except pymysql.MySQLError as error:
            raise DatabaseAccessError(
                f"The database server {self.server.endpoint} refused: {one_line(error)}"
            ) from error

    def _as_master(self, master: Login) -> None:
        try:
            with self.server.session(master) as session:
                statements = list(self._corrections(session))
                self.statements += [("mysql", statement) for statement in statements]
                if not self.check:
                    session.run(statements)
        except pymysql.err.OperationalError as error:
            raise DatabaseAccessError(
                f"The master user {master.username} cannot use the database server: {one_line(error)}"
            ) from error

    def _needs_master(self) -> bool:
        """Tell whether something is wrong, as far as owner and application can see it of themselves."""
        if not all(map(self.server.password_is_right, self.rights)):
            return True
        for login, wanted in self.rights.items():
            with self.server.session(login) as session:
                if held(session, login) != wanted or missing(session, self.desired.databases):
                    return True
        return False

    def _corrections(self, session: Session) -> Iterator[Statement]:
        locked = dict(session.rows("SELECT user, account_locked FROM mysql.user WHERE host = '%'"))
        for name in missing(session, self.desired.databases):
            yield Statement(f"CREATE DATABASE {quoted(name)} {COLLATION}")
        for login, wanted in self.rights.items():
            is_new = login.username not in locked
            if is_new:
                # Nobody can log in without a password until all is right.
                yield Statement(f"CREATE USER {user(login)} ACCOUNT LOCK")
            if is_new or not self.server.password_is_right(login):
                shown = f"ALTER USER {user(login)} IDENTIFIED BY '(from its secret)'"
                yield Statement(shown, password_of=login)
            rights = {} if is_new else held(session, login)
            for what in sorted(rights.keys() | wanted.keys()):
                have, want = rights.get(what, frozenset()), wanted.get(what, frozenset())
                if have - want:
                    yield Statement(f"REVOKE {', '.join(sorted(have - want))} ON {what} FROM {user(login)}")
                if want - have:
                    yield Statement(f"GRANT {', '.join(sorted(want - have))} ON {what} TO {user(login)}")
            if is_new or locked[login.username] == "Y":
                yield Statement(f"ALTER USER {user(login)} ACCOUNT UNLOCK")


def missing(session: Session, databases: Iterable[str]) -> list[str]:
    """Return which databases are not there, as far as the session's user may see."""
    there = {name for (name,) in session.rows("SHOW DATABASES")}
    return [name for name in databases if name not in there]


def held(session: Session, login: Login) -> dict[str, frozenset[str]]:
    """Return a user's rights, by what they are on; a role that it has been given is one on everything."""
    found: dict[str, frozenset[str]] = {}
    for (line,) in session.rows(f"SHOW GRANTS FOR {user(login)}"):
        granted = GRANT.match(line)
        what = granted["on"] if granted else EVERYTHING
        rights = frozenset(granted["rights"].split(", ")) if granted else frozenset({line})
        if rights != {"USAGE"}:
            found[what] = found.get(what, frozenset()) | rights
    return found


def user(login: Login) -> str:
    """Return a user's name in SQL."""
    return quoted(login.username) + "@'%'"


def on(database: str) -> str:
    """Return what rights on a database are on: `_` stands for any letter there."""
    return quoted(database.replace("_", "\\_")) + ".*"


def quoted(name: str) -> str:
    """Return an SQL identifier."""
    return "`" + name.replace("`", "``") + "`"
