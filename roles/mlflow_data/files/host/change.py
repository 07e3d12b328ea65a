#!/usr/bin/env python3
"""Change which MLflow release serves, back its databases up, undo a change that was broken off.

Managed by Ansible. Everything that must not be left half-done happens in here, on the host: whoever asked for
it may go away at any moment. Each step is written to a journal before it begins. After a crash, `recover`
finishes a change that was committed, and undoes any other.
"""

import argparse
import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

from host import STATE, ChangeError, Host, write_json

SETTINGS = Path(__file__).with_name("change.json")
JOURNAL = STATE / "journal.json"
REHEARSAL = STATE / "rehearsal.json"
# There while copies of the databases may hold something; names the release whose libraries can empty them.
COPIES = STATE / "copies.json"
LOCK = Path("/run/mlflow-change/lock")
COMMIT = "commit"
# The database may be restarting while a change is undone: how long to try again before somebody has to look.
UNDO_DEADLINE_S = 900
UNDO_PAUSE_S = 5
# How much of a database is dumped, read back, sent and restored in a second. Measured: 627 MiB, nearly all
# metrics, took 15 s there and 37 s back on a host with two busy cores.
BACKUP_MIB_PER_S = 10
# How often clients that wait for somebody's long request to finish are told to come again later.
DRAIN_NOTICE_S = 20
# How long ago something was deleted at least, before it is removed for good.
AGE = re.compile(r"(?=.)(?:([0-9]{1,5})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,8})m)?")
# The gateway makes a Retry-After of what is announced: so many of them last as long (flowstead-gateway).
TRIES = 4


class RefusedError(ChangeError):
    """Nothing was begun."""


@contextlib.contextmanager
def only_one(doing):
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


class Change:
    """One change of what serves: `record` is the journal, `report` what whoever asked gets to know."""

    def __init__(self, host, record):
        self.host = host
        self.record = record
        self.times = []
        self.report = {"from": record["from"]["version"], "to": record["to"]["version"], "held_s": 0.0}

    def step(self, name, **facts):
        """Note in the journal what begins now."""
        self.times.append((name, time.monotonic()))
        self.record |= {"step": name, **facts}
        write_json(JOURNAL, self.record)

    def end(self):
        """Complete the report with the seconds of each step."""
        end, seconds = time.monotonic(), {}
        for name, began in reversed(self.times):
            seconds[name] = round(end - began, 1)
            end = began
        self.report["seconds"] = dict(reversed(seconds.items()))
        JOURNAL.unlink(missing_ok=True)

    def hold(self):
        """Have clients told to come again shortly; only who knows the token gets through."""
        self.step("hold requests", token=secrets.token_hex(16), held_at=time.time())
        self.host.gateway("hold", self.record["token"])
        self.announce(self.record.get("expected_s", 0))

    def announce(self, seconds):
        """Tell clients that are held off how long it may take."""
        # The gateway's program may be of an earlier Flowstead, which does not know this yet.
        with contextlib.suppress(ChangeError):
            self.host.gateway("announce", str(seconds))

    def hold_and_stop(self, version):
        """Hold clients off and stop what serves; a long request there makes them wait longer and longer."""
        self.hold()
        is_over = threading.Event()

        def tell():
            waited_s = DRAIN_NOTICE_S
            while not is_over.wait(DRAIN_NOTICE_S):
                self.announce(self.record.get("expected_s", 0) + TRIES * waited_s)
                waited_s += DRAIN_NOTICE_S

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            self.host.stop(version)
        finally:
            is_over.set()
            teller.join()

    def let_go(self):
        """Let clients in again."""
        if "held_at" in self.record:
            self.host.gateway("release")
            self.report["held_s"] = round(time.time() - self.record["held_at"], 1)

    def run(self):
        """Make the change; whatever fails before it is committed is undone."""
        host, old, new = self.host, self.record["from"], self.record["to"]
        try:
            if self.record["data"]:
                self.change_data()
            elif old["version"] and not host.settings["room_for_two"]:
                self.hold_and_stop(old["version"])
            self.step("start the release")
            # Whatever runs under its name already is not what is wanted now.
            host.start(new["version"], afresh=True)
            host.ask(new["version"])
            self.step("switch the gateway")
            host.gateway("upstream", str(new["port"]))
            self.step("use it as a client")
            host.use_as_client(new["version"], self.record.get("token", ""))
        except (ChangeError, OSError) as error:
            try:
                self.undo()
            except ChangeError as further:
                raise ChangeError(f"{error}\n{further}") from error
            raise ChangeError(str(error)) from error
        self.finish()

    def change_data(self):
        """Take the data to where the new release wants them, while nothing else writes."""
        host, old, new = self.host, self.record["from"], self.record["to"]
        present = old["version"] or new["version"]
        if old["version"]:
            self.hold_and_stop(old["version"])
        self.step("back up")
        restoring = self.record["data"] != "migrate"
        reason = "before-restore" if restoring else f"before-{new['version']}"
        backup = host.data(present, "dump", reason, present, what="The databases could not be backed up")[
            "name"
        ]
        self.report["backup"] = backup
        self.step("change the data", backup=backup)
        with host.owner():
            if restoring:
                name = self.record["data"]
                host.data(present, "restore", name, what=f"The backup {name} could not be restored")
            else:
                host.migrate(new["version"], "owner_uri")

    def undo(self):
        """Have everything as it was; try again for as long as the database may take to come back."""
        deadline = time.monotonic() + UNDO_DEADLINE_S
        while True:
            try:
                self.undo_once()
            except (ChangeError, OSError) as error:
                if time.monotonic() > deadline:
                    backup = self.record.get("backup") or "none was needed"
                    raise ChangeError(
                        f"The change could not be undone: {error}\nIt is tried again (journalctl -u "
                        f"mlflow-recover), and until then clients are told to wait. Backup of the data: "
                        f"{backup}."
                    ) from error
                time.sleep(UNDO_PAUSE_S)
            else:
                self.end()
                return

    def undo_once(self):
        """Go back to the release and the data that were there before."""
        host, old, new = self.host, self.record["from"], self.record["to"]
        both = {old["version"], new["version"]} - {""}
        if self.record.get("backup"):
            # Also when the data may not have been touched: to restore does no harm, to guess might.
            for version in both:
                host.stop(version)
            with host.owner():
                present = old["version"] or new["version"]
                host.data(present, "restore", self.record["backup"], what="The data could not be put back")
            self.report["data_put_back"] = True
        if old["version"]:
            host.start(old["version"])
            host.ask(old["version"])
            host.gateway("upstream", str(old["port"]))
        for version in both - {old["version"]}:
            host.stop(version)
        self.let_go()

    def finish(self):
        """Commit the change, and clear away what it leaves; each line may be run again."""
        host, old, new = self.host, self.record["from"], self.record["to"]
        self.step(COMMIT)
        before = [one for one in (old["version"], *old["before"]) if one not in ("", new["version"])]
        serving = {"version": new["version"], "port": new["port"], "before": list(dict.fromkeys(before))}
        write_json(host.serving_file, serving)
        host.at_boot(new["version"], started=True)
        host.start(new["version"])
        host.gateway("upstream", str(new["port"]))
        self.let_go()
        if old["version"] not in ("", new["version"]):
            host.at_boot(old["version"], started=False)
            host.stop(old["version"])
        shutil.rmtree(STATE / "backups", ignore_errors=True)
        self.end()


