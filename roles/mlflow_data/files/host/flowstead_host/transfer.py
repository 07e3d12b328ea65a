"""MLflow's rows, carried from a database of any engine to one of any other. Managed by Ansible.

Both have the same schema, which the release's migrations made. The source is read as it is at one moment,
table by table, in batches; ids stay as they are. What is read is counted and summed up on the way, and then
compared with what the target has: sums of hashes of rows, in a form that is the same for all engines.

Run with the release's own Python, which has SQLAlchemy and the drivers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import FLOAT as SINGLE

from flowstead_host.errors import ChangeError
from flowstead_host.settings import CHECKS

# Where Alembic notes the revision of a schema: compared, never carried.
VERSION_TABLES = ("alembic_version", "alembic_version_auth")
# Of what users make, these tables tell.
LOGGED = ("runs", "registered_models", "logged_models", "trace_info")
# Rows at a time: of tables with long texts fewer, for a row may have a MiB.
ROWS, LONG_ROWS, LONG = 2000, 50, 500
# So many differences are named.
NAMED = 5
# Bytes that a text or a blob of MySQL without a length of its own has
# (https://dev.mysql.com/doc/refman/8.4/en/storage-requirements.html#data-types-storage-reqs-strings).
MYSQL_BYTES = {"TEXT": 65535, "BLOB": 65535, "MEDIUMTEXT": 16777215, "MEDIUMBLOB": 16777215}
# The largest number of a FLOAT of MySQL's without a precision of its own.
LARGEST_SINGLE = 3.4028234663852886e38
# An id of 0, which MLflow's default experiment has, is one and not the next that is free.
MYSQL_MODE = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,STRICT_TRANS_TABLES'"


@dataclass
class Tally:
    """How many rows a table has, and the sum of their hashes, whatever their order."""

    rows: int = 0
    total: int = 0

    def add(self, row: Iterable[bytes]) -> None:
        """Count a row."""
        digest = hashlib.blake2b(digest_size=16)
        for value in row:
            digest.update(struct.pack(">q", len(value)))
            digest.update(value)
        self.rows += 1
        self.total = (self.total + int.from_bytes(digest.digest(), "big")) % (1 << 128)

    def __str__(self) -> str:
        """Tell both."""
        return f"{self.rows} rows, {self.total:032x}"


@dataclass
class Copied:
    """What was carried: of each table its rows and their sum; and what all of them had in bytes."""

    tables: dict[str, Tally] = field(default_factory=dict)
    size: int = 0

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(tally.rows for tally in self.tables.values())

    @property
    def checksum(self) -> str:
        """One sum of all tables."""
        digest = hashlib.blake2b(digest_size=16)
        for name, tally in sorted(self.tables.items()):
            digest.update(f"{name} {tally}\n".encode())
        return digest.hexdigest()


def copy(source_url: str, target_url: str) -> Copied:
    """Carry all rows, in place of those that the target has, and compare what is there then.

    Args:
        source_url: SQLAlchemy's address of the database to read; nothing is written there.
        target_url: that of a database with the same schema. Should this be interrupted, begin anew.

    Returns:
        What was carried.

    Raises:
        ChangeError: the schemas differ, a value has no place in the target, or the two are not equal.

    """
    with opened(source_url, reads=True) as source, opened(target_url) as target:
        pair = Pair(source, target)
        pair.empty()
        copied = Copied()
        for name in pair.order:
            copied.tables[name], size = pair.carry(name)
            copied.size += size
        pair.count_on()
        target.commit()
        if target.dialect.name == "postgresql":
            # Without it, questions are slow until the server itself gets to it.
            target.execute(sa.text("ANALYZE"))
            target.commit()
        differ(copied, pair.count(target, pair.targets))
        return copied


def compare(source_url: str, target_url: str) -> Copied:
    """Compare all rows of two databases.

    Raises:
        ChangeError: they differ; it says where.

    """
    with opened(source_url, reads=True) as source, opened(target_url, reads=True) as target:
        pair = Pair(source, target)
        found = pair.count(source, pair.sources)
        differ(found, pair.count(target, pair.targets))
        return found


def logged(url: str) -> dict[str, int]:
    """Return of what users make how much there is, by table; what changes try does not count.

    Args:
        url: SQLAlchemy's address of the database of runs and models.

    """
    with opened(url, reads=True) as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection, only=["experiments", *LOGGED])
        experiments = metadata.tables["experiments"]
        checks = sa.select(experiments.c.experiment_id).where(experiments.c.name == CHECKS)
        counts = {}
        for name in ("experiments", *LOGGED):
            table = metadata.tables[name]
            query = sa.select(sa.func.count()).select_from(table)
            if "experiment_id" in table.c:
                query = query.where(table.c.experiment_id.not_in(checks))
            counts[name] = connection.execute(query).scalar()
        # MLflow makes one itself.
        counts["experiments"] = max(0, counts["experiments"] - 1)
        return {name: count for name, count in counts.items() if count}


def differ(one: Copied, other: Copied) -> None:
    """Raise ChangeError where they do."""
    wrong = [
        f"{name} ({tally}; then {other.tables[name]})"
        for name, tally in one.tables.items()
        if tally != other.tables[name]
    ]
    if wrong:
        raise ChangeError(f"what is there is not what was read: {'; '.join(wrong[:NAMED])}")


@contextlib.contextmanager
def opened(url: str, *, reads: bool = False) -> Iterator[sa.Connection]:
    """Be connected to a database, in a transaction that sees it as it is at one moment."""
    address = sa.make_url(url)
    dialect = address.get_backend_name()
    if dialect == "sqlite" and not Path(address.database or "").is_file():
        # SQLite would make an empty one.
        raise ChangeError(f"there is no database {address.database}")
    options: dict[str, Any] = {} if dialect == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    engine = sa.create_engine(url, poolclass=sa.NullPool, **options)
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


class Pair:
    """Two databases of one schema.

    Args:
        source: a connection to the one that is read.
        target: a connection to the other.

    """

    def __init__(self, source: sa.Connection, target: sa.Connection) -> None:
        self.source, self.target = source, target
        self.sources, self.targets = reflected(source), reflected(target)
        self.check()
        # Whom others refer to comes first.
        self.order = [table.name for table in self.targets.sorted_tables if table.name not in VERSION_TABLES]
        self.columns = {name: self.columns_of(name) for name in self.order}

    def check(self) -> None:
        """See that both have one schema."""
        revisions = [
            {
                name: sorted(connection.execute(sa.select(metadata.tables[name])).scalars())
                for name in VERSION_TABLES
                if name in metadata.tables
            }
            for connection, metadata in ((self.source, self.sources), (self.target, self.targets))
        ]
        if revisions[0] != revisions[1] or not revisions[0]:
            told = [
                " ".join(revision for found in one.values() for revision in found) or "none"
                for one in revisions
            ]
            raise ChangeError(f"the schemas differ: {told[0]} there, {told[1]} here")
        wrong = [
            f"{name}.{column}"
            for name in sorted({*self.sources.tables, *self.targets.tables})
            for column in sorted(columns_in(self.sources, name) ^ columns_in(self.targets, name))
        ]
        if wrong:
            raise ChangeError(
                f"the schemas differ, though they are of one revision: {', '.join(wrong[:NAMED])}"
            )

    def columns_of(self, name: str) -> dict[str, Column]:
        """Return the columns of a table that are carried, by name and in the order of their names."""
        source, target = self.sources.tables[name], self.targets.tables[name]
        return {
            column: Column(source.columns[column], target.columns[column], self.target.dialect.name)
            for column in sorted(columns_in(self.sources, name))
        }

    def empty(self) -> None:
        """Remove what migrations put into the target."""
        for name in reversed(self.order):
            self.target.execute(sa.delete(self.targets.tables[name]))

    def carry(self, name: str) -> tuple[Tally, int]:
        """Carry a table; return what was read, and its bytes."""
        columns = self.columns[name]
        tally, size = Tally(), 0
        insert = sa.insert(self.targets.tables[name])
        for rows in self.read(self.source, self.sources, name):
            places = []
            for row in rows:
                for column, value in zip(columns.values(), row):
                    if problem := column.refused(value):
                        raise ChangeError(f"{name}.{column.name} of {self.key(name, row)} {problem}")
                plain = [column.plain(value) for column, value in zip(columns.values(), row)]
                size += sum(map(len, plain))
                tally.add(plain)
                places.append({key: one.placed(value) for (key, one), value in zip(columns.items(), row)})
            try:
                self.target.execute(insert, places)
            except ChangeError as error:
                raise ChangeError(f"rows of {name}: {error}") from error
        return tally, size

    def count(self, connection: sa.Connection, metadata: sa.MetaData) -> Copied:
        """Return what the tables of one of the two have."""
        found = Copied()
        for name in self.order:
            tally = found.tables[name] = Tally()
            for rows in self.read(connection, metadata, name):
                for row in rows:
                    tally.add(column.plain(value) for column, value in zip(self.columns[name].values(), row))
        return found

    def read(self, connection: sa.Connection, metadata: sa.MetaData, name: str) -> Iterator[Any]:
        """Read a table, in batches of rows."""
        columns = self.columns[name].values()
        table = metadata.tables[name]
        some = LONG_ROWS if any(one.is_long for one in columns) else ROWS
        query = sa.select(*(read_exactly(table.columns[one.name]) for one in columns))
        options = {"stream_results": True, "yield_per": some}
        with connection.execute(query, execution_options=options) as result:
            yield from result.partitions()

    def key(self, name: str, row: Iterable[Any]) -> str:
        """Return what tells a row from others."""
        named = dict(zip(self.columns[name], row))
        keys = [column.name for column in self.sources.tables[name].primary_key.columns] or list(named)[:1]
        return ", ".join(f"{key} {named[key]!r}" for key in keys)

    def count_on(self) -> None:
        """Have the target number new rows as the source would: also after rows that are gone."""
        for name in self.order:
            column = self.targets.tables[name].autoincrement_column
            if column is not None and isinstance(column.type, sa.Integer):
                after = next_number(self.source, self.sources.tables[name], column.name)
                number_from(self.target, self.targets.tables[name], column.name, after)


class Column:
    """A column on both sides.

    Args:
        source: that of the one.
        target: that of the other.
        dialect: the target's.

    """

    def __init__(self, source: sa.Column[Any], target: sa.Column[Any], dialect: str) -> None:
        self.name = target.name
        kinds = (source.type, target.type)
        # MySQL has neither, but numbers and texts.
        self.is_truth = any(isinstance(kind, sa.Boolean) for kind in kinds)
        self.is_json = any(column.info.get("json") for column in (source, target))
        # MySQL keeps fewer digits of a FLOAT than others.
        self.is_single = any(isinstance(kind, SINGLE) and not kind.precision for kind in kinds)
        self.is_long = self.is_json or any(
            isinstance(kind, (sa.String, sa.LargeBinary)) and (kind.length or LONG) >= LONG for kind in kinds
        )
        self.dialect = dialect
        self.takes_nul = dialect != "postgresql"
        self.longest = target.type.length if isinstance(target.type, sa.String) else None
        self.most_bytes = MYSQL_BYTES.get(type(target.type).__name__) if dialect == "mysql" else None
        self.wants_truth = isinstance(target.type, sa.Boolean)

    def refused(self, value: Any) -> str:
        """Return why the target has no place for a value; empty: it has."""
        if isinstance(value, str):
            if not self.takes_nul and "\0" in value:
                return "has a NUL, which PostgreSQL does not take: remove it there"
            if self.longest and len(value) > self.longest:
                return f"has {len(value)} letters, and there is room for {self.longest}: shorten it there"
            if self.most_bytes and len(value) * 4 > self.most_bytes:
                value = value.encode()
        if isinstance(value, bytes) and self.most_bytes and len(value) > self.most_bytes:
            return f"has {len(value)} bytes, and there is room for {self.most_bytes}: shorten it there"
        if isinstance(value, float) and not self.takes_number(value):
            return f"is {value}, which {self.dialect} does not take: put another number there"
        if self.is_json and value is not None and self.dialect != "sqlite" and not is_json(value):
            return f"is no JSON that {self.dialect} takes (NaN and Infinity are not): correct it there"
        return ""

    def takes_number(self, value: float) -> bool:
        """Tell whether the target has a number: not each engine has what is none, or is infinite."""
        if self.dialect == "mysql":
            return math.isfinite(value) and (not self.is_single or abs(value) <= LARGEST_SINGLE)
        return self.dialect == "postgresql" or not math.isnan(value)

    def placed(self, value: Any) -> Any:
        """Return a value as the target takes it."""
        if value is None:
            return None
        if self.is_truth:
            return bool(value) if self.wants_truth else int(value)
        if self.is_json and not isinstance(value, str):
            # SQLite has a number in JSON as a number.
            return json.dumps(value)
        return value

    def plain(self, value: Any) -> bytes:
        """Return a value as it is on all engines."""
        if value is None:
            return b""
        if self.is_truth:
            value = int(value)
        elif self.is_json:
            value = canonical(value)
        elif self.is_single:
            value = struct.unpack("f", struct.pack("f", value))[0]
        if isinstance(value, (bytes, memoryview)):
            return b"b" + bytes(value)
        if isinstance(value, float):
            # A negative zero is the same number, and not on all engines another one.
            return b"f" + struct.pack(">d", value + 0.0)
        return f"{type(value).__name__[0]}{value}".encode("utf-8", "surrogatepass")


def is_json(value: Any) -> bool:
    """Tell whether a text is JSON by the standard; Python takes NaN and Infinity, too."""
    try:
        # Of a constant's name it makes no number.
        json.loads(str(value), parse_constant=int)
    except ValueError:
        return False
    return True


def canonical(value: Any) -> str:
    """Return JSON with its keys in order; a text that is none, which SQLite takes, as it is."""
    try:
        found = json.loads(str(value))
    except ValueError:
        return str(value)
    if isinstance(found, float) and found.is_integer():
        # So SQLite has it.
        found = int(found)
    return json.dumps(found, sort_keys=True)


def reflected(connection: sa.Connection) -> sa.MetaData:
    """Return a database's tables as it has them; JSON is read and written as text, and nothing is rounded."""
    metadata = sa.MetaData()
    metadata.reflect(connection)
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
