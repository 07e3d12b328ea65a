"""The steps of a change: what each does, and how that is taken back. Managed by Ansible."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING

from flowstead_host.errors import ChangeError
from flowstead_host.moving import MOVE, CopyData, MakeTables, SwitchStore
from flowstead_host.settings import is_imported
from flowstead_host.step import Step

if TYPE_CHECKING:
    from flowstead_host.changes import Change

# How often clients that wait for somebody's long request to finish are told to come again later.
DRAIN_NOTICE_S = 20
# The first time: a client that is told to come again after 5 s still has most of its tries.
FIRST_NOTICE_S = 12
# The gateway makes a Retry-After of what is announced: so many of them last as long (flowstead-gateway).
TRIES = 4


class RestoreBackup(Step):
    """Put a backup's data into fresh databases, while the present ones serve."""

    name = "restore the backup"

    def do(self) -> None:
        """Fill the fresh databases."""
        backup = self.change.record["data"]
        with self.host.owner():
            what = f"The backup {backup} could not be restored"
            addresses = self.change.target_data("prepare", backup, what=what)["addresses"]
            if addresses:
                # Whose dumps have rows alone: this release is of the backup's schema, and makes its tables.
                self.host.migrate(self.new["version"], addresses)
            self.change.target_data("restore", backup, what=what)

    def undo(self) -> None:
        """Remove them."""
        self.change.remove_fresh()


class GetReady(Step):
    """Load what takes its time to load before clients are held off for it."""

    name = "get ready"

    def do(self) -> None:
        """Begin the programs that wait to be told what to do, and the release, unless it serves just now."""
        change = self.change
        questions = [(*change.source, *change.taking), (*change.target, "switch")]
        if change.is_migrating:
            questions += [("fresh",)]
        self.host.get_ready(
            self.new["version"],
            questions,
            migrates=change.is_migrating,
            moves=change.is_moving,
            starts=self.new["version"] != self.old["version"],
        )

    def undo(self) -> None:
        """Stop the release; the programs end with this one."""
        if self.new["version"] != self.old["version"]:
            self.host.stop(self.new["version"])


class HoldRequests(Step):
    """Tell clients to come again shortly; only requests with the token get through."""

    name = "hold requests"

    def do(self) -> None:
        """Hold them off, and say for how long."""
        self.change.note(token=secrets.token_hex(16), held_at=self.host.now())
        self.host.gateway("hold", self.change.record["token"])
        self.change.announce(self.change.record.get("expected_s", 0))

    def undo(self) -> None:
        """Let them in again."""
        self.change.let_go()


class StopOld(Step):
    """Stop what serves; a long request there makes clients wait longer and longer."""

    name = "stop the old release"

    def do(self) -> None:
        """Stop it, and tell clients now and then that it takes longer."""
        is_over = threading.Event()

        def tell() -> None:
            waited_s = DRAIN_NOTICE_S
            pause_s = min(FIRST_NOTICE_S, DRAIN_NOTICE_S)
            while not is_over.wait(pause_s):
                self.change.announce(self.change.record.get("expected_s", 0) + TRIES * waited_s)
                waited_s, pause_s = waited_s + DRAIN_NOTICE_S, DRAIN_NOTICE_S

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            self.host.stop(self.old["version"])
        finally:
            is_over.set()
            teller.join()

    def undo(self) -> None:
        """Have it serve again."""
        self.change.bring_back()


class SeeUnused(Step):
    """See that nobody has logged anything that would give way to what is brought."""

    name = "see that nothing gives way"

    def do(self) -> None:
        """Ask, while nobody writes."""
        logged = self.host.logged(self.change.present)
        if logged:
            told = ", ".join(f"{count} in {table}" for table, count in logged.items())
            raise ChangeError(
                f"this server has data of its own ({told}), which would give way to what is brought. Bring "
                "it into a project that has none: docs/import_your_data.md"
            )


class BackUp(Step):
    """Dump the databases, while nobody writes."""

    name = "back up"

    def do(self) -> None:
        """Take the dump; that it is good is proved while other things are done."""
        what = "The databases could not be backed up"
        self.host.begin_owner()
        backup = self.change.data(*self.change.taking, what=what)["name"]
        self.change.note(backup=backup)
        if backup:
            self.host.begin_keeping(self.change.present, backup)


