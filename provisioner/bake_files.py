"""The directory that baking works in: the temporary host's key, its inventory, and a lock."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner import files, lock, rendering, ssh_key
from provisioner.errors import FlowsteadError

if TYPE_CHECKING:
    from provisioner.host import Host

_HOSTS_VARIABLES = Path("group_vars") / "tracking_servers.yml"


@dataclass(frozen=True)
class Report:
    """What the playbook says that it installed.

    Args:
        releases: versions of MLflow.
        packages: the day that the system's packages are of, "2026-11-25".

    """

    releases: tuple[str, ...]
    packages: str


@dataclass(frozen=True)
class BakeFiles:
    """The files of one deployment's bakes.

    Args:
        directory: where they are, absolute.

    """

    directory: Path

    @property
    def inventory(self) -> Path:
        """What ansible-playbook gets with -i."""
        return self.directory / "inventory"

    @property
    def known_hosts(self) -> Path:
        """The temporary host's pinned key."""
        return self.directory / "known_hosts"

    @property
    def report(self) -> Path:
        """Where the playbook says what it installed."""
        return self.directory / "report.json"

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep others of this machine out; the kernel ends the lock with the process, however that ends.

        Raises:
            LockedError: a bake works here already.
            FlowsteadError: the directory cannot be used.

        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.directory.chmod(0o700)
        except OSError as error:
            raise FlowsteadError(f"{self.directory} cannot be used: {error.strerror}.") from error
        with lock.on_this_machine(self.directory / "lock", "bake"):
            yield

    def key(self) -> ssh_key.SshKey:
        """Return the key that a bake which never ended left here, or a new one that is not saved yet."""
        private = self.directory / "bake"
        return ssh_key.read_pair(private) or ssh_key.generate_pair(private)

    def write(self, host: Host, inventory: Path) -> None:
        """Write an inventory of the temporary host, with the user's choices for hosts.

        Args:
            host: the host.
            inventory: the user's inventory directory.

        Raises:
            FlowsteadError: it cannot be written.

        """
        text = rendering.render("bake_hosts.yml.j2", host=host, known_hosts=self.known_hosts)
        files.write(self.inventory / "hosts.yml", text)
        files.remove(self.report)
        chosen, linked = inventory / _HOSTS_VARIABLES, self.inventory / _HOSTS_VARIABLES
        files.remove(linked)
        if chosen.is_file():
            linked.parent.mkdir(exist_ok=True)
            # A link: what is named relative to the file, or encrypted in it, stays so.
            linked.symlink_to(chosen.resolve())

    def read_report(self) -> Report:
        """Read what the playbook installed.

        Raises:
            FlowsteadError: it does not say.

        """
        try:
            data = json.loads(self.report.read_text(encoding="utf-8"))
            return Report(tuple(str(one) for one in data["releases"]), str(data["packages"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FlowsteadError(
                f"playbooks/bake_image.yml did not say in {self.report} what it installed "
                f"({type(error).__name__}: {error})."
            ) from error

    def clear(self) -> None:
        """Remove everything but the lock: the host is gone."""
        shutil.rmtree(self.inventory, ignore_errors=True)
        for path in (self.directory / "bake", self.directory / "bake.pub", self.known_hosts, self.report):
            files.remove(path)
