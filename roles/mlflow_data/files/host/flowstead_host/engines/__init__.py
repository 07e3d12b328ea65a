"""Database engines behind one interface: a further one is one more module here. Managed by Ansible.

Names are switched: what a change makes, it makes in fresh databases next to those that serve. These get the
names of the others at its end, and the others stay, under a third name, until the change is committed.
So what served before is whole until then, also where changes of a schema are no transactions.

Nobody is connected when names are switched: clients are held off and the server is stopped. Each method may
have been killed anywhere and be run again; what has been done, it sees by the names that there are.

The databases of one deployment may be of several engines. Nothing switches all of them in one go then: the
journal of the change makes it one, for names that were switched are switched back unless it was committed.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from flowstead_host.settings import Database, Settings


class Engine(Protocol):
    """Databases of one kind, and what changes, backups and rehearsals need of them."""

    # Whether `restore` fills tables that the release's own migrations made; else a dump makes its own.
    restores_rows: bool

    def versions(self) -> dict[str, int]:
        """Return the major versions of the server and of what would back it up, where that matters."""

    def check(self) -> None:
        """See that dumps and switches will work, before anything is held up for them; raise ChangeError."""

    def size(self) -> int:
        """Return how many bytes the databases have."""

    def revision(self, database: Database) -> str | None:
        """Return the revision of a database's schema; None when it has none yet."""

    def dump(self, database: Database, path: Path) -> dict[str, int]:
        """Dump a database as it is at one moment; return the number of rows that it has then, by table."""

    def verify(self, path: Path) -> dict[str, int]:
        """Read a dump from beginning to end; return the number of rows in it, by table."""

    def make_fresh(self, *, copied: bool) -> None:
        """Make fresh databases, with the rights of those that serve: empty, or copies as they are now."""

    def give_rights(self, database: Database) -> None:
        """Have a fresh, empty database give its tables the rights that those have which serve."""

    def restore(self, database: Database, dump: Path) -> None:
        """Fill a fresh database from a dump."""

    def fresh_uri(self, database: Database) -> str:
        """Return the owner's address of a fresh database, for MLflow."""

    def switch(self) -> bool:
        """Give fresh databases the names of those that serve; return whether there was anything to do."""

    def switch_back(self) -> bool:
        """Take that back; return whether there was anything to do."""

    def drop_fresh(self) -> None:
        """Remove fresh databases that did not get the others' names."""

    def drop_old(self) -> None:
        """Remove what served before a switch; it is gone then."""

    def copy(self, database: Database, depth: str, folder: Path) -> None:
        """Fill the copy for rehearsals: the schema and its revision, and with depth `full` the rows too."""

    def wipe(self, database: Database) -> None:
        """Empty the copy for rehearsals."""


class Engines:
    """The engines of all databases; each is loaded only now, with its driver."""

    def __init__(self, settings: Settings) -> None:
        self.parts: dict[str, Engine] = {}
        for name in dict.fromkeys(one.engine for one in settings.databases):
            mine = tuple(one for one in settings.databases if one.engine == name)
            module = importlib.import_module(f"flowstead_host.engines.{name}")
            self.parts[name] = module.ENGINE(replace(settings, databases=mine))

    def of(self, database: Database) -> Engine:
        """Return the engine of a database."""
        return self.parts[database.engine]

    def versions(self) -> dict[str, int]:
        """Return the versions that matter; 0 of a server, and of a dump program, that there is not."""
        found = {"server": 0, "pg_dump": 0}
        for engine in self.parts.values():
            found.update(engine.versions())
        return found

    def check(self) -> None:
        """See that dumps and switches will work."""
        for engine in self.parts.values():
            engine.check()

    def size(self) -> int:
        """Return how many bytes all have together."""
        return sum(engine.size() for engine in self.parts.values())

    def make_fresh(self, *, copied: bool) -> None:
        """Make fresh databases."""
        for engine in self.parts.values():
            engine.make_fresh(copied=copied)

    def switch(self) -> bool:
        """Switch all names, one engine's after another's."""
        done = [engine.switch() for engine in self.parts.values()]
        return any(done)

    def switch_back(self) -> bool:
        """Switch back those that were switched."""
        done = [engine.switch_back() for engine in self.parts.values()]
        return any(done)

    def drop_fresh(self) -> None:
        """Remove fresh databases."""
        for engine in self.parts.values():
            engine.drop_fresh()

    def drop_old(self) -> None:
        """Remove what served before."""
        for engine in self.parts.values():
            engine.drop_old()
