"""What tests of all engines need of each: databases that are put there, looked at and migrated.

A database's content is its schema and its rows, as in `fake_world`. It also has what makes one hard to move:
a table that refers to another, and a trigger.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest
from flowstead_host.engines import names, sqlite_files
from flowstead_host.settings import Database

Content = tuple[str, str]
# Told what is done to a database, and how to do it and to leave it half-done.
Act = Callable[[str, Callable[[], object], Callable[[], object] | None], None]
HALF = ("half", "half")
EMPTY = ("", "")
TABLES = (
    "CREATE TABLE content (id INTEGER PRIMARY KEY, what VARCHAR(40), rows_of VARCHAR(40))",
    """CREATE TABLE child (id INTEGER PRIMARY KEY, content INTEGER,
       CONSTRAINT child_of FOREIGN KEY (content) REFERENCES content (id))""",
    "CREATE TABLE version (version_num VARCHAR(32) NOT NULL)",
)


class Kit(Protocol):
    """One engine, in tests."""

    engine: str

    def database(self, name: str) -> Database:
        """Return the description of a database."""

    def put(self, name: str, content: Content | None) -> None:
        """Have a database with that content, or none."""

    def look(self, name: str) -> Content | None:
        """Return a database's content; None if it is not there."""

    def migrate(self, uri: str, schema: str) -> None:
        """Give a database a schema, as a release's migrations do."""

    def migrate_half(self, uri: str) -> None:
        """Leave a migration half-done."""

    def dump(self, content: Content, path: Path) -> None:
        """Write a dump of a database with that content."""

    def watch(self, monkeypatch: pytest.MonkeyPatch, act: Act) -> None:
        """Have all that the engine changes told."""


class SqliteKit:
    """Files in a folder."""

    engine = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700)

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.db"

    def database(self, name: str) -> Database:
        uri, copy = f"sqlite:///{self.path(name)}", f"sqlite:///{self.path(name + '_copy')}"
        return Database(name, "sqlite", "version", uri, uri, copy, copy)

    def put(self, name: str, content: Content | None) -> None:
        path = self.path(name)
        sqlite_files.remove(path)
        if content is None:
            return
        sqlite_files.write_ahead(path)
        path.chmod(0o600)
        if content[0]:
            self.fill(path, content)

    def fill(self, path: Path, content: Content) -> None:
        with self.opened(path) as connection:
            for sql in TABLES:
                connection.execute(sql)
            connection.execute(
                "CREATE TRIGGER kept BEFORE UPDATE ON child BEGIN SELECT RAISE(ABORT, 'kept'); END"
            )
            connection.execute("INSERT INTO content VALUES (1, ?, ?)", content)
            connection.execute("INSERT INTO child VALUES (1, 1)")
            connection.execute("INSERT INTO version VALUES (?)", content[:1])
            connection.commit()

    def look(self, name: str) -> Content | None:
        path = self.path(name)
        if not path.exists():
            # It is made when it is needed.
            return None if name.endswith(("_fresh", "_old")) else EMPTY
        try:
            with self.opened(path) as connection:
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'content'").fetchone():
                    return EMPTY
                [row] = connection.execute("SELECT what, rows_of FROM content").fetchall()
                [(triggers,)] = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'kept'")
        except sqlite3.DatabaseError:
            return HALF
        return (row[0], row[1] if triggers else "no trigger")

    def migrate(self, uri: str, schema: str) -> None:
        path = sqlite_files.path_of(uri)
        with self.opened(path) as connection:
            is_empty = not connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        if is_empty:
            self.fill(path, (schema, ""))
        with self.opened(path) as connection:
            connection.execute("UPDATE content SET what = ?", (schema,))
            connection.execute("UPDATE version SET version_num = ?", (schema,))
            connection.commit()

    def migrate_half(self, uri: str) -> None:
        with self.opened(sqlite_files.path_of(uri)) as connection:
            connection.execute("CREATE TABLE half (i INTEGER)")
            connection.commit()

    def dump(self, content: Content, path: Path) -> None:
        path.unlink(missing_ok=True)
        self.fill(path, content)

    @contextlib.contextmanager
    def opened(self, path: Path) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            yield connection

    def watch(self, monkeypatch: pytest.MonkeyPatch, act: Act) -> None:
        def halve(source: Path, target: Path) -> None:
            target.write_bytes(source.read_bytes()[:5000])

        halves: dict[str, Callable[..., object]] = {
            "copy_file": halve,
            "remove": lambda path: path.with_name(path.name + "-wal").unlink(missing_ok=True),
            "write_ahead": lambda path: path.touch(0o600),
        }
        for name in ("remove", "copy_file", "write_ahead", "settle", "keep"):
            monkeypatch.setattr(
                sqlite_files, name, told(act, name, getattr(sqlite_files, name), halves.get(name))
            )
        for owner, name in ((os, "link"), (Path, "replace")):
            monkeypatch.setattr(owner, name, told(act, name, getattr(owner, name)))


def told(
    act: Act, name: str, real: Callable[..., Any], half: Callable[..., object] | None = None
) -> Callable[..., Any]:
    """Return a function that tells what another does."""

    def instead(*words: Any, **options: Any) -> Any:
        answer: list[Any] = []
        act(
            name,
            lambda: answer.append(real(*words, **options)),
            half and partial(half, *words),
        )
        return answer[0]

    return instead


def next_to(name: str) -> tuple[str, ...]:
    """Return a database's name and those that a change makes of it."""
    return (name, names.fresh(name), names.old(name))
