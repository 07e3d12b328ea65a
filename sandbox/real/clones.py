"""Which clones of the project use which images: they share podman's storage, and none takes another's away.

A clone's use of an image is an empty file, `<clone>/<image>`, with a link to the clone's directory. A clone
whose directory is gone uses nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from sandbox.real.locks import exclusive_lock

STORAGE = Path("/var/lib/containers")
"""Podman's, of the machine."""
MARKS = STORAGE / "flowstead"
HERE = Path(__file__).resolve().parents[2]
"""The clone that this program belongs to."""
_HOME = "home"


def short(directory: Path) -> str:
    """Return the short name of the clone in a directory."""
    return hashlib.sha256(str(directory).encode()).hexdigest()[:10]


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """Keep the marks of all clones as they are: whoever removes images must see those that are in use."""
    MARKS.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(MARKS):
        yield


def mark(image: str) -> None:
    """Note that this clone uses an image.

    Args:
        image: its name without the registry and the project, `debian-13:0123456789ab`.
    """
    marks = MARKS / short(HERE)
    marks.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (marks / _HOME).symlink_to(HERE)
    (marks / image).touch()


def unmark_all() -> None:
    """Note that this clone uses no image, and forget the clones that are gone."""
    alive = others()
    for marks in MARKS.iterdir() if MARKS.is_dir() else ():
        if marks.name not in alive:
            shutil.rmtree(marks, ignore_errors=True)


def others() -> dict[str, frozenset[str]]:
    """Return the images that each other clone uses whose directory exists."""
    found = {}
    for marks in MARKS.iterdir() if MARKS.is_dir() else ():
        if marks.name != short(HERE) and (marks / _HOME).is_dir():
            found[marks.name] = frozenset(path.name for path in marks.iterdir()) - {_HOME}
    return found
