"""How the host's programs dump, copy and switch files of SQLite, whose server may have been killed."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from engine_kits import SqliteKit
from flowstead_host.engines import sqlite, sqlite_files
from flowstead_host.errors import ChangeError
from real_databases import settings_for

NAMES = ("store", "store_auth")
WRITE_AND_DIE = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute(sys.argv[2])
connection.commit()
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def kit(tmp_path: Path) -> SqliteKit:
    """Two databases."""
    one = SqliteKit(tmp_path / "data")
    for name in NAMES:
        one.put(name, ("one", "rows"))
    return one


@pytest.fixture
def engine(kit: SqliteKit, monkeypatch: pytest.MonkeyPatch) -> sqlite.SQLite:
    """The engine on them."""
    monkeypatch.setattr(sqlite_files, "LEAVE_DEADLINE_S", 0)
    return sqlite.SQLite(settings_for(kit.database(name) for name in NAMES))


def do(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql).fetchall()


def left_by_killed(path: Path, sql: str) -> None:
    """Have a program write, and be killed before it has put its log into the file."""
    done = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(path), sql], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.with_name(f"{path.name}-wal").stat().st_size


def companions(kit: SqliteKit) -> list[str]:
    return sorted(path.name for path in kit.folder.iterdir() if path.name.endswith(sqlite_files.COMPANIONS))


def test_what_a_killed_server_has_written_last_comes_along(engine: sqlite.SQLite, kit: SqliteKit) -> None:
    for name in NAMES:
        left_by_killed(kit.path(name), "UPDATE content SET rows_of = 'last'")
    engine.make_fresh(copied=True)
    assert {kit.look(f"{name}_fresh") for name in NAMES} == {("one", "last")}
    for name in NAMES:
        left_by_killed(kit.path(name), "UPDATE content SET rows_of = 'later'")
        left_by_killed(kit.path(f"{name}_fresh"), "UPDATE content SET what = 'two'")
    assert engine.switch()
    assert companions(kit) == []
    assert {kit.look(name) for name in NAMES} == {("two", "last")}
    for name in NAMES:
        left_by_killed(kit.path(name), "UPDATE content SET rows_of = 'served'")
    assert engine.switch_back()
    assert companions(kit) == []
    assert {kit.look(name) for name in NAMES} == {("one", "later")}


def test_a_switch_that_was_killed_goes_on_or_is_taken_back(engine: sqlite.SQLite, kit: SqliteKit) -> None:
    for goes_on in (True, False):
        engine.make_fresh(copied=True)
        for name in NAMES:
            do(kit.path(f"{name}_fresh"), f"UPDATE content SET rows_of = '{goes_on}'")  # noqa: S608 - of ours
        os.link(kit.path("store"), kit.path("store_old"))
        assert engine.switch() if goes_on else not engine.switch_back()
        assert {kit.look(name) for name in NAMES} == {("one", "True")}
        engine.drop_old()
        engine.drop_fresh()
    assert sorted(path.name for path in kit.folder.iterdir()) == ["store.db", "store_auth.db"]


def test_nothing_is_left_of_a_migration_that_was_killed(engine: sqlite.SQLite, kit: SqliteKit) -> None:
    """Its log would be given to the next file of that name."""
    engine.make_fresh(copied=True)
    left_by_killed(kit.path("store_fresh"), "UPDATE content SET what = 'two'")
    engine.drop_fresh()
    assert sorted(path.name for path in kit.folder.iterdir()) == ["store.db", "store_auth.db"]


@pytest.mark.parametrize("does", ["make_fresh", "switch", "switch_back"])
def test_nothing_is_switched_that_somebody_has_open(engine: sqlite.SQLite, kit: SqliteKit, does: str) -> None:
    engine.make_fresh(copied=True)
    if does == "switch_back":
        engine.switch()
    before = {one: kit.look(one) for one in (*NAMES, "store_fresh", "store_old")}
    with closing(sqlite3.connect(kit.path("store"))) as other:
        other.execute("SELECT * FROM content").fetchall()
        with pytest.raises(ChangeError, match=r"store\.db is open in another program.* fuser"):
            engine.make_fresh(copied=True) if does == "make_fresh" else getattr(engine, does)()
    if does != "make_fresh":
        assert {one: kit.look(one) for one in before} == before


def test_a_dump_is_of_one_moment_while_others_write(
    engine: sqlite.SQLite, kit: SqliteKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is counted is what is copied, and a writer does not wait for it."""
    count = sqlite_files.rows_in

    def and_write(connection: sqlite3.Connection) -> dict[str, int]:
        rows = count(connection)
        do(kit.path("store"), "INSERT INTO content VALUES (2, 'later', 'later')")
        return rows

    monkeypatch.setattr(sqlite_files, "rows_in", and_write)
    # Of one that was killed.
    sqlite_files.draft(kit.path("store")).write_bytes(b"half of it")
    rows = engine.dump(engine.databases[0], tmp_path / "store.dump")
    monkeypatch.setattr(sqlite_files, "rows_in", count)
    assert rows == {"child": 1, "content": 1, "version": 1}
    assert engine.verify(tmp_path / "store.dump") == rows
    assert len(do(kit.path("store"), "SELECT * FROM content")) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "store.dump"]
    assert not [path.name for path in kit.folder.iterdir() if "dump" in path.name]


