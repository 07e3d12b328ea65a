"""Tries a release on copies of the databases, while another one serves. Managed by Ansible."""

from __future__ import annotations

from typing import Any

from flowstead_host import moving
from flowstead_host.host import Host
from flowstead_host.journal import COPIES, REHEARSAL


def rehearse(host: Host, report: dict[str, Any], version: str, depth: str) -> None:
    """Migrate copies of the databases, have the release serve them, ask it real questions, and clear up."""
    present = host.serving()["version"] or version
    began = host.clock()
    with host.owner():
        COPIES.write({"version": present})
        try:
            report.update(host.data(present, "copy", depth, what="The databases could not be copied"))
            host.load_migration(version)
            loaded = host.clock()
            host.migrate(version, report.pop("addresses"))
            report["asked"] = host.settings.room_for_two
            if report["asked"]:
                host.start_on_copies(version)
                host.ask(version, on_copies=True)
            REHEARSAL.write({"version": version, "seconds": round(host.clock() - loaded, 1)})
        finally:
            host.dismiss()
            wipe(host)
            report["seconds"] = {"rehearsal": round(host.clock() - began, 1)}


def clear_up(host: Host) -> str:
    """Remove what an interrupted rehearsal left: the copies, and the server on them."""
    note = COPIES.read()
    if note is None:
        return ""
    if note.get("data") == moving.MOVE:
        moving.clear_up(host, note["version"])
    else:
        with host.owner():
            wipe(host)
    return "A rehearsal had been interrupted; what it left has been removed."


def wipe(host: Host) -> None:
    """Stop the server on the copies, and empty them."""
    host.stop_on_copies()
    note = COPIES.read()
    if note is not None:
        host.data(note["version"], "wipe", what="The copies could not be removed")
    COPIES.remove()
