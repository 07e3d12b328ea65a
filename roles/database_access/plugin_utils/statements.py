"""The SQL that makes roles, databases and rights right; nothing here talks to a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .logins import Login

# What the roles may do on the server, by the column in pg_roles. To migrate or restore data, the owner makes
# a database next to each of its own and switches their names: PostgreSQL lets nobody else.
OWNER_ATTRIBUTES = {"rolcreatedb": "CREATEDB", "rolcreaterole": "NOCREATEROLE", "rolcanlogin": "LOGIN"}
APPLICATION_ATTRIBUTES = {**OWNER_ATTRIBUTES, "rolcreatedb": "NOCREATEDB"}


@dataclass(frozen=True)
class Statement:
    """One SQL statement to run, as text fit to be shown; `password_of`: the login whose password it sets."""

    sql: str
    password_of: Login | None = None


@dataclass(frozen=True)
class Rights:
    """Who may do what on one object: privilege names by grantee; PUBLIC is the empty name."""

    on: str
    held: Mapping[str, frozenset[str]]

    def corrections(self, grantee: str, wanted: Iterable[str]) -> Iterator[Statement]:
        """Yield the statements that leave the grantee exactly the wanted privileges."""
        name = quoted(grantee) if grantee else "PUBLIC"
        held, wanted = self.held.get(grantee, frozenset()), frozenset(wanted)
        if held - wanted:
            yield Statement(f"REVOKE {', '.join(sorted(held - wanted))} ON {self.on} FROM {name}")
        if wanted - held:
            yield Statement(f"GRANT {', '.join(sorted(wanted - held))} ON {self.on} TO {name}")


def quoted(name: str) -> str:
    """Return an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def role_corrections(
    role: Login, wanted: Mapping[str, str], attributes: Mapping[str, bool] | None
) -> Iterator[Statement]:
    """Yield the statements that make a role right; `attributes` are its columns of pg_roles, if it exists."""
    name = quoted(role.username)
    if attributes is None:
        yield Statement(f"CREATE ROLE {name} {' '.join(wanted.values())}")
        return
    wrong = [word for column, word in wanted.items() if attributes[column] == word.startswith("NO")]
    if wrong:
        yield Statement(f"ALTER ROLE {name} {' '.join(wrong)}")


def password_correction(role: Login) -> Statement:
    """Return the statement that gives a role the password of its secret."""
    return Statement(f"ALTER ROLE {quoted(role.username)} PASSWORD '(from its secret)'", password_of=role)


def database_corrections(name: str, owner: str, current_owner: str | None) -> Iterator[Statement]:
    """Yield the statements that make a database exist and belong to its owner."""
    if current_owner is None:
        yield Statement(
            f"CREATE DATABASE {quoted(name)} OWNER {quoted(owner)} TEMPLATE template0 ENCODING 'UTF8'"
        )
    elif current_owner != owner:
        yield Statement(f"ALTER DATABASE {quoted(name)} OWNER TO {quoted(owner)}")
