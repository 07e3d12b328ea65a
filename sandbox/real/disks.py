"""Images made of hosts' disks: kept in podman's storage, they outlive the sandbox that made them.

An image is called `localhost/flowstead/<clone>:<name>` once for each thing that its maker has of it, such as
an AMI and a snapshot. When the last name is gone it goes as soon as no host uses it. Its label tells what its
maker wrote about it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.real.clones import STORAGE
from sandbox.real.commands import attempt, run
from sandbox.real.images import LABEL, PREFIX, listed
from sandbox.real.locks import exclusive_lock

_FACTS = "flowstead.disk"
_COMMIT_S = 1800.0
"""For a full disk: a commit writes some 100 MB a second."""


@dataclass(frozen=True)
class Disk:
    """A kept disk.

    Attributes:
        names: what it is kept as.
        facts: what its maker wrote about it.
    """

    names: frozenset[str]
    facts: dict[str, Any]


def reference(clone: str, name: str) -> str:
    """Return podman's reference of a disk that a clone keeps under a name."""
    return f"{PREFIX}/{clone}:{name}"


def keep(container: str, clone: str, names: Sequence[str], facts: Mapping[str, Any]) -> None:
    """Keep a container's disk as it is now, whether it runs or not; it is not paused.

    Args:
        container: the container's name.
        clone: who keeps it.
        names: what it is kept as, at least one.
        facts: what to write about it, as JSON.

    Raises:
        CommandError: podman fails, for want of room for example.
    """
    first, *more = [reference(clone, name) for name in names]
    # Base64 has no quotes that podman's parser of changes would take for its own, and needs no padding here.
    written = base64.urlsafe_b64encode(json.dumps(facts).encode()).decode().rstrip("=")
    changes = (f"LABEL {LABEL}", f"LABEL {_FACTS}={written}", "CMD []")
    # podman names an image after it has made it: nobody may take it for one without a name meanwhile.
    with exclusive_lock(STORAGE):
        run(
            *("podman", "commit", "--quiet", "--pause=false"),
            *(part for change in changes for part in ("--change", change)),
            *(container, first),
            timeout_s=_COMMIT_S,
        )
        for other in more:
            run("podman", "tag", first, other)


def kept(clone: str) -> list[Disk]:
    """Return the disks that a clone keeps."""
    found = []
    for image in _images():
        names = {
            name.removeprefix(reference(clone, ""))
            for name in image.get("Names") or ()
            if name.startswith(reference(clone, ""))
        }
        facts = _read((image.get("Labels") or {}).get(_FACTS, ""))
        if names and facts is not None:
            found.append(Disk(frozenset(names), facts))
    return found


def forget(clone: str, name: str) -> None:
    """Take a name from a disk, and from what was built on it under that name; nothing to do without one."""
    ref = reference(clone, name)
    for image in _images():
        for known in image.get("Names") or ():
            if known == ref or known.startswith(f"{ref}-"):
                attempt("podman", "untag", str(image["Id"]), known)  # without the name, it takes all
    prune()


def prune() -> None:
    """Remove the disks that have no name any more and that no host uses."""
    left: set[str] = set()
    with exclusive_lock(STORAGE):
        while (found := _nameless()) != left:
            left = found
            for identity in left:
                attempt("podman", "rmi", identity)


def _nameless() -> set[str]:
    return {
        str(image["Id"])
        for image in _images()
        if not image.get("Names") and _FACTS in (image.get("Labels") or {})
    }


def _images() -> list[dict[str, Any]]:
    return list(json.loads(listed("json")) or [])


def _read(written: str) -> dict[str, Any] | None:
    """Return the facts that a label holds; None for one that is not of ours."""
    try:
        return dict(json.loads(base64.urlsafe_b64decode(written + "=" * (-len(written) % 4))))
    except (binascii.Error, ValueError):
        return None
