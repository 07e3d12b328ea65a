#!/usr/bin/env python3
"""Dump, restore, copy and switch MLflow's databases, with backups in the bucket. Managed by Ansible.

Run as root with a release's own Python, which has the drivers; prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Container
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowstead_host.engines import Engines
from flowstead_host.errors import ChangeError
from flowstead_host.settings import SPOOL, Database, Settings, read_settings

if TYPE_CHECKING:
    from flowstead_host.backups import Backups

COPIES = SPOOL / "copies"
# MLflow's databases in the order of the settings, as migrate.py calls them.
STORES = ("tracking", "login")


class Data:
    """What can be asked."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engines = Engines(settings)

    @cached_property
    def backups(self) -> Backups:
        """The backups; their libraries take a while to load, which not every question needs."""
        from flowstead_host.backups import Backups  # noqa: PLC0415 - only where it is needed

        return Backups(self.settings, self.engines)

    def check(self) -> dict[str, Any]:
        """See that a change of the data will work, before anything is held up for it."""
        self.engines.check()
        return {"database_mib": self.backups.check_room() >> 20}

    def check_empty(self) -> dict[str, Any]:
        """See that the databases can take data and have none: nothing of theirs would be kept."""
        self.engines.check()
        for database in self.settings.databases:
            if self.engines.of(database).revision(database) is not None:
                raise ChangeError(
                    f"the database {database.name} in {self.settings.store} has tables already, and data are "
                    "moved into empty ones alone. Remove that store, or what is in the database if nobody "
                    "needs it, then run this again"
                )
        return {}

    def dump(self, reason: str, version: str, *, tidy: bool) -> dict[str, Any]:
        """Take a backup, prove that it can be read back whole, and put it into the bucket."""
        backups = self.backups
        name = backups.take(reason, version)
        if not name:
            return {"name": ""}
        answer = backups.keep(name)
        if tidy:
            backups.forget(name)
        return answer

    def fresh(self) -> dict[str, Any]:
        """Copy the databases as they are; return the copies' addresses."""
        self.engines.make_fresh(copied=True)
        return self.fresh_addresses(self.settings.databases)

    def prepare(self, name: str) -> dict[str, Any]:
        """Have a backup and fresh databases for it; return the addresses of those that need tables first."""
        return {"addresses": self.fresh_addresses(self.backups.prepare(name))}

    def fresh_addresses(self, databases: Container[Database]) -> dict[str, Any]:
        """Return addresses of fresh databases, by what MLflow has there."""
        return {
            store: self.engines.of(one).fresh_uri(one)
            for store, one in zip(STORES, self.settings.databases)
            if one in databases
        }

    def copy(self, depth: str) -> dict[str, Any]:
        """Fill the copies for rehearsals."""
        if depth == "full":
            self.backups.check_room()
        COPIES.mkdir(exist_ok=True)
        for database in self.settings.databases:
            self.engines.of(database).copy(database, depth, COPIES)
        shutil.rmtree(COPIES)
        uris = (one.copy_owner_uri for one in self.settings.databases)
        return {"copied": depth, "addresses": dict(zip(STORES, uris))}

    def wipe(self) -> dict[str, Any]:
        """Empty the copies for rehearsals."""
        for database in self.settings.databases:
            self.engines.of(database).wipe(database)
        shutil.rmtree(COPIES, ignore_errors=True)
        return {}

    def drop_fresh(self) -> dict[str, Any]:
        """Remove fresh databases."""
        self.engines.drop_fresh()
        return {}

    def drop_old(self) -> dict[str, Any]:
        """Remove what served before a switch."""
        self.engines.drop_old()
        return {}

    def answer(self, arguments: argparse.Namespace) -> dict[str, Any]:
        """Do what was asked."""
        engines = self.engines
        asked: dict[str, Callable[[], dict[str, Any]]] = {
            "check": self.check,
            "check-empty": self.check_empty,
            "take": lambda: {"name": self.backups.take(arguments.reason, arguments.version)},
            "keep": lambda: self.backups.keep(arguments.name),
            "dump": lambda: self.dump(arguments.reason, arguments.version, tidy=arguments.tidy),
            "prepare": lambda: self.prepare(arguments.name),
            "restore": lambda: self.backups.restore(arguments.name),
            "show": lambda: self.backups.manifest(arguments.name),
            "list": lambda: {"backups": self.backups.names()},
            "fresh": self.fresh,
            "switch": lambda: {"switched": engines.switch()},
            "switch-back": lambda: {"switched": engines.switch_back()},
            "drop-fresh": self.drop_fresh,
            "drop-old": self.drop_old,
            "copy": lambda: self.copy(arguments.depth),
            "wipe": self.wipe,
        }
        return asked[arguments.asked]()


def parse() -> argparse.Namespace:
    """Return what was asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--wait", action="store_true", help='load, say "ready", and wait for a line of input')
    parser.add_argument("--tracking", action="store_true", help="the database of runs and models alone")
    parser.add_argument("--store", type=Path, help="settings of the databases, if not of those that serve")
    asked = parser.add_subparsers(dest="asked", required=True)
    for word in ("check", "check-empty", "fresh", "switch", "switch-back", "drop-fresh", "drop-old"):
        asked.add_parser(word)
    for word in ("wipe", "list"):
        asked.add_parser(word)
    for word in ("take", "dump"):
        taking = asked.add_parser(word)
        taking.add_argument("reason")
        taking.add_argument("version")
    taking.add_argument("--tidy", action="store_true", help="keep no copy on this host")
    for word in ("keep", "prepare", "restore", "show"):
        asked.add_parser(word).add_argument("name")
    asked.add_parser("copy").add_argument("depth", choices=["schema", "full"])
    return parser.parse_args()


def main() -> None:
    """Do what was asked, and print the answer."""
    arguments = parse()
    settings = read_settings(store=arguments.store)
    if arguments.tracking:
        settings = replace(settings, databases=settings.databases[:1])
    os.environ["PGPASSFILE"] = settings.passfile
    data = Data(settings)
    if arguments.wait:
        if arguments.asked == "take":
            data.backups  # noqa: B018 - loaded now
        print("ready", flush=True)
        if not sys.stdin.readline():
            return
    print(json.dumps(data.answer(arguments)))


if __name__ == "__main__":
    try:
        main()
    except ChangeError as problem:
        sys.exit(str(problem))
    except Exception as problem:  # noqa: BLE001 - whatever a driver or AWS refuses is told in one line, not as a traceback
        sys.exit(f"{type(problem).__name__}: {problem}")
