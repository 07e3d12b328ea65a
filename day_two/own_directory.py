"""A directory in memory for what one running task must keep from others; it goes with the task."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.errors import UsageError


@contextmanager
def own_directory(name: str, clear: Callable[[str], None]) -> Iterator[Path]:
    """Have a directory, which is removed in the end; those that killed tasks have left are removed first.

    Args:
        name: its name.
        clear: removes what else one has left, by the directory's name.

    Raises:
        UsageError: another process has it, or somebody else.

    """
    home = _home()
    with contextlib.ExitStack() as mine:
        # While one looks, none is made: a lock is held by whoever lives.
        with locked(home):
            for left in home.iterdir():
                with contextlib.suppress(BlockingIOError), locked(left, wait=False):
                    clear(left.name)
                    shutil.rmtree(left)
            directory = home / name
            try:
                directory.mkdir(mode=0o700)
            except FileExistsError:
                raise UsageError(f"It runs already ({name}).") from None
            mine.enter_context(locked(directory))
        mine.callback(shutil.rmtree, directory)
        yield directory


def _home() -> Path:
    """Give the directory of all of this user's: on Linux in memory, elsewhere among temporary files."""
    places = (os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm", tempfile.gettempdir())  # noqa: S108 - see below
    root = next(Path(one) for one in places if one and os.access(one, os.W_OK))
    home = root / f"flowstead-{os.getuid()}"
    home.mkdir(mode=0o700, exist_ok=True)
    state = home.lstat()
    if home.is_symlink() or state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise UsageError(f"{home} is not this user's alone.", next_step="Remove it, and run this again.")
    return home


@contextmanager
def locked(directory: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a directory, which ends with the process, however that ends.

    Args:
        directory: the directory.
        wait: until nobody else has it.

    Raises:
        BlockingIOError: somebody has it, without `wait`.

    """
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)