def test_a_dump_that_was_damaged_is_noticed(engine: sqlite.SQLite, kit: SqliteKit, tmp_path: Path) -> None:
    path = tmp_path / "store.dump"
    do(kit.path("store"), "UPDATE content SET rows_of = 'indexed'")
    do(kit.path("store"), "CREATE INDEX some ON content (rows_of)")
    engine.dump(engine.databases[0], path)
    whole = path.read_bytes()
    # In the row alone, and not in the index on it.
    at = whole.index(b"indexed")
    for damaged in (whole[:-4096], whole[:100], whole[:at] + b"changed" + whole[at + 7 :]):
        path.write_bytes(damaged)
        with pytest.raises(ChangeError, match="cannot be read"):
            engine.verify(path)


def test_there_is_no_dump_of_what_is_not_there_yet(
    engine: sqlite.SQLite, kit: SqliteKit, tmp_path: Path
) -> None:
    kit.put("store", None)
    assert engine.dump(engine.databases[0], tmp_path / "store.dump") == {}
    assert engine.revision(engine.databases[0]) is None
    assert engine.revision(engine.databases[1]) == "one"


def test_a_copy_for_a_rehearsal_has_the_schema_and_its_revision_or_all(
    engine: sqlite.SQLite, kit: SqliteKit, tmp_path: Path
) -> None:
    database = engine.databases[0]
    copy = kit.path("store_copy")
    for depth, rows in (("schema", 0), ("full", 1), ("schema", 0)):
        engine.copy(database, depth, tmp_path)
        assert do(copy, "SELECT version_num FROM version") == [("one",)]
        assert len(do(copy, "SELECT * FROM content")) == rows
        assert do(copy, "SELECT name FROM sqlite_master WHERE type = 'trigger'") == [("kept",)]
        assert stat_mode(copy) == 0o600
    engine.wipe(database)
    assert not copy.exists()


def stat_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_all_files_are_written_ahead_and_nobody_elses_to_read(
    engine: sqlite.SQLite, kit: SqliteKit, tmp_path: Path
) -> None:
    kit.put("store", None)
    kit.dump(("one", "rows"), tmp_path / "dump")
    acts: tuple[Callable[[], None], ...] = (
        lambda: engine.make_fresh(copied=True),
        lambda: engine.make_fresh(copied=False),
        lambda: engine.restore(engine.databases[0], tmp_path / "dump"),
        lambda: engine.copy(engine.databases[1], "schema", tmp_path),
        lambda: engine.copy(engine.databases[1], "full", tmp_path),
    )
    for act in acts:
        act()
        for path in kit.folder.iterdir():
            assert (path.name, stat_mode(path)) == (path.name, 0o600)
            assert (path.name, do(path, "PRAGMA journal_mode")) == (path.name, [("wal",)])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "store.db").chmod(0o640), r"store\.db can be read .* mode 0600"),
        (lambda folder: folder.chmod(0o755), r"must be root's alone, with mode 0700"),
        (shutil.rmtree, r"is not there: is its volume mounted\?"),
        (lambda folder: (folder / "store_old.db").touch(), r"there is a file .*store_old\.db"),
    ],
)
def test_what_stands_in_the_way_is_told_before_anything_begins(
    engine: sqlite.SQLite, kit: SqliteKit, spoil: Any, told: str
) -> None:
    engine.check()
    spoil(kit.folder)
    with pytest.raises(ChangeError, match=told):
        engine.check()


@pytest.mark.parametrize("does", ["check", "make_fresh", "dump", "copy"])
def test_a_volume_without_room_is_left_as_it_is(
    engine: sqlite.SQLite, kit: SqliteKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str
) -> None:
    """A copy that fills it would stop the server."""
    monkeypatch.setattr(sqlite.shutil, "disk_usage", lambda _: SimpleNamespace(free=engine.size() // 2 - 1))
    asked: dict[str, Any] = {
        "check": engine.check,
        "make_fresh": lambda: engine.make_fresh(copied=True),
        "dump": lambda: engine.dump(engine.databases[0], tmp_path / "dump"),
        "copy": lambda: engine.copy(engine.databases[0], "full", tmp_path),
    }
    with pytest.raises(ChangeError, match=r"MiB free, and .* Enlarge their volume"):
        asked[does]()
    assert sorted(path.name for path in kit.folder.iterdir()) == ["store.db", "store_auth.db"]
