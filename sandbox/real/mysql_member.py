"""A MySQL server that is a member of an Aurora cluster: replication by global transaction ids."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Self

from sandbox.real import mysql
from sandbox.real.commands import RealError
from sandbox.real.members import Member
from sandbox.real.mysql_server import MysqlServer

_HAND_OVER_S = 60
_TO_UPSTREAM = 3307
"""Where a member's own container forwards to the socket of the one that it follows."""


class MysqlMember(Member, MysqlServer):
    """A member's real server, with MySQL."""

    @property
    def _socket(self) -> str:
        return f"{self._INSIDE}/{self.identifier}/mysqld.sock"

    def _follow_first(self) -> None:
        self.run()
        self._sql(
            f"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {_TO_UPSTREAM}, "
            f"SOURCE_USER = '{mysql.REPLICATION_USER}', SOURCE_AUTO_POSITION = 1, SOURCE_CONNECT_RETRY = 1, "
            "SOURCE_RETRY_COUNT = 1000000; START REPLICA"
        )

    def hand_over(self, other: Self) -> None:
        """End as `Member.hand_over` says: it writes no more, and waits for the other one."""
        with self._lock:
            self._sql("SET GLOBAL super_read_only = ON")
            written = self._query("SELECT @@GLOBAL.gtid_executed")[0][0].replace("\\n", "")
            other.promote(written)
            self.stop()

    def promote(self, written: str) -> None:
        """Take writes from now on.

        Args:
            written: the transactions that must have arrived.

        Raises:
            RealError: they have not.
        """
        with self._lock:
            waited = self._query(f"SELECT WAIT_FOR_EXECUTED_GTID_SET('{written}', {_HAND_OVER_S})")
            if waited != [["0"]]:
                raise RealError(f"{self.identifier} lags by more than {_HAND_OVER_S} s")
            self._upstream = ""
            self._configure(self._parameters)
            self._sql("STOP REPLICA; RESET REPLICA ALL; SET GLOBAL super_read_only = OFF, read_only = OFF")

    def follow(self, writer: Self) -> None:
        """Follow another member that has just been promoted."""
        with self._lock:
            self._upstream = writer.identifier
            self._sql("STOP REPLICA")
            self._configure(self._parameters)
            self._sql("START REPLICA")

    def _config_files(self, parameters: Mapping[str, str]) -> Mapping[str, str]:
        files = dict(super()._config_files(parameters))
        own = {
            "server_id": str(zlib.crc32(self.identifier.encode()) or 1),
            "log_bin": "binlog",
            "relay_log": "relay",
            # Each is a copy of the one that writes, with its name in no log.
            "report_host": self.identifier,
            "super_read_only": "ON" if self._upstream else "OFF",
        }
        files["my.cnf"] += "".join(f"{name} = '{value}'\n" for name, value in own.items())
        upstream = f"{self._INSIDE}/{self._upstream}/mysqld.sock" if self._upstream else ""
        return files | {"upstream": upstream}
