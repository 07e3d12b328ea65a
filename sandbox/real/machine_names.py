"""Names that programs on this machine find: lines in /etc/hosts, marked with the sandbox that they belong to.

The machine's resolver is not ours, and podman gives containers a copy of the file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sandbox.real.locks import exclusive_lock

HOSTS = Path("/etc/hosts")
_MARK = "# flowstead sandbox"


def show(sandbox: str, clone: str, addresses: Mapping[str, str], file: Path = HOSTS) -> None:
    """Have the machine know a sandbox's names, and none that it had before.

    Args:
        sandbox: its name.
        clone: short hash of the clone that it belongs to.
        addresses: IPv4 addresses by name.
        file: where the machine looks.

    Raises:
        OSError: the file cannot be written.
    """
    with exclusive_lock(file.parent):
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        after = render(before, f"{_MARK} {sandbox} {clone}", addresses)
        if after != before:
            _write(file, after)


def render(text: str, mark: str, addresses: Mapping[str, str]) -> str:
    """Return a hosts file with other lines of a mark; all else stays as it is.

    Args:
        text: the file.
        mark: ends each of the lines.
        addresses: IPv4 addresses by name.
    """
    kept = "".join(line for line in text.splitlines(keepends=True) if not line.rstrip().endswith(mark))
    if addresses and kept and not kept.endswith("\n"):
        kept += "\n"
    return kept + "".join(f"{address} {name} {mark}\n" for name, address in sorted(addresses.items()))


def of_others(file: Path = HOSTS) -> str:
    """Return the machine's file without the lines of any sandbox."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    return "".join(line for line in lines if _MARK not in line)


def _write(file: Path, text: str) -> None:
    """Write in place: in a container the file is a mount of its own, which no other can be moved onto."""
    content = text.encode()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "wb", buffering=0) as opened:
        opened.write(content)
        opened.truncate(len(content))
