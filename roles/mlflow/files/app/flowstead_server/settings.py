"""What the role tells the app, in the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """One worker's part of what is set.

    Args:
        requests_at_once: requests that a worker works on at a time.

    """

    requests_at_once: int

    @classmethod
    def from_environment(cls) -> Settings:
        """Read them.

        Raises:
            KeyError: one is not set.
            ValueError: one is no whole number.

        """
        return cls(requests_at_once=int(os.environ["FLOWSTEAD_REQUESTS_AT_ONCE"]))
