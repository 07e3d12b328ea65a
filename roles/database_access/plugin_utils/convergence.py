"""Brings a server to what is wished for, with the least power that does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import psycopg2

from .errors import DatabaseAccessError, one_line
from .logins import Login
from .rights import rights_corrections
from .server import Server, Session
from .statements import (
    APPLICATION_ATTRIBUTES,
    OWNER_ATTRIBUTES,
    Statement,
    database_corrections,
    password_correction,
    quoted,
    role_corrections,
)

OLDEST_SERVER = 150000


@dataclass(frozen=True)
class Desired:
    """What there must be: the databases and the two roles."""

    databases: tuple[str, ...]
    owner: Login
    application: Login

    def server_corrections(self, session: Session, wrong_passwords: Iterable[Login]) -> Iterator[Statement]:
        """Yield the statements, for the master, that make roles, passwords and databases right."""
        columns = tuple(OWNER_ATTRIBUTES)
        found = session.rows(f"SELECT rolname, {', '.join(columns)} FROM pg_roles")  # noqa: S608 - constants
        roles = {name: dict(zip(columns, values, strict=True)) for name, *values in found}
        for login, allowed in ((self.owner, OWNER_ATTRIBUTES), (self.application, APPLICATION_ATTRIBUTES)):
            attributes = roles.get(login.username)
            yield from role_corrections(login, allowed, attributes)
            if attributes is None or login in wrong_passwords:
                yield password_correction(login)
        owners = dict(session.rows("SELECT datname, pg_get_userbyid(datdba) FROM pg_database"))
        corrections = [
            statement
            for name in self.databases
            for statement in database_corrections(name, self.owner.username, owners.get(name))
        ]
        if corrections and not self._may_give_away(session, known=self.owner.username in roles):
            # As on RDS: the master is no superuser, and gives a database only to a role that it belongs to
            yield Statement(f"GRANT {quoted(self.owner.username)} TO CURRENT_USER")
        yield from corrections

    def _may_give_away(self, session: Session, *, known: bool) -> bool:
        """Tell whether the session's user belongs to the owner role already."""
        if not known:
            return bool(session.rows("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")[0][0])
        question = "SELECT pg_has_role(current_user, %(owner)s::regrole, 'USAGE')"
        return bool(session.rows(question, {"owner": quoted(self.owner.username)})[0][0])


class Convergence:
    """Brings a server to the desired state; remembers the statements, each with its database."""

    def __init__(self, server: Server, desired: Desired, *, maintenance_database: str, check: bool) -> None:
        self.server = server
        self.desired = desired
        self.maintenance_database = maintenance_database
        self.check = check
        self.statements: list[tuple[str, Statement]] = []

    def run(self, read_master: Callable[[], Login]) -> None:
        """Find what is missing and run it, in check mode only find it.

        Args:
            read_master: returns the master's login; called only when a statement needs the master.

        Raises:
            DatabaseAccessError: the server is too old, or does not do what it is told.
            psycopg2.Error: the server refuses.
        """
        if self._needs_master():
            master = read_master()
            try:
                self._as_master(master)
            except psycopg2.OperationalError as error:
                raise DatabaseAccessError(
                    f"The master user {master.username} cannot use the database server: {one_line(error)}"
                ) from error
        for database in self.desired.databases:
            self._as_owner(database)

    def _needs_master(self) -> bool:
        """Tell whether roles, passwords or databases are wrong, as far as owner and application can see."""
        first = self.desired.databases[0]
        try:
            with self.server.session(first, self.desired.owner) as session:
                if any(self.desired.server_corrections(session, ())):
                    return True
        except psycopg2.OperationalError:
            return True
        return not self.server.password_is_right(first, self.desired.application)

    def _as_master(self, master: Login) -> None:
        with self.server.session(self.maintenance_database, master, one_by_one=True) as session:
            if session.connection.server_version < OLDEST_SERVER:
                version = session.connection.server_version // 10000
                raise DatabaseAccessError(
                    f"The database server is PostgreSQL {version}; Flowstead needs 15 or later."
                )
            place = self.maintenance_database
            wrong = [
                login
                for login in (self.desired.owner, self.desired.application)
                if not self.server.password_is_right(place, login)
            ]
            statements = list(self.desired.server_corrections(session, wrong))
            self.statements += [(place, statement) for statement in statements]
            if not self.check:
                session.run(statements)

    def _as_owner(self, database: str) -> None:
        owner, application = self.desired.owner.username, self.desired.application.username
        if self.check and self.statements:
            try:
                with self.server.session(database, self.desired.owner) as session:
                    statements = list(rights_corrections(session, database, owner, application))
            except psycopg2.Error:
                # The database or the owner's password is only going to be made: nobody can look yet
                statements = [
                    Statement("-- what the application's rights lack, seen once the owner can log in")
                ]
            self.statements += [(database, statement) for statement in statements]
            return
        with self.server.session(database, self.desired.owner) as session:
            statements = list(rights_corrections(session, database, owner, application))
            self.statements += [(database, statement) for statement in statements]
            if self.check or not statements:
                return
            session.run(statements)
            left = list(rights_corrections(session, database, owner, application))
            if left:
                raise DatabaseAccessError(
                    f"In the database {database} this has no effect: {'; '.join(one.sql for one in left)}"
                )
