"""Runs the steps of a change, with a journal and one commit point. Managed by Ansible.

Each step is written down before it begins. After a crash, `recover` finishes a change that was committed, and
takes back any other, from the step that was under way to the first.
"""

from __future__ import annotations

import contextlib
from typing import Any

from flowstead_host import moving
from flowstead_host.errors import ChangeError, RefusedError
from flowstead_host.host import Host
from flowstead_host.journal import JOURNAL, REHEARSAL
from flowstead_host.settings import NAME, is_imported
from flowstead_host.step import Step
from flowstead_host.steps import step_called, steps_for

COMMIT = "commit"
# The database may be restarting while a change is undone: how long to try again before somebody has to look.
UNDO_DEADLINE_S = 900
UNDO_PAUSE_S = 5
# How much longer clients have to wait when a change is undone: what served before has to start.
UNDO_S = 60
# Of a GiB of a database server's disk: the rest is for its journal, and for what is logged meanwhile.
USABLE_MIB_OF_GIB = 0.8 * 1024
# How much of a database is dumped and copied in a second. Measured: 627 MiB, nearly all metrics, were dumped,
# read back and sent in 15 s on a host with two busy cores; the first of it while clients wait.
BACKUP_MIB_PER_S = 10


class Change:
    """One change of what serves: `record` is the journal, `report` what the caller is told."""

    def __init__(self, host: Host, record: dict[str, Any]) -> None:
        self.host = host
        self.record = record
        self.old, self.new = record["from"], record["to"]
        if "steps" not in record:
            record["steps"] = self.steps_of_an_earlier_flowstead()
        self.steps: list[Step] = [step_called(name, self) for name in record["steps"]]
        self.times: list[tuple[str, float]] = []
        self.report: dict[str, Any] = {
            "from": self.old["version"],
            "to": self.new["version"],
            "held_s": 0.0,
        }

    def steps_of_an_earlier_flowstead(self) -> list[str]:
        """Return the steps of a change whose journal does not name them."""
        if self.record["data"]:
            raise ChangeError(
                "An earlier version of Flowstead was interrupted while it changed the data; it puts its "
                f"backup {self.record.get('backup')} back itself. Run that version's site.yml, then this"
            )
        return steps_for("", serves=bool(self.old["version"]), has_room=self.host.settings.room_for_two)

    @property
    def present(self) -> str:
        """The release whose libraries can be used on the databases as they are."""
        return str(self.old["version"] or self.new["version"])

    @property
    def is_migrating(self) -> bool:
        """Whether the data are migrated; otherwise a backup is restored, or nothing done with them."""
        return bool(self.record["data"] == "migrate")

    @property
    def is_moving(self) -> bool:
        """Whether the data are moved into another store."""
        return bool(self.record["data"] == moving.MOVE)

    @property
    def is_importing(self) -> bool:
        """Whether runs and models of another server are put in the place of ours, which has none."""
        return is_imported(self.record["data"])

    @property
    def source(self) -> tuple[str, ...]:
        """The words that say where the data are that serve when the change begins."""
        return moving.SOURCE if self.is_moving else ()

    @property
    def target(self) -> tuple[str, ...]:
        """The words that say where those are that serve when it is done."""
        return moving.TARGET if self.is_moving else ("--tracking",) if self.is_importing else ()

    @property
    def taking(self) -> tuple[str, ...]:
        """The words by which a backup is taken of the data as they are."""
        data = self.record["data"]
        reasons = {"migrate": f"before-{self.new['version']}", moving.MOVE: "before-move"}
        return ("take", reasons.get(data, "before-restore"), self.present)

    @property
    def is_held(self) -> bool:
        """Whether clients are held off at some time of this change."""
        return "hold requests" in self.record["steps"]

    def note(self, **facts: Any) -> None:
        """Write facts into the journal."""
        self.record.update(facts)
        JOURNAL.write(self.record)

    def begin(self, name: str) -> None:
        """Note in the journal what begins now."""
        self.times.append((name, self.host.clock()))
        self.note(step=name)

    def end(self) -> None:
        """Clear away what is in nobody's use any more; complete the report with the seconds of each step."""
        self.host.clear_spool()
        ends = [began for _, began in self.times[1:]] + [self.host.clock()]
        self.report["seconds"] = {name: round(end - began, 1) for (name, began), end in zip(self.times, ends)}
        JOURNAL.remove()
        if self.is_moving:
            self.host.stores.forget()

    def run(self) -> None:
        """Make the change; whatever fails before it is committed is undone."""
        try:
            for step in self.steps:
                self.begin(step.name)
                step.do()
        except (ChangeError, OSError) as error:
            try:
                self.undo()
            except ChangeError as further:
                raise ChangeError(f"{error}\n{further}") from error
            raise ChangeError(str(error)) from error
        self.finish()

    def undo(self) -> None:
        """Have everything as it was; try again for as long as the database may take to come back."""
        deadline = self.host.clock() + UNDO_DEADLINE_S
        if "held_at" in self.record and "undoing" not in self.record:
            self.announce(self.record.get("expected_s", 0) + UNDO_S)
        while (failed := self.undo_once()) is not None:
            if self.host.clock() > deadline:
                raise ChangeError(
                    f"The change could not be undone: {failed}\nIt is tried again (journalctl -u "
                    f"{NAME}-recover), and until then clients are told to wait. The databases of before are "
                    "whole, under their own names or with _old behind."
                ) from failed
            self.host.pause(UNDO_PAUSE_S)
        self.end()

    def undo_once(self) -> Exception | None:
        """Take back every step that was begun, the last one first; return what stood in the way."""
        self.host.dismiss()
        names = self.record["steps"]
        begun = names.index(self.record.get("undoing", self.record["step"])) + 1
        try:
            for step in reversed(self.steps[:begun]):
                # Not twice: clients may have been let in since.
                self.note(undoing=step.name)
                step.undo()
        except (ChangeError, OSError) as error:
            return error
        return None

    def finish(self) -> None:
        """Commit the change, and clear away what it leaves; each line may be run again."""
        host, old, new = self.host, self.old, self.new
        self.begin(COMMIT)
        before = [one for one in (old["version"], *old["before"]) if one not in ("", new["version"])]
        host.note_serving(
            {"version": new["version"], "port": new["port"], "before": list(dict.fromkeys(before))}
        )
        host.start(new["version"])
        host.gateway("upstream", str(new["port"]))
        self.let_go()
        # Nobody need wait for it: systemd reads all its units anew.
        host.at_boot(new["version"], started=True)
        if old["version"] not in ("", new["version"]):
            host.at_boot(old["version"], started=False)
            host.stop(old["version"])
        if self.record["data"]:
            with host.owner():
                self.target_data("drop-old", what="The previous databases could not be removed")
        self.end()

    # What several steps do

    def data(self, *words: str, what: str) -> dict[str, Any]:
        """Do something with the databases that serve when the change begins."""
        return self.host.data(self.present, *self.source, *words, what=what)

    def target_data(self, *words: str, what: str) -> dict[str, Any]:
        """Do something with those that serve when it is done; unless data are moved, they are the same."""
        return self.host.data(self.present, *self.target, *words, what=what)

    def remove_fresh(self) -> None:
        """Remove databases that were not given the others' names."""
        with self.host.owner():
            self.target_data("drop-fresh", what="The fresh databases could not be removed")

    def bring_back(self) -> None:
        """Have what served before serve again."""
        if self.old["version"]:
            self.host.start(self.old["version"])
            self.host.ask(self.old["version"])
            self.host.gateway("upstream", str(self.old["port"]))

    def announce(self, seconds: float) -> None:
        """Tell clients that are held off how long it may take."""
        # The gateway's program may be of an earlier Flowstead, which does not know this yet.
        with contextlib.suppress(ChangeError):
            self.host.gateway("announce", str(seconds))

    def let_go(self) -> None:
        """Let clients in again."""
        if "held_at" in self.record:
            self.host.gateway("release")
            self.report["held_s"] = round(self.host.now() - self.record["held_at"], 1)


