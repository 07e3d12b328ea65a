"""The operating systems that a host can boot here: the one table of them in the sandbox."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """An operating system.

    Attributes:
        name: names its image, ``debian-13``.
        suite: the Debian release that it is made from.
        builds: what is published of it, oldest first: two of each, so that "the newest" is a choice.
    """

    name: str
    suite: str
    builds: tuple[str, ...]


SYSTEMS = {
    system.name: system
    for system in (
        System("debian-12", "bookworm", ("20260804-2559", "20261019-2635")),
        System("debian-13", "trixie", ("20260811-2566", "20261026-2642")),
    )
}
"""By name."""