class MigrateData(Step):
    """Migrate a copy of the databases."""

    name = "change the data"

    def do(self) -> None:
        """Copy them as they are and run the release's migrations in the copies."""
        with self.host.owner(keep=True):
            addresses = self.change.data("fresh", what="The databases could not be copied")
            self.host.migrate(self.new["version"], addresses)

    def undo(self) -> None:
        """Remove the copies."""
        self.change.remove_fresh()


class SwitchData(Step):
    """Give the fresh databases the names that the release knows; the old ones stay next to them."""

    name = "switch the data"

    def do(self) -> None:
        """Switch the names."""
        with self.host.owner():
            self.change.target_data("switch", what="The databases could not be switched")

    def undo(self) -> None:
        """Switch them back."""
        # Whatever serves the fresh ones is connected to them.
        for version in {self.old["version"], self.new["version"]} - {""}:
            self.host.stop(version)
        with self.host.owner():
            what = "The data could not be put back"
            if self.change.target_data("switch-back", what=what)["switched"]:
                self.change.report["data_put_back"] = True


class StartNew(Step):
    """Start the release, and ask it real questions."""

    name = "start the release"

    def do(self) -> None:
        """Start it; whatever runs under its name already is not what is wanted now."""
        self.host.start(self.new["version"], afresh=True)
        self.host.ask(self.new["version"])

    def undo(self) -> None:
        """Stop it; where clients are not held off, have what served before serve them first."""
        if not self.change.is_held:
            self.change.bring_back()
        if self.change.is_held or self.new["version"] != self.old["version"]:
            self.host.stop(self.new["version"])


class SwitchGateway(Step):
    """Direct the gateway to the release; what is undone before the old one serves again directs it back."""

    name = "switch the gateway"

    def do(self) -> None:
        """Direct it."""
        self.host.gateway("upstream", str(self.new["port"]))


class UseAsClient(Step):
    """Use the release as clients do, through the gateway."""

    name = "use it as a client"

    def do(self) -> None:
        """Log a run, and read it back."""
        self.host.use_as_client(self.new["version"], self.change.record.get("token", ""))


class KeepBackup(Step):
    """Put the backup into the bucket, proven to be good, before there is no way back without it."""

    name = "keep the backup"

    def do(self) -> None:
        """Wait until it is."""
        if self.change.record.get("backup"):
            self.host.end_keeping(self.change.present, self.change.record["backup"])
            self.change.report["backup"] = self.change.record["backup"]


KINDS: dict[str, type[Step]] = {
    kind.name: kind
    for kind in (
        RestoreBackup,
        MakeTables,
        GetReady,
        HoldRequests,
        StopOld,
        SeeUnused,
        BackUp,
        MigrateData,
        CopyData,
        SwitchData,
        SwitchStore,
        StartNew,
        SwitchGateway,
        UseAsClient,
        KeepBackup,
    )
}


def steps_for(data: str, *, serves: bool, has_room: bool) -> list[str]:
    """Return the names of the steps of a change, in their order.

    Args:
        data: what the data need: nothing (empty), `migrate`, `move`, or the name of a backup.
        serves: something serves, which clients use.
        has_room: the host has the memory for two releases at a time.
    """
    kinds: list[type[Step]] = []
    is_moving, is_restoring = data == MOVE, data not in ("", "migrate", MOVE)
    if is_restoring:
        kinds += [RestoreBackup]
    if is_moving:
        kinds += [MakeTables]
    if data and serves and has_room:
        kinds += [GetReady]
    if serves and (data or not has_room):
        kinds += [HoldRequests, StopOld]
    if is_imported(data):
        kinds += [SeeUnused]
    if data:
        kinds += [BackUp]
        kinds += [CopyData] if is_moving else [] if is_restoring else [MigrateData]
        kinds += [SwitchData]
        kinds += [SwitchStore] if is_moving else []
    kinds += [StartNew, SwitchGateway, UseAsClient]
    if data:
        kinds += [KeepBackup]
    return [kind.name for kind in kinds]


def step_called(name: str, change: Change) -> Step:
    """Return a step of a change by its name."""
    if name not in KINDS:
        raise ChangeError(
            f'The journal of a change has a step "{name}", which this version of Flowstead does not know. '
            "Run site.yml of the version that began it"
        )
    return KINDS[name](change)
