"""What tests make on the machine goes with them, however they end."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def cleared(code: str, *words: str) -> Iterator[None]:
    """Run some Python at the end, in a process of its own that waits for the pipe of this one to close.

    Args:
        code: statements.
        words: what they find in `sys.argv`, from 1 on.

    """
    reaper = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.stdin.read(); {code}", *words],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield
    finally:
        assert reaper.stdin
        reaper.stdin.close()
        assert reaper.wait(timeout=300) == 0