def change(host, report, version, data):
    """Have a release serve, with the data as it needs them."""
    old = host.serving()
    record = {"from": old, "to": {"version": version, "port": host.port(version)}, "data": data}
    if data and old["version"]:
        checked = host.data(old["version"], "check", what="Nothing has been changed")
        report |= checked
        record["expected_s"] = expected_s(version, checked["database_mib"])
    one = Change(host, record)
    try:
        one.run()
    finally:
        report |= one.report


def expected_s(version, database_mib):
    """Return for how many seconds clients may be held off, if the data have to be put back in the end."""
    try:
        rehearsal = json.loads(REHEARSAL.read_text())
    except FileNotFoundError:
        rehearsal = {"version": ""}
    once = rehearsal["seconds"] if rehearsal["version"] == version else 0
    return round(2 * once + database_mib / BACKUP_MIB_PER_S)


def recover(host):
    """Finish or undo what was broken off; return what was done, or an empty text."""
    done = " ".join(filter(None, (recover_change(host), clear_up(host))))
    # Nothing needs them now: the owner's password, which whoever was killed while it was fetched could not
    # remove, and dumps, which are in the bucket if they are complete.
    host.forget_owner()
    shutil.rmtree(STATE / "backups", ignore_errors=True)
    return done


def recover_change(host):
    """Finish or undo a change that was broken off."""
    if not JOURNAL.exists():
        return ""
    record = json.loads(JOURNAL.read_text())
    one = Change(host, record)
    if record["step"] == COMMIT:
        one.finish()
        return f"A change to MLflow {record['to']['version']} had been broken off, and has been finished."
    one.undo()
    version = record["to"]["version"]
    serves = record["from"]["version"] or "nothing"
    return (
        f'A change to MLflow {version} had been broken off at the step "{record["step"]}", and has been '
        f"undone: {serves} serves."
    )


def clear_up(host):
    """Remove what a rehearsal left that was broken off: the copies, and the server on them."""
    if not COPIES.exists():
        return ""
    with host.owner():
        wipe(host)
    return "A rehearsal had been broken off; what it left has been removed."


