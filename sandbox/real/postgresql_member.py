"""A PostgreSQL server that is a member of an Aurora cluster: streaming replication."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Self

from sandbox.real.members import Member
from sandbox.real.postgresql_server import PostgresqlServer

_STANDBY = "standby.signal"
"""The file that makes a server follow. Source: "Hot Standby", PostgreSQL's documentation."""
_PROMOTION_S = 60
_SETTINGS = {
    # A reader that was away is made anew; this much is kept for one that only lags.
    "wal_keep_size": "1GB",
    # One for each reader that there can be, and some for copies.
    "max_wal_senders": "30",
}


class PostgresqlMember(Member, PostgresqlServer):
    """A member's real server, with PostgreSQL."""

    def _follow_first(self) -> None:
        signal, owner = self._data / _STANDBY, self._data.stat()
        signal.touch()
        os.chown(signal, owner.st_uid, owner.st_gid)
        self.run()

    def hand_over(self, other: Self) -> None:
        """End as `Member.hand_over` says: it sends the last of what it wrote before it is down."""
        self.stop()
        other.promote()

    def promote(self) -> None:
        """Take writes from now on, with all that has arrived; returns when it does."""
        with self._lock:
            self._query(f"SELECT pg_promote(true, {_PROMOTION_S})")
            self._upstream = ""
            self._configure(self._parameters)

    def follow(self, writer: Self) -> None:
        """Follow another member that has just been promoted."""
        with self._lock:
            self._upstream = writer.identifier
            self._configure(self._parameters)
            self._reload()

    def _config_files(self, parameters: Mapping[str, str]) -> Mapping[str, str]:
        files = dict(super()._config_files(parameters))
        sockets = f"/run/postgresql,{self._INSIDE}/{self.identifier}"
        more = _SETTINGS | {"unix_socket_directories": sockets}
        if self._upstream:
            host = f"{self._INSIDE}/{self._upstream}"
            more["primary_conninfo"] = (
                f"host={host} port={self._port} user=rdsadmin application_name={self.identifier}"
            )
        files["postgresql.conf"] += "".join(f"{name} = '{value}'\n" for name, value in more.items())
        return files
