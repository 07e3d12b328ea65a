"""The pinned host keys: an OpenSSH known_hosts file in which each key names its instance."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from provisioner import files

# The comment after a key, which OpenSSH skips: an address is reused, an instance's id never is.
_marker = "instance="
_console_block = re.compile(
    r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL
)
_key_line = re.compile(r"\b((?:ssh|ecdsa|sk)-[\w@.-]+)\s+(AAAA[\w+/]+=*)")


@dataclass(frozen=True)
class HostKey:
    """A host's public key.

    Args:
        kind: "ssh-ed25519" and so on.
        value: the key, base64.

    """

    kind: str
    value: str


@dataclass(frozen=True)
class Pin:
    """Keys under which a host is known.

    Args:
        address: what ssh connects to.
        instance_id: the instance that they belong to; "" in lines that somebody else wrote.
        keys: the keys.

    """

    address: str
    instance_id: str
    keys: tuple[HostKey, ...]


def keys_on_console(output: str) -> tuple[HostKey, ...]:
    """Find the host keys that cloud-init writes to the console at the first boot.

    Args:
        output: the console's text.

    Returns:
        The keys of the last such block; empty when there is none.

    """
    blocks = _console_block.findall(output)
    return tuple(HostKey(kind, value) for kind, value in _key_line.findall(blocks[-1])) if blocks else ()


def read(path: Path) -> tuple[Pin, ...]:
    """Read the pins of a file.

    Args:
        path: the file; it may be missing.

    Returns:
        One pin for each address.

    """
    found: dict[tuple[str, str], list[HostKey]] = {}
    for line in _lines(path):
        parts = line.split()
        if len(parts) > 2 and not line.startswith(("#", "@", "|")):  # noqa: PLR2004 - address, kind, key
            found.setdefault((parts[0], _instance_of(line)), []).append(HostKey(parts[1], parts[2]))
    return tuple(Pin(address, instance, tuple(keys)) for (address, instance), keys in found.items())


def write(path: Path, pin: Pin) -> bool:
    """Pin a host's keys; what was pinned for its address or its instance before goes.

    Args:
        path: the file.
        pin: the new pin.

    Returns:
        True when the file changed.

    """
    kept = [
        line
        for line in _lines(path)
        if line.split()[:1] != [pin.address] and line.split()[-1:] != [f"{_marker}{pin.instance_id}"]
    ]
    new = [f"{pin.address} {key.kind} {key.value} {_marker}{pin.instance_id}" for key in pin.keys]
    return files.write(path, "".join(f"{line}\n" for line in [*kept, *new]))


def keep(path: Path, instance_ids: Collection[str]) -> None:
    """Remove the pins of hosts that are gone; lines that somebody else wrote stay.

    Args:
        path: the file; removed when nothing is left in it.
        instance_ids: the instances that are there.

    """
    lines = _lines(path)
    kept = [line for line in lines if _instance_of(line) in {"", *instance_ids}]
    if not kept:
        files.remove(path)
    elif kept != lines:
        files.write(path, "".join(f"{line}\n" for line in kept))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _instance_of(line: str) -> str:
    last = (line.split() or [""])[-1]
    return last.removeprefix(_marker) if last.startswith(_marker) else ""
