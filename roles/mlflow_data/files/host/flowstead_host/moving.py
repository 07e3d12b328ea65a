"""The steps of a move of the data into another store, and its rehearsal. Managed by Ansible.

The old store is only read: what fails before the commit leaves it as it was, and after the commit it stays.
In the new one the data get into fresh databases, which then get the names that the release knows.
"""

from __future__ import annotations

from typing import Any

from flowstead_host import stores
from flowstead_host.errors import RefusedError
from flowstead_host.host import Host
from flowstead_host.journal import COPIES, REHEARSAL
from flowstead_host.settings import with_passfile
from flowstead_host.step import Step

# What stands in the journal of a change instead of the name of a backup.
MOVE = "move"
# MLflow's databases in the order of the settings, as migrate.py calls them.
STORES = ("tracking", "login")
# The words that `data` is asked about either store with.
SOURCE = ("--store", str(stores.OLD_STORE))
TARGET = ("--store", str(stores.NEW_STORE))
# How long all but the copying takes. Measured on two cores: to stop two workers, switch, start them again and
# use them as a client took 12 s, and 29 s where other programs kept the host busy.
START_S = 30


class MakeTables(Step):
    """Have the release make its tables in fresh databases of the new store, while the old one serves."""

    name = "make the tables"

    def do(self) -> None:
        """Make them."""
        with self.host.owner():
            addresses = self.change.target_data("fresh", what="No fresh databases could be made")
            self.host.migrate(self.new["version"], addresses)
        self.change.note(rows_to=as_owner(self.host, addresses))

    def undo(self) -> None:
        """Remove the databases."""
        self.change.remove_fresh()


class CopyData(Step):
    """Copy all rows into the fresh databases, while nobody writes; `make the tables` takes it back."""

    name = "copy the data"

    def do(self) -> None:
        """Copy them, and compare what has arrived."""
        record = self.change.record
        with self.host.owner(keep=True):
            addresses = {name: (uri, record["rows_to"][name]) for name, uri in record["rows_from"].items()}
            self.change.report["copied"] = self.host.transfer(self.new["version"], addresses)


class SwitchStore(Step):
    """Have the server's settings be those of the new store; the old ones are kept until the commit."""

    name = "switch the store"

    def do(self) -> None:
        """Put the new settings in the place of the old ones."""
        self.host.stores.use_new()

    def undo(self) -> None:
        """Put the old ones back; what a boot started with new ones is stopped by `switch the data`."""
        self.host.stores.use_old()


def as_owner(host: Host, addresses: dict[str, str]) -> dict[str, str]:
    """Return addresses in the new store with the owner's password file."""
    passfile = host.stores.target.owner_passfile
    return {name: with_passfile(uri, passfile) for name, uri in addresses.items()}


def sources(host: Host) -> dict[str, str]:
    """Return the addresses of the databases that serve, as the server has them."""
    settings = host.settings
    uris = [with_passfile(one.uri, settings.passfile) for one in settings.databases]
    return dict(zip(STORES, uris))


def prepare(host: Host, report: dict[str, Any], version: str) -> None:
    """Put the settings of both stores aside, and refuse what cannot be moved.

    Raises:
        RefusedError: another release serves, or there is no store to move to.
        ChangeError: one of the stores is not as it must be.

    """
    serves = host.serving()["version"]
    if serves != version:
        raise RefusedError(
            f"MLflow {serves} serves, and data are moved with the release that serves. Bring {version} into "
            "service first: ansible-playbook site.yml"
            if serves
            else "Nothing serves yet, so there are no data to move. Run: ansible-playbook site.yml"
        )
    host.stores.put_aside()
    report["stores"] = {"from": host.settings.store, "to": host.stores.target.store}
    what = "Nothing has been changed"
    report.update(host.data(version, *SOURCE, "check", what=what))
    host.data(version, *TARGET, "check-empty", what=what)


def rehearse(host: Host, report: dict[str, Any], version: str) -> None:
    """Copy all into fresh databases of the new store while the old one serves, compare, and clear up."""
    began = host.clock()
    prepare(host, report, version)
    COPIES.write({"version": version, "data": MOVE})
    try:
        with host.owner():
            addresses = host.data(version, *TARGET, "fresh", what="No fresh databases could be made")
            host.migrate(version, addresses)
            to = as_owner(host, addresses)
            copying = host.clock()
            report["copied"] = host.transfer(
                version, {name: (uri, to[name]) for name, uri in sources(host).items()}
            )
            seconds = round(host.clock() - copying + START_S, 1)
            REHEARSAL.write({"version": version, "data": MOVE, "seconds": seconds})
    finally:
        host.dismiss()
        clear_up(host, version)
        report["seconds"] = {"rehearsal": round(host.clock() - began, 1)}


def clear_up(host: Host, version: str) -> None:
    """Remove what a rehearsal has made in the new store."""
    with host.owner():
        host.data(version, *TARGET, "drop-fresh", what="The copies could not be removed")
    COPIES.remove()
    host.stores.forget()
