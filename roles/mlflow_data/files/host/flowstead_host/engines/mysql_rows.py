"""Dumps of MySQL's rows: compressed SQL, which `mysql` reads too. Managed by Ansible.

A statement has one row a line: the driver writes a line break in a value as a backslash and a letter. The
tables themselves are not in it: the release that made them makes them again, with what the application may
not see of them.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from flowstead_host.errors import ChangeError

# Well below what a server takes in one statement (max_allowed_packet), unless one row is larger.
STATEMENT_BYTES = 1 << 20
# A table begins with what empties it, and has its rows in as many of the second as it takes.
EMPTIED = re.compile(r"DELETE FROM `([^`]+)`$")
FILLED = re.compile(r"INSERT INTO `([^`]+)` \(.*\) VALUES$")
COUNTER = re.compile(r"\) ENGINE=.* AUTO_INCREMENT=(\d+)\b")
TEXT: dict[str, Any] = {"encoding": "utf-8", "newline": "\n"}
# Tables are filled one after the other, whatever refers to what.
BEGIN = (
    "SET NAMES utf8mb4",
    "SET SESSION foreign_key_checks = 0",
    "SET SESSION unique_checks = 0",
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,STRICT_TRANS_TABLES'",
)
COLUMNS = """
SELECT column_name FROM information_schema.columns
 WHERE table_schema = %s AND table_name = %s AND generation_expression = '' ORDER BY ordinal_position
"""
TABLES = """
SELECT table_name FROM information_schema.tables
 WHERE table_schema = %s AND table_type = 'BASE TABLE' ORDER BY 1
"""


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return "`" + name.replace("`", "``") + "`"


def tables_in(cursor: Any, name: str) -> list[str]:
    """Return the names of a database's tables."""
    cursor.execute(TABLES, (name,))
    return [str(table) for (table,) in cursor.fetchall()]


def columns_of(cursor: Any, name: str, table: str) -> str:
    """Return a table's columns as SQL has them, but for those that the server computes."""
    cursor.execute(COLUMNS, (name, table))
    return ", ".join(quoted(str(column)) for (column,) in cursor.fetchall())


def write(path: Path, connection: Any, name: str) -> dict[str, int]:
    """Write the rows of a database to a file; return their number by table.

    The connection is in one transaction for all: what is counted is what is written.
    """
    counts = {}
    with gzip.open(path, "xt", compresslevel=1, **TEXT) as file:
        cursor = connection.cursor()
        file.writelines(f"{statement};\n" for statement in BEGIN)
        for table in tables_in(cursor, name):
            cursor.execute(f"SELECT count(*) FROM {quoted(table)}")  # noqa: S608 - quoted
            counts[table] = int(cursor.fetchone()[0])
            cursor.execute(f"SHOW CREATE TABLE {quoted(table)}")
            counter = COUNTER.search(str(cursor.fetchone()[1]))
            file.write(f"DELETE FROM {quoted(table)};\n")  # noqa: S608 - quoted
            write_table(file, connection, table, columns_of(cursor, name, table))
            if counter:
                file.write(f"ALTER TABLE {quoted(table)} AUTO_INCREMENT = {counter[1]};\n")
    return counts


def write_table(file: TextIO, connection: Any, table: str, columns: str) -> None:
    """Write a table's rows."""
    written = 0
    cursor = connection.cursor()
    for row in streamed(connection, f"SELECT {columns} FROM {quoted(table)}"):  # noqa: S608 - quoted
        text = cursor.mogrify(f"({', '.join(['%s'] * len(row))})", row)
        if written == 0 or written + len(text) > STATEMENT_BYTES:
            file.write((";\n" if written else "") + f"INSERT INTO {quoted(table)} ({columns}) VALUES\n")
            written = 0
        file.write((",\n" if written else "") + text)
        written += len(text)
    if written:
        file.write(";\n")


def streamed(connection: Any, query: str) -> Iterator[Any]:
    """Yield rows as they come, without having all in memory."""
    from pymysql.cursors import SSCursor  # noqa: PLC0415 - what reads dumps needs no driver

    with SSCursor(connection) as cursor:
        cursor.execute(query)
        yield from cursor.fetchall_unbuffered()


def statements(path: Path) -> Iterator[str]:
    """Yield the statements of a dump, read from beginning to end."""
    lines: list[str] = []
    try:
        with gzip.open(path, "rt", **TEXT) as file:
            for line in file:
                lines.append(line)
                # A row ends with a bracket, so a value never looks like the end.
                if line.endswith(";\n"):
                    yield "".join(lines)[:-2]
                    lines = []
    except (EOFError, OSError, UnicodeError, zlib.error) as error:
        raise ChangeError(f"The dump cannot be read back: {error}") from error
    if lines:
        raise ChangeError("The dump cannot be read back: it ends within a statement")


def rows_in(path: Path) -> dict[str, int]:
    """Read a dump from beginning to end; return the number of rows in it, by table."""
    counts: dict[str, int] = {}
    for statement in statements(path):
        head, _, rows = statement.partition("\n")
        if emptied := EMPTIED.match(head):
            counts[emptied[1]] = 0
        elif filled := FILLED.match(head):
            counts[filled[1]] += rows.count("\n") + 1
    return counts
