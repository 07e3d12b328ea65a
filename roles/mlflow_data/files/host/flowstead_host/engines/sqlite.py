"""SQLite: files next to each other, whose names are switched. Managed by Ansible.

Of a database NAME.db there may be NAME_fresh.db, which a change fills, NAME_old.db, which served before a
switch, and NAME_dump.db, a copy that is on its way to a backup. At every moment there is a NAME.db, whole: a
file gets a second name before another takes its first.

What is in their folder is touched as the user that serves, never as root: whoever has taken the server over
may put links there.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

from flowstead_host.engines import sqlite_files as files
from flowstead_host.errors import ChangeError
from flowstead_host.settings import Database, Settings


class SQLite:
    """Databases in files."""

    restores_rows = False

    def __init__(self, settings: Settings) -> None:
        self.databases = settings.databases
        self.user, self.group = settings.user, settings.group
        self.paths = [files.path_of(database.uri) for database in settings.databases]

    @contextlib.contextmanager
    def as_user(self) -> Iterator[None]:
        """Touch files as the user that serves does; new ones are nobody else's to read."""
        umask, is_root = os.umask(0o077), os.geteuid() == 0
        groups, group = os.getgroups(), os.getegid()
        try:
            if is_root:
                os.setgroups([])
                os.setegid(grp.getgrnam(self.group).gr_gid)
                os.seteuid(pwd.getpwnam(self.user).pw_uid)
            yield
        finally:
            if is_root:
                os.seteuid(0)
                os.setegid(group)
                os.setgroups(groups)
            os.umask(umask)

    # What there is

    def versions(self) -> dict[str, int]:
        """Return nothing: who reads the files has what writes them."""
        return {}

    def check(self) -> None:
        """See that the files are the user's alone, that there is room, and that the names are free."""
        with self.as_user():
            for path in self.paths:
                self.check_folder(path.parent)
                if path.exists() and (path.stat().st_uid != os.geteuid() or path.stat().st_mode & 0o077):
                    raise ChangeError(
                        f"{path} can be read or belongs to others: it must be {self.user}'s, with mode 0600"
                    )
                if files.old(path).exists():
                    raise ChangeError(
                        f"there is a file {files.old(path)}, and no change is under way that would have left "
                        "it. Look what it holds, and give it another name or remove it"
                    )
            self.check_room(self.paths, copies=2)

    def check_folder(self, folder: Path) -> None:
        """See that a folder can hold databases."""
        if not folder.is_dir():
            raise ChangeError(f"the folder {folder} of the databases is not there: is its volume mounted?")
        if folder.stat().st_uid != os.geteuid() or folder.stat().st_mode & 0o077:
            raise ChangeError(
                f"the folder {folder} of the databases must be {self.user}'s alone, with mode 0700"
            )

    def check_room(self, paths: list[Path], copies: int = 1) -> None:
        """See that there is room for so many copies of databases next to them."""
        needed = copies * sum(files.size_of(path) for path in paths)
        free = shutil.disk_usage(paths[0].parent).free
        if free < needed:
            raise ChangeError(
                f"{paths[0].parent} has {free >> 20} MiB free, and {needed >> 20} are needed for copies of "
                "the databases there. Enlarge their volume"
            )

    def size(self) -> int:
        """Return how many bytes the databases have."""
        with self.as_user():
            return sum(files.size_of(path) for path in self.paths)

    def revision(self, database: Database) -> str | None:
        """Return the revision of a database's schema; None when it has none yet."""
        path = files.path_of(database.uri)
        with self.as_user():
            if not path.exists():
                return None
            with files.opened(path) as connection:
                if database.version_table not in files.tables_in(connection):
                    return None
                query = f"SELECT version_num FROM {files.quoted(database.version_table)}"  # noqa: S608 - quoted
                row = connection.execute(query).fetchone()
        return str(row[0]) if row else None

    # Dumps

    def dump(self, database: Database, path: Path) -> dict[str, int]:
        """Copy a database as it is at one moment; return the number of rows that it has then, by table."""
        source = files.path_of(database.uri)
        with self.as_user():
            files.remove(files.draft(source))
            if not source.exists():
                return {}
            self.check_room([source])
            try:
                rows = files.copy_file(source, files.draft(source))
                descriptor = os.open(files.draft(source), os.O_RDONLY)
            finally:
                files.remove(files.draft(source))
        with os.fdopen(descriptor, "rb") as file, path.open("xb") as target:
            shutil.copyfileobj(file, target, 1 << 20)
        return rows

    def verify(self, path: Path) -> dict[str, int]:
        """Read a dump from beginning to end; return the number of rows in it, by table."""
        with files.opened(path, "mode=ro&immutable=1") as connection:
            [found, *_] = connection.execute("PRAGMA integrity_check").fetchone()
            if found != "ok":
                raise ChangeError(f"The dump cannot be read back: {found}")
            return files.rows_in(connection)

    # Fresh databases

    def make_fresh(self, *, copied: bool) -> None:
        """Make fresh databases: empty, or copies as they are now."""
        self.drop_fresh()
        with self.as_user():
            if copied:
                self.check_room(self.paths)
            for path in self.paths:
                if not path.exists():
                    files.write_ahead(path)
                if copied:
                    # Nobody may be in what is copied.
                    files.settle(path)
                    files.copy_file(path, files.fresh(path))
                files.write_ahead(files.fresh(path))

    def give_rights(self, database: Database) -> None:
        """Leave it: a file is its owner's."""

    def restore(self, database: Database, dump: Path) -> None:
        """Fill a fresh database from a dump."""
        path = files.fresh(files.path_of(database.uri))
        with dump.open("rb") as file, self.as_user():
            files.remove(path)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as target:
                shutil.copyfileobj(file, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
            files.write_ahead(path)

    def fresh_uri(self, database: Database) -> str:
        """Return the address of a fresh database, for MLflow."""
        return f"sqlite:///{files.fresh(files.path_of(database.uri))}"

    def switch(self) -> bool:
        """Give fresh files the names of those that serve."""
        with self.as_user():
            due = [
                path
                for path in self.paths
                if files.same(path, files.old(path)) or not files.old(path).exists()
            ]
            for path in due:
                files.settle(path)
                files.settle(files.fresh(path))
                if not files.old(path).exists():
                    os.link(path, files.old(path))
                    files.keep(path.parent)
                files.fresh(path).replace(path)
                files.keep(path.parent)
        return bool(due)

    def switch_back(self) -> bool:
        """Give files the names back that they had before a switch; those that had them meanwhile are gone."""
        with self.as_user():
            due = [
                path
                for path in self.paths
                if files.old(path).exists() and not files.same(path, files.old(path))
            ]
            for path in self.paths:
                if path in due:
                    files.settle(path)
                    files.old(path).replace(path)
                # Of a switch that only just began.
                files.old(path).unlink(missing_ok=True)
                files.keep(path.parent)
        return bool(due)

    def drop_fresh(self) -> None:
        """Remove fresh files that did not get the others' names."""
        with self.as_user():
            for path in self.paths:
                files.remove(files.fresh(path))

    def drop_old(self) -> None:
        """Remove what served before a switch; it is gone then."""
        with self.as_user():
            for path in self.paths:
                files.remove(files.old(path))

    # Copies for rehearsals

    def copy(self, database: Database, depth: str, folder: Path) -> None:  # noqa: ARG002 - other engines need it
        """Fill the copy for rehearsals: the schema and its revision, and with depth `full` the rows too."""
        path, target = files.path_of(database.uri), files.path_of(database.copy_uri)
        with self.as_user():
            files.remove(target)
            if depth == "full":
                self.check_room([path])
                files.copy_file(path, target)
            else:
                self.copy_schema(database, path, target)
            files.write_ahead(target)

    def copy_schema(self, database: Database, path: Path, target: Path) -> None:
        """Make a database with the tables of another, and of the rows the revision alone."""
        with files.opened(path) as one, files.opened(target, "mode=rwc") as other:
            for (sql,) in one.execute(files.SCHEMA).fetchall():
                other.execute(sql)
            table = files.quoted(database.version_table)
            for row in one.execute(f"SELECT version_num FROM {table}"):  # noqa: S608 - quoted
                other.execute(f"INSERT INTO {table} VALUES (?)", row)  # noqa: S608 - quoted

    def wipe(self, database: Database) -> None:
        """Remove the copy for rehearsals."""
        with self.as_user():
            files.remove(files.path_of(database.copy_uri))


ENGINE = SQLite
