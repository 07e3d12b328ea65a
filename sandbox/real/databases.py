"""Databases: real PostgreSQL servers in containers of their own, as RDS hands them to a user.

The master user is not a superuser (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html);
`rdsadmin` is, and comes in by the server's own socket only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from sandbox.real import containers, postgresql
from sandbox.real.commands import CommandError, RealError, run
from sandbox.real.site import Site

State = Literal["absent", "running", "stopped"]
_START_S = 120.0


class Database:
    """One RDS instance's real server.

    Attributes:
        identifier: the account's name for it.
    """

    def __init__(
        self,
        site: Site,
        identifier: str,
        netns: str,
        image: str,
        *,
        master_user: str,
        password: str,
        database: str | None,
        certificate: Path,
        key: Path,
        parameters: Mapping[str, str] | None = None,
        port: int = 5432,
        memory_mib: int = 1024,
    ) -> None:
        """Describe a database; `run` makes it.

        Args:
            site: where it lives.
            identifier: names it.
            netns: its network namespace, as `Vpc.attach` returned it.
            image: the engine's, as `images.ensure("postgresql-17")` returned it.
            master_user: name of the first user.
            password: of the master user.
            database: name of a first database that the master user owns, if any.
            certificate: file of its TLS certificate with the chain, for the endpoint's name.
            key: file of the certificate's key.
            parameters: what its parameter group says otherwise than the engine's defaults.
            port: where it listens.
            memory_mib: memory of its class.
        """
        self.identifier = identifier
        self._site = site
        self._netns = netns
        self._image = image
        self._master_user = master_user
        self._password = password
        self._database = database
        self._certificate = certificate
        self._key = key
        self._parameters = dict(parameters or {})
        self._port = port
        self._memory_mib = memory_mib
        self._name = site.container(f"db-{identifier}")
        self._files = site.state_dir / "databases" / identifier
        self._lock = threading.RLock()

    def run(self) -> None:
        """Make the server and, on new data only, the master user and the first database.

        Raises:
            RealError: the server does not start; with the last lines of its log.
        """
        with self._lock:
            is_new = not (self._data / "PG_VERSION").exists()
            self._make_container()
            self.start()
            if is_new:
                self._sql(postgresql.first_sql(self._master_user, self._password, self._database))

    def stop(self) -> None:
        """End the server, rolling back what is in flight; nothing to do when it is down."""
        with self._lock:
            run("podman", "stop", "--time", "60", self._name, timeout_s=120)

    def start(self) -> None:
        """Start the server and wait until it answers; parameters that waited for a reboot are in force then.

        Raises:
            RealError: the server does not start; with the last lines of its log.
        """
        with self._lock:
            self._configure(self._parameters)
            run("podman", "start", self._name)
            self._wait()

    def reboot(self) -> None:
        """Stop and start the server."""
        with self._lock:
            self.stop()
            self.start()

    def remove(self, *, keep_data: bool = False) -> None:
        """Remove the server at once, with its data unless told otherwise; nothing to do without one."""
        with self._lock:
            containers.remove(self._name)
            if not keep_data:
                shutil.rmtree(self._files, ignore_errors=True)

    def set_password(self, password: str) -> None:
        """Give the master user another password; the server must run."""
        with self._lock:
            self._sql(postgresql.password_sql(self._master_user, password))
            self._password = password

    def set_certificate(self, certificate: Path, key: Path) -> None:
        """Have the server show another certificate to new connections."""
        with self._lock:
            self._certificate, self._key = certificate, key
            self._configure(self._parameters)
            if self.state() == "running":
                self._exec("/usr/local/sbin/sandbox-database", "files")
                self._sql("SELECT pg_reload_conf();")

    def apply_parameters(self, parameters: Mapping[str, str]) -> tuple[str, ...]:
        """Put a parameter group in force as far as that goes without a reboot.

        Args:
            parameters: what the group says otherwise than the defaults; replaces what was said before.

        Returns:
            The names of the changed parameters that wait for the next reboot.

        Raises:
            RealError: PostgreSQL does not know a parameter, or refuses its value; nothing has changed then.
        """
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
            self._sql("SELECT pg_reload_conf();")
            return self._pending(parameters)

    def pending_parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters that wait for a reboot."""
        with self._lock:
            return self._pending(self._parameters) if self.state() == "running" else ()

    def snapshot(self, snapshot_id: str) -> None:
        """Copy the data as it is now, while the server goes on if it runs; replaces a snapshot of that name.

        Raises:
            CommandError: the copy failed; a snapshot of that name is as before.
        """
        with self._lock:
            target = snapshots(self._site) / snapshot_id
            part = target.with_name(f".{snapshot_id}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            try:
                if self.state() == "running":
                    inside = f"/snapshots/{part.name}"
                    self._exec("chown", "postgres:", inside)
                    self._exec_as_postgres(
                        "pg_basebackup", "-U", "rdsadmin", "-p", str(self._port), "-c", "fast", "-D", inside
                    )
                else:
                    run("cp", "--archive", "--reflink=auto", f"{self._data}/.", str(part), timeout_s=3600)
                remove_snapshot(self._site, snapshot_id)
                part.rename(target)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise

    def restore(self, snapshot_id: str) -> None:
        """Begin with the data of a snapshot, its users, passwords and databases, instead of none; then `run`.

        Raises:
            RealError: no such snapshot, it is of another engine version, or this database has data already.
        """
        with self._lock:
            source = snapshots(self._site) / snapshot_id
            if not (source / "PG_VERSION").exists():
                raise RealError(f"there is no data of a snapshot {snapshot_id}")
            if (self._data / "PG_VERSION").exists():
                raise RealError(f"{self.identifier} has data already")
            shutil.rmtree(self._data, ignore_errors=True)
            self._data.parent.mkdir(parents=True, exist_ok=True)
            run("cp", "--archive", "--reflink=auto", str(source), str(self._data), timeout_s=3600)

    def state(self) -> State:
        """Return whether the server's container runs, is down, or was never made."""
        found = containers.inspect(self._name)
        if found is None:
            return "absent"
        return "running" if found["Status"] == "running" else "stopped"

    def log(self) -> str:
        """Return what the server has logged."""
        return containers.read_log(self._files / "log")

    @property
    def _data(self) -> Path:
        return self._files / "data"

    def _make_container(self) -> None:
        containers.remove(self._name)
        for directory in (self._data, self._files / "config", snapshots(self._site)):
            directory.mkdir(parents=True, exist_ok=True)
        run(
            "podman", "create",
            *containers.runtime_options(),
            "--name", self._name,
            *self._site.labels(),
            "--hostname", self.identifier,
            "--network", f"ns:{self._netns}",
            "--stop-signal", "SIGINT",
            "--memory", f"{max(self._memory_mib, 256)}m",
            "--shm-size", "256m",
            "--security-opt", "label=disable",
            "--volume", f"{self._data}:/data",
            "--volume", f"{self._files / 'config'}:/config:ro",
            "--volume", f"{snapshots(self._site)}:/snapshots",
            "--log-driver", "k8s-file",
            "--log-opt", f"path={self._files / 'log'}",
            *containers.limit_options(),
            self._image,
            "/usr/local/sbin/sandbox-database",
        )  # fmt: skip

    def _configure(self, parameters: Mapping[str, str]) -> None:
        config = self._files / "config"
        config.mkdir(parents=True, exist_ok=True)
        files = postgresql.files(parameters, port=self._port, memory_mib=self._memory_mib)
        for name, content in files.items():
            (config / name).write_text(content)
        for source, name in ((self._certificate, "server.crt"), (self._key, "server.key")):
            with os.fdopen(
                os.open(config / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
            ) as opened:
                opened.write(source.read_bytes())

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

    def _wait(self) -> None:
        end = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(CommandError):
                self._exec_as_postgres("pg_isready", "-q", "-p", str(self._port))
                return
            if self.state() != "running" or time.monotonic() > end:
                last = "\n".join(self.log().splitlines()[-15:])
                raise RealError(f"the database {self.identifier} does not start\n{last}")
            time.sleep(0.1)

    def _exec(self, *arguments: str) -> str:
        return run("podman", "exec", self._name, *arguments, timeout_s=3600)

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


def snapshots(site: Site) -> Path:
    """Return the directory of a sandbox's snapshots, one directory each."""
    return site.state_dir / "snapshots"


def remove_snapshot(site: Site, snapshot_id: str) -> None:
    """Remove a snapshot's data; nothing to do without it."""
    shutil.rmtree(snapshots(site) / snapshot_id, ignore_errors=True)
