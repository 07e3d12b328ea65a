"""The SQL that makes MySQL's databases and gives their tables to each other. Managed by Ansible.

MySQL gives no database another name, but tables to other databases, as many as one likes in one statement,
which is done wholly or not at all, also when the server is killed
(https://dev.mysql.com/doc/refman/8.4/en/atomic-ddl.html). Foreign keys follow. A table with a trigger cannot
go: its triggers are put down in the table of ASIDE, which goes with the others, and are made again there.

Of a database NAME there may be NAME_fresh, which a change fills, and NAME_old, which has the tables that
served before a switch. That one has ASIDE too, and so it has a table whenever NAME was switched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from flowstead_host.engines.mysql_rows import BEGIN, columns_of, quoted, tables_in
from flowstead_host.engines.names import fresh, old
from flowstead_host.errors import ChangeError

ASIDE = "flowstead_triggers"
MAKE_ASIDE = f"""
CREATE TABLE IF NOT EXISTS {{}}.{ASIDE}
  (name VARCHAR(64) PRIMARY KEY, sql_mode TEXT NOT NULL, made_by LONGTEXT NOT NULL)
  DEFAULT CHARACTER SET utf8mb4
"""
TRIGGERS = """
SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = %s ORDER BY action_order, 1
"""
# Whoever made a trigger, the owner makes it again, and may do so for nobody else.
DEFINER = re.compile(r"^CREATE DEFINER=`[^`]*`@`[^`]*` ")
VIEWS = "SELECT table_name FROM information_schema.views WHERE table_schema = %s"
CHARACTER_SET = """
SELECT default_character_set_name, default_collation_name FROM information_schema.schemata
 WHERE schema_name = %s
"""
# So the rows that are copied are not locked, and whoever serves goes on.
READ_COMMITTED = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"


def make(cursor: Any, name: str, model: str) -> None:
    """Make an empty database, with the character set of another."""
    cursor.execute(CHARACTER_SET, (model,))
    characters, collation = cursor.fetchone() or ("utf8mb4", "utf8mb4_0900_ai_ci")
    cursor.execute(
        f"CREATE DATABASE IF NOT EXISTS {quoted(name)} CHARACTER SET {characters} COLLATE {collation}"
    )


def drop(cursor: Any, name: str) -> None:
    """Remove a database, where it is there."""
    cursor.execute(f"DROP DATABASE IF EXISTS {quoted(name)}")


def triggers_in(cursor: Any, name: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, mode and statement of a database's triggers."""
    cursor.execute(TRIGGERS, (name,))
    for (trigger,) in cursor.fetchall():
        cursor.execute(f"SHOW CREATE TRIGGER {quoted(name)}.{quoted(trigger)}")
        _, mode, statement, *_ = cursor.fetchone()
        yield str(trigger), str(mode), DEFINER.sub("CREATE ", str(statement))


def make_triggers(cursor: Any, name: str, triggers: Iterable[tuple[str, str, str]]) -> None:
    """Make triggers in a database, those that are not there yet."""
    cursor.execute(f"USE {quoted(name)}")
    cursor.execute(TRIGGERS, (name,))
    there = {str(trigger) for (trigger,) in cursor.fetchall()}
    for trigger, mode, statement in triggers:
        if trigger not in there:
            cursor.execute("SET SESSION sql_mode = %s", (mode,))
            cursor.execute(statement)


def copy(cursor: Any, name: str, target: str, *, rows_of: Iterable[str] | None = None) -> None:
    """Copy a database's tables and triggers into another that is empty.

    Args:
        cursor: the owner's.
        name: the database.
        target: the other.
        rows_of: the tables whose rows are copied too; None for all.
    """
    wanted = None if rows_of is None else set(rows_of)
    for statement in (*BEGIN, READ_COMMITTED):
        cursor.execute(statement)
    cursor.execute(f"USE {quoted(target)}")
    for table in tables_in(cursor, name):
        there, here = f"{quoted(name)}.{quoted(table)}", f"{quoted(target)}.{quoted(table)}"
        cursor.execute(f"SHOW CREATE TABLE {there}")
        cursor.execute(str(cursor.fetchone()[1]))
        if wanted is None or table in wanted:
            columns = columns_of(cursor, name, table)
            cursor.execute(f"INSERT INTO {here} ({columns}) SELECT {columns} FROM {there}")  # noqa: S608 - quoted
    make_triggers(cursor, target, list(triggers_in(cursor, name)))


def put_aside(cursor: Any, name: str) -> None:
    """Have a database without triggers, and put down what they were."""
    cursor.execute(MAKE_ASIDE.format(quoted(name)))
    for trigger in list(triggers_in(cursor, name)):
        cursor.execute(f"REPLACE INTO {quoted(name)}.{ASIDE} VALUES (%s, %s, %s)", trigger)  # noqa: S608 - quoted
        cursor.execute(f"DROP TRIGGER {quoted(name)}.{quoted(trigger[0])}")


def make_again(cursor: Any, name: str) -> None:
    """Have a database with the triggers again that were put aside, if any were."""
    if ASIDE not in tables_in(cursor, name):
        return
    cursor.execute(f"SELECT name, sql_mode, made_by FROM {quoted(name)}.{ASIDE}")  # noqa: S608 - quoted
    make_triggers(cursor, name, list(cursor.fetchall()))
    cursor.execute(f"DROP TABLE {quoted(name)}.{ASIDE}")


def give(cursor: Any, moves: Iterable[tuple[str, str]]) -> None:
    """Give all tables of databases to others, in one statement."""
    renamed = [
        f"{quoted(name)}.{quoted(table)} TO {quoted(target)}.{quoted(table)}"
        for name, target in moves
        for table in tables_in(cursor, name)
    ]
    cursor.execute(f"RENAME TABLE {', '.join(renamed)}")


def switch(cursor: Any, databases: Iterable[str]) -> bool:
    """Give fresh databases' tables to the others, whose own become the old ones'."""
    names = list(databases)
    due = [name for name in names if not tables_in(cursor, old(name))]
    for name in due:
        cursor.execute(VIEWS, (fresh(name),))
        if views := [str(view) for (view,) in cursor.fetchall()]:
            raise ChangeError(
                f"the release's migrations make {', '.join(views)}, and views cannot be given to another "
                "database. Stay with the release that serves until there is a Flowstead for this one"
            )
    for name in due:
        put_aside(cursor, name)
        put_aside(cursor, fresh(name))
        make(cursor, old(name), name)
    if due:
        give(cursor, [move for name in due for move in ((name, old(name)), (fresh(name), name))])
    for name in names:
        make_again(cursor, name)
        drop(cursor, fresh(name))
    return bool(due)


def switch_back(cursor: Any, databases: Iterable[str]) -> bool:
    """Give tables back to the databases that had them before a switch."""
    names = list(databases)
    due = [name for name in names if tables_in(cursor, old(name))]
    for name in due:
        put_aside(cursor, name)
        make(cursor, fresh(name), name)
    if due:
        give(cursor, [move for name in due for move in ((name, fresh(name)), (old(name), name))])
    for name in names:
        make_again(cursor, name)
        drop(cursor, old(name))
    return bool(due)
