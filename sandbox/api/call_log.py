"""The log of every AWS call, in order: who asked what of which service, and how it ended."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One call; ``at`` in seconds since the epoch, ``error`` AWS's code or nothing.

    ``checked`` and ``unchecked`` name its parameters: those that a schema says something about, and the
    others.
    """

    number: int
    at: float
    principal: str
    service: str
    action: str
    status: int
    error: str
    region: str
    source: str
    took_ms: int
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


class CallLog:
    """Numbers calls as they come and writes each to a file as it ends.

    Args:
        path: the file, one JSON object a line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._number = 0
        self._file = path.open("a", encoding="utf-8")

    def begin(self) -> tuple[int, float]:
        """Number a call that has come.

        Returns:
            Its number and the time.
        """
        with self._lock:
            self._number += 1
            return self._number, time.time()

    def end(self, entry: Entry) -> None:
        """Write a call that has ended.

        Args:
            entry: the call.
        """
        with self._lock:
            self._file.write(json.dumps(asdict(entry)) + "\n")
            self._file.flush()


def read(path: Path) -> list[Entry]:
    """Read a log in the order the calls came.

    Args:
        path: the file; one that does not exist holds nothing.

    Returns:
        The calls.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return sorted((Entry(**json.loads(line)) for line in lines), key=lambda entry: entry.number)


def describe_coverage(entries: Iterable[Entry]) -> list[str]:
    """Say what was asked that no schema knows anything about, and how much that is.

    Args:
        entries: the calls.

    Returns:
        A line for each operation with such parameters, and one with the figure.
    """
    checked: dict[str, set[str]] = defaultdict(set)
    unchecked: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        operation = f"{entry.service} {entry.action}"
        checked[operation] |= set(entry.checked)
        unchecked[operation] |= set(entry.unchecked)
    lines = [
        f"{operation}: {', '.join(sorted(names))}" for operation, names in sorted(unchecked.items()) if names
    ]
    known, unknown = (sum(map(len, found.values())) for found in (checked, unchecked))
    return [*lines, f"{known} of {known + unknown} parameters of {len(checked)} operations are checked"]
