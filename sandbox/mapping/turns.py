"""What takes time is done in threads: one thing at a time to each of the real things."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

_END_S = 60.0


class Turns:
    """One thing at a time for each key, each in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}

    def begin(
        self, key: str, what: str, action: Callable[[], None], failed: Callable[[Exception], None]
    ) -> None:
        """Do something when all that was begun before has ended.

        Args:
            key: what it is done to.
            what: what it is, for the log.
            action: does it.
            failed: called with the error if it cannot be done.
        """
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())

        def work() -> None:
            with turn:
                try:
                    action()
                    log.info("%s: %s done", key, what)
                except Exception as error:
                    log.exception("%s: %s failed", key, what)
                    failed(error)

        threading.Thread(target=work, name=f"{what} {key}", daemon=True).start()


def do_together(actions: Iterable[Callable[[], None]]) -> None:
    """Do things side by side, and wait for them, a minute at most for each.

    Args:
        actions: do them.
    """
    threads = [threading.Thread(target=action, daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_END_S)
