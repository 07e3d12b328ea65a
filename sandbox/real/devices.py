"""What a host shows of the disks that it has: what its kernel and its udev would make in /dev."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from sandbox.real.commands import CommandError, run

_CLOSE_WRITE, _IGNORED = 0x8, 0x8000
"""inotify(7): a file that was open for writing was closed; the watch is gone."""
_PLACE = """
cd /dev; rm -f "$1"; mknod -m 660 "$1" b "$2" "$3"; chgrp disk "$1"; name=$1; shift 3
for link; do mkdir -p "${link%/*}"; ln -sfn "../../$name" "$link"; done
"""
_TAKE = """
cd /dev; find disk -lname "*/$1" -delete 2> /dev/null; rm -f "$1"
"""
_NAME = """
cd /dev; test -e "$1" || exit 0; mkdir -p disk/by-uuid; find disk/by-uuid -lname "*/$1" -delete
test -z "$2" || ln -s "../../$1" "disk/by-uuid/$2"
"""


@dataclass(frozen=True)
class Disk:
    """A disk that a host has.

    Attributes:
        device: the machine's device behind it.
        name: the host's name of it: "nvme1n1".
        links: further names below /dev: "disk/by-id/…".
    """

    device: Path
    name: str
    links: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        """The device's number as /proc writes it, major:minor."""
        number = self.device.stat().st_rdev
        return f"{os.major(number)}:{os.minor(number)}"

    def place(self, pid: int) -> None:
        """Show it to a host.

        Args:
            pid: the host's first process.

        Raises:
            CommandError: the host is gone.
        """
        _inside(pid, _PLACE, self.name, *self.number.split(":"), *self.links)
        self._link(pid)
        threading.Thread(target=self._follow, args=(pid,), name=self.name, daemon=True).start()

    def take_away(self, pid: int) -> None:
        """Show it no longer; nothing to do in a host that is gone."""
        with contextlib.suppress(CommandError):
            _inside(pid, _TAKE, self.name)

    def mounts(self, pid: int) -> list[Path]:
        """List where a host has it mounted, as this machine sees it."""
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
            fields = [line.split() for line in lines]
            return [Path(f"/proc/{pid}/root{one[4]}") for one in fields if one[2] == self.number]
        return []

    def unmount(self, pid: int) -> None:
        """Take it away from under whoever uses it."""
        for place in self.mounts(pid):
            inside = "/" + str(place).partition("/root/")[2]
            with contextlib.suppress(CommandError):
                _inside(pid, 'umount --lazy "$1"', inside)

    def _link(self, pid: int) -> None:
        """Name it by its file system, as udev's rules do (60-persistent-storage.rules)."""
        try:
            uuid = run(
                "blkid", "--probe", "--match-tag", "UUID", "--output", "value", str(self.device)
            ).strip()
        except CommandError:  # there is none
            uuid = ""
        with contextlib.suppress(CommandError):
            _inside(pid, _NAME, self.name, uuid)

    def _follow(self, pid: int) -> None:
        """Name it anew when somebody has written to it, as udevd does, until the host has it no longer."""
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = libc.inotify_init1(os.O_CLOEXEC)
        try:
            watched = libc.inotify_add_watch(
                descriptor, os.fsencode(f"/proc/{pid}/root/dev/{self.name}"), _CLOSE_WRITE
            )
            while watched >= 0:
                # struct inotify_event: wd, mask, cookie, len; there is no name in those of one file.
                events = memoryview(os.read(descriptor, 4096)).cast("I")
                if any(mask & _IGNORED for mask in events[1::4]):
                    break
                self._link(pid)
        finally:
            os.close(descriptor)


def _inside(pid: int, script: str, *words: str) -> None:
    """Run a few lines of shell where the host's files are: no link of the host's leads out of them."""
    run("nsenter", "--target", str(pid), "--mount", "--pid", "--", "/bin/sh", "-ec", script, "-", *words)
