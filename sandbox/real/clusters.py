"""Clusters: servers of which one writes and the others follow, and data that outlive them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from sandbox.real.commands import run
from sandbox.real.databases import remove_snapshot, snapshots
from sandbox.real.members import Member
from sandbox.real.site import Site


class Cluster:
    """One Aurora cluster's real servers.

    Args:
        site: where it lives.
        identifier: names it.

    Attributes:
        members: its servers, by name.
        writer: the name of the one that writes; empty: none, there is no member.
    """

    def __init__(self, site: Site, identifier: str) -> None:
        self.members: dict[str, Member] = {}
        self.writer = ""
        self.directory = site.state_dir / "clusters" / identifier
        self._site = site

    @property
    def _volume(self) -> Path:
        """Where the data are while there is no member."""
        return self.directory / "volume"

    def add(self, server: Member, password: str) -> None:
        """Make a member: the first one has the cluster's data and writes, each other follows.

        Args:
            server: described, not made yet.
            password: of the master user.

        Raises:
            RealError: the server does not start; with the last lines of its log.
        """
        server.directory = self.directory
        if self.writer:
            server.join(self.members[self.writer])
        else:
            server.take_data(self._volume)
            server.run()
            server.set_password(password)
        self.members[server.identifier] = server
        self.writer = self.writer or server.identifier

    def failover(self, target: str, handed_over: Callable[[], None]) -> None:
        """Have another member write; the one that wrote follows it.

        Args:
            target: the other member's name.
            handed_over: called as soon as it writes.
        """
        old = self._hand_over(target)
        handed_over()
        old.join(self.members[target])

    def _hand_over(self, target: str) -> Member:
        """End the member that writes, with all that it has sent to the others, and have another one write."""
        old, new = self.members[self.writer], self.members[target]
        old.hand_over(new)
        self.writer = target
        for name, member in self.members.items():
            if name not in {old.identifier, target}:
                member.follow(new)
        return old

    def remove(self, name: str) -> None:
        """Remove a member; another one writes if it did, and the data outlive the last."""
        server, others = self.members[name], [one for one in self.members if one != name]
        if name == self.writer and others:
            self._hand_over(others[0])
        elif name == self.writer:
            server.leave_data(self._volume)
            self.writer = ""
        server.remove()
        self.members.pop(name)

    def set_password(self, password: str) -> None:
        """Give the master user another password; a cluster without members has it with the first."""
        if self.writer:
            self.members[self.writer].set_password(password)

    def apply_parameters(self, parameters: Mapping[str, str]) -> None:
        """Put a parameter group in force as far as that goes without a reboot."""
        for member in self.members.values():
            member.apply_parameters(parameters)

    def stop(self) -> None:
        """End all servers, the one that writes first: it sends the last of it to those that follow."""
        for name in self._writer_first():
            self.members[name].stop()

    def start(self) -> None:
        """Start all servers, the one that writes first."""
        for name in self._writer_first():
            self.members[name].start()

    def _writer_first(self) -> list[str]:
        return sorted(self.members, key=lambda name: name != self.writer)

    def snapshot(self, snapshot_id: str) -> None:
        """Copy the data as they are now; replaces a snapshot of that name."""
        if self.writer:
            self.members[self.writer].snapshot(snapshot_id)
            return
        target = snapshots(self._site) / snapshot_id
        remove_snapshot(self._site, snapshot_id)
        target.mkdir(parents=True)
        if self._volume.exists():
            _copy(self._volume, target)

    def restore(self, snapshot_id: str) -> None:
        """Begin with the data of a snapshot; one of a cluster that never had a member is empty."""
        source = snapshots(self._site) / snapshot_id
        if any(source.iterdir()):
            shutil.rmtree(self._volume, ignore_errors=True)
            self._volume.mkdir(parents=True)
            _copy(source, self._volume)

    def delete(self) -> None:
        """Remove it with its data."""
        for member in self.members.values():
            member.remove()
        shutil.rmtree(self.directory, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    run("cp", "--archive", "--reflink=auto", f"{source}/.", str(target), timeout_s=3600)
