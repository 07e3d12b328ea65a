"""What the person at the shell is told."""

from __future__ import annotations


class SandboxError(Exception):
    """Something the person who runs ``python -m sandbox`` has to know.

    Args:
        message: what went wrong, in one sentence.
        next_step: what to do about it, in one sentence, or nothing.
    """

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step
