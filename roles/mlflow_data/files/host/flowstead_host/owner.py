"""The password of the databases' owner, which is on the host only while it is needed. Managed by Ansible."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from flowstead_host.programs import Program
from flowstead_host.settings import Settings
from flowstead_host.stores import Stores


class WithOwner:
    """A host that can be given the password: of the store that data are being moved to, if any are."""

    settings: Settings
    stores: Stores
    # Programs that wait to be told what to do, by what they are for.
    waiting: dict[str, Program]

    def begin_owner(self) -> None:
        """Begin to fetch the owner's password, while other things are done; where there is one."""
        unit = self.stores.target.owner_passfile_unit
        if unit:
            what = "The password of the databases' owner could not be fetched"
            self.waiting["owner"] = Program("systemctl", "start", unit, what=what)

    @contextlib.contextmanager
    def owner(self, *, keep: bool = False) -> Iterator[None]:
        """Keep the owner's password on the host while it is needed; `keep`: also for what comes next."""
        try:
            if "owner" not in self.waiting and not Path(self.stores.target.owner_passfile).exists():
                self.begin_owner()
            if "owner" in self.waiting:
                self.waiting.pop("owner").finish()
            yield
        except BaseException:
            self.forget_owner()
            raise
        if not keep:
            self.forget_owner()

    def forget_owner(self) -> None:
        """Remove the owner's password."""
        for settings in (self.settings, self.stores.target):
            if settings.owner_passfile:
                Path(settings.owner_passfile).unlink(missing_ok=True)