def change(host: Host, report: dict[str, Any], version: str, data: str, *, database_gib: int = 0) -> None:
    """Have a release serve, with the data as it needs them.

    Args:
        host: where.
        report: is completed with what happened.
        version: the release.
        data: `migrate`, `move`, the name of the backup to restore, or empty when the data stay as they are.
        database_gib: the disk of the database server; 0 where it is not known.

    Raises:
        RefusedError: the database server has no room for a second copy, or there is nowhere to move the data.
        ChangeError: it could not be done, and everything is as it was.

    """
    old = host.serving()
    record: dict[str, Any] = {
        "from": old,
        "to": {"version": version, "port": host.port(version)},
        "data": data,
        "steps": steps_for(data, serves=bool(old["version"]), has_room=host.settings.room_for_two),
    }
    if data == moving.MOVE:
        moving.prepare(host, report, version)
        record["rows_from"] = moving.sources(host)
        record["expected_s"] = expected_s(version, report["database_mib"], data)
    elif data:
        checked = host.data(old["version"] or version, "check", what="Nothing has been changed")
        report.update(checked)
        if database_gib and 2 * checked["database_mib"] > database_gib * USABLE_MIB_OF_GIB:
            raise RefusedError(
                f"the databases have {checked['database_mib']} MiB, and their server has a disk of "
                f"{database_gib} GiB: a second copy would fill it. Set database.storage_gib in deployment.yml"
            )
        record["expected_s"] = expected_s(version, checked["database_mib"], data)
    one = Change(host, record)
    try:
        one.run()
    finally:
        host.dismiss()
        report.update(one.report)


def expected_s(version: str, database_mib: float, data: str = "migrate") -> int:
    """Return for how many seconds clients may be held off: by what was rehearsed, a start, and a backup."""
    rehearsal = REHEARSAL.read() or {"version": ""}
    was_move = rehearsal.get("data") == moving.MOVE
    is_same = rehearsal["version"] == version and was_move == (data == moving.MOVE)
    return round((rehearsal["seconds"] if is_same else 0) + database_mib / BACKUP_MIB_PER_S)


def recover(host: Host) -> str:
    """Finish or undo a change that was interrupted; return what was done, or an empty text."""
    record = JOURNAL.read()
    if record is None:
        return ""
    one = Change(host, record)
    version = record["to"]["version"]
    change = "A move of the data" if one.is_moving else f"A change to MLflow {version}"
    if record["step"] == COMMIT:
        one.finish()
        return f"{change} had been interrupted, and has been finished."
    one.undo()
    serves = record["from"]["version"] or "nothing"
    return (
        f'{change} had been interrupted at the step "{record["step"]}", and has been undone: {serves} serves.'
    )
