"""Has this machine, which is the internet here, know the names of databases that are publicly accessible."""

from __future__ import annotations

import logging

from sandbox import account
from sandbox.mapping import database_objects
from sandbox.real import machine_names
from sandbox.real.site import Site

log = logging.getLogger(__name__)


class PublicNames:
    """The public names of a sandbox.

    Args:
        site: its piece of the machine's network.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._shown: dict[str, str] = {}

    def follow(self) -> None:
        """Show what the account says now; quick, so that a status and the names change together."""
        with account.lock:
            wanted = {
                name: addresses[0]
                for region in account.rds_regions()
                for name, addresses in database_objects.endpoints(
                    account.rds(region), database_objects.public_address
                ).items()
            }
            if wanted == self._shown:
                return
            try:
                machine_names.show(self._site.name, self._site.clone, wanted)
            except OSError:
                log.exception("names that this machine does not find: %s", ", ".join(wanted))
            self._shown = wanted
