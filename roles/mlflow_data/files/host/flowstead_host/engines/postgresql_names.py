"""The SQL that makes PostgreSQL's databases and gives them other names. Managed by Ansible.

Of a database NAME there may be NAME_fresh, which a change fills, and NAME_old, which served before a switch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from psycopg2 import sql

from flowstead_host.engines.names import fresh, old
from flowstead_host.errors import ChangeError
from flowstead_host.settings import Database

# PostgreSQL cuts longer names (https://www.postgresql.org/docs/current/limits.html).
LONGEST_NAME = 63
PRIVILEGES = """
SELECT CASE grantee WHEN 0 THEN '' ELSE pg_get_userbyid(grantee) END, privilege_type
  FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE datname = %s
"""
SETTINGS = """
SELECT unnest(setconfig) FROM pg_db_role_setting
 WHERE setrole = 0 AND setdatabase = (SELECT oid FROM pg_database WHERE datname = %s)
"""
# Their values are lists, which stand there as they are written in SQL (pg_dump's variable_is_guc_list_quote).
LISTS = frozenset({"search_path", "temp_tablespaces"})
# Sessions of the one who asks: in the databases, or making or removing some.
END_SESSIONS = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
 WHERE usename = current_user AND pid <> pg_backend_pid()
   AND (datname = ANY(%s) OR application_name = %s)
"""
# A copy's sequences have numbers in reserve that stand in the other's journal only: after a crash, or when a
# standby takes over, they would be given a second time. A value that is set is in the journal, and so is
# the next one (log_cnt in PostgreSQL's commands/sequence.c).
FIX_SEQUENCES = """
DO $$
DECLARE one regclass;
BEGIN
    FOR one IN SELECT oid::regclass FROM pg_class WHERE relkind = 'S' LOOP
        EXECUTE format('SELECT setval(%L, last_value, is_called) FROM %s', one, one);
    END LOOP;
END $$
"""
# Autovacuum's workers have no user and give way by themselves; for RDS's own user PostgreSQL waits a bit.
OTHERS = """
SELECT DISTINCT usename FROM pg_stat_activity
 WHERE datname = ANY(%s) AND usename IS NOT NULL AND usename <> 'rdsadmin' ORDER BY 1
"""


def of(databases: Iterable[Database], *others: Callable[[str], str]) -> Iterator[str]:
    """Yield the databases' names, and those that others make of them."""
    for database in databases:
        yield database.name
        yield from (other(database.name) for other in others)


def existing(cursor: Any) -> set[str]:
    """Return the names of all databases of the server."""
    cursor.execute("SELECT datname FROM pg_database")
    return {row[0] for row in cursor.fetchall()}


def check(cursor: Any, databases: Iterable[Database]) -> None:
    """See that databases can be made and switched; raise ChangeError with what stands in the way."""
    there = existing(cursor)
    for database in databases:
        if len(fresh(database.name).encode()) > LONGEST_NAME:
            raise ChangeError(
                f"the name {database.name} is too long to make another of it: choose one of up to 57 letters"
            )
        if old(database.name) in there:
            raise ChangeError(
                f"there is a database {old(database.name)}, and no change is under way that would have left "
                "it. Look what it holds, and give it another name or drop it"
            )
        cursor.execute(
            "SELECT pg_get_userbyid(datdba), rolcreatedb OR rolsuper FROM pg_database JOIN pg_roles "
            "ON pg_roles.oid = datdba WHERE datname = %s",
            (database.name,),
        )
        owner, may_create = cursor.fetchone()
        if not may_create:
            raise ChangeError(
                f"{owner}, who owns the database {database.name}, may not make one to take its place. Run "
                f"site.yml, or as the server's administrator: ALTER ROLE {owner} CREATEDB"
            )


def make(cursor: Any, name: str, *, copied: bool) -> None:
    """Make the fresh database of another, with its rights and settings; copied: with its content too."""
    template = sql.Identifier(name if copied else "template0")
    target = sql.Identifier(fresh(name))
    cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'").format(target, template))
    cursor.execute(PRIVILEGES, (name,))
    grants = cursor.fetchall()
    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(target))
    for grantee, privilege in grants:
        to = sql.Identifier(grantee) if grantee else sql.SQL("PUBLIC")
        grant = sql.SQL("GRANT {} ON DATABASE {} TO {}").format(sql.SQL(privilege), target, to)
        cursor.execute(grant)
    cursor.execute(SETTINGS, (name,))
    for (setting,) in cursor.fetchall():
        key, _, value = setting.partition("=")
        written = sql.SQL(value) if key in LISTS else sql.Literal(value)
        cursor.execute(sql.SQL("ALTER DATABASE {} SET {} TO {}").format(target, sql.SQL(key), written))


def rename(cursor: Any, name: str, other: str) -> None:
    """Give a database another name."""
    cursor.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(other))
    )


def switch(cursor: Any, databases: Iterable[Database]) -> bool:
    """Give fresh databases the others' names."""
    there = existing(cursor)
    due = [database.name for database in databases if old(database.name) not in there]
    for name in due:
        rename(cursor, name, old(name))
        rename(cursor, fresh(name), name)
    return bool(due)


def switch_back(cursor: Any, databases: Iterable[Database]) -> bool:
    """Give databases the names back that they had before a switch."""
    there = existing(cursor)
    due = [database.name for database in databases if old(database.name) in there]
    for name in due:
        rename(cursor, name, fresh(name))
        rename(cursor, old(name), name)
    return bool(due)


def end_sessions(cursor: Any, databases: Iterable[str], application_name: str) -> None:
    """End the sessions that the one who asks has in databases, and what was begun under a name elsewhere."""
    cursor.execute(END_SESSIONS, (list(databases), application_name))


def others_in(cursor: Any, databases: Iterable[str]) -> list[str]:
    """Return who is connected to databases."""
    cursor.execute(OTHERS, (list(databases),))
    return [row[0] for row in cursor.fetchall()]
