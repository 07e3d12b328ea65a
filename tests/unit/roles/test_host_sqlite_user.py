"""What the host's programs do in a folder that belongs to the server, which somebody may have taken over."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from flowstead_host.engines import sqlite, sqlite_files
from flowstead_host.errors import ChangeError
from flowstead_host.settings import Database
from real_databases import settings_for


@pytest.fixture
def nobodys() -> Iterator[Path]:
    """A folder of a user that is not root."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        data = Path(folder) / "data"
        data.mkdir(mode=0o700)
        shutil.chown(data, "nobody", "nogroup")
        yield data


@pytest.fixture
def theirs(nobodys: Path, monkeypatch: pytest.MonkeyPatch) -> sqlite.SQLite:
    """The engine on databases of that user."""
    monkeypatch.setattr(sqlite_files, "LEAVE_DEADLINE_S", 0)
    uri, copy = (f"sqlite:///{nobodys}/{name}.db" for name in ("store", "copy"))
    database = Database("store", "sqlite", "version", uri, uri, copy, copy)
    one = sqlite.SQLite(settings_for([database], user="nobody", group="nogroup"))
    one.make_fresh(copied=False)
    one.switch()
    one.drop_old()
    return one


def test_files_are_the_servers_users(theirs: sqlite.SQLite, nobodys: Path) -> None:
    theirs.make_fresh(copied=True)
    theirs.switch()
    mine = os.getgroups()
    os.setgroups([0])
    try:
        with theirs.as_user(), sqlite_files.opened(nobodys / "store.db") as connection:
            assert os.getgroups() == []
            # It may have been written by whoever took the server over.
            assert connection.execute("PRAGMA trusted_schema").fetchone() == (0,)
        assert os.getgroups() == [0]
    finally:
        os.setgroups(mine)
    assert {path.owner() for path in nobodys.iterdir()} == {"nobody"}
    assert os.geteuid() == 0


@pytest.mark.parametrize(
    "name", ["store_fresh.db", "store_dump.db", "store_old.db", "store_fresh.db-journal"]
)
def test_links_that_a_taken_server_puts_there_lead_nowhere(
    theirs: sqlite.SQLite, nobodys: Path, tmp_path: Path, name: str
) -> None:
    """Root would write where they lead, and read what the user may not."""
    precious = tmp_path / "precious"
    precious.write_bytes(b"root's own")
    (nobodys / name).symlink_to(precious)
    dump = tmp_path / "dump"
    acts: tuple[Callable[[], object], ...] = (
        lambda: theirs.dump(theirs.databases[0], dump),
        lambda: theirs.make_fresh(copied=True),
        theirs.switch,
        theirs.switch_back,
        theirs.drop_fresh,
        theirs.drop_old,
    )
    for act in acts:
        with suppress(ChangeError, OSError):
            act()
    assert precious.read_bytes() == b"root's own"
    assert not dump.exists() or b"root's own" not in dump.read_bytes()


def test_a_server_file_that_leads_to_roots_is_not_read(
    theirs: sqlite.SQLite, nobodys: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious.db"
    with closing(sqlite3.connect(precious)) as connection:
        connection.execute("CREATE TABLE secret (i)")
    (nobodys / "store.db").unlink()
    (nobodys / "store.db").symlink_to(precious)
    with pytest.raises((ChangeError, OSError)):
        theirs.dump(theirs.databases[0], tmp_path / "dump")
    assert not (tmp_path / "dump").exists()
