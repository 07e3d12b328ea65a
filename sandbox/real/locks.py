"""A lock between processes, and between threads of one: it needs no file of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def exclusive_lock(directory: Path) -> Iterator[None]:
    """Let one at a time in; the lock is on a directory, leaves no file, and ends with its process.

    Args:
        directory: must exist.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
