"""EBS volumes: a sparse file each, behind a loop device while an instance has it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sandbox.real import loops
from sandbox.real.commands import run
from sandbox.real.site import SNAPSHOTS_OF_VOLUMES, VOLUMES, Site

_GIB = 1024**3
_COPY_S = 1800.0


@dataclass(frozen=True)
class Volume:
    """One volume's blocks.

    Attributes:
        site: where it lives.
        volume_id: names it.
    """

    site: Site
    volume_id: str

    @property
    def path(self) -> Path:
        """The file."""
        return self.site.state_dir / VOLUMES / self.site.container(self.volume_id)

    def make(self, size_gib: int, snapshot_id: str | None = None) -> None:
        """Make it, empty or as a snapshot is.

        Args:
            size_gib: its size, at least the snapshot's.
            snapshot_id: the snapshot.

        Raises:
            CommandError: the snapshot cannot be copied.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if snapshot_id is None:
            self.path.touch()
        else:
            run(*_copy(_snapshot(self.site, snapshot_id), self.path), timeout_s=_COPY_S)
        os.truncate(self.path, size_gib * _GIB)

    def plug(self) -> Path:
        """Give it a device of this machine, and return that; the one that it has, if it has one.

        Raises:
            CommandError: this machine has no loop devices to give.
        """
        return loops.device_of(self.path) or loops.plug(self.path)

    def unplug(self) -> None:
        """Take its device away; the kernel does so when nothing uses it any more."""
        loops.unplug(self.path)

    @property
    def is_plugged(self) -> bool:
        """It has a device, or something still uses the one that it had."""
        return loops.device_of(self.path) is not None

    def grow(self, size_gib: int) -> None:
        """Make it larger, whoever uses it.

        Raises:
            CommandError: its device does not follow.
        """
        os.truncate(self.path, size_gib * _GIB)
        if device := loops.device_of(self.path):
            loops.resize(device)

    def snapshot(self, snapshot_id: str, mounted_at: Path | None = None) -> None:
        """Copy it as it is at one moment.

        Args:
            snapshot_id: names the copy.
            mounted_at: where its file system is mounted, seen from this machine: nothing is written to it
                meanwhile.

        Raises:
            CommandError: it cannot be copied.
        """
        target = _snapshot(self.site, snapshot_id)
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = _copy(self.path, target)
        if mounted_at is None:
            run(*copy, timeout_s=_COPY_S)
            return
        # One program: a file system that stayed frozen could not even be unmounted. It outlives this process.
        freeze = (
            'where=$1; shift; fsfreeze --freeze "$where"; "$@"; s=$?; fsfreeze --unfreeze "$where"; exit $s'
        )
        run("setsid", "--wait", "sh", "-c", freeze, "-", str(mounted_at), *copy, timeout_s=_COPY_S)

    def remove(self) -> None:
        """Remove it with all that is on it; nothing to do without one."""
        self.unplug()
        self.path.unlink(missing_ok=True)


def remove_snapshot(site: Site, snapshot_id: str) -> None:
    """Remove a snapshot; nothing to do without one."""
    _snapshot(site, snapshot_id).unlink(missing_ok=True)


def _snapshot(site: Site, snapshot_id: str) -> Path:
    return site.state_dir / SNAPSHOTS_OF_VOLUMES / snapshot_id


def _copy(source: Path, target: Path) -> tuple[str, ...]:
    return ("cp", "--sparse=always", "--reflink=auto", str(source), str(target))
