"""Everything real that one sandbox has, and the threads that keep it as the account says."""

from __future__ import annotations

import logging
from typing import Any

from sandbox.real.certificates import Authority
from sandbox.real.site import Site
from sandbox.state import State
from sandbox.tls import Certificates
from sandbox.web import Application

log = logging.getLogger(__name__)


class World:
    """The real things of one sandbox.

    Args:
        site: its piece of the machine's network.
        state: its files.
        authority: signs the certificates of databases.
        certificates: makes the listeners' TLS contexts.
    """

    def __init__(self, site: Site, state: State, authority: Authority, certificates: Certificates) -> None:
        self.site = site
        self.state = state
        self.authority = authority
        self.certificates = certificates
        self.api: Application | None = None

    def serve_api_with(self, api: Application) -> None:
        """Name what answers AWS calls that come from hosts."""
        self.api = api

    def describe_source(self, peer: str) -> str:
        """Name who is behind an address: ``controller``, or an instance's id."""
        return "controller" if peer == self.site.gateway else peer

    def status(self) -> dict[str, Any]:
        """List what runs."""
        return {"networks": [], "instances": [], "databases": []}

    def close(self) -> None:
        """Remove everything."""
