"""Loop devices: what makes a disk of a file."""

from __future__ import annotations

import json
from pathlib import Path

from sandbox.real.commands import CommandError, attempt, run

_MAJOR = 7
"""The number of these devices: "Linux allocated devices", the kernel's admin guide."""
_CONTROL = Path("/dev/loop-control")


def container_options() -> tuple[str, ...]:
    """Return podman's options for a container that may be given such devices, where this machine has them.

    A process in it can make none itself: podman leaves it no CAP_MKNOD.
    """
    return ("--device-cgroup-rule", f"b {_MAJOR}:* rmw") if _CONTROL.exists() else ()


def plug(path: Path) -> Path:
    """Give a file a device of this machine, and return that.

    Args:
        path: the file.

    Raises:
        CommandError: this machine has no loop device to give.
    """
    return Path(run("losetup", "--find", "--show", str(path)).strip())


def device_of(path: Path) -> Path | None:
    """Return the device that a file has."""
    return next((device for device, file in _loops() if file == path), None)


def resize(device: Path) -> None:
    """Make a device as large as its file has become.

    Raises:
        CommandError: it is none.
    """
    run("losetup", "--set-capacity", str(device))


def unplug(path: Path) -> None:
    """Take a file's device away; the kernel does so when nothing uses it any more."""
    if device := device_of(path):
        attempt("losetup", "--detach", str(device))


def unplug_all(beginning: str) -> None:
    """Take away the devices of all files whose names begin so, be they removed."""
    for device, file in _loops():
        if file.name.startswith(beginning):
            attempt("losetup", "--detach", str(device))


def _loops() -> list[tuple[Path, Path]]:
    """List the machine's loop devices, each with its file; a removed file's name ends in " (deleted)"."""
    try:
        listed = json.loads(run("losetup", "--list", "--json", "--output", "NAME,BACK-FILE") or "{}")
    except CommandError:  # there are none on this machine
        return []
    return [
        (Path(one["name"]), Path(str(one["back-file"]).removesuffix(" (deleted)")))
        for one in listed.get("loopdevices", [])
    ]
