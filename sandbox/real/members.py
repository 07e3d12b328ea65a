"""A server that shares its data with others, as a member of an Aurora cluster does.

Aurora's members share their storage. Here each has data of its own, and those that read follow the one that
writes by the engine's replication, through sockets in a directory that all of them see: a VPC's security
groups do not let a database in to another.
"""

from __future__ import annotations

import abc
import shutil
from pathlib import Path
from typing import ClassVar, Self

from sandbox.real.databases import Database, remove_snapshot


class Member(Database):
    """A member's real server.

    Attributes:
        directory: what its cluster has; set before the server is made.
    """

    directory: Path
    _INSIDE: ClassVar[str] = "/cluster"
    """Where all members' sockets are, in each one's container."""
    _upstream: str = ""
    """The member that it follows; none: it writes."""

    def join(self, writer: Self) -> None:
        """Begin anew with a copy of another member's data, and follow it.

        Args:
            writer: the member that writes; must run.

        Raises:
            RealError: the server does not start; with the last lines of its log.
        """
        with self._lock:
            self.remove()
            copy = f".{self.identifier}.join"
            writer.snapshot(copy)
            try:
                self.restore(copy)
            finally:
                remove_snapshot(self._site, copy)
            self._upstream = writer.identifier
            self._follow_first()

    @abc.abstractmethod
    def _follow_first(self) -> None:
        """Run with the copied data, and follow."""

    @abc.abstractmethod
    def hand_over(self, other: Self) -> None:
        """End the server, with all that it has written sent to another member, and have that one write."""

    @abc.abstractmethod
    def follow(self, writer: Self) -> None:
        """Follow another member that has just been promoted."""

    def leave_data(self, volume: Path) -> None:
        """End the server, and leave its data in a directory for whoever is next."""
        with self._lock:
            self.stop()
            self.remove(keep_data=True)
            volume.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(volume, ignore_errors=True)
            if self._has_data():
                self._data.rename(volume)
            shutil.rmtree(self._files, ignore_errors=True)

    def take_data(self, volume: Path) -> None:
        """Begin with the data in a directory, if there are any; then `run`."""
        with self._lock:
            if volume.exists():
                shutil.rmtree(self._data, ignore_errors=True)
                self._data.parent.mkdir(parents=True, exist_ok=True)
                volume.rename(self._data)

    def _more_options(self) -> tuple[str, ...]:
        sockets = self.directory / "sockets"
        own = sockets / self.identifier
        own.mkdir(parents=True, exist_ok=True)
        # The server makes its socket there, under a user that only its image knows.
        own.chmod(0o1777)
        return ("--volume", f"{sockets}:{self._INSIDE}")
