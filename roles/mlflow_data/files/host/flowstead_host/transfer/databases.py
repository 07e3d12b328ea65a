"""Databases and their tables, as each engine has them. Managed by Ansible."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import FLOAT as SINGLE

from flowstead_host.errors import ChangeError

# An id of 0, which MLflow's default experiment has, is one and not the next that is free.
MYSQL_MODE = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,STRICT_TRANS_TABLES'"


@contextlib.contextmanager
def opened(url: str, *, reads: bool = False) -> Iterator[sa.Connection]:
    """Be connected to a database, in a transaction that sees it as it is at one moment."""
    address = sa.make_url(url)
    dialect = address.get_backend_name()
    if dialect == "sqlite" and not Path(address.database or "").is_file():
        # SQLite would make an empty one.
        raise ChangeError(f"there is no database {address.database}")
    options: dict[str, Any] = {} if dialect == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    engine = sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True, **options)
    sa.event.listen(engine, "handle_error", told)
    if dialect == "sqlite":
        # Python's driver begins a transaction before it writes only; a reader needs one, too.
        sa.event.listen(engine, "connect", lambda one, _: setattr(one, "isolation_level", None))
        sa.event.listen(engine, "begin", lambda one: one.exec_driver_sql("BEGIN"))
    try:
        with engine.connect() as connection:
            if dialect == "mysql":
                connection.exec_driver_sql(MYSQL_MODE)
            if dialect == "postgresql" and reads:
                connection.execution_options(postgresql_readonly=True)
            if dialect == "sqlite" and reads:
                connection.exec_driver_sql("PRAGMA query_only = ON")
            yield connection
    finally:
        engine.dispose()


def told(failure: sa.engine.ExceptionContext) -> Exception | None:
    """Return whose failure it is and what the driver says, without the values that PostgreSQL adds."""
    if failure.sqlalchemy_exception is None:
        return None
    cause = failure.original_exception
    reason = getattr(getattr(cause, "diag", None), "message_primary", None) or str(cause).strip()
    return ChangeError(f"the {failure.dialect.name} database refused: {reason}")


def reflected(connection: sa.Connection, names: Container[str] | None = None) -> sa.MetaData:
    """Return a database's tables as it has them; JSON is read and written as text, and nothing is rounded.

    Args:
        connection: to the database.
        names: which of its tables; None for all.

    """
    metadata = sa.MetaData()
    metadata.reflect(connection, only=lambda name, _: names is None or name in names)
    # MySQL's reflection sets it, for the connection's whole life: then no failure would come to `told`.
    connection.execution_options(skip_user_error_events=False)
    for table in metadata.tables.values():
        for column in table.columns:
            if isinstance(column.type, sa.Float):
                column.type.asdecimal = False
            if isinstance(column.type, sa.JSON):
                column.info["json"] = connection.dialect.name
                column.type = sa.Text()
    return metadata


def columns_in(metadata: sa.MetaData, name: str) -> set[str]:
    """Return the names of a table's columns but for those that the server computes."""
    table = metadata.tables.get(name)
    return set() if table is None else {one.name for one in table.columns if one.computed is None}


def read_exactly(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Return what reads a column without a loss: MySQL shows six digits of a FLOAT, and has more."""
    if isinstance(column.type, SINGLE) and not column.type.precision:
        return sa.cast(column, sa.Double)
    if column.info.get("json") == "postgresql":
        # Its driver would make objects of them.
        return sa.cast(column, sa.Text)
    return column


def next_number(connection: sa.Connection, table: sa.Table, column: str) -> int:
    """Return the number that a new row of a table would get."""
    highest: int = connection.execute(sa.select(sa.func.max(table.columns[column]))).scalar() or 0
    dialect = connection.dialect.name
    if dialect == "postgresql":
        sequence = sa.func.pg_get_serial_sequence(table.name, column)
        name = connection.execute(sa.select(sequence)).scalar()
        if name:
            given, is_given = connection.exec_driver_sql(f"SELECT last_value, is_called FROM {name}").one()  # noqa: S608 - as the server quotes it
            following: int = given + int(is_given)
            return max(highest + 1, following)
    if dialect == "mysql":
        connection.exec_driver_sql("SET SESSION information_schema_stats_expiry = 0")
        query = sa.text(
            "SELECT auto_increment FROM information_schema.tables"
            " WHERE table_schema = database() AND table_name = :name"
        )
        due: int = connection.execute(query, {"name": table.name}).scalar() or 0
        return max(highest + 1, due)
    return highest + 1


def number_from(connection: sa.Connection, table: sa.Table, column: str, number: int) -> None:
    """Have new rows of a table numbered from here on; SQLite goes on from the highest by itself."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        sequence = sa.func.pg_get_serial_sequence(table.name, column)
        connection.execute(sa.select(sa.func.setval(sequence, number, sa.false())))
    if dialect == "mysql":
        name = connection.dialect.identifier_preparer.format_table(table)
        connection.exec_driver_sql(f"ALTER TABLE {name} AUTO_INCREMENT = {number}")
