"""Ways of AWS that a sandbox has only when it is told to: what AWS is slow at, and the account's plan.

Each is a number, mostly of seconds. ``python -m sandbox up --as-slow-as-aws`` takes those of AWS; a test sets
single ones, as short as it likes, with ``python -m sandbox ways NAME=NUMBER``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.errors import SandboxError

_HOUR_S = 3600.0


@dataclass(frozen=True)
class Way:
    """One of AWS's ways.

    ``usual`` is the number in force unless told otherwise, ``slow`` the one of AWS.
    """

    what: str
    slow: float
    usual: float = 0.0


WAYS = {
    # AWS names no length: "Eventual consistency in the Amazon EC2 API", EC2 developer guide. Chosen.
    "lists": Way("seconds until describe calls without ids list what was made", 5.0),
    # Source: ListSecrets, Secrets Manager's API reference.
    "secrets": Way("seconds until ListSecrets knows of a change", 300.0),
    # AWS names no length: "Using service-linked roles for Amazon RDS", RDS User Guide. Chosen.
    "service-linked-role": Way("seconds from RDS's first call of the account until it can create", 15.0),
    # "Several hours": "Scaling up DB instance storage", RDS User Guide. The usual one is chosen: long enough
    # that nobody can miss it, short enough to wait for.
    "storage-optimization": Way("seconds that a database optimizes changed storage", 6 * _HOUR_S, 10.0),
    # Source: as above. "Modifying settings for gp3 storage" there allows four changes in a day, each when the
    # one before is optimized; the stricter of the two is here.
    "storage-change": Way("seconds until storage can be changed again", 6 * _HOUR_S, 6 * _HOUR_S),
    # "A few minutes to a few hours": "Monitor the progress of EBS volume modifications", Amazon EBS User
    # Guide. The usual one is chosen as above.
    "volume-modification": Way("seconds that a changed volume is optimized", 6 * _HOUR_S, 10.0),
    # Observed: minutes after sshd answers. "Instance console output", EC2 User Guide, names no length.
    "console-output": Way("seconds from launch until there is console output", 150.0),
    # Observed: five to fifteen seconds. "Troubleshoot IAM: changes that I make are not always immediately
    # visible", IAM User Guide, names no length.
    "instance-profile": Way("seconds that EC2 does not know a new instance profile, at least 6", 15.0),
    # Source: FreeTierRestrictionError, https://github.com/yc-software/qm/issues/352
    "free-plan": Way("1 for an account of the free plan", 0.0),
}


class Ways:
    """The numbers in force, and when things came to be that are slow to be seen.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._numbers: dict[str, float] = {}
        self._moments: dict[tuple[str, str], float] = {}
        self._past: dict[tuple[str, str], list[tuple[float, Any]]] = {}
        self.reset()

    def reset(self) -> None:
        """Take the usual numbers, and forget what was noted."""
        with self._lock:
            self._numbers = {name: way.usual for name, way in WAYS.items()}
            self._moments.clear()
            self._past.clear()

    def slow_down(self) -> None:
        """Take AWS's numbers."""
        self.set({name: way.slow for name, way in WAYS.items() if way.slow})

    def set(self, numbers: Mapping[str, float]) -> None:
        """Take other numbers; the rest stays.

        Args:
            numbers: by name.

        Raises:
            SandboxError: there is no such name, or a number is below zero.
        """
        for name, number in numbers.items():
            if name not in WAYS:
                raise SandboxError(f"AWS has no way {name!r} here", next_step=f"there are {', '.join(WAYS)}")
            if number < 0:
                raise SandboxError(f"{name} cannot be {number:g}", next_step="give zero or more")
        with self._lock:
            self._numbers |= numbers

    def number(self, name: str) -> float:
        """Return the number in force.

        Args:
            name: one of `WAYS`.
        """
        return self._numbers[name]

    def begin(self, name: str, key: str) -> None:
        """Note that something came to be just now; nothing is noted of what is not slow.

        Args:
            name: what is slow to see it.
            key: names it.
        """
        with self._lock:
            if self._numbers[name]:
                self._moments[name, key] = self.clock()

    def knows(self, name: str, key: str) -> bool:
        """Say whether it was noted that something came to be.

        Args:
            name: what is slow to see it.
            key: names it.
        """
        return (name, key) in self._moments

    def lags(self, name: str, key: str) -> bool:
        """Say whether something came to be so short a time ago that it is not seen yet.

        Args:
            name: what is slow to see it.
            key: names it.
        """
        moment = self._moments.get((name, key))
        return moment is not None and self.clock() - moment < self._numbers[name]

    def keep(self, name: str, key: str, state: Any) -> None:
        """Keep what is about to change, as it is.

        Args:
            name: what is slow to see the change.
            key: names what changes.
            state: a copy of it.
        """
        now = self.clock()
        with self._lock:
            before = self._past.get((name, key), [])
            recent = [one for one in before if one[0] > now - self._numbers[name]]
            self._past[name, key] = [*recent, (now, state)]

    def seen(self, name: str, key: str, state: Any) -> Any:
        """Return what is seen of something that changes.

        Args:
            name: what is slow to see changes.
            key: names what changes.
            state: what it is.

        Returns:
            What it was as long ago as it takes to see a change.
        """
        since = self.clock() - self._numbers[name]
        return next((old for until, old in self._past.get((name, key), []) if until > since), state)

    def shown(self) -> list[dict[str, Any]]:
        """List the ways: name, number in force, AWS's number, what it means."""
        return [
            {"name": name, "number": self._numbers[name], "slow": way.slow, "what": way.what}
            for name, way in WAYS.items()
        ]


ways = Ways()
"""Those of this process's sandbox."""
