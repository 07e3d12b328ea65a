"""A PostgreSQL server as RDS hands it to a user.

The master user is not a superuser (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html);
`rdsadmin` is, and comes in by the server's own socket only.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import ClassVar

from sandbox.real import postgresql
from sandbox.real.commands import CommandError, RealError, run
from sandbox.real.databases import Database


class PostgresqlServer(Database):
    """One RDS instance's real server, with PostgreSQL."""

    _MARK: ClassVar[str] = "PG_VERSION"
    _STOP_SIGNAL: ClassVar[str] = "SIGINT"

    def version(self) -> str:
        """Return the server's version, e.g. ``17.6``."""
        # "17.6 (Debian 17.6-0+deb13u1)"
        return self._query("SHOW server_version")[0][0].split()[0]

    def set_password(self, password: str) -> None:
        """Give the master user another password; the server must run."""
        with self._lock:
            self._sql(postgresql.password_sql(self._master_user, password))
            self._password = password

    def apply_parameters(self, parameters: Mapping[str, str]) -> tuple[str, ...]:
        """Put a parameter group in force as `Database.apply_parameters` says."""
        with self._lock:
            before = self._parameters
            if self.state() != "running":
                self._parameters = dict(parameters)
                return ()
            self._configure(parameters)
            wrong = self._mistakes(parameters)
            if wrong:
                self._configure(before)
                raise RealError("; ".join(wrong))
            self._parameters = dict(parameters)
            self._reload()
            return self._pending(parameters)

    def pending_parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters that wait for a reboot."""
        with self._lock:
            return self._pending(self._parameters) if self.state() == "running" else ()

    def _config_files(self, parameters: Mapping[str, str]) -> Mapping[str, str]:
        return postgresql.files(parameters, port=self._port, memory_mib=self._memory_mib)

    def _make_master_user(self) -> None:
        self._sql(postgresql.first_sql(self._master_user, self._password, self._database))

    def _ask_whether_ready(self) -> None:
        self._exec_as_postgres("pg_isready", "-q", "-p", str(self._port))

    def _reload(self) -> None:
        self._sql("SELECT pg_reload_conf();")

    def _copy_data(self, inside: str) -> None:
        self._exec("chown", "postgres:", inside)
        self._exec_as_postgres(
            "pg_basebackup", "-U", "rdsadmin", "-p", str(self._port), "-c", "fast", "-D", inside
        )

    def _mistakes(self, parameters: Mapping[str, str]) -> list[str]:
        """Return what is wrong with the parameters just written, before the server is told to read them."""
        found = self._query(
            "SELECT f.name, f.error, coalesce(s.context, '')"
            " FROM pg_file_settings f LEFT JOIN pg_settings s USING (name) WHERE f.error IS NOT NULL"
        )
        wrong = [f"parameter {name}: {error}" for name, error, context in found if context != "postmaster"]
        for name in (name for name, _, context in found if context == "postmaster"):
            # The server says the same of a static parameter whether its value is good or not.
            try:
                self._exec("/usr/local/sbin/sandbox-database", "check", f"{name}={parameters.get(name, '')}")
            except CommandError as error:
                wrong.append(f"parameter {name}: {error.output.splitlines()[0]}")
        return wrong

    def _pending(self, parameters: Mapping[str, str]) -> tuple[str, ...]:
        """Return which parameters wait for a restart; the server flags them once it has read its files."""
        time.sleep(0.2)  # the reload is a signal, without an answer
        waiting = {name for (name,) in self._query("SELECT name FROM pg_settings WHERE pending_restart")}
        return tuple(sorted(waiting & (set(parameters) | {"max_connections", "shared_buffers"})))

    def _exec_as_postgres(self, *arguments: str) -> str:
        return run("podman", "exec", "--user", "postgres", self._name, *arguments, timeout_s=3600)

    def _sql(self, text: str) -> str:
        """Run SQL as the superuser, given on standard input: it may hold a password."""
        return run(
            "podman", "exec", "--interactive", "--user", "postgres", self._name,
            "psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1",
            "-U", "rdsadmin", "-p", str(self._port), "postgres",
            text_input=text,
        )  # fmt: skip

    def _query(self, text: str) -> list[list[str]]:
        return [line.split("\t") for line in self._sql(f"{text};").splitlines() if line]
