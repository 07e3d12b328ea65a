"""What is written on stores while data are moved from one into another, and afterwards.

A store is what keeps runs, models and users. There are two from the moment at which the new one is made until
somebody removes the old one; these tags say which has the data.
"""

from __future__ import annotations

from collections.abc import Mapping

MOVING_FROM_TAG = "flowstead:moving-from"
"""On a store that does not have the data yet: the id of the one that has. Set in the call that makes it."""
MOVED_TO_TAG = "flowstead:moved-to"
"""On a store whose data are out of date: the id of the one that has them now."""


def moving(source_id: str) -> Mapping[str, str]:
    """Give the tags of a store that is made for data of another.

    Args:
        source_id: the other's id; empty: it is made for none.

    """
    return {MOVING_FROM_TAG: source_id} if source_id else {}
