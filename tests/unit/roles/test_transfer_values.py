"""Values that one engine has and another one has not, or has otherwise."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa
from flowstead_host import transfer
from flowstead_host.errors import ChangeError
from flowstead_host.transfer.columns import Column
from flowstead_host.transfer.databases import opened
from flowstead_host.transfer.pair import Pair
from sqlalchemy.dialects import mysql, postgresql

SCHEMA = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('one');
CREATE TABLE told (id INTEGER PRIMARY KEY, what JSON, value FLOAT);
CREATE TABLE long (id INTEGER PRIMARY KEY, more VARCHAR(8000));
CREATE TABLE short (id INTEGER PRIMARY KEY, name VARCHAR(250));
"""


@pytest.fixture
def paths(tmp_path):
    """Two databases of one schema."""
    both = [tmp_path / "source.db", tmp_path / "target.db"]
    for path in both:
        do(path, SCHEMA)
    return both


def do(path, script):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def carry(paths):
    return transfer.copy(*(f"sqlite:///{path}" for path in paths))


def column(source: sa.types.TypeEngine, target: sa.types.TypeEngine, dialect: str) -> Column:
    """A column as both sides have it after `reflected`."""
    one, other = sa.Column("c", source), sa.Column("c", target)
    for side in (one, other):
        if isinstance(side.type, sa.JSON):
            side.info["json"] = dialect
    return Column(one, other, dialect)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_database_that_is_not_there_is_refused_and_not_made(paths, missing):
    paths[missing].unlink()
    with pytest.raises(ChangeError, match=f"there is no database {paths[missing]}"):
        carry(paths)
    assert not paths[missing].exists()


@pytest.mark.parametrize("text", ["12", "0.1", "1.0", "null", "[1.0]", '"12"', '{"a": NaN}', "no JSON"])
def test_any_json_is_carried_as_sqlite_has_it(paths, text):
    with closing(sqlite3.connect(paths[0])) as connection:
        connection.execute("INSERT INTO told (id, what) VALUES (1, ?)", (text,))
        connection.commit()
    assert carry(paths).rows == 1
    both = []
    for path in paths:
        with closing(sqlite3.connect(path)) as connection:
            both += connection.execute("SELECT what, typeof(what) FROM told").fetchall()
    assert both[0] == both[1]


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    ("value", "is_taken"),
    [
        ('{"a": NaN}', False),
        ("[-Infinity]", False),
        ("no JSON", False),
        ('{"a": [1.5, null, "NaN"]}', True),
        ("null", True),
        (12, True),
        (0.1, True),
        (None, True),
    ],
)
def test_json_that_is_none_by_the_standard_is_refused_by_a_server(dialect, value, is_taken):
    one = column(sa.JSON(), sa.JSON(), dialect)
    assert ("is no JSON" in one.refused(value)) != is_taken


def test_a_number_in_json_is_a_text_for_a_server_and_equal_to_it():
    one = column(sa.JSON(), sa.JSON(), "postgresql")
    assert [one.placed(value) for value in (12, 0.1, "12", None)] == ["12", "0.1", "12", None]
    assert one.plain(12) == one.plain("12") == one.plain("12.0") != one.plain("12.5")
    assert one.plain("[1]") != one.plain("[1.5]")


@pytest.mark.parametrize(
    ("dialect", "target", "value", "is_taken"),
    [
        ("postgresql", postgresql.DOUBLE_PRECISION(), math.nan, True),
        ("postgresql", postgresql.DOUBLE_PRECISION(), -math.inf, True),
        ("mysql", mysql.DOUBLE(), math.nan, False),
        ("mysql", mysql.DOUBLE(), -math.inf, False),
        ("mysql", mysql.DOUBLE(), 1e300, True),
        ("mysql", mysql.FLOAT(), 1e300, False),
        ("mysql", mysql.FLOAT(), -3e38, True),
        ("sqlite", sa.Float(), math.nan, False),
        ("sqlite", sa.Float(), math.inf, True),
    ],
)
def test_a_number_that_the_target_does_not_have_is_refused(dialect, target, value, is_taken):
    one = column(sa.Double(), target, dialect)
    assert (not one.refused(value)) == is_taken
    if is_taken:
        one.plain(one.placed(value))


def test_a_refusal_by_the_database_names_the_table(paths):
    do(paths[0], "INSERT INTO told (id, value) VALUES (1, 2.5), (2, 2.5)")
    do(paths[1], "CREATE UNIQUE INDEX only ON told (value)")
    with pytest.raises(ChangeError, match=r"^rows of told: the sqlite database refused: UNIQUE constraint"):
        carry(paths)


def test_what_the_target_itself_changes_is_noticed(paths):
    do(paths[0], "INSERT INTO short VALUES (1, 'one')")
    change = "UPDATE short SET name = upper(name) WHERE id = new.id"
    do(paths[1], f"CREATE TRIGGER shout AFTER INSERT ON short BEGIN {change}; END")
    with pytest.raises(ChangeError, match="what is there is not what was read: short"):
        carry(paths)


def test_few_rows_with_long_texts_are_in_memory_together(paths):
    with closing(sqlite3.connect(paths[0])) as connection:
        for insert in ("INSERT INTO long (id) VALUES (?)", "INSERT INTO short (id) VALUES (?)"):
            connection.executemany(insert, ([number] for number in range(3000)))
        connection.commit()
    with (
        opened(f"sqlite:///{paths[0]}", reads=True) as source,
        opened(f"sqlite:///{paths[1]}") as target,
    ):
        pair = Pair(source, target)
        batches = {
            name: [len(batch) for batch in pair.read(source, pair.sources, name)]
            for name in ("long", "short")
        }
    assert sum(batches["long"]) == sum(batches["short"]) == 3000
    assert max(batches["long"]) * 20 < max(batches["short"]) < 3000