def wipe(host):
    """Stop the server on the copies, and empty them."""
    host.systemctl("stop", "mlflow-rehearsal@*.service", what="The rehearsal could not be stopped")
    able = json.loads(COPIES.read_text())["version"]
    host.data(able, "wipe", what="The copies could not be removed")
    COPIES.unlink()


def rehearse(host, report, version, depth):
    """Migrate copies of the databases, have the release serve them, ask it real questions, and clear up."""
    unit = f"mlflow-rehearsal@{version}.service"
    present = host.serving()["version"] or version
    began = time.monotonic()
    with host.owner():
        write_json(COPIES, {"version": present})
        try:
            report |= host.data(present, "copy", depth, what="The databases could not be copied")
            host.migrate(version, "copy_owner_uri")
            report["asked"] = bool(host.settings["room_for_two"])
            if report["asked"]:
                host.systemctl("start", unit, what="The release could not be started on the copies")
                host.ask(version, unit, host.settings["rehearsal_port"])
        finally:
            wipe(host)
            seconds = round(time.monotonic() - began, 1)
            report["seconds"] = {"rehearsal": seconds}
            write_json(REHEARSAL, {"version": version, "seconds": seconds})


def age_s(text):
    """Return the seconds of an age such as 30d or 1d12h."""
    found = AGE.fullmatch(text)
    if not found:
        raise RefusedError(f"{text!r} is no age: give days, hours and minutes, such as 30d, 12h or 1d12h.")
    return sum(int(number) * unit for number, unit in zip(found.groups("0"), (86400, 3600, 60), strict=True))


def do(host, arguments, report):
    """Do what was asked."""
    asked = arguments.asked
    if asked == "upgrade":
        change(host, report, arguments.version, "migrate" if arguments.migrate else "")
    elif asked == "restore":
        change(host, report, arguments.version, arguments.backup)
    elif asked == "rehearse":
        rehearse(host, report, arguments.version, arguments.depth)
    elif asked == "backup":
        serving = host.serving()["version"]
        what = "The databases could not be backed up"
        report |= host.data(serving, "dump", arguments.reason, serving, "--tidy", what=what)
    elif asked == "garbage":
        serving = host.serving()["version"]
        if not serving:
            raise RefusedError("Nothing serves yet.")
        age = arguments.older_than or host.settings["garbage_age"]
        report |= host.collect_garbage(serving, age, age_s(age), dry_run=arguments.dry_run)


def parse():
    """Return what was asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", type=Path, help="file to write what happened to, as JSON")
    asked = parser.add_subparsers(dest="asked", required=True)
    upgrade = asked.add_parser("upgrade", help="have a release serve")
    upgrade.add_argument("version")
    upgrade.add_argument("--migrate", action="store_true", help="its schema is newer than the databases'")
    rehearsal = asked.add_parser("rehearse", help="try a release on copies of the databases")
    rehearsal.add_argument("version")
    rehearsal.add_argument("depth", choices=["schema", "full"], help="what is copied")
    restore = asked.add_parser("restore", help="put a backup's data back and have a release serve them")
    restore.add_argument("backup")
    restore.add_argument("version")
    asked.add_parser("backup", help="back the databases up, while MLflow serves").add_argument("reason")
    garbage = asked.add_parser("garbage", help="remove for good what users deleted, while MLflow serves")
    garbage.add_argument("--older-than", help="how long ago at least, such as 30d or 1d12h")
    garbage.add_argument("--dry-run", action="store_true", help="only count")
    asked.add_parser("recover", help="finish or undo a change that was broken off")
    return parser.parse_args()


def die(number, _frame):
    """End as `kill -9` does: systemd takes a program that these signals end for one that is done."""
    os._exit(128 + number)


def main():
    """Do what was asked, and leave a report: `outcome` is done, refused or failed."""
    arguments = parse()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, die)
    host, report = Host(json.loads(SETTINGS.read_text())), {}
    try:
        with only_one(f"{arguments.asked} {getattr(arguments, 'version', '')}".strip()):
            report["recovered"] = recover(host)
            do(host, arguments, report)
        report["outcome"] = "done"
    except (ChangeError, OSError) as failed:
        outcome = "refused" if isinstance(failed, RefusedError) else "failed"
        # The journal of a change that goes on meanwhile is somebody else's.
        undone = outcome == "refused" or not JOURNAL.exists()
        report |= {"outcome": outcome, "why": str(failed), "undone": undone}
    report["serves"] = host.serving()["version"]
    print(json.dumps(report, indent=4))
    if arguments.report:
        write_json(arguments.report, report)
    return 0 if report["outcome"] == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
