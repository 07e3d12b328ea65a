"""Rows in every table of a database of SQLite, with values that engines treat differently."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

ODD = 'it\'s a \\ "test";\n-- of\r\n\t\x1a \N{SNOWMAN} \N{GRINNING FACE} %s '
ROWS = 3
# What MLflow's schema allows in its columns with constraints of their own.
CHOICES = {
    "lifecycle_stage": ("active", "deleted", "active"),
    "status": ("FINISHED", "FAILED", "RUNNING"),
    "source_type": ("LOCAL", "JOB", "UNKNOWN"),
    "is_nan": (True, False, True),
}
# Texts that are equal in an engine that overlooks case, or a space at the end.
ENDS = ("k", "K", "k ")
LONG = "ü" * 30000
VALUES: tuple[tuple[type[sa.types.TypeEngine[Any]], tuple[Any, ...]], ...] = (
    (sa.Boolean, (False, True, True)),
    (sa.JSON, ({"b": [1.5, ODD, None, 10**18], "a": {}}, None, ["\0"])),
    (sa.Date, (dt.date(1970, 1, 1), dt.date(9999, 12, 31), dt.date(2024, 2, 29))),
    (sa.LargeBinary, (bytes(range(256)), b"", b"'")),
    # The same for both ends of a span: its duration is computed.
    (sa.BigInteger, (0, 2**63 - 1, -(2**63))),
    (sa.Integer, (0, 2**31 - 1, -(2**31))),
    (sa.Float, (0.1, -2.5e30, 0.0)),
)


def fill(url: str) -> list[str]:
    """Put rows into all tables; return their names."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    metadata = sa.MetaData()
    metadata.reflect(engine)
    tables = [table for table in metadata.sorted_tables if not table.name.startswith("alembic_version")]
    made: dict[str, list[dict[str, Any]]] = {}
    with engine.begin() as connection:
        for table in tables:
            made[table.name] = [row_of(table, number, made) for number in range(ROWS)]
            for row in made[table.name]:
                connection.execute(sa.insert(table), row)
        assert not connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    return [table.name for table in tables]


def row_of(table: sa.Table, number: int, made: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return a row; the last one has nothing where nothing may be."""
    row = {
        column.name: value_of(column, number)
        for column in table.columns
        if column.computed is None and not (column.nullable and number == ROWS - 1)
    }
    for constraint in table.foreign_key_constraints:
        for key in constraint.elements:
            if key.parent.name in row:
                row[key.parent.name] = made[key.column.table.name][number][key.column.name]
    return row


def value_of(column: sa.Column[Any], number: int) -> Any:
    """Return a value of the type of a column, another one for each number."""
    if column.name in CHOICES and not isinstance(column.type, sa.Integer):
        return CHOICES[column.name][number]
    if column.primary_key and isinstance(column.type, sa.Integer):
        return 100 + number
    for kind, values in VALUES:
        if isinstance(column.type, kind):
            return values[number]
    assert isinstance(column.type, sa.String), column
    length = column.type.length
    end = ENDS[number]
    return (ODD if length else LONG)[: length and length - len(end)] + end
