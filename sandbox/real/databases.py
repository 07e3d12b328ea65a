"""Databases: real servers in containers of their own, as RDS hands them to a user.

What is the same for each engine is here; an engine's own is a class on this one, as in `postgresql_server`.
"""

from __future__ import annotations

import abc
import contextlib
import os
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from sandbox.real import containers
from sandbox.real.commands import CommandError, RealError, run
from sandbox.real.site import Site

_START_S = 120.0


class Database(abc.ABC):
    """One RDS instance's real server.

    Attributes:
        identifier: the account's name for it.
    """

    _MARK: ClassVar[str]
    """The file that says that there are data."""
    _STOP_SIGNAL: ClassVar[str]
    """Ends the server, rolling back what is in flight."""

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
            is_new = not self._has_data()
            self._make_container()
            self.start()
            if is_new:
                self._make_master_user()

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
        """Remove the server immediately, with its data unless told otherwise; nothing to do without one."""
        with self._lock:
            containers.remove(self._name)
            if not keep_data:
                shutil.rmtree(self._files, ignore_errors=True)

    def set_certificate(self, certificate: Path, key: Path) -> None:
        """Have the server show another certificate to new connections."""
        with self._lock:
            self._certificate, self._key = certificate, key
            self._configure(self._parameters)
            if self.state() == "running":
                self._exec("/usr/local/sbin/sandbox-database", "files")
                self._reload()

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
                    self._copy_data(f"/snapshots/{part.name}")
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
            if not (source / self._MARK).exists():
                raise RealError(f"there is no data of a snapshot {snapshot_id}")
            if self._has_data():
                raise RealError(f"{self.identifier} has data already")
            shutil.rmtree(self._data, ignore_errors=True)
            self._data.parent.mkdir(parents=True, exist_ok=True)
            run("cp", "--archive", "--reflink=auto", str(source), str(self._data), timeout_s=3600)

    def state(self) -> containers.State:
        """Return whether the server's container runs, is down, or was never made."""
        found = containers.inspect(self._name)
        if found is None:
            return "absent"
        return "running" if found["Status"] == "running" else "stopped"

    def log(self) -> str:
        """Return what the server has logged."""
        return containers.read_log(self._files / "log")

    @abc.abstractmethod
    def version(self) -> str:
        """Return the engine's version as the server says it, e.g. ``17.6``; the server must run."""

    @abc.abstractmethod
    def set_password(self, password: str) -> None:
        """Give the master user another password; the server must run."""

    @abc.abstractmethod
    def apply_parameters(self, parameters: Mapping[str, str]) -> tuple[str, ...]:
        """Put a parameter group in force as far as that goes without a reboot.

        Args:
            parameters: what the group says otherwise than the defaults; replaces what was said before.

        Returns:
            The names of the changed parameters that wait for the next reboot.

        Raises:
            RealError: the server does not know a parameter, or refuses its value; nothing has changed then.
        """

    @abc.abstractmethod
    def pending_parameters(self) -> tuple[str, ...]:
        """Return the names of the parameters that wait for a reboot."""

    @abc.abstractmethod
    def _config_files(self, parameters: Mapping[str, str]) -> Mapping[str, str]:
        """Return the server's configuration files, name -> text."""

    @abc.abstractmethod
    def _make_master_user(self) -> None:
        """Make the master user and the first database, on new data."""

    @abc.abstractmethod
    def _ask_whether_ready(self) -> None:
        """Return when the server answers; raise `CommandError` when it does not."""

    @abc.abstractmethod
    def _reload(self) -> None:
        """Have the running server read its files again."""

    @abc.abstractmethod
    def _copy_data(self, inside: str) -> None:
        """Copy the data of the running server into an empty directory of the container."""

    def _has_data(self) -> bool:
        return (self._data / self._MARK).exists()

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
            "--stop-signal", self._STOP_SIGNAL,
            "--memory", f"{max(self._memory_mib, 256)}m",
            "--shm-size", "256m",
            "--security-opt", "label=disable",
            "--volume", f"{self._data}:/data",
            "--volume", f"{self._files / 'config'}:/config:ro",
            "--volume", f"{snapshots(self._site)}:/snapshots",
            *self._more_options(),
            "--log-driver", "k8s-file",
            "--log-opt", f"path={self._files / 'log'}",
            *containers.limit_options(),
            self._image,
            "/usr/local/sbin/sandbox-database",
        )  # fmt: skip

    def _more_options(self) -> tuple[str, ...]:
        """Return podman's options for what its container needs besides, and make what they name."""
        return ()

    def _configure(self, parameters: Mapping[str, str]) -> None:
        config = self._files / "config"
        config.mkdir(parents=True, exist_ok=True)
        for name, content in self._config_files(parameters).items():
            (config / name).write_text(content)
        for source, name in ((self._certificate, "server.crt"), (self._key, "server.key")):
            with os.fdopen(
                os.open(config / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
            ) as opened:
                opened.write(source.read_bytes())

    def _wait(self) -> None:
        end = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(CommandError):
                self._ask_whether_ready()
                return
            if self.state() != "running" or time.monotonic() > end:
                last = "\n".join(self.log().splitlines()[-15:])
                raise RealError(f"the database {self.identifier} does not start\n{last}")
            time.sleep(0.1)

    def _exec(self, *arguments: str) -> str:
        return run("podman", "exec", self._name, *arguments, timeout_s=3600)


def snapshots(site: Site) -> Path:
    """Return the directory of a sandbox's snapshots, one directory each."""
    return site.state_dir / "snapshots"


def remove_snapshot(site: Site, snapshot_id: str) -> None:
    """Remove a snapshot's data; nothing to do without it."""
    shutil.rmtree(snapshots(site) / snapshot_id, ignore_errors=True)
