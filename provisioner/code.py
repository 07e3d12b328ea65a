"""Which code of the roles an image was baked with, told in a few words that can be compared."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

_DIGITS = 12
_version = re.compile(r"^version:\s*[\"']?([\w.+-]+)", re.MULTILINE)


def current(project: Path) -> str:
    """Name the code that an image baked now would hold.

    The version is galaxy.yml's: that is the version of the roles, and they are all that goes into an image.

    Args:
        project: the project's directory.

    Returns:
        The version and the first digits of a digest of what bakes: "0.1.0 3f9a6c01d2e4".

    """
    digest = hashlib.sha256()
    for path in _files(project):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(project).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    galaxy = project / "galaxy.yml"
    found = _version.search(galaxy.read_text(encoding="utf-8")) if galaxy.is_file() else None
    return f"{found[1] if found else '0'} {digest.hexdigest()[:_DIGITS]}"


def _files(project: Path) -> Iterator[Path]:
    """List what bakes, in an order that is the same everywhere."""
    play = project / "playbooks" / "bake_image.yml"
    for path in sorted([*(project / "roles").rglob("*"), *(project / "plugins").rglob("*"), play]):
        inside = path.relative_to(project).parts
        if path.is_file() and "__pycache__" not in inside and path.name != "README.md":
            yield path
