"""What a step of a change is. Managed by Ansible.

A change may be killed at any moment, and so may what undoes it: `do` and `undo` may have been interrupted
anywhere, `undo` may come without `do`, and each may be run again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from flowstead_host.changes import Change


class Step:
    """One step of a change."""

    # As the journal and the report call it.
    name: ClassVar[str]

    def __init__(self, change: Change) -> None:
        self.change = change
        self.host = change.host
        self.old, self.new = change.old, change.new

    def do(self) -> None:
        """Take the step."""
        raise NotImplementedError

    def undo(self) -> None:
        """Take it back; by default there is nothing to take back."""
