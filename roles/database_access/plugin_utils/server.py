"""Connections to a PostgreSQL server, through a tunnel or directly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions

from .errors import DatabaseAccessError, one_line
from .logins import Login
from .statements import Statement, quoted

# A database that pauses takes 15 s to come back, or 30 after a day:
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
CONNECT_TIMEOUT_S = 45
# Signs that there was an answer: the login refused, or a word about TLS
# (https://www.postgresql.org/docs/current/protocol-error-fields.html)
ANSWERED = ("FATAL:", "SSL error", "certificate")


class Session:
    """A connection to one database as one user."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def rows(self, sql: str, values: dict[str, str] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())

    def run(self, statements: Iterable[Statement]) -> None:
        """Run statements one after the other; a password goes as the verifier that the server would store."""
        with self.connection.cursor() as cursor:
            for statement in statements:
                login = statement.password_of
                if login is None:
                    cursor.execute(statement.sql)
                    continue
                verifier = psycopg2.extensions.encrypt_password(
                    login.password, login.username, self.connection, "scram-sha-256"
                )
                cursor.execute(f"ALTER ROLE {quoted(login.username)} PASSWORD %s", (verifier,))


class Server:
    """The PostgreSQL server behind an endpoint, with its certificate checked in full.

    Args:
        endpoint: the host name that its certificate has.
        at: address and port where it is reached.
        ca_path: the CA certificates to trust, and no others.
    """

    def __init__(self, *, endpoint: str, at: tuple[str, int], ca_path: Path) -> None:
        self.where = {
            "host": endpoint,
            "hostaddr": at[0],
            "port": at[1],
            "sslmode": "verify-full",
            "sslrootcert": str(ca_path),
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "flowstead",
        }

    @contextlib.contextmanager
    def session(self, database: str, login: Login, *, one_by_one: bool = False) -> Iterator[Session]:
        """Log in for the block, which is one transaction; with `one_by_one`, each statement is its own."""
        try:
            connection = psycopg2.connect(
                **self.where, dbname=database, user=login.username, password=login.password
            )
        except psycopg2.OperationalError as error:
            if any(sign in str(error) for sign in ANSWERED):
                raise
            raise DatabaseAccessError(
                f"The database server {self.where['host']} does not answer: {one_line(error)}. If it is "
                "stopped, start it (aws rds start-db-instance); then run this again."
            ) from error
        try:
            connection.autocommit = one_by_one
            yield Session(connection)
            if not one_by_one:
                connection.commit()
        finally:
            connection.close()

    def password_is_right(self, database: str, login: Login) -> bool:
        """Tell whether the server takes this password, whatever else stands in the way of the login."""
        try:
            with self.session(database, login):
                return True
        except psycopg2.OperationalError as error:
            text = str(error)
            if "does not exist" in text or "permission denied for database" in text:
                return '"' + login.username + '" does not exist' not in text
            if "password authentication failed" in text or "is not permitted to log in" in text:
                return False
            raise
