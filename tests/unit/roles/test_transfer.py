"""Rows carried from one database to another: SQLite's, which need no server."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa
from flowstead_host import transfer
from flowstead_host.errors import ChangeError
from flowstead_host.settings import CHECKS
from flowstead_host.transfer.columns import Column
from flowstead_host.transfer.counts import Tally
from flowstead_host.transfer.databases import opened
from sqlalchemy.dialects import mysql, postgresql

SCHEMA = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('one');
CREATE TABLE child (parent INTEGER REFERENCES parent (id), what JSON, is_nan BOOLEAN, value FLOAT, raw BLOB,
  doubled INTEGER GENERATED ALWAYS AS (parent * 2));
CREATE TABLE parent (id INTEGER PRIMARY KEY, name VARCHAR(8), day DATE);
"""
ROWS = """
INSERT INTO parent VALUES (0, '', '2026-11-27'), (7, 'seven', NULL);
INSERT INTO child (parent, what, is_nan, value, raw) VALUES
  (0, '{"b": 1, "a": [1.0]}', 0, 1.5, x'00ff'), (7, NULL, 1, -2.5e-300, NULL), (7, NULL, 1, -2.5e-300, NULL);
"""


@pytest.fixture
def make(tmp_path):
    """Makes a database and returns its address."""

    def made(name: str, *scripts: str) -> str:
        path = tmp_path / f"{name}.db"
        with closing(sqlite3.connect(path)) as connection:
            for script in (SCHEMA, *scripts):
                connection.executescript(script)
        return f"sqlite:///{path}"

    return made


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return connection.execute(query).fetchall()


def test_all_rows_are_carried_as_they_are_in_place_of_what_was_there(make):
    source = make("source", ROWS)
    target = make(
        "target", "INSERT INTO parent VALUES (0, 'seed', NULL); INSERT INTO child (parent) VALUES (0)"
    )
    copied = transfer.copy(source, target)
    for query in ("SELECT * FROM parent", "SELECT * FROM child"):
        assert rows(target, query) == rows(source, query)
    assert {name: tally.rows for name, tally in copied.tables.items()} == {"parent": 2, "child": 3}
    assert copied.rows == 5
    assert copied.size > 0
    again = transfer.copy(source, target)
    assert again == copied
    assert transfer.compare(source, target).checksum == copied.checksum


def test_nothing_is_written_to_the_source(make):
    with (
        opened(make("source", ROWS), reads=True) as connection,
        pytest.raises(ChangeError, match="readonly"),
    ):
        connection.exec_driver_sql("DELETE FROM child")


def test_the_source_is_read_as_it_is_at_one_moment(make):
    source = make("source", "PRAGMA journal_mode = wal;", ROWS)
    with opened(source, reads=True) as connection:
        count = sa.text("SELECT count(*) FROM child")
        assert connection.execute(count).scalar() == 3
        with closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as other:
            other.execute("DELETE FROM child")
            other.commit()
        assert connection.execute(count).scalar() == 3
    assert rows(source, "SELECT count(*) FROM child") == [(0,)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE alembic_version SET version_num = 'two'", "the schemas differ: one there, two here"),
        ("DROP TABLE alembic_version", "the schemas differ: one there, none here"),
        ("CREATE TABLE more (id INTEGER)", r"of one revision: more\.id"),
        ("ALTER TABLE parent DROP COLUMN day", r"of one revision: parent\.day"),
    ],
)
def test_databases_of_different_schemas_are_refused_and_nothing_is_changed(make, change, said):
    source, target = make("source", ROWS), make("target", "INSERT INTO parent VALUES (3, 'x', NULL);", change)
    with pytest.raises(ChangeError, match=said):
        transfer.copy(source, target)
    assert rows(target, "SELECT id FROM parent") == [(3,)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE parent SET name = 'other' WHERE id = 7", "parent"),
        ("UPDATE parent SET day = '2026-11-28' WHERE id = 0", "parent"),
        ("UPDATE child SET parent = 7", "child"),
        ("UPDATE child SET what = '{}' WHERE parent = 0", "child"),
        ("UPDATE child SET is_nan = 1", "child"),
        ("UPDATE child SET value = 1.5000000000000002 WHERE parent = 0", "child"),
        ("UPDATE child SET raw = x'00fe' WHERE parent = 0", "child"),
        ("UPDATE child SET raw = x'' WHERE parent = 7", "child"),
        ("DELETE FROM child WHERE rowid = 3", r"child \(3 rows.*2 rows"),
        ("INSERT INTO child (parent) VALUES (0)", r"child \(3 rows.*4 rows"),
    ],
)
def test_a_difference_of_one_value_is_found(make, change, named):
    source, target = make("source", ROWS), make("target", ROWS, change)
    with pytest.raises(ChangeError, match=f"not what was read: {named}"):
        transfer.compare(source, target)


def test_rows_are_equal_in_any_order_and_json_with_its_keys_in_any_order(make):
    source = make("source", ROWS)
    target = make(
        "target",
        ROWS,
        "INSERT INTO child (parent, is_nan, value, raw) SELECT parent, is_nan, value, raw FROM child"
        " WHERE parent = 0",
        "DELETE FROM child WHERE rowid = 1",
        """UPDATE child SET what = '{"a": [1.0],  "b": 1}' WHERE parent = 0;""",
    )
    assert transfer.compare(source, target).rows == 5


