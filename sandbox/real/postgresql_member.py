"""A PostgreSQL server that shares its data with others, as a member of an Aurora cluster does.

Aurora's members share their storage. Here each has data of its own, and those that read follow the one that
writes by streaming replication, through sockets in a directory that all of them see: a VPC's security groups
do not let a database in to another.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from sandbox.real.databases import remove_snapshot
from sandbox.real.postgresql_server import PostgresqlServer

_INSIDE = "/cluster"
_STANDBY = "standby.signal"
"""The file that makes a server follow. Source: "Hot Standby", PostgreSQL's documentation."""
_PROMOTION_S = 60
_SETTINGS = {
    # A reader that was away is made anew; this much is kept for one that only lags.
    "wal_keep_size": "1GB",
    # One for each reader that there can be, and some for copies.
    "max_wal_senders": "30",
}


class PostgresqlMember(PostgresqlServer):
    """A member's real server.

    Attributes:
        directory: what its cluster has; set before the server is made.
    """

    directory: Path
    _upstream: str = ""
    """The member that it follows; none: it writes."""

    def join(self, writer: PostgresqlMember) -> None:
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
            signal, owner = self._data / _STANDBY, self._data.stat()
            signal.touch()
            os.chown(signal, owner.st_uid, owner.st_gid)
            self._upstream = writer.identifier
            self.run()

    def promote(self) -> None:
        """Take writes from now on, with all that has arrived; returns when it does."""
        with self._lock:
            self._query(f"SELECT pg_promote(true, {_PROMOTION_S})")
            self._upstream = ""
            self._configure(self._parameters)

    def follow(self, writer: PostgresqlMember) -> None:
        """Follow another member that has just been promoted."""
        with self._lock:
            self._upstream = writer.identifier
            self._configure(self._parameters)
            self._reload()

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
        return ("--volume", f"{sockets}:{_INSIDE}")

    def _config_files(self, parameters: Mapping[str, str]) -> Mapping[str, str]:
        files = dict(super()._config_files(parameters))
        more = _SETTINGS | {"unix_socket_directories": f"/run/postgresql,{_INSIDE}/{self.identifier}"}
        if self._upstream:
            host = f"{_INSIDE}/{self._upstream}"
            more["primary_conninfo"] = (
                f"host={host} port={self._port} user=rdsadmin application_name={self.identifier}"
            )
        files["postgresql.conf"] += "".join(f"{name} = '{value}'\n" for name, value in more.items())
        return files
