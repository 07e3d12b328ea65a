"""SQLite's files: their names, their logs, copies of them. Managed by Ansible."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

from flowstead_host.engines import names
from flowstead_host.errors import ChangeError

# What SQLite keeps next to a database while it is open, and when it was killed (https://sqlite.org/tempfiles.html).
COMPANIONS = ("-wal", "-shm", "-journal")
# Another program may be just about to end.
LEAVE_DEADLINE_S = 30
BUSY_S = 20
# SQLite's own tables begin with it, and nobody else's may.
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*' ORDER BY 1"
SCHEMA = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*' ORDER BY rowid"


def path_of(uri: str) -> Path:
    """Return the file of an address such as sqlite:////var/lib/mlflow/store.db."""
    return Path(urlsplit(uri).path[1:])


def renamed(path: Path, name: str) -> Path:
    """Return the file next to another that has a name made of its."""
    return path.with_name(name + path.suffix)


def fresh(path: Path) -> Path:
    """Return the file that is filled to take another's place."""
    return renamed(path, names.fresh(path.stem))


def old(path: Path) -> Path:
    """Return the file that served before a switch."""
    return renamed(path, names.old(path.stem))


def draft(path: Path) -> Path:
    """Return the file that a backup is made of."""
    return renamed(path, f"{path.stem}_dump")


@contextlib.contextmanager
def opened(path: Path, mode: str = "mode=rw") -> Iterator[sqlite3.Connection]:
    """Have a database open; each statement is a transaction of its own unless one is begun."""
    address = f"file:{quote(str(path))}?{mode}"
    connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=BUSY_S)
    try:
        # What is in the file may be somebody's who means no good.
        connection.execute("PRAGMA trusted_schema = OFF")
        yield connection
    except sqlite3.DatabaseError as error:
        raise ChangeError(f"{path} cannot be read: {error}") from error
    finally:
        connection.close()


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def tables_in(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the tables."""
    return [str(name) for (name,) in connection.execute(TABLES)]


def rows_in(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of rows, by table."""
    return {
        table: int(connection.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()[0])  # noqa: S608 - quoted
        for table in tables_in(connection)
    }


def copy_file(source: Path, target: Path) -> dict[str, int]:
    """Copy a database as it is at one moment, while others use it; return the number of rows by table."""
    with opened(source) as one, opened(target, "mode=rwc") as other:
        # The backup takes part in this transaction: what is counted is what is copied.
        one.execute("BEGIN")
        rows = rows_in(one)
        one.backup(other)
    return rows


def write_ahead(path: Path) -> None:
    """Have a database, made if it is not there, written with a log: then readers and a writer do not wait."""
    with opened(path, "mode=rwc") as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def settle(path: Path) -> None:
    """Put what is in the log of a database into its file; raise ChangeError if somebody else has it open."""
    deadline = time.monotonic() + LEAVE_DEADLINE_S
    while (why := what_keeps_open(path)) is not None:
        if time.monotonic() > deadline:
            raise ChangeError(
                f"{path} is open in another program ({why}). Nobody may have it open while databases are "
                "switched. End that program (as root, fuser names it), then run this again"
            )
        time.sleep(0.5)
    # Of somebody who was killed; who is alone needs none.
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    if left := [one for one in COMPANIONS if path.with_name(path.name + one).exists()]:
        raise ChangeError(f"{path} has {', '.join(left)} next to it, and should not")


def what_keeps_open(path: Path) -> str | None:
    """Put a log into its file, alone; return why that cannot be done, None if it has been."""
    try:
        with opened(path) as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            # Who is alone leaves no log when it closes.
            connection.execute("COMMIT")
    except ChangeError as error:
        if isinstance(error.__cause__, sqlite3.OperationalError) and "locked" in str(error):
            return str(error.__cause__)
        raise
    return None


def remove(path: Path) -> None:
    """Remove a database; first what is next to it, which the next file of its name would be given."""
    for one in COMPANIONS:
        path.with_name(path.name + one).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Return how many bytes a database has, with its log."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(one.stat().st_size for one in files if one.exists())


def same(path: Path, other: Path) -> bool:
    """Tell whether two names are of one file."""
    return path.exists() and other.exists() and path.samefile(other)


def keep(folder: Path) -> None:
    """Have names outlast a crash of the host."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