def test_an_interrupted_transfer_is_done_again_whole(make):
    source, target = make("source", ROWS), make("target", ROWS, "DELETE FROM child WHERE rowid > 1")
    transfer.copy(source, target)
    assert transfer.compare(source, target).rows == 5


def test_what_a_driver_says_of_a_failure_has_no_values_in_it(make):
    source, target = make("source", ROWS), make("target", "CREATE UNIQUE INDEX only ON child (is_nan)")
    with pytest.raises(ChangeError, match="the sqlite database refused: UNIQUE constraint failed") as caught:
        transfer.copy(source, target)
    assert "2.5e-300" not in str(caught.value)


def column(source: sa.types.TypeEngine, target: sa.types.TypeEngine, dialect: str) -> Column:
    return Column(sa.Column("c", source), sa.Column("c", target), dialect)


@pytest.mark.parametrize(
    ("target", "dialect", "value", "said"),
    [
        (sa.Text(), "postgresql", "a\0b", "has a NUL"),
        (sa.Text(), "mysql", "a\0b", ""),
        (sa.String(4), "postgresql", "five!", "5 letters, and there is room for 4"),
        (sa.String(4), "mysql", "füür", ""),
        (mysql.TEXT(), "mysql", "x" * 65535, ""),
        (mysql.TEXT(), "mysql", "ü" * 32768, "65536 bytes, and there is room for 65535"),
        (mysql.BLOB(), "mysql", b"x" * 65536, "65536 bytes"),
        (mysql.LONGTEXT(), "mysql", "x" * 70000, ""),
        (sa.Text(), "postgresql", "x" * 70000, ""),
        (sa.Text(), "postgresql", None, ""),
    ],
)
def test_what_the_target_has_no_place_for_is_refused(target, dialect, value, said):
    refused = column(sa.Text(), target, dialect).refused(value)
    assert said in refused
    assert bool(refused) == bool(said)


def test_a_refused_value_is_named_by_its_table_and_key(make):
    source, target = (
        make("source", ROWS, "UPDATE parent SET name = 'much too long' WHERE id = 7"),
        make("target"),
    )
    with pytest.raises(ChangeError, match=r"parent\.name of id 7 has 13 letters"):
        transfer.copy(source, target)
    assert rows(target, "SELECT * FROM parent") == []


def test_a_truth_is_a_number_where_an_engine_has_only_numbers():
    to_mysql = column(sa.Boolean(), mysql.TINYINT(display_width=1), "mysql")
    to_postgresql = column(mysql.TINYINT(display_width=1), postgresql.BOOLEAN(), "postgresql")
    assert (to_mysql.placed(True), to_postgresql.placed(1)) == (1, True)  # noqa: FBT003 - the value itself
    assert to_postgresql.placed(0) is False
    assert to_postgresql.placed(None) is None
    assert to_mysql.plain(True) == to_postgresql.plain(1) != to_postgresql.plain(0)  # noqa: FBT003 - the value itself


def test_numbers_are_compared_to_the_last_digit_that_both_engines_have():
    exact = column(sa.Double(), mysql.DOUBLE(), "mysql")
    single = column(sa.Double(), mysql.FLOAT(), "mysql")
    third = 1 / 3
    assert exact.plain(third) != exact.plain(math.nextafter(third, 1))
    assert single.plain(third) == single.plain(0.3333333432674408)
    assert exact.plain(0.0) == exact.plain(-0.0)
    assert exact.plain(1.0) != exact.plain(None)


def test_values_that_look_alike_are_not_equal():
    one = column(sa.Text(), sa.Text(), "sqlite")
    plain = [one.plain(value) for value in (None, "", b"", "1", 1, b"1")]
    assert len(set(plain)) == len(plain)
    tallies = [Tally(), Tally()]
    tallies[0].add([b"ab", b"c"])
    tallies[1].add([b"a", b"bc"])
    assert tallies[0] != tallies[1]


def test_what_users_made_is_counted_and_what_a_change_tries_is_not(tmp_path):
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("""
            CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT);
            CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, experiment_id INTEGER);
            CREATE TABLE trace_info (request_id TEXT PRIMARY KEY, experiment_id INTEGER);
            CREATE TABLE logged_models (model_id TEXT PRIMARY KEY, experiment_id INTEGER);
            CREATE TABLE registered_models (name TEXT PRIMARY KEY);
            INSERT INTO runs VALUES ('a', 1), ('b', 1);
        """)
        connection.executemany("INSERT INTO experiments VALUES (?, ?)", [(0, "Default"), (1, CHECKS)])
        connection.commit()
        assert transfer.logged(f"sqlite:///{path}") == {}
        connection.executescript("""
            INSERT INTO runs VALUES ('c', 0);
            INSERT INTO experiments VALUES (2, 'mine');
            INSERT INTO registered_models VALUES ('m');
        """)
    assert transfer.logged(f"sqlite:///{path}") == {"experiments": 1, "runs": 1, "registered_models": 1}
