"""Faults for tests: answers that AWS gives on a bad day.

A test asks for one over the control socket (``sandbox.control``); nothing on the network can.
"""

from __future__ import annotations

import fnmatch
import threading
from dataclasses import dataclass


@dataclass
class Fault:
    """What goes wrong with matching calls.

    ``service`` and ``action`` are patterns such as ``ec2`` and ``Create*``. The next ``skip`` matching calls
    pass, then ``times`` of them fail: refused with ``code``, ``message`` and ``status``, or dropped without
    an answer when ``drop`` is set, after ``delay_s`` seconds. With ``after`` the call takes effect first,
    and only its answer is lost.
    """

    service: str = "*"
    action: str = "*"
    code: str = ""
    message: str = "A fault that a test asked for"
    status: int = 400
    times: int = 1
    skip: int = 0
    delay_s: float = 0.0
    drop: bool = False
    after: bool = False


class Faults:
    """The faults that are waiting for their call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let a fault wait."""
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._waiting.clear()

    def take(self, service: str, action: str) -> Fault | None:
        """Take the fault that a call meets, if any.

        Args:
            service: the call's service.
            action: the call's action.

        Returns:
            The fault; it is counted as used.
        """
        with self._lock:
            for fault in self._waiting:
                if not (fnmatch.fnmatch(service, fault.service) and fnmatch.fnmatch(action, fault.action)):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self._waiting.remove(fault)
                return fault
        return None
