"""Two databases, and the way of rows from one to the other. Managed by Ansible."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from flowstead_host.errors import ChangeError
from flowstead_host.transfer.columns import Column
from flowstead_host.transfer.counts import Copied, Tally
from flowstead_host.transfer.databases import columns_in, next_number, number_from, read_exactly, reflected

# Where Alembic notes the revision of a schema: compared, never carried.
VERSION_TABLES = ("alembic_version", "alembic_version_auth")
# Rows at a time: of tables with long texts fewer, for a row may have a MiB.
ROWS, LONG_ROWS = 2000, 50
# So many differences are named.
NAMED = 5


class Pair:
    """Two databases of one schema.

    Args:
        source: a connection to the one that is read.
        target: a connection to the other.
        has_more: whether the source may have tables that are nothing to the target.

    """

    def __init__(self, source: sa.Connection, target: sa.Connection, *, has_more: bool = False) -> None:
        self.source, self.target = source, target
        self.targets = reflected(target)
        self.sources = reflected(source, self.targets.tables if has_more else None)
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
