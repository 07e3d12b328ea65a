"""A MySQL server as Aurora hands it to a user; its superuser comes in by the server's own socket only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from sandbox.real import mysql
from sandbox.real.commands import CommandError, RealError, run
from sandbox.real.databases import Database

_IS_STATIC = "ERROR 1238 "
"""ER_INCORRECT_GLOBAL_LOCAL_VAR: "Variable is a read only variable". Source: MySQL's error reference."""


class MysqlServer(Database):
    """One RDS instance's real server, with MySQL."""

    _MARK: ClassVar[str] = ".made"
    _STOP_SIGNAL: ClassVar[str] = "SIGTERM"
    _in_force: Mapping[str, str] = {}
    """The parameters with which it runs."""

    @property
    def _socket(self) -> str:
        return "/run/mysqld/mysqld.sock"

    def start(self) -> None:
        """Start as `Database.start` says."""
        with self._lock:
            super().start()
            self._in_force = dict(self._parameters)

    def version(self) -> str:
        """Return the server's version, e.g. ``9.7.0``."""
        return self._query("SELECT VERSION()")[0][0].split("-")[0]

    def set_password(self, password: str) -> None:
        """Give the master user another password; the server must run."""
        with self._lock:
            self._sql(mysql.password_sql(self._master_user, password))
            self._password = password

    def apply_parameters(self, parameters: Mapping[str, str]) -> tuple[str, ...]:
        """Put a parameter group in force as `Database.apply_parameters` says."""
        with self._lock:
            before = self._parameters
            if self.state() == "running":
                for name in self._changed(parameters, before):
                    try:
                        self._set(name, parameters)
                    except CommandError as error:
                        for done in self._changed(parameters, before):
                            self._set(done, before)
                        raise RealError(f"parameter {name}: {error.output.strip()}") from error
            self._parameters = dict(parameters)
            self._configure(parameters)
            return self.pending_parameters()

    def pending_parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters that wait for a reboot."""
        with self._lock:
            if self.state() != "running":
                return ()
            return tuple(sorted(self._changed(self._parameters, self._in_force)))

    def _changed(self, one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
        names = {name for name, _ in set(one.items()) ^ set(other.items())}
        return [name for name in names if mysql.is_servers(name, one.get(name, ""))]

    def _set(self, name: str, parameters: Mapping[str, str]) -> None:
        """Set a parameter of the running server; one that waits for a reboot stays as it is."""
        value = parameters.get(name, "DEFAULT")
        is_word = re.fullmatch(r"-?[0-9.]+|DEFAULT|ON|OFF", value, re.IGNORECASE)
        try:
            self._sql(f"SET GLOBAL {name} = {value if is_word else mysql.quoted(value)}")
        except CommandError as error:
            if _IS_STATIC not in error.output:
                raise
        else:
            self._in_force = {
                **{key: old for key, old in self._in_force.items() if key != name},
                **({name: value} if name in parameters else {}),
            }

    def _config_files(self, parameters: Mapping[str, str]) -> Mapping[str, str]:
        places = {"socket": self._socket, "port": str(self._port)}
        return {"my.cnf": mysql.config(parameters, places, memory_mib=self._memory_mib)}

    def _make_master_user(self) -> None:
        # Whoever follows has the same users, by copying them: they are in no log.
        self._sql(
            f"SET sql_log_bin = OFF;\n{mysql.first_sql(self._master_user, self._password, self._database)}"
        )

    def _ask_whether_ready(self) -> None:
        self._sql("SELECT 1")

    def _reload(self) -> None:
        self._sql("ALTER INSTANCE RELOAD TLS")

    def _copy_data(self, inside: str) -> None:
        """Have the server clone itself: into a directory that is not there yet."""
        self._exec("chown", "mysql:", inside)
        self._sql(f"CLONE LOCAL DATA DIRECTORY = '{inside}/clone'")
        self._exec("/usr/local/sbin/sandbox-database", "cloned", inside)

    def _sql(self, text: str) -> str:
        """Run SQL as the superuser, given on standard input: it may hold a password."""
        return run(
            *("podman", "exec", "--interactive", self._name, "mysql", "--no-defaults", "--batch"),
            *("--skip-column-names", "--raw", "--user=root", f"--socket={self._socket}"),
            text_input=text,
            timeout_s=3600,
        )

    def _query(self, text: str) -> list[list[str]]:
        return [line.split("\t") for line in self._sql(text).splitlines()]
