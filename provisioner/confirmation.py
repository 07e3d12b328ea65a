"""Questions that only a person at a terminal answers."""

from __future__ import annotations

import sys
from collections.abc import Callable

from provisioner.errors import UsageError


def ask(say: Callable[[str], object], who: str, question: str, answer: str, done: str = "removed") -> None:
    """Go on only if a person at a terminal types the answer.

    Args:
        say: tells a person something.
        who: what asks, and that it asks: the beginning of a sentence.
        question: what is asked.
        answer: what must be typed.
        done: what was not done otherwise.

    Raises:
        UsageError: there is no terminal, or another answer.

    """
    if not sys.stdin.isatty():
        raise UsageError(f"{who}, and there is no terminal here.", next_step="Add --yes if you are sure.")
    say(question)
    if sys.stdin.readline().strip() != answer:
        raise UsageError(f"That is not {answer!r}: nothing was {done}.")
