#!/usr/bin/env python3
"""Change which MLflow release serves, back its databases up, undo a change that was interrupted.

Managed by Ansible. Everything that must not be left half-done happens in here, on the host: whoever asked for
it may go away at any moment.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowstead_host import changes, collection, moving, rehearsal
from flowstead_host.errors import ChangeError, RefusedError
from flowstead_host.files import write_json
from flowstead_host.host import Host
from flowstead_host.journal import JOURNAL
from flowstead_host.settings import RUNTIME, SETTINGS, read_settings

LOCK = RUNTIME / "lock"
GUESTS = RUNTIME / "guests"
# How long ago something was deleted at least, before it is removed for good.
AGE = re.compile(r"(?=.)(?:([0-9]{1,5})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,8})m)?")
AGE_UNITS_S = (86400, 3600, 60)


@contextlib.contextmanager
def only_one(doing: str) -> Iterator[None]:
    """Hold the lock that every change and every backup takes."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise RefusedError(
                f"This host is busy with: {file.read().strip()}. "
                "Wait until that is over, then run this again."
            ) from None
        file.truncate(0)
        file.write(f"{doing}, since {time.strftime('%H:%M:%S %Z')} (process {os.getpid()})")
        file.flush()
        yield


@contextlib.contextmanager
def no_guests() -> Iterator[None]:
    """Hold off servers on other machines that use the databases too (day_two/guest.py).

    What they write while the data are changed would be lost. Each holds a lock on the directory, and none
    begins while there is a journal.
    """
    GUESTS.mkdir(parents=True, exist_ok=True)
    handle = os.open(GUESTS, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            named = ", ".join(sorted({one.read_text().strip() for one in GUESTS.iterdir()}))
            raise RefusedError(
                f"Servers of `fab serve-here` use these databases: {named}. "
                "Have them ended, then run this again."
            ) from None
        yield
    finally:
        os.close(handle)


def recover(host: Host) -> str:
    """Finish or undo what was interrupted; return what was done, or an empty text."""
    done = " ".join(filter(None, (changes.recover(host), rehearsal.clear_up(host))))
    # Nothing needs them now: the owner's password, which whoever was killed while it was fetched could not
    # remove, and dumps, which are in the bucket if they are complete.
    host.forget_owner()
    host.clear_spool()
    host.stores.forget()
    return done


def age_s(text: str) -> int:
    """Return the seconds of an age such as 30d or 1d12h."""
    found = AGE.fullmatch(text)
    if not found:
        raise RefusedError(
            f"{text!r} is not an age: give days, hours and minutes, such as 30d, 12h or 1d12h."
        )
    return sum(int(number) * unit for number, unit in zip(found.groups("0"), AGE_UNITS_S))


def do(host: Host, arguments: argparse.Namespace, report: dict[str, Any]) -> None:
    """Do what was asked."""
    asked = arguments.asked
    if asked == "upgrade":
        data = "migrate" if arguments.migrate else ""
        changes.change(host, report, arguments.version, data, database_gib=arguments.database_gib)
    elif asked == "restore":
        changes.change(host, report, arguments.version, arguments.backup)
    elif asked == "move" and arguments.rehearse:
        moving.rehearse(host, report, arguments.version)
        report["expected_s"] = changes.expected_s(arguments.version, report["database_mib"], moving.MOVE)
    elif asked == "move":
        changes.change(host, report, arguments.version, moving.MOVE)
    elif asked == "rehearse":
        rehearsal.rehearse(host, report, arguments.version, arguments.depth)
    elif asked == "backup":
        serving = host.serving()["version"]
        what = "The databases could not be backed up"
        report.update(host.data(serving, "dump", arguments.reason, serving, "--tidy", what=what))
    elif asked == "garbage":
        serving = host.serving()["version"]
        if not serving:
            raise RefusedError("Nothing serves yet.")
        age = arguments.older_than or host.settings.garbage_age
        report.update(collection.collect(host, serving, age, age_s(age), dry_run=arguments.dry_run))


def changes_data(arguments: argparse.Namespace) -> bool:
    """Tell whether the databases that serve are to be others."""
    return (
        arguments.asked == "restore"
        or (arguments.asked == "upgrade" and arguments.migrate)
        or (arguments.asked == "move" and not arguments.rehearse)
    )


def parse() -> argparse.Namespace:
    """Return what was asked."""
    parser = argparse.ArgumentParser(description="Change which MLflow release serves; back up; recover.")
    parser.add_argument("--report", type=Path, help="file to write what happened to, as JSON")
    asked = parser.add_subparsers(dest="asked", required=True)
    upgrade = asked.add_parser("upgrade", help="have a release serve")
    upgrade.add_argument("version")
    upgrade.add_argument("--migrate", action="store_true", help="its schema is newer than the databases'")
    upgrade.add_argument(
        "--database-gib", type=int, default=0, help="disk of the database server; 0: unknown"
    )
    trying = asked.add_parser("rehearse", help="try a release on copies of the databases")
    trying.add_argument("version")
    trying.add_argument("depth", choices=["schema", "full"], help="what is copied")
    restore = asked.add_parser("restore", help="put a backup's data back and have a release serve them")
    restore.add_argument("backup")
    restore.add_argument("version")
    move = asked.add_parser("move", help="move the data into another store, of which Ansible told")
    move.add_argument("version", help="the release that serves")
    move.add_argument("--rehearse", action="store_true", help="on copies, while it serves")
    asked.add_parser("backup", help="back the databases up, while MLflow serves").add_argument("reason")
    garbage = asked.add_parser("garbage", help="remove for good what users deleted, while MLflow serves")
    garbage.add_argument("--older-than", help="how long ago it must have been, such as 30d or 1d12h")
    garbage.add_argument("--dry-run", action="store_true", help="only count")
    asked.add_parser("recover", help="finish or undo a change that was interrupted")
    return parser.parse_args()


def die(number: int, _frame: object) -> None:
    """End as `kill -9` does: systemd takes a program that these signals end for one that is done."""
    os._exit(128 + number)


def main() -> int:
    """Do what was asked, and leave a report: `outcome` is done, refused or failed."""
    arguments = parse()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, die)
    host = Host(read_settings(SETTINGS))
    report: dict[str, Any] = {}
    try:
        with only_one(f"{arguments.asked} {getattr(arguments, 'version', '')}".strip()):
            report["recovered"] = recover(host)
            with no_guests() if changes_data(arguments) else contextlib.nullcontext():
                do(host, arguments, report)
        report["outcome"] = "done"
    except (ChangeError, OSError) as failed:
        outcome = "refused" if isinstance(failed, RefusedError) else "failed"
        # The journal of a change that goes on meanwhile is somebody else's.
        undone = outcome == "refused" or JOURNAL.read() is None
        report.update({"outcome": outcome, "why": str(failed), "undone": undone})
    report["serves"] = host.serving()["version"]
    print(json.dumps(report, indent=4))
    if arguments.report:
        write_json(arguments.report, report)
    return 0 if report["outcome"] == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
